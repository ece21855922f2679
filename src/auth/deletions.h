/*
 * What is taken out of a message's header: results fields that claim to be ours
 * (RFC 8601 section 5), and with RemoveOldSignatures the signatures on what we
 * sign. Pure.
 */
#ifndef TRIMILTER_AUTH_DELETIONS_H
#define TRIMILTER_AUTH_DELETIONS_H

#include "auth/options.h"
#include "auth/verdict.h"
#include "message/headers.h"

struct deletions {
	const struct verdict_deletion *list; /* bottom up, so that the ordinals of the others stay right */
	size_t n;
	size_t n_forged; /* those that claim to be ours */
};

/**
 * @mta_name   {j}, a name of ours beside those in @options; may be empty, or no name at all
 * @is_signed  we put a signature on it
 * The list is in @arena, its names are borrowed from @headers.
 */
struct deletions deletions_find(struct arena *arena, const struct auth_options *options, const struct headers *headers,
	struct str mta_name, bool is_signed);

#endif
