/* Signing: RFC 6376 section 5, and that what the RFCs' examples sign comes out byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "dkim/base64.h"
#include "dkim/header_hash.h"
#include "dkim/private_key.h"
#include "dkim/signature.h"
#include "lab.h"
#include "message/tags.h"
#include "rfc_examples.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct dkim_private_key *key_of(const char *text)
{
	const char *error;
	struct dkim_private_key *key = dkim_private_key_parse(str_of(text), &error);
	assert_non_null(key);
	return key;
}

/* Both algorithms are deterministic: over the example's own field, the example's b= must come out. */
static void test_rfc8463_signatures(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		struct str field;
	} rows[] = {{RFC8463_ED25519_SEED, STR_INIT(RFC8463_ED25519_FIELD)},
		{RFC8463_RSA_PEM, STR_INIT(RFC8463_RSA_FIELD)}};
	for (size_t i = 0; i < N(rows); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_private_key *key = key_of(rows[i].key);
		struct dkim_signature expected;
		struct headers headers;
		struct str body;
		struct header_hash hash;
		uint8_t digest[SHA256_SIZE], signature[SIGNATURE_MAX];
		size_t n;
		dkim_signature_parse(arena, rows[i].field, 1528637909, 0, &expected);
		assert_null(expected.problem);
		headers_init(&headers, arena, 100, 10000);
		headers_split(&headers, lab_crlf(arena, RFC8463_HEADERS "\n"), &body);
		header_hash_begin(&hash, sha256_new(arena), DKIM_RELAXED, &headers, expected.header_names, NULL);
		assert_true(header_hash_end(&hash, STR("DKIM-Signature"), rows[i].field, digest));
		assert_true(crypto_key_sign(dkim_private_key_crypto(key), digest, signature, &n));
		assert_true(str_eq(str_from((const char *)signature, n), expected.signature));
		dkim_private_key_unref(key);
		arena_free(arena);
	}
}

/* With the parameters of RFC 8463's example, in our own shape; the body hash is the example's. */
static void test_field_as_written(void **state)
{
	(void)state;
	static const struct str expected =
		STR_INIT("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
			 "\td=football.example.com; s=brisbane; i=@football.example.com;\r\n"
			 "\tt=1528637909; h=From:To:Subject:Date:Message-ID:From:Subject:Date;\r\n"
			 "\tbh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
			 "\tb=");
	static const struct str oversign[] = {STR_INIT("from"), STR_INIT("subject"), STR_INIT("date")};
	static const struct lab_record zone[] = {{RFC8463_ED25519_KEY_NAME, RFC8463_ED25519_KEY}};
	struct arena *arena = arena_new(0);
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("football.example.com"), STR("brisbane"), STR("@football.example.com"), key};
	struct dkim_sign_options options = {.header_canonicalization = DKIM_RELAXED,
		.body_canonicalization = DKIM_RELAXED,
		.oversign_headers = oversign,
		.n_oversign_headers = N(oversign)};
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = 1;
	struct str message = lab_crlf(arena, RFC8463_HEADERS "\n" RFC8463_BODY);
	struct str field = lab_sign(&lab, &options, &signer, message);
	if (!str_starts(field, expected))
		fail_msg("%.*s", STR_ARG(field));
	/* The same every time. */
	assert_true(str_eq(field, lab_sign(&lab, &options, &signer, message)));
	assert_true(lab_verify(&lab, lab_signed(&lab, &options, &signer, message)));
	assert_int_equal(lab.results[0].status, DKIM_PASS);
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* ---- what is signed ---- */

#define LIST(name, ...) static const struct str name[] = {__VA_ARGS__}
LIST(from, STR_INIT("from"));
LIST(from_and_x, STR_INIT("from"), STR_INIT("x-mine"));
LIST(two, STR_INIT("from"), STR_INIT("subject"));
LIST(x_only, STR_INIT("x-mine"));
LIST(star_plus_minus, STR_INIT("*"), STR_INIT("+x-mine"), STR_INIT("-to"));
LIST(plus_minus, STR_INIT("+X-Mine"), STR_INIT("-subject"));
LIST(omit, STR_INIT("subject"), STR_INIT("from"));

