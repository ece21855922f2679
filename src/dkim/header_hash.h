/*
 * The hash that b= signs: the selected fields, then the signature field itself. RFC 6376 section 3.7
 */
#ifndef TRIMILTER_DKIM_HEADER_HASH_H
#define TRIMILTER_DKIM_HEADER_HASH_H

#include "dkim/canonicalize.h"
#include "dkim/crypto.h"

struct header_hash {
	enum dkim_canonicalization how;
	struct sha256 *sha256; /* may be used again after the end */
	struct sink sink;
};

/** The fields; arguments as for dkim_canonicalize_selected(). @sha256 is restarted. */
void header_hash_begin(struct header_hash *hash, struct sha256 *sha256, enum dkim_canonicalization how,
	const struct headers *headers, struct str names, const struct header_field *own);

/** The signature field, whatever stands in its b=. False: OpenSSL failed. */
bool header_hash_end(struct header_hash *hash, struct str name, struct str value, uint8_t ret_digest[SHA256_SIZE]);

#endif
