/*
 * Where reports may go: rua and ruf, taken apart and verified.
 *
 * Pure: works on the answers at hand (base/answer.h), like the protocols.
 * RFC 9989 section 4.7 (URIs), RFC 9990 sections 3.5 and 4.
 */
#ifndef TRIMILTER_REPORT_DESTINATION_H
#define TRIMILTER_REPORT_DESTINATION_H

#include "base/answer.h"
#include "dmarc/dmarc.h"
#include "report/record.h"

/** One URI of rua or ruf. */
struct destination {
	struct str uri;     /* as published */
	struct str address; /* user@domain, percent-decoded, domain canonical; empty: it cannot be used */
	struct str domain;
	uint64_t maximum_bytes; /* RFC 7489's "!10m"; 0: none */
	bool external;          /* another organizational domain than the policy's */
	bool overridden;        /* by the consumer's own record; address is then the one to use */
	const char *refused;    /* why nothing goes there; static; NULL: it qualifies */
};

/** Take the value of rua or ruf apart. Malformed URIs are there too, with the reason in refused. */
void destination_parse(
	struct arena *arena, struct str list, const struct destination **ret_destinations, size_t *ret_n);

struct destination_query {
	const struct report_options *options; /* caps, NoReportsList, ReportOnlyTo */
	const struct dmarc_options *dmarc;
	struct report_policy policy;
	bool failure; /* ruf, not rua: never of a psd=y record */
};

/**
 * The destinations of a policy that qualify, and those that do not with the reason. True: complete. False: look-ups are
 * missing, they are now wanted in @answers. An external destination whose consent could not be looked up (temperror)
 * has refused "temporary ..." and *ret_retry set: try later.
 */
bool destination_verify(struct arena *arena, const struct destination_query *query, struct answers *answers,
	const struct destination **ret_destinations, size_t *ret_n, bool *ret_retry);

#endif
