#include "dkim/crypto.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/*
 * OpenSSL 3 looks algorithms up by name, under a lock, each time one is used by
 * name: fetched once, constant afterwards. Where that fails for want of memory
 * the next message tries again. NULL: it has failed.
 */
static const EVP_MD *sha256_md(void)
{
	static _Atomic(EVP_MD *) kept;
	EVP_MD *md = atomic_load(&kept), *other = NULL;
	if (md != NULL)
		return md;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	ERR_clear_error();
	if (md == NULL || atomic_compare_exchange_strong(&kept, &other, md))
		return md;
	EVP_MD_free(md);
	return other;
}

/*
 * Want of memory is no result, but OpenSSL returns the same for it as for a bad signature or a key that it refuses, and
 * its error queue needs memory too. So we look ourselves, for each thread.
 */
static _Thread_local bool starved;
static _Thread_local bool was_starved; /* the same, reset by nothing but crypto_warm_up() */

static void note_starved(void)
{
	starved = was_starved = true;
}

static void *allocate(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	void *p = n > 0 ? malloc(n) : NULL;
	if (p == NULL && n > 0)
		note_starved();
	return p;
}

static void *reallocate(void *old, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	if (n == 0) {
		free(old);
		return NULL;
	}
	void *p = realloc(old, n);
	if (p == NULL)
		note_starved();
	return p;
}

static void release(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

/* OpenSSL takes it before its first allocation alone. Where somebody was faster, all is as it would be without. */
__attribute__((constructor)) static void watch_memory(void)
{
	CRYPTO_set_mem_functions(allocate, reallocate, release);
}

bool crypto_is_starved(void)
{
	return starved;
}

/* ---- SHA-256 ---- */

struct sha256 {
	EVP_MD_CTX *context;
	bool broken;
};

static void free_context(void *object)
{
	EVP_MD_CTX_free(object);
}

struct sha256 *sha256_new(struct arena *arena)
{
	struct sha256 *sha256 = ARENA_NEW(arena, struct sha256);
	sha256->context = EVP_MD_CTX_new();
	if (sha256->context != NULL)
		arena_on_reset(arena, free_context, sha256->context);
	sha256_restart(sha256);
	return sha256;
}

void sha256_restart(struct sha256 *sha256)
{
	sha256->broken = sha256->context == NULL || EVP_DigestInit_ex2(sha256->context, sha256_md(), NULL) != 1;
}

void sha256_add(struct sha256 *sha256, struct str data)
{
	if (!sha256->broken && data.n > 0)
		sha256->broken = EVP_DigestUpdate(sha256->context, data.p, data.n) != 1;
}

bool sha256_end(struct sha256 *sha256, uint8_t ret_digest[SHA256_SIZE])
{
	unsigned n = 0;
	if (!sha256->broken)
		sha256->broken = EVP_DigestFinal_ex(sha256->context, ret_digest, &n) != 1 || n != SHA256_SIZE;
	if (sha256->broken)
		ERR_clear_error();
	return !sha256->broken;
}

/* ---- keys ---- */

struct crypto_key {
	EVP_PKEY *pkey;
	enum crypto_key_kind kind;
};

static enum crypto_key_kind kind_of(const EVP_PKEY *pkey)
{
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return CRYPTO_KEY_RSA;
	return EVP_PKEY_is_a(pkey, "ED25519") ? CRYPTO_KEY_ED25519 : CRYPTO_KEY_OTHER;
}

/* Takes @pkey over. */
static struct crypto_key *wrap(EVP_PKEY *pkey)
{
	ERR_clear_error();
	struct crypto_key *key = pkey != NULL ? calloc(1, sizeof(*key)) : NULL;
	starved |= pkey != NULL && key == NULL;
	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key->pkey = pkey;
	starved = false;
	key->kind = kind_of(pkey);
	if (key->kind == CRYPTO_KEY_OTHER && starved) {
		crypto_key_free(key);
		return NULL;
	}
	return key;
}

/*
 * d2i_PUBKEY costs four times the verification itself, so the caller reads
 * the DER and the numbers are handed over as they are.
 */
static EVP_PKEY *rsa_public_key(struct str modulus, struct str exponent)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *context = NULL;
	BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.p, (int)modulus.n, NULL);
	BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.p, (int)exponent.n, NULL);
	/* Parameters want numbers in native byte order. */
	unsigned char native_n[SIGNATURE_MAX], native_e[sizeof(uint64_t)];
	if (n == NULL || e == NULL || BN_bn2nativepad(n, native_n, (int)modulus.n) < 0 ||
		BN_bn2nativepad(e, native_e, (int)exponent.n) < 0)
		goto out;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, native_n, modulus.n),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, native_e, exponent.n),
		OSSL_PARAM_construct_end(),
	};
	context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
