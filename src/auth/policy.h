/*
 * What becomes of a message, from what was found and what the operator wants. Pure.
 */
#ifndef TRIMILTER_AUTH_POLICY_H
#define TRIMILTER_AUTH_POLICY_H

#include "auth/auth.h"

struct policy_input {
	const struct auth_findings *findings;
	const struct headers *headers;
	bool signing_failed;        /* it should have been signed and could not be */
	struct str signing_failure; /* why */
	bool author_exempt;         /* ExemptDomains */
	bool author_ignored;        /* IgnoreMailFrom */
	bool spf_ignored;           /* SPFIgnoreHosts */
	struct str forwarder;       /* whom we trust to have forwarded it, host or domain; empty: nobody */
	bool from_list;             /* it came by a mailing list */
};

/** Fills action, reply, quarantine_reason, disposition, overrides and copy_to of @ret_verdict; *ret_reason (in @arena)
 * is what the log says, empty for a plain accept. */
void policy_decide(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *ret_verdict, struct str *ret_reason);

#endif
