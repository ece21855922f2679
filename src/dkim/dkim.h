/*
 * DKIM, RFC 6376 with RFC 8301, 8463 and 8616: what the other folders call.
 *
 * A message's way: signatures are parsed as their fields arrive and name the
 * keys they need; at the end of the headers those worth verifying are chosen
 * and the body hashes set up, one per (canonicalization, hash, length)
 * whoever needs it; body chunks feed them; at the end each signature is judged
 * over the answers at hand.
 *
 * Pure: no I/O; the clock is an argument. One message belongs to one thread at a time. Messages share nothing but the
 * public keys that are kept ready, if they are given the same struct dkim_keys.
 */
#ifndef TRIMILTER_DKIM_DKIM_H
#define TRIMILTER_DKIM_DKIM_H

#include "base/answer.h"
#include "dkim/options.h"
#include "message/headers.h"

/** RFC 8601 section 2.7.1 */
enum dkim_status {
	DKIM_NONE,
	DKIM_PASS,
	DKIM_FAIL,   /* hash or signature mismatch */
	DKIM_POLICY, /* not accepted by a rule of ours: key too small, too many signatures */
	DKIM_NEUTRAL,
	DKIM_TEMPERROR, /* the DNS did not answer */
	DKIM_PERMERROR, /* cannot ever verify: syntax, no key, revoked, expired, rsa-sha1 ... */
};

const char *dkim_status_text(enum dkim_status status); /* "permerror" */

/* Reasons that mean something to others too: reports tell them apart (RFC 6591, RFC 6651). */
#define DKIM_REASON_BODY_HASH "body hash did not verify"
#define DKIM_REASON_NO_KEY "no key in the DNS"
#define DKIM_REASON_REVOKED "key revoked"
#define DKIM_REASON_EXPIRED "expired"

/** One DKIM-Signature field, judged. Strings are borrowed from the verifier's arena; empty: the field does not tell. */
struct dkim_result {
	enum dkim_status status;
	const char *reason;   /* NULL for an unremarkable pass; static, DKIM_REASON_EXPIRED ... */
	struct str domain;    /* d=, canonical */
	struct str selector;  /* s= */
	struct str identity;  /* i= or "@" d= */
	struct str algorithm; /* a= as spelled, "rsa-sha256" */
	struct str signature; /* the first 8 characters of b=, for header.b (RFC 6008) */
	unsigned key_bits;    /* 0: no key seen */
	enum dns_security key_security;
	bool key_testing;      /* the key says t=y */
	bool no_key;           /* there is no record where the key should be */
	bool partial_body;     /* l= left part of the body unsigned */
	bool report_requested; /* r=y, RFC 6651 section 3.1 */
	bool counts;           /* a pass that DMARC may use */
	int64_t signed_at;     /* t=, -1 when absent */
};

/* ---- body ---- */

/** The body hashes of one message, shared between all signatures made and checked on it. */
struct dkim_body;
struct dkim_body *dkim_body_new(struct arena *arena);
/** Feed any part of the body, as it comes over SMTP (CRLF); chunks may end anywhere. False: no one needs more. */
bool dkim_body_add(struct dkim_body *body, struct str chunk);
/** No more will come. */
void dkim_body_end(struct dkim_body *body);

/* ---- verifying ---- */

/** Public keys made ready for earlier messages, by the text of their record. Thread-safe, but for its end. */
struct dkim_keys;

/** @maximum  that are kept, of 3 KiB each; those unused for longest go. NULL: out of memory. */
struct dkim_keys *dkim_keys_new(size_t maximum);
/** When no verifier has it any more, though its arena may still be there. Accepts NULL. */
void dkim_keys_free(struct dkim_keys *keys);

struct dkim_verifier;

/**
 * @keys  borrowed; NULL: none are kept
 * @now   seconds since 1970
 */
struct dkim_verifier *dkim_verifier_new(
	struct arena *arena, const struct dkim_verify_options *options, struct dkim_keys *keys, int64_t now);

/**
 * A DKIM-Signature field has arrived; @field must live as long as the verifier (it is in the header store).
 * If the signature could pass, *ret_key_name is the name whose TXT record will be needed; else it is empty.
 */
void dkim_verifier_add(struct dkim_verifier *verifier, const struct header_field *field, struct str *ret_key_name);

