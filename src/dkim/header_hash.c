#include "dkim/header_hash.h"

static void hash_text(void *object, struct str text)
{
	sha256_add(object, text);
}

void header_hash_begin(struct header_hash *hash, struct sha256 *sha256, enum dkim_canonicalization how,
	const struct headers *headers, struct str names, const struct header_field *own)
{
	hash->how = how;
	hash->sha256 = sha256;
	sha256_restart(sha256);
	sink_init(&hash->sink, hash_text, sha256);
	dkim_canonicalize_selected(&hash->sink, how, headers, names, own);
}

bool header_hash_end(struct header_hash *hash, struct str name, struct str value, uint8_t ret_digest[SHA256_SIZE])
{
	dkim_canonicalize_signature(&hash->sink, hash->how, name, value);
	sink_flush(&hash->sink);
	return sha256_end(hash->sha256, ret_digest);
}
