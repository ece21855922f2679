/*
 * What DKIM needs of OpenSSL, and the only way to it: SHA-256, RSA with
 * PKCS#1 v1.5 padding, Ed25519. Nothing here knows what a signature field is.
 *
 * SHA-1 is missing on purpose: rsa-sha1 never passes (RFC 8301 section 3.1),
 * so it is never computed.
 *
 * OpenSSL objects are released before anything can jump out of here, or by a
 * cleanup of the arena; its per-thread error queue is left empty.
 */
#ifndef TRIMILTER_DKIM_CRYPTO_H
#define TRIMILTER_DKIM_CRYPTO_H

#include "base/arena.h"
#include "base/str.h"

#define SHA256_SIZE 32
#define ED25519_KEY_SIZE 32
#define SIGNATURE_MAX 512 /* bytes of an RSA-4096 signature */

/**
 * Use each algorithm once, 2 ms in a process, while there is memory: where OpenSSL 3 gets none at the first use of one,
 * that one fails for as long as the process lives. False: there was none, and keys that are good may be called
 * unusable; only another process helps.
 */
bool crypto_warm_up(void);

/** A running SHA-256, released with the arena. */
struct sha256;
struct sha256 *sha256_new(struct arena *arena);
/** From the beginning again. */
void sha256_restart(struct sha256 *sha256);
void sha256_add(struct sha256 *sha256, struct str data);
/** False: OpenSSL failed on the way (no memory); the digest is then not to be used. */
bool sha256_end(struct sha256 *sha256, uint8_t ret_digest[SHA256_SIZE]);

/* ---- keys ---- */

enum crypto_key_kind { CRYPTO_KEY_RSA, CRYPTO_KEY_ED25519, CRYPTO_KEY_OTHER };

/** An EVP_PKEY; malloc'd. Signing and verifying with one from several threads at once is safe. */
struct crypto_key;

/**
 * Did the last call of crypto_key_verify() or for a public key, in this thread, lack memory? Then what it returned, if
 * not success, says nothing of key and signature.
 */
bool crypto_is_starved(void);

/** Public ones; NULL where OpenSSL refuses or memory is short. @modulus, @exponent: big-endian; the caller has checked
 * their sizes, which bound the work of verifying. */
struct crypto_key *crypto_key_from_rsa(struct str modulus, struct str exponent);
struct crypto_key *crypto_key_from_point(const uint8_t point[ED25519_KEY_SIZE]);
/** Private ones, NULL likewise. PEM: the first private key in it; an encrypted one is refused, never asked for. */
struct crypto_key *crypto_key_from_pem(struct str pem);
struct crypto_key *crypto_key_from_der(struct str der);
struct crypto_key *crypto_key_from_seed(const uint8_t seed[ED25519_KEY_SIZE]);
struct crypto_key *crypto_key_generate(enum crypto_key_kind kind, unsigned bits);
void crypto_key_free(struct crypto_key *key); /* accepts NULL */

enum crypto_key_kind crypto_key_kind(const struct crypto_key *key);
/** Of the modulus; Ed25519: 256. */
unsigned crypto_key_bits(const struct crypto_key *key);
enum crypto_verdict {
	CRYPTO_GOOD,
	CRYPTO_BAD,     /* not made by this key over this hash */
	CRYPTO_REFUSED, /* OpenSSL does not take the key, or has no memory */
};
enum crypto_verdict crypto_key_verify(
	const struct crypto_key *key, const uint8_t hash[SHA256_SIZE], struct str signature);
/** With a private key. Deterministic in both algorithms. @ret_signature has room for SIGNATURE_MAX bytes. */
bool crypto_key_sign(
	const struct crypto_key *key, const uint8_t hash[SHA256_SIZE], uint8_t *ret_signature, size_t *ret_n);
/** SubjectPublicKeyInfo (RSA), the 32 bytes (Ed25519). At most @capacity bytes. */
bool crypto_key_public(const struct crypto_key *key, uint8_t *out, size_t capacity, size_t *ret_n);
/** PKCS#8 PEM, not encrypted. At most @capacity bytes. */
bool crypto_key_write_pem(const struct crypto_key *key, char *out, size_t capacity, size_t *ret_n);
/** memset() that is not optimised away, for buffers that held a private key. */
void crypto_wipe(void *p, size_t n);

#endif
