/*
 * Key records, RFC 6376 section 3.6.1: what a selector's TXT record says. Pure.
 */
#ifndef TRIMILTER_DKIM_KEY_H
#define TRIMILTER_DKIM_KEY_H

#include "dkim/crypto.h"
#include "dkim/dkim.h"

#define RSA_BITS_MIN 1024u /* RFC 8301 section 3.2; below that a key is no proof */
#define RSA_BITS_MAX 4096u /* RFC 8301 asks no more; above that one check buys milliseconds of our time */

struct dkim_key {
	/* DKIM_PASS: usable; else POLICY (its size) or PERMERROR, with the reason. */
	enum dkim_status status;
	const char *problem; /* static */
	enum dkim_key_type type;
	unsigned bits;                /* 0 where it was not come to that */
	bool testing;                 /* t=y */
	bool strict;                  /* t=s: i= must be d= */
	struct str modulus, exponent; /* RSA, big-endian, no leading zero */
	uint8_t point[ED25519_KEY_SIZE];
};

/** @record borrowed. Unknown tags, g= and n= are ignored. */
void dkim_key_parse(struct arena *arena, struct str record, struct dkim_key *ret_key);

#endif