out:
	EVP_PKEY_CTX_free(context);
	BN_free(n);
	BN_free(e);
	return key;
}

struct crypto_key *crypto_key_from_rsa(struct str modulus, struct str exponent)
{
	if (modulus.n > SIGNATURE_MAX || exponent.n > sizeof(uint64_t))
		return NULL;
	starved = false;
	return wrap(rsa_public_key(modulus, exponent));
}

struct crypto_key *crypto_key_from_point(const uint8_t point[ED25519_KEY_SIZE])
{
	starved = false;
	return wrap(EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, point, ED25519_KEY_SIZE));
}

/* Without a callback OpenSSL would ask for the passphrase on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
	(void)buffer, (void)size, (void)writing, (void)user;
	return -1;
}

struct crypto_key *crypto_key_from_pem(struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	BIO_free(bio);
	return wrap(pkey);
}

struct crypto_key *crypto_key_from_der(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
	if (pkey != NULL && p != (const unsigned char *)der.p + der.n) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return wrap(pkey);
}

struct crypto_key *crypto_key_from_seed(const uint8_t seed[ED25519_KEY_SIZE])
{
	return wrap(EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, ED25519_KEY_SIZE));
}

struct crypto_key *crypto_key_generate(enum crypto_key_kind kind, unsigned bits)
{
	return wrap(kind == CRYPTO_KEY_RSA ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
					   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

void crypto_key_free(struct crypto_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum crypto_key_kind crypto_key_kind(const struct crypto_key *key)
{
	return key->kind;
}

unsigned crypto_key_bits(const struct crypto_key *key)
{
	int bits = EVP_PKEY_get_bits(key->pkey);
	return bits > 0 ? (unsigned)bits : 0;
}

static bool use_pkcs1_sha256(EVP_PKEY_CTX *context)
{
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(context, sha256_md()) == 1;
}

static enum crypto_verdict verify_rsa(EVP_PKEY *pkey, const uint8_t hash[SHA256_SIZE], struct str signature)
{
	enum crypto_verdict verdict = CRYPTO_REFUSED;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (context != NULL && EVP_PKEY_verify_init(context) == 1 && use_pkcs1_sha256(context)) {
		int good = EVP_PKEY_verify(context, (const unsigned char *)signature.p, signature.n, hash, SHA256_SIZE);
		verdict = good == 1 ? CRYPTO_GOOD : CRYPTO_BAD;
	}
	EVP_PKEY_CTX_free(context);
	return verdict;
}

static enum crypto_verdict verify_ed25519(EVP_PKEY *pkey, const uint8_t hash[SHA256_SIZE], struct str signature)
{
	enum crypto_verdict verdict = CRYPTO_REFUSED;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (context != NULL && EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL) == 1) {
		int good =
			EVP_DigestVerify(context, (const unsigned char *)signature.p, signature.n, hash, SHA256_SIZE);
		verdict = good == 1 ? CRYPTO_GOOD : CRYPTO_BAD;
	}
	EVP_MD_CTX_free(context);
	return verdict;
}

enum crypto_verdict crypto_key_verify(
	const struct crypto_key *key, const uint8_t hash[SHA256_SIZE], struct str signature)
{
	enum crypto_verdict verdict = CRYPTO_REFUSED;
	starved = false;
	switch (key->kind) {
	case CRYPTO_KEY_RSA:
		verdict = verify_rsa(key->pkey, hash, signature);
		break;
	case CRYPTO_KEY_ED25519:
		verdict = verify_ed25519(key->pkey, hash, signature);
		break;
	case CRYPTO_KEY_OTHER:
		break;
	}
	ERR_clear_error();
	return verdict;
}

static bool sign_rsa(EVP_PKEY *pkey, const uint8_t hash[SHA256_SIZE], uint8_t *ret_signature, size_t *ret_n)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	*ret_n = SIGNATURE_MAX;
	bool done = context != NULL && EVP_PKEY_sign_init(context) == 1 && use_pkcs1_sha256(context) &&
		    EVP_PKEY_sign(context, ret_signature, ret_n, hash, SHA256_SIZE) == 1;
	EVP_PKEY_CTX_free(context);
	return done;
}

static bool sign_ed25519(EVP_PKEY *pkey, const uint8_t hash[SHA256_SIZE], uint8_t *ret_signature, size_t *ret_n)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	*ret_n = SIGNATURE_MAX;
	bool done = context != NULL && EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
		    EVP_DigestSign(context, ret_signature, ret_n, hash, SHA256_SIZE) == 1;
	EVP_MD_CTX_free(context);
	return done;
}

bool crypto_key_sign(
	const struct crypto_key *key, const uint8_t hash[SHA256_SIZE], uint8_t *ret_signature, size_t *ret_n)
{
	bool done = false;
	switch (key->kind) {
	case CRYPTO_KEY_RSA:
		done = sign_rsa(key->pkey, hash, ret_signature, ret_n);
		break;
	case CRYPTO_KEY_ED25519:
		done = sign_ed25519(key->pkey, hash, ret_signature, ret_n);
		break;
	case CRYPTO_KEY_OTHER:
		break;
	}
	ERR_clear_error();
	return done;
}

bool crypto_key_public(const struct crypto_key *key, uint8_t *out, size_t capacity, size_t *ret_n)
{
	*ret_n = capacity;
	if (key->kind == CRYPTO_KEY_ED25519)
		return EVP_PKEY_get_raw_public_key(key->pkey, out, ret_n) == 1;
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key->pkey, &der);
	bool fits = n > 0 && (size_t)n <= capacity;
	if (fits) {
		memcpy(out, der, (size_t)n);
		*ret_n = (size_t)n;
	}
	OPENSSL_free(der);
	ERR_clear_error();
	return fits;
}

bool crypto_key_write_pem(const struct crypto_key *key, char *out, size_t capacity, size_t *ret_n)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	bool fits = false;
	if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		long n = BIO_get_mem_data(bio, &text);
		fits = n > 0 && (size_t)n <= capacity;
		if (fits) {
			memcpy(out, text, (size_t)n);
			*ret_n = (size_t)n;
		}
	}
	BIO_free(bio);
	ERR_clear_error();
	return fits;
}

void crypto_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

static void use_once(struct crypto_key *key)
{
	static const uint8_t hash[SHA256_SIZE];
	uint8_t signature[SIGNATURE_MAX];
	size_t n;
	if (key != NULL && crypto_key_sign(key, hash, signature, &n))
		crypto_key_verify(key, hash, str_from((const char *)signature, n));
	crypto_key_free(key);
}

bool crypto_warm_up(void)
{
	static atomic_bool done, failed;
	if (atomic_exchange(&done, true))
		return !atomic_load(&failed);
	was_starved = false;
	sha256_md();
	/* The smallest that SHA-256 fits in; nobody ever sees it. */
	use_once(crypto_key_generate(CRYPTO_KEY_RSA, 512));
	use_once(crypto_key_generate(CRYPTO_KEY_ED25519, 0));
	atomic_store(&failed, was_starved);
	return !was_starved;
}
