/* Private keys in the forms administrators have them, and what they are told when it is not one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "dkim/base64.h"
#include "dkim/private_key.h"
#include "rfc_examples.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define ED25519_PKCS8 "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"

static const struct {
	const char *rule, *text;
	const char *public; /* p=; NULL: refused */
	const char *error;
} rows[] = {
	{"PKCS#1 PEM", RFC8463_RSA_PEM, RFC8463_RSA_KEY, NULL},
	{"text around the PEM", "# made by hand\n" RFC8463_RSA_PEM "\nand more\n", RFC8463_RSA_KEY, NULL},
	{"Ed25519 PKCS#8 PEM", "-----BEGIN PRIVATE KEY-----\n" ED25519_PKCS8 "\n-----END PRIVATE KEY-----\n",
		RFC8463_ED25519_KEY, NULL},
	{"PEM on one line", "-----BEGIN PRIVATE KEY-----" ED25519_PKCS8 "-----END PRIVATE KEY-----",
		RFC8463_ED25519_KEY, NULL},
	{"PEM on one line, the line ends written out",
		"-----BEGIN PRIVATE KEY-----\\n" ED25519_PKCS8 "\\n-----END PRIVATE KEY-----\\n", RFC8463_ED25519_KEY,
		NULL},
	{"PEM on one line, cut short", "-----BEGIN PRIVATE KEY-----" ED25519_PKCS8, RFC8463_ED25519_KEY, NULL},
	{"PEM on one line, empty", "-----BEGIN PRIVATE KEY-----", NULL, "not a private key that OpenSSL can read"},
	{"Ed25519 PKCS#8 in base64", ED25519_PKCS8, RFC8463_ED25519_KEY, NULL},
	{"Ed25519 seed in base64", RFC8463_ED25519_SEED "\n", RFC8463_ED25519_KEY, NULL},
	{"base64 over several lines", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\r\n  /VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\r\n",
		RFC8463_ED25519_KEY, NULL},

	{"empty", "", NULL, "empty"},
	{"only white space", " \n", NULL, "empty"},
	{"something else", "hello, world", NULL, "neither PEM, nor DER, nor base64"},
	{"base64 of something else", "aGVsbG8=", NULL, "not a private key that OpenSSL can read"},
	{"the public key in base64", RFC8463_ED25519_KEY, NULL, "neither PEM, nor DER, nor base64"},
	{"the public key in PEM",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		"-----END PUBLIC KEY-----\n",
		NULL, "this is a public key; the private one is needed"},
	{"a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NULL,
		"this is a certificate; a private key is needed"},
	{"an SSH key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", NULL,
		"this is an SSH key; convert it to PEM"},
	{"encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", NULL,
		"the key is encrypted; store it without a passphrase"},
	{"encrypted the old way",
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-CBC,00\n\nAAAA\n"
		"-----END RSA PRIVATE KEY-----\n",
		NULL, "the key is encrypted; store it without a passphrase"},
	{"damaged", "-----BEGIN RSA PRIVATE KEY-----\nMIICXQIBAAKBgQDk\n-----END RSA PRIVATE KEY-----\n", NULL,
		"not a private key that OpenSSL can read"},
	{"an elliptic curve of another kind",
		"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBi/9iqXnCUpLMuv3Zqbaf+rGSHTrXnVZTa5ii5ByjzcoAoGCCqGSM49\n"
		"AwEHoUQDQgAEkJQfy4aGDAxcrv2uxr3Lj0DK4JQNwqeDPcsnPBHkIlb4h8VN7TLg\n"
		"mIlLxqQz6gkvE1PiqZkBQAPOxSQDEEIe7A==\n-----END EC PRIVATE KEY-----\n",
		NULL, NULL},
};

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct arena *arena = arena_new(0);
		const char *error = NULL;
		struct dkim_private_key *key = dkim_private_key_parse(str_of(rows[i].text), &error);
		if ((key != NULL) != (rows[i].public != NULL))
			fail_msg("%s: %s", rows[i].rule, key != NULL ? "taken" : error);
		if (key != NULL)
			assert_true(str_eq(str_skip(str_of(rows[i].public),
						   strlen(rows[i].public) - dkim_private_key_public(arena, key).n),
				dkim_private_key_public(arena, key)));
		else if (rows[i].error != NULL)
			assert_string_equal(error, rows[i].error);
		dkim_private_key_unref(key);
		arena_free(arena);
	}
}

