/* Private keys as administrators have them: which form it is, and in words what is wrong with it. */
#include "dkim/private_key.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "dkim/base64.h"
#include "dkim/key.h"

/* A 4096-bit key takes 3,300 bytes of PEM; files may have comments around it. */
#define FILE_MAX 65536
#define PEM_MAX 8192
#define PUBLIC_MAX 1024

struct dkim_private_key {
	atomic_uint references;
	struct crypto_key *crypto;
	enum dkim_key_type type;
	unsigned bits;
};

/* ---- reading ---- */

static bool contains(struct str text, const char *word)
{
	return text.p != NULL && memmem(text.p, text.n, word, strlen(word)) != NULL;
}

/* Takes @crypto over. */
static struct dkim_private_key *adopt(struct crypto_key *crypto, const char **ret_error)
{
	enum crypto_key_kind kind = crypto_key_kind(crypto);
	unsigned bits = crypto_key_bits(crypto);
	struct dkim_private_key *key = NULL;
	if (kind == CRYPTO_KEY_OTHER)
		*ret_error = "neither an RSA nor an Ed25519 key";
	else if (kind == CRYPTO_KEY_RSA && bits > RSA_BITS_MAX)
		*ret_error = "RSA key over 4096 bits, which verifiers need not accept";
	else if ((key = calloc(1, sizeof(*key))) == NULL)
		*ret_error = "out of memory";
	if (key == NULL) {
		crypto_key_free(crypto);
		return NULL;
	}
	key->references = 1;
	key->crypto = crypto;
	key->type = kind == CRYPTO_KEY_RSA ? DKIM_KEY_RSA : DKIM_KEY_ED25519;
	key->bits = bits;
	return key;
}

static struct crypto_key *read_base64(struct str text, const char **ret_error)
{
	size_t capacity = base64_decoded_max(text.n), n;
	uint8_t *bytes = malloc(capacity);
	struct crypto_key *crypto = NULL;
	if (bytes == NULL) {
		*ret_error = "out of memory";
		return NULL;
	}
	if (!base64_decode(text, bytes, capacity, &n))
		*ret_error = "neither PEM, nor DER, nor base64";
	else if (n == ED25519_KEY_SIZE)
		crypto = crypto_key_from_seed(bytes);
	else
		crypto = crypto_key_from_der(str_from((const char *)bytes, n));
	crypto_wipe(bytes, capacity);
	free(bytes);
	return crypto;
}

/* Without the lines "-----...-----" and without line ends that were written out as \n. */
static size_t strip_armour(struct str text, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n;) {
		const char *end;
		if (str_starts(str_skip(text, i), STR("-----"))) {
			end = memmem(text.p + i + 5, text.n - i - 5, "-----", 5);
			i = end != NULL ? (size_t)(end - text.p) + 5 : text.n;
		} else if (str_starts(str_skip(text, i), STR("\\n"))) {
			i += 2;
		} else {
			out[n++] = text.p[i++];
		}
	}
	return n;
}

/* A table has one line to each key, and people put a PEM there as it is. */
static struct crypto_key *read_flat_pem(struct str pem, const char **ret_error)
{
	char *body = malloc(pem.n);
	if (body == NULL) {
		*ret_error = "out of memory";
		return NULL;
	}
	struct crypto_key *crypto = read_base64(str_from(body, strip_armour(pem, body)), ret_error);
	crypto_wipe(body, pem.n);
	free(body);
	return crypto;
}

static struct crypto_key *read_pem(struct str pem, const char **ret_error)
{
	if (contains(pem, "ENCRYPTED")) {
		*ret_error = "the key is encrypted; store it without a passphrase";
		return NULL;
	}
	struct crypto_key *crypto = crypto_key_from_pem(pem);
	if (crypto != NULL)
		return crypto;
	if (contains(pem, "BEGIN PUBLIC KEY") || contains(pem, "BEGIN RSA PUBLIC KEY"))
		*ret_error = "this is a public key; the private one is needed";
	else if (contains(pem, "BEGIN CERTIFICATE"))
		*ret_error = "this is a certificate; a private key is needed";
	else if (contains(pem, "BEGIN OPENSSH"))
		*ret_error = "this is an SSH key; convert it to PEM";
	else if (memchr(pem.p, '\n', pem.n) == NULL)
		return read_flat_pem(pem, ret_error);
	return NULL;
}

