/*
 * The body hashes of one message, inside DKIM. Each (canonicalization, length)
 * is hashed once, however many signatures refer to it; the hash is always
 * SHA-256, as rsa-sha1 never passes.
 */
#ifndef TRIMILTER_DKIM_BODY_H
#define TRIMILTER_DKIM_BODY_H

#include "dkim/crypto.h"
#include "dkim/dkim.h"

#define BODY_WHOLE UINT64_MAX

struct dkim_body_hash {
	struct dkim_body_hash *next;
	uint64_t limit;    /* canonical bytes that count, BODY_WHOLE for all */
	uint64_t n_hashed; /* complete after dkim_body_end() */
	bool exceeded;     /* the canonical body goes on behind the limit */
	struct sha256 *sha256;
	bool usable; /* false: OpenSSL failed */
	uint8_t digest[SHA256_SIZE];
};

/** Before the first chunk. Shared with whoever asks for the same; complete after dkim_body_end(). */
const struct dkim_body_hash *dkim_body_want(struct dkim_body *body, enum dkim_canonicalization how, uint64_t limit);

/** NULL: nobody has asked for it, or dkim_body_end() was not called yet. */
const struct dkim_body_hash *dkim_body_find(
	const struct dkim_body *body, enum dkim_canonicalization how, uint64_t limit);

#endif
