/*
 * What can be set for DKIM. Filled by config from options.def.
 */
#ifndef TRIMILTER_DKIM_OPTIONS_H
#define TRIMILTER_DKIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum dkim_canonicalization { DKIM_SIMPLE, DKIM_RELAXED };

struct dkim_verify_options {
	unsigned minimum_key_bits;          /* RSA; 1024. Never below 1024: RFC 8301 section 3.2 */
	unsigned maximum_signatures;        /* verified per message; 10 */
	unsigned clock_drift;               /* seconds that t= may lie ahead, x= behind; 300 */
	bool strict_test_mode;              /* a passing signature of a t=y key does not count either */
	bool allow_partial_body;            /* l= smaller than the body counts for DMARC; default no */
};

struct dkim_sign_options {
	enum dkim_canonicalization header_canonicalization; /* relaxed */
	enum dkim_canonicalization body_canonicalization;   /* simple, as OpenDKIM's default */
	const struct str *sign_headers; /* SignHeaders; NULL: sign.c's own list; lower case */
	size_t n_sign_headers;
	const struct str *omit_headers; /* OmitHeaders */
	size_t n_omit_headers;
	const struct str *oversign_headers; /* OversignHeaders; default "from" */
	size_t n_oversign_headers;
	uint32_t signature_ttl;         /* seconds until x=; 0: none */
	bool body_lengths;              /* write l= */
	bool diagnostics;               /* write z= */
	bool report_requested;          /* write r=y */
};

#endif
