/*
 * DMARC, RFC 9989 (RFC 7489 in psl mode): what the other folders call.
 *
 * We discover, align, test existence and apply sp, np and t; libopendmarc,
 * given a normalised record and identifiers that are already aligned, returns
 * the policy to enforce. Pure: no I/O.
 */
#ifndef TRIMILTER_DMARC_DMARC_H
#define TRIMILTER_DMARC_DMARC_H

#include "base/answer.h"
#include "dkim/dkim.h"
#include "dmarc/options.h"
#include "message/address.h"
#include "spf/spf.h"

/** RFC 8601's words, RFC 9989 section 9 */
enum dmarc_status { DMARC_NONE, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR, DMARC_PERMERROR };
enum dmarc_policy { DMARC_POLICY_UNSET, DMARC_P_NONE, DMARC_P_QUARANTINE, DMARC_P_REJECT };

const char *dmarc_status_text(enum dmarc_status status); /* "temperror" */
const char *dmarc_policy_text(enum dmarc_policy policy); /* "quarantine"; NULL for UNSET */

struct dmarc_dkim_input {
	struct str domain; /* d= */
	enum dkim_status status;
	bool counts;
};

struct dmarc_input {
	/* From: several domains are each evaluated, the strictest failing policy applies, and the result is fail. */
	enum author_outcome author;
	const char *author_reason;
	const struct str *author_domains; /* canonical */
	size_t n_author_domains;
	struct str spf_domain; /* of the MAIL FROM identity, or of HELO for the null sender; empty: none */
	enum spf_status spf_status;
	const struct dmarc_dkim_input *dkim;
	size_t n_dkim;
};

struct dmarc_result {
	enum dmarc_status status;
	enum dmarc_policy policy;         /* that applies to this message, after sp, np, t; UNSET: none found */
	enum dmarc_policy published;      /* the same before t; for reports */
	enum dmarc_policy disposition;    /* policy where status is fail, else DMARC_P_NONE */
	struct str author_domain;         /* the one that decided */
	struct str organizational_domain; /* empty: not known */
	struct str policy_domain;         /* whose record it is; empty: none */
	struct str record;                /* its text, empty: none */
	bool spf_aligned;                 /* pass and aligned */
	bool dkim_aligned;
	bool testing;              /* t=y */
	bool authors_left_out;     /* From names more domains than are looked at: what they ask for is not known */
	bool non_existent;         /* np was looked at, and the author domain does not exist */
	const char *reason;        /* static; NULL where there is nothing to say */
	const struct str *queries; /* names looked up, in order of need, "_dmarc.example.com" ... */
	size_t n_queries;
};

/** Like spf_evaluate(): false, and names wanted in @answers, until everything needed is at hand. */
bool dmarc_evaluate(struct arena *arena, const struct dmarc_options *options, const struct dmarc_input *input,
	struct answers *answers, struct dmarc_result *ret_result);

/**
 * Want the records that an evaluation of this domain will begin with; for MAIL FROM, whose
 * domain usually turns out to be the author's.
 */
void dmarc_want(const struct dmarc_options *options, struct str domain, struct answers *answers);

#endif