struct dkim_private_key *dkim_private_key_parse(struct str pem, const char **ret_error)
{
	struct crypto_key *crypto;
	struct str text = str_trim(pem);
	*ret_error = "not a private key that OpenSSL can read";
	if (text.n == 0) {
		*ret_error = "empty";
		return NULL;
	}
	if (pem.n > FILE_MAX) {
		*ret_error = "too large for a key";
		return NULL;
	}
	if (contains(text, "-----BEGIN"))
		crypto = read_pem(text, ret_error);
	else if (text.p[0] == '\x30')
		crypto = crypto_key_from_der(pem); /* untrimmed: DER may end in any byte */
	else
		crypto = read_base64(text, ret_error);
	return crypto != NULL ? adopt(crypto, ret_error) : NULL;
}

struct dkim_private_key *dkim_private_key_generate(enum dkim_key_type type, unsigned bits)
{
	const char *error;
	struct crypto_key *crypto =
		crypto_key_generate(type == DKIM_KEY_RSA ? CRYPTO_KEY_RSA : CRYPTO_KEY_ED25519, bits);
	return crypto != NULL ? adopt(crypto, &error) : NULL;
}

struct dkim_private_key *dkim_private_key_ref(struct dkim_private_key *key)
{
	atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
	return key;
}

void dkim_private_key_unref(struct dkim_private_key *key)
{
	if (key == NULL || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
		return;
	crypto_key_free(key->crypto);
	free(key);
}

enum dkim_key_type dkim_private_key_type(const struct dkim_private_key *key)
{
	return key->type;
}

unsigned dkim_private_key_bits(const struct dkim_private_key *key)
{
	return key->bits;
}

const struct crypto_key *dkim_private_key_crypto(const struct dkim_private_key *key)
{
	return key->crypto;
}

/* ---- writing ---- */

struct str dkim_private_key_pem(struct arena *arena, const struct dkim_private_key *key)
{
	char pem[PEM_MAX];
	size_t n = 0;
	if (!crypto_key_write_pem(key->crypto, pem, sizeof(pem), &n))
		n = 0;
	struct str text = arena_dup(arena, str_from(pem, n));
	crypto_wipe(pem, sizeof(pem));
	return text;
}

struct str dkim_private_key_public(struct arena *arena, const struct dkim_private_key *key)
{
	uint8_t public[PUBLIC_MAX];
	struct buf out = buf_in(arena);
	size_t n;
	if (crypto_key_public(key->crypto, public, sizeof(public), &n))
		base64_write(&out, public, n);
	return buf_str(&out);
}

static const char *type_text(enum dkim_key_type type)
{
	switch (type) {
	case DKIM_KEY_RSA:
		return "rsa";
	case DKIM_KEY_ED25519:
		return "ed25519";
	}
	return "?";
}

struct str dkim_key_record(struct arena *arena, const struct dkim_private_key *key, struct str flags)
{
	struct buf out = buf_in(arena);
	buf_printf(&out, "v=DKIM1; k=%s; ", type_text(key->type));
	if (flags.n > 0)
		buf_printf(&out, "t=%.*s; ", STR_ARG(flags));
	buf_add(&out, STR("p="));
	buf_add(&out, dkim_private_key_public(arena, key));
	return buf_str(&out);
}

static bool is_same_public_key(const struct dkim_key *a, const struct dkim_key *b)
{
	switch (a->type) {
	case DKIM_KEY_RSA:
		return str_eq(a->modulus, b->modulus) && str_eq(a->exponent, b->exponent);
	case DKIM_KEY_ED25519:
		return memcmp(a->point, b->point, ED25519_KEY_SIZE) == 0;
	}
	return false;
}

const char *dkim_key_compare(struct arena *arena, struct str record, const struct dkim_private_key *key)
{
	struct dkim_key published, own;
	dkim_key_parse(arena, record, &published);
	dkim_key_parse(arena, dkim_key_record(arena, key, STR("")), &own);
	if (published.problem != NULL)
		return arena_printf(arena, "the record in the DNS cannot be used: %s", published.problem).p;
	if (published.type != own.type || published.bits != own.bits)
		return arena_printf(arena, "the DNS has an %s key of %u bits, the private key is %s of %u bits",
			type_text(published.type), published.bits, type_text(own.type), own.bits)
			.p;
	if (!is_same_public_key(&published, &own))
		return arena_printf(arena, "the DNS has another %s key of %u bits than the private key's",
			type_text(published.type), published.bits)
			.p;
	return own.problem;
}