/**
 * The headers are complete. Chooses at most maximum_signatures to verify, those of @author_domains (and their
 * parents and children) first, hashes the headers, and registers the body hashes with @body.
 */
void dkim_verifier_headers_done(struct dkim_verifier *verifier, const struct headers *headers,
	const struct str *author_domains, size_t n_author_domains, struct dkim_body *body);

/**
 * After dkim_body_end(). True: *ret_results has one result per field, in header order.
 * False: keys are missing, they are now wanted in @answers; call again when they have come.
 * Signatures judged in an earlier call are not judged again.
 */
bool dkim_verifier_judge(
	struct dkim_verifier *verifier, struct answers *answers, const struct dkim_result **ret_results, size_t *ret_n);

/* ---- keys ---- */

enum dkim_key_type { DKIM_KEY_RSA, DKIM_KEY_ED25519 };

/** A private key: immutable, reference-counted, usable from any thread. */
struct dkim_private_key;

/**
 * @pem  PEM (PKCS#1, PKCS#8, traditional), DER, or base64 of either; for Ed25519 also the bare 32-byte seed in base64
 * NULL with *ret_error (static) where it cannot be used: not a key, encrypted, wrong type, RSA over 4096 bits.
 * Size minimums are the caller's business.
 */
struct dkim_private_key *dkim_private_key_parse(struct str pem, const char **ret_error);
/** A new key. @bits for RSA only, 1024..4096. NULL when OpenSSL fails. */
struct dkim_private_key *dkim_private_key_generate(enum dkim_key_type type, unsigned bits);
struct dkim_private_key *dkim_private_key_ref(struct dkim_private_key *key);
void dkim_private_key_unref(struct dkim_private_key *key); /* accepts NULL */
enum dkim_key_type dkim_private_key_type(const struct dkim_private_key *key);
unsigned dkim_private_key_bits(const struct dkim_private_key *key);
/** PKCS#8 PEM. */
struct str dkim_private_key_pem(struct arena *arena, const struct dkim_private_key *key);
/** The p= value: base64 of SubjectPublicKeyInfo (RSA), of the 32 bytes (Ed25519). */
struct str dkim_private_key_public(struct arena *arena, const struct dkim_private_key *key);
/** "v=DKIM1; k=rsa; p=..." with @flags ("y", "s", "y:s" or empty) as t=. */
struct str dkim_key_record(struct arena *arena, const struct dkim_private_key *key, struct str flags);

/**
 * Hold a published key record against a private key, for testkey.
 * NULL: they match and the record is usable; else what is wrong, in @arena ("the key in DNS is another one" ...).
 */
const char *dkim_key_compare(struct arena *arena, struct str record, const struct dkim_private_key *key);

/* ---- signing ---- */

/** "relaxed/simple"; one word alone is the header's, the body's then simple. False: neither (RFC 6376 section 3.5). */
bool dkim_canonicalization_parse(
	struct str text, enum dkim_canonicalization *ret_header, enum dkim_canonicalization *ret_body);

/** Who signs: one row of a KeyTable. Borrowed by dkim_sign_*; immutable. */
struct dkim_signer {
	struct str domain;   /* d=, canonical */
	struct str selector; /* s= */
	struct str identity; /* i=, empty: none */
	const struct dkim_private_key *key;
};

struct dkim_signing;

/** Headers are complete: hash them and register the body hash. @signer and @options must live until the end. */
struct dkim_signing *dkim_sign_begin(struct arena *arena, const struct dkim_sign_options *options,
	const struct dkim_signer *signer, const struct headers *headers, struct dkim_body *body, int64_t now);

/**
 * After dkim_body_end(): the value of the DKIM-Signature field, folded with "\n\t", beginning with a space.
 * False: OpenSSL refused; nothing may then be sent unsigned in silence.
 */
bool dkim_sign_end(struct dkim_signing *signing, struct str *ret_value);

/**
 * Was this signature field made with @signer's key over these headers and this body? Then it need not be repeated.
 * After dkim_body_end(). No DNS; cheap for fields of others.
 *
 * Only bodies that were hashed anyway are compared, that is in the canonicalization of a signature that is being
 * made: call after dkim_sign_begin(). One with another canonicalization, with l= or x= counts as not ours.
 */
bool dkim_signed_by(struct arena *arena, const struct header_field *signature, const struct headers *headers,
	struct dkim_body *body, const struct dkim_signer *signer);

#endif