static void test_size(void **state)
{
	(void)state;
	static char text[65537] = RFC8463_RSA_PEM;
	const char *error;
	memset(text + strlen(text), '\n', sizeof(text) - strlen(text));
	struct dkim_private_key *key = dkim_private_key_parse(str_from(text, sizeof(text) - 1), &error);
	assert_non_null(key);
	dkim_private_key_unref(key);
	assert_null(dkim_private_key_parse(str_from(text, sizeof(text)), &error));
	assert_string_equal(error, "too large for a key");
}

/* What is written is read again, in every form, and is the same key. */
static void test_round_trips(void **state)
{
	(void)state;
	static const struct {
		enum dkim_key_type type;
		unsigned bits;
	} kinds[] = {{DKIM_KEY_RSA, 1024}, {DKIM_KEY_RSA, 2048}, {DKIM_KEY_ED25519, 256}};
	for (size_t i = 0; i < N(kinds); i++) {
		struct arena *arena = arena_new(0);
		const char *error;
		struct dkim_private_key *key = dkim_private_key_generate(kinds[i].type, kinds[i].bits);
		assert_non_null(key);
		assert_int_equal(dkim_private_key_type(key), kinds[i].type);
		assert_int_equal(dkim_private_key_bits(key), kinds[i].bits);
		struct str pem = dkim_private_key_pem(arena, key), record = dkim_key_record(arena, key, STR("y:s"));
		assert_true(str_starts(pem, STR("-----BEGIN PRIVATE KEY-----\n")));
		/* The same without armour, and in DER. */
		struct buf text = buf_in(arena);
		for (struct str rest = pem, line; str_cut(&rest, '\n', &line);)
			if (line.n > 0 && line.p[0] != '-')
				buf_add(&text, line);
		uint8_t *der = arena_alloc(arena, text.n);
		size_t n;
		assert_true(base64_decode(buf_str(&text), der, text.n, &n));
		struct str forms[] = {pem, buf_str(&text), str_from((const char *)der, n)};
		for (size_t j = 0; j < N(forms); j++) {
			struct dkim_private_key *again = dkim_private_key_parse(forms[j], &error);
			assert_non_null(again);
			assert_null(dkim_key_compare(arena, record, again));
			dkim_private_key_unref(again);
		}
		/* DER with something behind it is not one key. */
		struct buf longer = buf_in(arena);
		buf_add(&longer, forms[2]);
		buf_add_char(&longer, 'x');
		assert_null(dkim_private_key_parse(buf_str(&longer), &error));
		dkim_private_key_unref(dkim_private_key_ref(key));
		dkim_private_key_unref(key);
		arena_free(arena);
	}
	dkim_private_key_unref(NULL);
}

static void test_compare(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	const char *error;
	struct dkim_private_key *rsa = dkim_private_key_parse(STR(RFC8463_RSA_PEM), &error);
	struct dkim_private_key *ed25519 = dkim_private_key_parse(STR(RFC8463_ED25519_SEED), &error);
	assert_true(str_eq(dkim_key_record(arena, ed25519, STR("")), STR(RFC8463_ED25519_KEY)));
	assert_true(str_eq(dkim_key_record(arena, rsa, STR("")), STR(RFC8463_RSA_KEY)));
	assert_true(str_starts(dkim_key_record(arena, rsa, STR("y:s")), STR("v=DKIM1; k=rsa; t=y:s; p=MIGf")));
	assert_null(dkim_key_compare(arena, STR(RFC8463_RSA_KEY), rsa));
	assert_null(dkim_key_compare(arena, STR(RFC8463_ED25519_KEY), ed25519));
	assert_string_equal(dkim_key_compare(arena, STR(RFC8463_ED25519_KEY), rsa),
		"the DNS has an ed25519 key of 256 bits, the private key is rsa of 1024 bits");
	assert_string_equal(dkim_key_compare(arena, STR(RFC6376_KEY), rsa),
		"the DNS has another rsa key of 1024 bits than the private key's");
	assert_string_equal(
		dkim_key_compare(arena, STR("v=DKIM1; p="), rsa), "the record in the DNS cannot be used: key revoked");
	dkim_private_key_unref(rsa);
	dkim_private_key_unref(ed25519);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_compare),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
