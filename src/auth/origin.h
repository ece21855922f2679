/*
 * Who is signed and who is judged: the table of docs/architecture.md. Pure.
 */
#ifndef TRIMILTER_AUTH_ORIGIN_H
#define TRIMILTER_AUTH_ORIGIN_H

#include "auth/auth.h"

struct origin {
	enum auth_origin kind;
	bool may_sign;         /* where the signing table has the author */
	bool may_verify;       /* DKIM, where it is not signed */
	bool judge;            /* SPF and DMARC */
	bool relayed;          /* SecondaryMX: SPF is for whom the Received field names */
	bool external_ignored; /* ExternalIgnoreList: not worth a word in the log */
};

/** What is done with mail of this sender: the table of tests/auth/test_origin.c. Pure. */
struct origin origin_of(const struct auth_options *options, const struct auth_envelope *envelope);

#endif
