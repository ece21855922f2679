/*
 * The DKIM-Signature field, RFC 6376 section 3.5. Pure.
 */
#ifndef TRIMILTER_DKIM_SIGNATURE_H
#define TRIMILTER_DKIM_SIGNATURE_H

#include "dkim/crypto.h"
#include "dkim/dkim.h"

struct dkim_signature {
	const char *problem; /* NULL: it could pass; else why it cannot ever (permerror), static; then the rest is what
				could be read */
	struct str domain;   /* d=, canonical */
	struct str selector; /* s=, canonical */
	struct str key_name; /* s= "._domainkey." d= */
	struct str identity; /* i= decoded, its domain canonical; "@" d= where there is none */
	struct str identity_domain;
	struct str algorithm;       /* a= as spelled, cut to what anybody would want to read */
	struct str signature_start; /* the first 8 characters of b= */
	struct str header_names;    /* h= */
	enum dkim_key_type key_type;
	enum dkim_canonicalization header_canonicalization, body_canonicalization;
	uint64_t body_length;  /* l=, BODY_WHOLE for all */
	int64_t signed_at;     /* t=, -1 when absent; a number too large for time is the largest */
	int64_t expires_at;    /* x=, likewise */
	bool report_requested; /* r=y, RFC 6651 section 3.1 */
	uint8_t body_hash[SHA256_SIZE];
	struct str signature; /* b= decoded */
};

/**
 * @value  of the field; borrowed
 * @now    seconds since 1970; @drift seconds that clocks may differ
 */
void dkim_signature_parse(
	struct arena *arena, struct str value, int64_t now, unsigned drift, struct dkim_signature *ret_signature);

/**
 * DKIM-Quoted-Printable, RFC 6376 section 2.11: white space is dropped. False: a "=" without two hex digits.
 * The result may hold any byte.
 */
bool dkim_quoted_printable_decode(struct arena *arena, struct str text, struct str *ret_text);

#endif
