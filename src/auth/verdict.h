/*
 * What is to become of a message: plain data, made by policy, carried out by milter/effects.c,
 * shown by trimilterctl.
 */
#ifndef TRIMILTER_AUTH_VERDICT_H
#define TRIMILTER_AUTH_VERDICT_H

#include "base/str.h"
#include "dmarc/dmarc.h"

enum verdict_action { VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_TEMPFAIL, VERDICT_QUARANTINE, VERDICT_DISCARD };
#define VERDICT_ACTIONS (VERDICT_DISCARD + 1)

const char *verdict_action_text(enum verdict_action action); /* "accept" ... as in the JSON of trimilterctl check */

/** Delete the @ordinal-th field of that name (1 is the topmost); delete in the order given, which is bottom up. */
struct verdict_deletion {
	struct str name;
	unsigned ordinal;
};

/** Insert at the very top; apply in the order given, so the last one ends up topmost. */
struct verdict_insertion {
	struct str name;
	struct str value; /* begins with the space behind the colon; folded with "\n\t" */
};

/** Why something else was done than the author's domain asks for; RFC 9990 section 3.1.6. */
enum override_type {
	OVERRIDE_LOCAL_POLICY,
	OVERRIDE_MAILING_LIST,
	OVERRIDE_POLICY_TEST_MODE,
	OVERRIDE_TRUSTED_FORWARDER
};

const char *override_type_text(enum override_type type); /* "local_policy" ... as in aggregate reports */

struct verdict_override {
	enum override_type type;
	struct str comment; /* for the domain's owner to read: it tells nothing of ours but what was done; US-ASCII */
};

/** t=y takes one step off, and what is left may be overridden as well. */
#define VERDICT_OVERRIDES_MAX 2

struct verdict {
	enum verdict_action action;
	/* What DMARC alone did to the message, whatever else refuses it; P_NONE where it did nothing. */
	enum dmarc_policy disposition;
	/* Not empty where DMARC failed and disposition is not the published policy. */
	struct verdict_override overrides[VERDICT_OVERRIDES_MAX];
	size_t n_overrides;
	/* For REJECT and TEMPFAIL; empty otherwise. */
	struct str reply_code;        /* "550" */
	struct str enhanced_code;     /* "5.7.1" */
	struct str reply_text;        /* US-ASCII, no '%' doubling, one line */
	struct str quarantine_reason; /* for QUARANTINE */
	/* Applied in any case but REJECT, TEMPFAIL, DISCARD: deletions first, then insertions. */
	const struct verdict_deletion *deletions;
	size_t n_deletions;
	const struct verdict_insertion *insertions;
	size_t n_insertions;
	struct str copy_to;  /* CopyFailuresTo: a recipient to add; empty: none. Not for REJECT, TEMPFAIL, DISCARD */
	struct str log_line; /* "QID: client=... from=... ... action=..." */
};

#endif
