/* Key records: RFC 6376 section 3.6.1, RFC 8301 section 3.2, RFC 8463 section 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dkim/base64.h"
#include "dkim/key.h"

/* The keys of RFC 8463 appendix A.2. */
#define RSA                                                                                                            \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/"        \
	"byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4"   \
	"w3QIDAQAB"
#define ED25519 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static const struct {
	const char *rule, *record, *problem;
	enum dkim_status status;
} rows[] = {
	{"as usual", "v=DKIM1; k=rsa; p=" RSA, NULL, DKIM_PASS},
	{"only p=", "p=" RSA, NULL, DKIM_PASS},
	{"with everything", "v=DKIM1;h=sha1:sha256;k=rsa;n=a note;s=chat : email;t=y:x;p=" RSA ";", NULL, DKIM_PASS},
	{"s= all", "s=*; p=" RSA, NULL, DKIM_PASS},
	{"g= means nothing since RFC 6376", "v=DKIM1; g=; p=" RSA, NULL, DKIM_PASS},
	{"padding left out", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", NULL, DKIM_PASS},
	{"Ed25519", "v=DKIM1; k=ed25519; p=" ED25519, NULL, DKIM_PASS},
	{"line breaks within the key", "v=DKIM1;\nk=ed25519;\np=11qYAYKxCrfVS/7TyWQHOg7hcv\r\nPapiMlrwIaaPcHURo=\n",
		NULL, DKIM_PASS},
	{"no other control byte is white space", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcv\vPapiMlrwIaaPcHURo=",
		"malformed key record", DKIM_PERMERROR},

	{"empty record", "", "malformed key record", DKIM_PERMERROR},
	{"another record at the name", "v=spf1 -all", "unknown key record version", DKIM_PERMERROR},
	{"duplicate tag", "v=DKIM1; p=" RSA "; p=" RSA, "malformed key record", DKIM_PERMERROR},
	{"v= of another", "v=DKIM2; p=" RSA, "unknown key record version", DKIM_PERMERROR},
	{"v= in another case", "v=dkim1; p=" RSA, "unknown key record version", DKIM_PERMERROR},
	{"v= not first", "p=" RSA "; v=DKIM1", "unknown key record version", DKIM_PERMERROR},
	{"k= unknown", "v=DKIM1; k=dsa; p=" RSA, "unknown key type", DKIM_PERMERROR},
	{"h= without SHA-256", "v=DKIM1; h=sha1; p=" RSA, "the key does not allow SHA-256", DKIM_PERMERROR},
	{"s= of another service", "v=DKIM1; s=chat; p=" RSA, "the key is not for mail", DKIM_PERMERROR},
	{"p= missing", "v=DKIM1; k=rsa", "no p= in the key record", DKIM_PERMERROR},
	{"revoked", "v=DKIM1; p=", "key revoked", DKIM_PERMERROR},
	{"revoked, Ed25519", "v=DKIM1; k=ed25519; p=;", "key revoked", DKIM_PERMERROR},
	{"p= is no base64", "v=DKIM1; p=MIGf*", "malformed p= in the key record", DKIM_PERMERROR},
	{"p= cut off", "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTz", "malformed RSA key",
		DKIM_PERMERROR},
	{"Ed25519 key as RSA", "v=DKIM1; p=" ED25519, "malformed RSA key", DKIM_PERMERROR},
	{"RSA key as Ed25519", "v=DKIM1; k=ed25519; p=" RSA, "the Ed25519 key is not 32 bytes long", DKIM_PERMERROR},
	{"Ed25519 key in DER", "v=DKIM1; k=ed25519; p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"the Ed25519 key is not 32 bytes long", DKIM_PERMERROR},
};

static void test_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_key key;
		dkim_key_parse(arena, str_of(rows[i].record), &key);
		if (key.status != rows[i].status || (key.problem == NULL) != (rows[i].problem == NULL) ||
			(key.problem != NULL && strcmp(key.problem, rows[i].problem) != 0))
			fail_msg("%s: got %s", rows[i].rule, key.problem != NULL ? key.problem : "no problem");
		arena_free(arena);
	}
}

static void test_flags(void **state)
{
	(void)state;
	static const struct {
		const char *record;
		bool testing, strict;
	} flags[] = {{"p=" RSA, false, false}, {"t=y; p=" RSA, true, false}, {"t=s; p=" RSA, false, true},
		{"t= y : s; p=" RSA, true, true}, {"t=yes:sy; p=" RSA, false, false}, {"t=; p=" RSA, false, false}};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct dkim_key key;
		dkim_key_parse(arena, str_of(flags[i].record), &key);
		assert_int_equal(key.testing, flags[i].testing);
		assert_int_equal(key.strict, flags[i].strict);
		assert_int_equal(key.bits, 1024);
	}
	arena_free(arena);
}