#define HEADERS                                                                                                        \
	"Received: x\nReply-To: r@example.com\nX-Mine: 1\nFROM : a@example.com\nTo: b\nSubject: s\nTo: "               \
	"c\nContent-Type: t\n"

static const struct {
	const char *rule, *headers;
	const struct str *sign, *omit, *oversign;
	size_t n_sign, n_omit, n_oversign;
	const char *names;
} lists[] = {
	{"5.4.1: every field of the list, in the message's order", HEADERS, NULL, NULL, from, 0, 0, 1,
		"Reply-To:FROM:To:Subject:To:Content-Type:FROM"},
	{"nothing oversigned", HEADERS, NULL, NULL, NULL, 0, 0, 0, "Reply-To:FROM:To:Subject:To:Content-Type"},
	{"a list of one's own", HEADERS, two, NULL, from, 2, 0, 1, "FROM:Subject:FROM"},
	{"From is signed whatever the list says (5.4)", HEADERS, x_only, NULL, NULL, 1, 0, 0, "X-Mine:FROM"},
	{"the default changed, with '*'", HEADERS, star_plus_minus, NULL, NULL, 3, 0, 0,
		"Reply-To:X-Mine:FROM:Subject:Content-Type"},
	{"the default changed, without '*'", HEADERS, plus_minus, NULL, NULL, 2, 0, 0,
		"Reply-To:X-Mine:FROM:To:To:Content-Type"},
	{"omitted, but not From", HEADERS, NULL, omit, from, 0, 2, 1, "Reply-To:FROM:To:To:Content-Type:FROM"},
	{"what is oversigned is signed", HEADERS, two, NULL, from_and_x, 2, 0, 2, "X-Mine:FROM:Subject:FROM:X-Mine"},
	{"absent fields are oversigned too", "From: a\n", NULL, NULL, from_and_x, 0, 0, 2, "From:From:x-mine"},
	{"no From: its absence is signed", "To: a\n", NULL, NULL, from, 0, 0, 1, "To:from"},
	{"no From and no oversigning", "To: a\n", NULL, NULL, NULL, 0, 0, 0, "To:From"},
	{"several From", "From: a\nFrom: b\n", NULL, NULL, from, 0, 0, 1, "From:From:From"},
};

static void test_names(void **state)
{
	(void)state;
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	for (size_t i = 0; i < N(lists); i++) {
		struct arena *arena = arena_new(0);
		struct lab lab;
		struct tags tags;
		struct dkim_sign_options options = {.sign_headers = lists[i].sign,
			.n_sign_headers = lists[i].n_sign,
			.omit_headers = lists[i].omit,
			.n_omit_headers = lists[i].n_omit,
			.oversign_headers = lists[i].oversign,
			.n_oversign_headers = lists[i].n_oversign};
		lab_init(&lab, arena);
		struct str message = lab_crlf(arena, arena_printf(arena, "%s\nbody\n", lists[i].headers).p);
		struct str field = lab_sign(&lab, &options, &signer, message);
		tags_parse(arena, str_skip(field, strlen("DKIM-Signature:")), &tags);
		assert_null(tags.error);
		struct str names = tag_without_space(arena, *tags_get(&tags, "h"));
		if (!str_eq(names, str_of(lists[i].names)))
			fail_msg("%s: got %.*s", lists[i].rule, STR_ARG(names));
		arena_free(arena);
	}
	dkim_private_key_unref(key);
}

