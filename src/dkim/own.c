/*
 * Signatures of our own on mail that comes by again (a content filter hands it back, a list of ours passes it on).
 */
#include "dkim/body.h"
#include "dkim/header_hash.h"
#include "dkim/private_key.h"
#include "dkim/signature.h"

/* The field says d= and s= as we write them: asked first, as it costs next to nothing. */
static bool may_be_ours(struct str value, const struct dkim_signer *signer)
{
	return value.n > 0 && memmem(value.p, value.n, signer->domain.p, signer->domain.n) != NULL &&
	       memmem(value.p, value.n, signer->selector.p, signer->selector.n) != NULL;
}

static bool covers_body(const struct dkim_signature *signature, const struct dkim_body *body)
{
	/* One that leaves part of the body unsigned is no reason not to sign the whole. */
	if (signature->body_length != BODY_WHOLE)
		return false;
	const struct dkim_body_hash *hash = dkim_body_find(body, signature->body_canonicalization, BODY_WHOLE);
	return hash != NULL && hash->usable && memcmp(hash->digest, signature->body_hash, SHA256_SIZE) == 0;
}

static bool covers_headers(struct arena *arena, const struct dkim_signature *signature,
	const struct header_field *field, const struct headers *headers, const struct dkim_private_key *key)
{
	struct header_hash hash;
	uint8_t digest[SHA256_SIZE];
	if (dkim_private_key_type(key) != signature->key_type)
		return false;
	header_hash_begin(
		&hash, sha256_new(arena), signature->header_canonicalization, headers, signature->header_names, field);
	return header_hash_end(&hash, field->name, field->value, digest) &&
	       crypto_key_verify(dkim_private_key_crypto(key), digest, signature->signature) == CRYPTO_GOOD;
}

bool dkim_signed_by(struct arena *arena, const struct header_field *field, const struct headers *headers,
	struct dkim_body *body, const struct dkim_signer *signer)
{
	struct dkim_signature signature;
	if (headers->dropped > 0 || !may_be_ours(field->value, signer))
		return false;
	/* At the end of time: one that can expire is not relied on, and two good signatures do no harm. */
	dkim_signature_parse(arena, field->value, INT64_MAX, 0, &signature);
	return signature.problem == NULL && str_eq(signature.domain, signer->domain) &&
	       str_eq(signature.selector, signer->selector) && covers_body(&signature, body) &&
	       covers_headers(arena, &signature, field, headers, signer->key);
}