/* ---- RSA numbers ---- */

static void add_element(struct buf *out, char tag, struct str content)
{
	buf_add_char(out, tag);
	if (content.n >= 0x100) {
		buf_add_char(out, '\x82');
		buf_add_char(out, (char)(content.n >> 8));
	} else if (content.n >= 0x80) {
		buf_add_char(out, '\x81');
	}
	buf_add_char(out, (char)content.n);
	buf_add(out, content);
}

/* A number of @bits bits: ones at both ends, zeros between; @even: without the last one. */
static void add_number(struct buf *out, unsigned bits, bool even)
{
	struct buf number = buf_in(out->arena);
	size_t n = (bits + 7) / 8;
	char first = (char)(1 << ((bits - 1) % 8));
	if (first == '\x80')
		buf_add_char(&number, '\0');
	for (size_t i = 0; i < n; i++) {
		char byte = i == 0 ? first : 0;
		if (i == n - 1 && !even)
			byte = (char)(byte | 1);
		buf_add_char(&number, byte);
	}
	add_element(out, '\x02', buf_str(&number));
}

static struct str bare_key(struct arena *arena, unsigned bits, bool even, unsigned exponent_bits, bool exponent_even)
{
	struct buf numbers = buf_in(arena), out = buf_in(arena);
	add_number(&numbers, bits, even);
	add_number(&numbers, exponent_bits, exponent_even);
	add_element(&out, '\x30', buf_str(&numbers));
	return buf_str(&out);
}

static struct str record_of(struct arena *arena, struct str der)
{
	struct buf out = buf_in(arena);
	buf_add(&out, STR("v=DKIM1; p="));
	base64_write(&out, (const uint8_t *)der.p, der.n);
	return buf_str(&out);
}

static const struct {
	const char *rule;
	unsigned bits;
	bool even;
	unsigned exponent_bits;
	bool exponent_even;
	const char *problem;
	enum dkim_status status;
} numbers[] = {
	{"smallest", 1024, false, 17, false, NULL, DKIM_PASS},
	{"an odd size", 1025, false, 2, false, NULL, DKIM_PASS},
	{"largest", 4096, false, 64, false, NULL, DKIM_PASS},
	{"RFC 8301 section 3.2", 1023, false, 17, false, "RSA key smaller than 1024 bits", DKIM_POLICY},
	{"one byte", 8, false, 17, false, "RSA key smaller than 1024 bits", DKIM_POLICY},
	{"too large", 4097, false, 17, false, "RSA key larger than 4096 bits", DKIM_POLICY},
	{"far too large", 16384, false, 17, false, "RSA key larger than 4096 bits", DKIM_POLICY},
	{"larger than is looked at", 30000, false, 17, false, "key too large", DKIM_POLICY},
	{"e = 1: anything verifies", 2048, false, 1, false, "unusable RSA exponent", DKIM_PERMERROR},
	{"e even", 2048, false, 17, true, "unusable RSA exponent", DKIM_PERMERROR},
	{"e = 2", 2048, false, 2, true, "unusable RSA exponent", DKIM_PERMERROR},
	{"e of 65 bits", 2048, false, 65, false, "unusable RSA exponent", DKIM_PERMERROR},
	{"e of 16384 bits", 2048, false, 16384, false, "unusable RSA exponent", DKIM_PERMERROR},
	{"n even", 2048, true, 17, false, "unusable RSA modulus", DKIM_PERMERROR},
};

static void test_rsa_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_key key;
		struct str der = bare_key(
			arena, numbers[i].bits, numbers[i].even, numbers[i].exponent_bits, numbers[i].exponent_even);
		dkim_key_parse(arena, record_of(arena, der), &key);
		if (key.status != numbers[i].status || (key.problem == NULL) != (numbers[i].problem == NULL) ||
			(key.problem != NULL && strcmp(key.problem, numbers[i].problem) != 0))
			fail_msg("%s: got %s", numbers[i].rule, key.problem != NULL ? key.problem : "no problem");
		if (numbers[i].bits <= 16384)
			assert_int_equal(key.bits, numbers[i].bits);
		arena_free(arena);
	}
}