static void test_tags(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_private_key *key = key_of(RFC8463_RSA_PEM);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR("a;b=c \xc3\xa4@example.com"), key};
	struct dkim_sign_options options = {
		.body_lengths = true, .diagnostics = true, .report_requested = true, .signature_ttl = 86400};
	struct lab lab;
	struct tags tags;
	lab_init(&lab, arena);
	struct str field =
		lab_sign(&lab, &options, &signer, lab_crlf(arena, "From: a|b;=\n c@x\nX: y\nSubject: s\n\n1234\n"));
	tags_parse(arena, str_skip(field, strlen("DKIM-Signature:")), &tags);
	assert_null(tags.error);
	static const char *const expected[][2] = {{"v", "1"}, {"a", "rsa-sha256"}, {"c", "simple/simple"},
		{"d", "example.com"}, {"s", "s"}, {"i", "a=3Bb=3Dc=20=C3=A4@example.com"}, {"t", "1528637909"},
		{"x", "1528724309"}, {"l", "6"}, {"r", "y"}, {"h", "From:Subject"},
		{"z", "From:=20a=7Cb=3B=3D=0D=0A=20c@x|Subject:=20s"}};
	assert_int_equal(tags.n, N(expected) + 2);
	for (size_t i = 0; i < N(expected); i++) {
		assert_true(str_eq(tags.tags[i].name, str_of(expected[i][0])));
		if (!str_eq(tag_without_space(arena, tags.tags[i].value), str_of(expected[i][1])))
			fail_msg("%s: got %.*s", expected[i][0], STR_ARG(tags.tags[i].value));
	}
	struct dkim_signature signature;
	dkim_signature_parse(arena, str_skip(field, strlen("DKIM-Signature:")), lab.now, 0, &signature);
	assert_null(signature.problem);
	assert_true(str_eq(signature.identity, STR("a;b=c \xc3\xa4@example.com")));
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* Whatever the length of its parts no line is longer than it may be, and every break is one that may be made. */
static void test_folding(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_private_key *key = dkim_private_key_generate(DKIM_KEY_RSA, 2048);
	struct lab lab;
	assert_non_null(key);
	lab_init(&lab, arena);
	for (size_t n = 1; n < 60; n++) {
		struct buf headers = buf_in(arena), selector = buf_in(arena);
		for (size_t i = 0; i < n; i++) {
			buf_add(&headers, STR("To: a\r\nReferences: b\r\n"));
			buf_add_char(&selector, 's');
		}
		buf_add(&headers, STR("From: c\r\n\r\n"));
		struct dkim_signer signer = {STR("example.com"), buf_str(&selector), STR("x@example.com"), key};
		struct dkim_sign_options options = {.diagnostics = n % 2 == 0};
		struct lab_record zone = {arena_printf(arena, "%.*s._domainkey.example.com", (int)n, selector.p).p,
			dkim_key_record(arena, key, STR("")).p};
		lab.zone = &zone;
		lab.n_zone = 1;
		struct str field = lab_sign(&lab, &options, &signer, buf_str(&headers));
		for (struct str rest = field, line; str_cut(&rest, '\n', &line);) {
			/* A tab is eight columns; CR is none. */
			size_t columns = line.n + (line.n > 0 && line.p[0] == '\t' ? 7 : 0) - (line.n > 0);
			if (columns > 78)
				fail_msg("%zu columns: %.*s", columns, STR_ARG(line));
			assert_true(line.n != 2 || rest.p == NULL);
		}
		assert_true(lab_verify(&lab, lab_signed(&lab, &options, &signer, buf_str(&headers))));
		assert_int_equal(lab.results[0].status, DKIM_PASS);
		assert_int_equal(lab.results[0].key_bits, 2048);
	}
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* z= and h= do not grow without end. */
static void test_bounded(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	struct dkim_sign_options options = {.diagnostics = true, .oversign_headers = from, .n_oversign_headers = 1};
	static const struct lab_record zone[] = {{"s._domainkey.example.com", RFC8463_ED25519_KEY}};
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = 1;
	struct buf message = buf_in(arena);
	buf_add(&message, STR("From: a@example.com\r\n"));
	for (int i = 0; i < 5000; i++)
		buf_add(&message, STR("To: somebody@somewhere.example\r\n"));
	buf_add(&message, STR("\r\n"));
	struct str field = lab_sign(&lab, &options, &signer, buf_str(&message));
	assert_in_range(field.n, 4000, 7500);
	assert_true(lab_verify(&lab, lab_signed(&lab, &options, &signer, buf_str(&message))));
	assert_int_equal(lab.results[0].status, DKIM_PASS);
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* ---- every way to sign, on every kind of body, verifies ---- */

static void test_round_trips(void **state)
{
	(void)state;
	static const char *const messages[] = {
		"From: a@example.com\nSubject: s\n\n",
		"From: a@example.com\n\nno end of line",
		"From: a@example.com\n\n \t\n\n\n",
		"From : a@example.com\nTo:\n b,\n\tc\nTo: d\nSubject: \xc3\xa4  \xff\n\na  b\t\nc \n\n\n",
	};
	static const char *const keys[] = {RFC8463_ED25519_SEED, RFC8463_RSA_PEM};
	for (unsigned i = 0; i < 2 * 2 * 2 * 2 * N(messages); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_private_key *key = key_of(keys[i & 1]);
		struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
		struct lab_record zone = {"s._domainkey.example.com", dkim_key_record(arena, key, STR("y")).p};
		struct dkim_sign_options options = {.header_canonicalization = i >> 1 & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
			.body_canonicalization = i >> 2 & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
			.body_lengths = i >> 3 & 1};
		struct lab lab;
		lab_init(&lab, arena);
		lab.zone = &zone;
		lab.n_zone = 1;
		lab.chunk = i % 7;
		struct str message = lab_signed(&lab, &options, &signer, lab_crlf(arena, messages[i >> 4]));
		lab.chunk = i % 5;
		assert_true(lab_verify(&lab, message));
		if (lab.results[0].status != DKIM_PASS)
			fail_msg("combination %u: %s", i, lab.results[0].reason);
		dkim_private_key_unref(key);
		arena_free(arena);
	}
}

/* ---- signed before ---- */

static bool is_signed_again(struct arena *arena, const struct dkim_signer *signer,
	const struct dkim_sign_options *options, struct str message)
{
	struct headers headers;
	struct str body_text;
	struct dkim_body *body = dkim_body_new(arena);
	headers_init(&headers, arena, 100, 100000);
	headers_split(&headers, message, &body_text);
	dkim_sign_begin(arena, options, signer, &headers, body, 1528637909);
	dkim_body_add(body, body_text);
	dkim_body_end(body);
	const struct header_field *field = headers_find(&headers, STR("dkim-signature"));
	return !dkim_signed_by(arena, field, &headers, body, signer);
}

static void test_signed_before(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_private_key *keys[] = {key_of(RFC8463_ED25519_SEED), key_of(RFC8463_RSA_PEM)};
	struct dkim_sign_options relaxed = {
		.header_canonicalization = DKIM_RELAXED, .body_canonicalization = DKIM_RELAXED};
	struct dkim_sign_options with_ttl = relaxed, with_length = relaxed;
	struct lab lab;
	lab_init(&lab, arena);
	with_ttl.signature_ttl = 4000000000;
	with_length.body_lengths = true;
	struct str message = lab_crlf(arena, "From: a@example.com\nSubject: s\n\nbody\n");
	for (size_t i = 0; i < 2; i++) {
		struct dkim_signer signer = {STR("example.com"), STR("sel"), STR(""), keys[i]};
		struct dkim_signer other_selector = {STR("example.com"), STR("se"), STR(""), keys[i]};
		struct dkim_signer other_domain = {STR("example"), STR("sel"), STR(""), keys[i]};
		struct dkim_signer other_key = {STR("example.com"), STR("sel"), STR(""), keys[1 - i]};
		struct str stands = lab_signed(&lab, &relaxed, &signer, message);
		assert_false(is_signed_again(arena, &signer, &relaxed, stands));
		assert_true(is_signed_again(arena, &other_selector, &relaxed, stands));
		assert_true(is_signed_again(arena, &other_domain, &relaxed, stands));
		assert_true(is_signed_again(arena, &other_key, &relaxed, stands));
		/* Changed on the way: it does not stand any more. */
		struct buf footer = buf_in(arena), header = buf_in(arena);
		buf_add(&footer, stands);
		buf_add(&footer, STR("footer\r\n"));
		assert_true(is_signed_again(arena, &signer, &relaxed, buf_str(&footer)));
		buf_add(&header, stands);
		memcpy(memmem(header.p, header.n, "Subject: s", 10), "Subject: t", 10);
		assert_true(is_signed_again(arena, &signer, &relaxed, buf_str(&header)));
		/* What may run out, or leaves room for more, is not relied on. */
		assert_true(is_signed_again(arena, &signer, &relaxed, lab_signed(&lab, &with_ttl, &signer, message)));
		assert_true(
			is_signed_again(arena, &signer, &relaxed, lab_signed(&lab, &with_length, &signer, message)));
	}
	dkim_private_key_unref(keys[0]);
	dkim_private_key_unref(keys[1]);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc8463_signatures),
		cmocka_unit_test(test_field_as_written),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_signed_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
