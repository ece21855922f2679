#include "dkim/key.h"

#include "dkim/base64.h"
#include "dkim/rsa_der.h"
#include "message/tags.h"

/* Base64 of the largest key that is looked into: RSA-16384, so that it can be called too large. */
#define KEY_TEXT_MAX 4096

/* Does a colon-separated list contain @word? An absent or empty list contains all. */
static bool list_allows(const struct tags *tags, const char *tag, struct str word)
{
	const struct str *list = tags_get(tags, tag);
	if (list == NULL || list->n == 0)
		return true;
	for (struct str rest = *list, item; str_cut(&rest, ':', &item);)
		if (str_ieq(str_trim(item), word))
			return true;
	return false;
}

static bool list_has(const struct tags *tags, const char *tag, struct str word)
{
	const struct str *list = tags_get(tags, tag);
	return list != NULL && list->n > 0 && list_allows(tags, tag, word);
}

/*
 * The points of order 1, 2, 4 and 8 on the curve, in every encoding: under such
 * a "key" one signature fits many messages. The sign bit (of the last byte) is left out.
 */
static bool is_small_order(const uint8_t point[ED25519_KEY_SIZE])
{
	static const uint8_t bad[][ED25519_KEY_SIZE] = {
		{0x00},
		{0x01},
		{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
			0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
		{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
			0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	};
	uint8_t masked[ED25519_KEY_SIZE];
	memcpy(masked, point, sizeof(masked));
	masked[31] &= 0x7f;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (memcmp(masked, bad[i], sizeof(masked)) == 0)
			return true;
	/* p - 1 (order 2), p and p + 1 (0 and 1 again, not reduced): 0xec..0xee, then all ones up to 0x7f. */
	if (masked[0] < 0xec || masked[0] > 0xee || masked[31] != 0x7f)
		return false;
	for (size_t i = 1; i < 31; i++)
		if (masked[i] != 0xff)
			return false;
	return true;
}

static void refuse(struct dkim_key *key, enum dkim_status status, const char *problem)
{
	key->status = status;
	key->problem = problem;
}

static void read_ed25519(struct dkim_key *key, const uint8_t *bytes, size_t n)
{
	if (n != ED25519_KEY_SIZE) {
		refuse(key, DKIM_PERMERROR, "the Ed25519 key is not 32 bytes long");
		return;
	}
	memcpy(key->point, bytes, ED25519_KEY_SIZE);
	key->bits = 256;
	if (is_small_order(key->point))
		refuse(key, DKIM_PERMERROR, "the Ed25519 key is a point of small order");
}

static void read_rsa(struct dkim_key *key, const uint8_t *bytes, size_t n)
{
	if (!rsa_der_read(str_from((const char *)bytes, n), &key->modulus, &key->exponent)) {
		refuse(key, DKIM_PERMERROR, "malformed RSA key");
		return;
	}
	key->bits = rsa_der_bits(key->modulus);
	const unsigned char *modulus = (const unsigned char *)key->modulus.p;
	const unsigned char *exponent = (const unsigned char *)key->exponent.p;
	unsigned exponent_bits = rsa_der_bits(key->exponent);
	/* With e = 1 anything verifies; a long e makes the check as slow as its sender likes. In use are 3, 17, 65537.
	 */
	if (exponent_bits < 2 || exponent_bits > 64 || exponent[key->exponent.n - 1] % 2 == 0)
		refuse(key, DKIM_PERMERROR, "unusable RSA exponent");
	else if (modulus[key->modulus.n - 1] % 2 == 0)
		refuse(key, DKIM_PERMERROR, "unusable RSA modulus");
	else if (key->bits < RSA_BITS_MIN)
		refuse(key, DKIM_POLICY, "RSA key smaller than 1024 bits");
	else if (key->bits > RSA_BITS_MAX)
		refuse(key, DKIM_POLICY, "RSA key larger than 4096 bits");
}

static void read_public_key(struct arena *arena, const struct tags *tags, struct dkim_key *key)
{
	const struct str *p = tags_get(tags, "p");
	size_t n;
	if (p == NULL) {
		refuse(key, DKIM_PERMERROR, "no p= in the key record");
		return;
	}
	if (p->n == 0) {
		refuse(key, DKIM_PERMERROR, DKIM_REASON_REVOKED);
		return;
	}
	if (p->n > KEY_TEXT_MAX) {
		refuse(key, DKIM_POLICY, "key too large");
		return;
	}
	uint8_t *bytes = arena_alloc(arena, base64_decoded_max(p->n));
	if (!base64_decode(*p, bytes, base64_decoded_max(p->n), &n)) {
		refuse(key, DKIM_PERMERROR, "malformed p= in the key record");
		return;
	}
	switch (key->type) {
	case DKIM_KEY_RSA:
		read_rsa(key, bytes, n);
		break;
	case DKIM_KEY_ED25519:
		read_ed25519(key, bytes, n);
		break;
	}
}

/* What is wrong with the record around the key, or NULL. */
static const char *check_record(const struct tags *tags, struct dkim_key *key)
{
	const struct str *v = tags_get(tags, "v"), *k = tags_get(tags, "k");
	if (tags->error != NULL)
		return "malformed key record";
	/* RFC 6376 section 3.6.1: v= may be missing, but where it is it comes first. */
	if (v != NULL && (!str_eq(*v, STR("DKIM1")) || v != &tags->tags[0].value))
		return "unknown key record version";
	if (k == NULL || str_ieq(*k, STR("rsa")))
		key->type = DKIM_KEY_RSA;
	else if (str_ieq(*k, STR("ed25519")))
		key->type = DKIM_KEY_ED25519;
	else
		return "unknown key type";
	if (!list_allows(tags, "h", STR("sha256")))
		return "the key does not allow SHA-256";
	if (!list_allows(tags, "s", STR("email")) && !list_allows(tags, "s", STR("*")))
		return "the key is not for mail";
	return NULL;
}

/*
 * A key that was pasted into a form with its line breaks has them anywhere, mostly within p=. As blanks they change
 * nothing that the owner of the record could not have written himself, and other verifiers take them so.
 */
static struct str line_breaks_to_blanks(struct arena *arena, struct str record)
{
	if (str_index(record, '\n') < 0 && str_index(record, '\r') < 0)
		return record;
	char *text = arena_alloc(arena, record.n);
	for (size_t i = 0; i < record.n; i++)
		text[i] = record.p[i] == '\n' || record.p[i] == '\r' ? ' ' : record.p[i];
	return str_from(text, record.n);
}

void dkim_key_parse(struct arena *arena, struct str record, struct dkim_key *ret_key)
{
	struct tags tags;
	*ret_key = (struct dkim_key){.status = DKIM_PASS};
	tags_parse(arena, line_breaks_to_blanks(arena, record), &tags);
	ret_key->testing = list_has(&tags, "t", STR("y"));
	ret_key->strict = list_has(&tags, "t", STR("s"));
	const char *problem = check_record(&tags, ret_key);
	if (problem != NULL)
		refuse(ret_key, DKIM_PERMERROR, problem);
	else
		read_public_key(arena, &tags, ret_key);
}