/* Every cut and every changed length of a good key is refused or still a key: nothing is read past the end (ASan). */
static void test_der_is_strict(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	uint8_t der[256];
	size_t n;
	struct dkim_key key;
	assert_true(base64_decode(STR(RSA), der, sizeof(der), &n));
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = malloc(cut + 1);
		memcpy(copy, der, cut);
		dkim_key_parse(arena, record_of(arena, str_from(copy, cut)), &key);
		assert_int_not_equal(key.status, DKIM_PASS);
		free(copy);
	}
	/* Bytes left over behind the key. */
	der[n] = 0;
	dkim_key_parse(arena, record_of(arena, str_from((const char *)der, n + 1)), &key);
	assert_string_equal(key.problem, "malformed RSA key");
	/* Another algorithm's identifier. */
	der[16] ^= 1;
	dkim_key_parse(arena, record_of(arena, str_from((const char *)der, n)), &key);
	assert_string_equal(key.problem, "malformed RSA key");
	static const struct str odd[] = {
		STR_INIT("\x30\x06\x02\x01\x03\x02\x01\x00"),                 /* e is zero, written right */
		STR_INIT("\x30\x06\x02\x01\x83\x02\x01\x03"),                 /* n is negative */
		STR_INIT("\x30\x07\x02\x02\x00\x03\x02\x01\x03"),             /* n is not in its shortest form */
		STR_INIT("\x30\x81\x06\x02\x01\x03\x02\x01\x03"),             /* a length that is not */
		STR_INIT("\x30\x80\x02\x01\x03\x02\x01\x03\x00\x00"),         /* indefinite length, BER */
		STR_INIT("\x30\x84\x00\x00\x00\x06\x02\x01\x03\x02\x01\x03"), /* a length of four bytes */
		STR_INIT("\x30\x05\x02\x01\x03\x02\x00"),                     /* e has no bytes */
		STR_INIT("\x30\x09\x02\x01\x03\x02\x01\x03\x02\x01\x03"),     /* a third number */
	};
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		dkim_key_parse(arena, record_of(arena, odd[i]), &key);
		assert_string_equal(key.problem, "malformed RSA key");
	}
	arena_free(arena);
}

/* SubjectPublicKeyInfo around a bare key, as RFC 6376's examples have it. */
static void test_public_key_info(void **state)
{
	(void)state;
#define OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	static const struct {
		const char *rule;
		struct str algorithm, bits_before, bits_after, info_after;
		bool good;
	} infos[] = {
		{"as it is written", STR_INIT(OID "\x05\0"), STR_INIT("\0"), STR_INIT(""), STR_INIT(""), true},
		{"NULL left out", STR_INIT(OID), STR_INIT("\0"), STR_INIT(""), STR_INIT(""), true},
		{"other parameters", STR_INIT(OID "\x02\x01\x01"), STR_INIT("\0"), STR_INIT(""), STR_INIT(""), false},
		{"something behind NULL", STR_INIT(OID "\x05\0\x05\0"), STR_INIT("\0"), STR_INIT(""), STR_INIT(""),
			false},
		{"unused bits", STR_INIT(OID "\x05\0"), STR_INIT("\x01"), STR_INIT(""), STR_INIT(""), false},
		{"no count of unused bits", STR_INIT(OID "\x05\0"), STR_INIT(""), STR_INIT(""), STR_INIT(""), false},
		{"a byte behind the key", STR_INIT(OID "\x05\0"), STR_INIT("\0"), STR_INIT("x"), STR_INIT(""), false},
		{"a byte behind the bits", STR_INIT(OID "\x05\0"), STR_INIT("\0"), STR_INIT(""), STR_INIT("x"), false},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		struct buf bits = buf_in(arena), info = buf_in(arena), out = buf_in(arena);
		struct dkim_key key;
		buf_add(&bits, infos[i].bits_before);
		buf_add(&bits, bare_key(arena, 2048, false, 17, false));
		buf_add(&bits, infos[i].bits_after);
		add_element(&info, '\x30', infos[i].algorithm);
		add_element(&info, '\x03', buf_str(&bits));
		buf_add(&info, infos[i].info_after);
		add_element(&out, '\x30', buf_str(&info));
		dkim_key_parse(arena, record_of(arena, buf_str(&out)), &key);
		if ((key.status == DKIM_PASS) != infos[i].good)
			fail_msg("%s: got %s", infos[i].rule, key.problem != NULL ? key.problem : "no problem");
	}
	arena_free(arena);
}

/* ---- Ed25519 points of small order, with and without the sign bit ---- */

static void test_small_order(void **state)
{
	(void)state;
	static const char *const points[] = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "7P///////////////////////////////////////38=",
		"7f///////////////////////////////////////38=", "7v///////////////////////////////////////38=",
		"JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU=", "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o="};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		uint8_t point[ED25519_KEY_SIZE];
		size_t n;
		assert_true(base64_decode(str_of(points[i]), point, sizeof(point), &n));
		for (int sign = 0; sign < 2; sign++, point[31] |= 0x80) {
			struct dkim_key key;
			struct buf record = buf_in(arena);
			buf_add(&record, STR("k=ed25519; p="));
			base64_write(&record, point, sizeof(point));
			dkim_key_parse(arena, buf_str(&record), &key);
			assert_string_equal(key.problem, "the Ed25519 key is a point of small order");
		}
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_rsa_numbers),
		cmocka_unit_test(test_der_is_strict),
		cmocka_unit_test(test_public_key_info),
		cmocka_unit_test(test_small_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
