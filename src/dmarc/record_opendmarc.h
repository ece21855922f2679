/*
 * The decision, by libopendmarc: a normalised record and identifiers that are
 * known to be aligned go in, the policy to enforce comes out.
 */
#ifndef TRIMILTER_DMARC_RECORD_OPENDMARC_H
#define TRIMILTER_DMARC_RECORD_OPENDMARC_H

#include "dmarc/dmarc.h"

struct dmarc_case {
	enum dmarc_policy p;  /* for the domain that has the record, after t; not UNSET */
	enum dmarc_policy sp; /* for its subdomains, after np, sp and t; not UNSET */
	bool is_subdomain;    /* the author's domain is one of them */
	bool spf_aligned;     /* pass, and aligned */
	bool dkim_aligned;
};

/**
 * *ret_passes  an aligned identifier passed
 * *ret_policy  the policy to enforce otherwise
 * False: the library refused (no memory).
 */
bool dmarc_opendmarc_decide(const struct dmarc_case *decided, bool *ret_passes, enum dmarc_policy *ret_policy);

#endif
