/*
 * Signatures of our own on mail that comes by again (a content filter hands it
 * back, a list of ours passes it on): where one still stands it is not repeated.
 */
#include "dkim/body.h"
#include "dkim/header_hash.h"
#include "dkim/key.h"
#include "dkim/private_key.h"
#include "dkim/signature.h"

/* Anyone can write our d= and s=; each such field costs one check. */
#define TRIED_MAX 5
#define PARSED_MAX 100

struct dkim_own {
	const struct dkim_body_hash *body_hash;
	uint8_t expected[SHA256_SIZE];
};

static bool is_signed_by(struct arena *arena, const struct dkim_signature *signature, const struct header_field *field,
	const struct headers *headers, const struct dkim_key *key)
{
	struct header_hash hash;
	uint8_t digest[SHA256_SIZE];
	header_hash_begin(
		&hash, sha256_new(arena), signature->header_canonicalization, headers, signature->header_names, field);
	if (!header_hash_end(&hash, field->name, field->value, digest))
		return false;
	enum crypto_verdict verdict =
		key->type == DKIM_KEY_RSA ? crypto_verify_rsa(key->modulus, key->exponent, digest, signature->signature)
					  : crypto_verify_ed25519(key->point, digest, signature->signature);
	return verdict == CRYPTO_GOOD;
}

const struct dkim_own *dkim_own_find(struct arena *arena, const struct dkim_signer *signer,
	const struct headers *headers, struct dkim_body *body, int64_t now)
{
	struct dkim_key key;
	size_t n_tried = 0, n_parsed = 0;
	if (headers->dropped > 0 || headers_find(headers, STR("dkim-signature")) == NULL)
		return NULL;
	dkim_key_parse(arena, dkim_key_record(arena, signer->key, STR("")), &key);
	if (key.status != DKIM_PASS)
		return NULL;
	for (size_t i = 0; i < headers->n && n_tried < TRIED_MAX && n_parsed < PARSED_MAX; i++) {
		const struct header_field *field = &headers->fields[i];
		struct dkim_signature signature;
		if (!str_ieq(header_field_name(field), STR("dkim-signature")))
			continue;
		n_parsed++;
		dkim_signature_parse(arena, field->value, now, 0, &signature);
		if (signature.problem != NULL || !str_eq(signature.domain, signer->domain) ||
			!str_eq(signature.selector, signer->selector) || signature.key_type != key.type)
			continue;
		n_tried++;
		if (!is_signed_by(arena, &signature, field, headers, &key))
			continue;
		struct dkim_own *own = ARENA_NEW(arena, struct dkim_own);
		own->body_hash = dkim_body_want(body, signature.body_canonicalization, signature.body_length);
		memcpy(own->expected, signature.body_hash, SHA256_SIZE);
		return own;
	}
	return NULL;
}

bool dkim_own_stands(const struct dkim_own *own)
{
	const struct dkim_body_hash *hash = own->body_hash;
	/* One that leaves part of the body unsigned is no reason not to sign the whole. */
	return hash->usable && !hash->exceeded && (hash->limit == BODY_WHOLE || hash->n_hashed == hash->limit) &&
	       memcmp(hash->digest, own->expected, SHA256_SIZE) == 0;
}
