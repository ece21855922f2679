/*
 * Everything that the handling of a message reads: options, keys, tables,
 * suffix list. Immutable and reference-counted; a reload makes a new one and a
 * message keeps the one it started with. What changes in it is the store of
 * public keys that are kept ready, which sees to its threads itself.
 */
#ifndef TRIMILTER_AUTH_RUNTIME_H
#define TRIMILTER_AUTH_RUNTIME_H

#include <stdatomic.h>

#include "auth/options.h"
#include "dkim/dkim.h"
#include "dmarc/options.h"
#include "report/options.h"
#include "spf/options.h"

struct arena;

struct runtime {
	atomic_uint references;
	struct arena *arena; /* holds this and all below; handles are its cleanups */
	struct auth_options auth;
	struct dkim_verify_options dkim_verify;
	struct dkim_sign_options dkim_sign;
	struct dkim_keys *dkim_keys;
	struct spf_options spf;
	struct dmarc_options dmarc;
	struct report_options report;
	struct {
		unsigned timeout_ms; /* DNSTimeout */
	} dns;
	uint64_t databases; /* the fingerprints of all data sets that databases hold, added up; 0: none does */
};

/** Defaults of every member, in an arena of its own, one reference for the caller. NULL: out of memory. */
struct runtime *runtime_new(void);
struct runtime *runtime_ref(struct runtime *runtime);
void runtime_unref(struct runtime *runtime); /* accepts NULL */

/** The host's name, canonical and with its domain where that can be found; "localhost" for want of better. */
struct str runtime_host_name(struct arena *arena);

#endif
