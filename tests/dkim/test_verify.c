/* Verifying: RFC 6376 section 6.1, the examples of the RFCs, and what a sender could try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "lab.h"
#include "rfc_examples.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct lab_record rfc_zone[] = {{RFC6376_KEY_NAME, RFC6376_KEY},
	{RFC8463_ED25519_KEY_NAME, RFC8463_ED25519_KEY}, {RFC8463_RSA_KEY_NAME, RFC8463_RSA_KEY}};

static void assert_result(
	const struct dkim_result *result, enum dkim_status status, const char *reason, const char *rule)
{
	if (result->status != status || (reason == NULL) != (result->reason == NULL) ||
		(reason != NULL && strcmp(reason, result->reason) != 0))
		fail_msg("%s: got %s (%s)", rule, dkim_status_text(result->status),
			result->reason != NULL ? result->reason : "no reason");
}

static void test_rfc6376_example(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = rfc_zone;
	lab.n_zone = N(rfc_zone);
	for (lab.chunk = 0; lab.chunk < 60; lab.chunk++) {
		assert_true(lab_verify(&lab, lab_crlf(arena, RFC6376_MESSAGE)));
		assert_int_equal(lab.n_results, 1);
		assert_result(&lab.results[0], DKIM_PASS, NULL, "RFC 6376 appendix A.2");
		assert_true(str_eq(lab.results[0].domain, STR("example.com")));
		assert_true(str_eq(lab.results[0].selector, STR("brisbane")));
		assert_true(str_eq(lab.results[0].identity, STR("joe@football.example.com")));
		assert_true(str_eq(lab.results[0].signature, STR("AuUoFEfD")));
		assert_int_equal(lab.results[0].key_bits, 1024);
		assert_true(lab.results[0].counts);
	}
	/* Headers that came folded with LF hash as CRLF. */
	lab.chunk = 0;
	struct buf mixed = buf_in(arena);
	buf_add_cstr(&mixed, RFC6376_MESSAGE);
	assert_true(lab_verify(&lab, buf_str(&mixed)));
	assert_result(&lab.results[0], DKIM_FAIL, "body hash did not verify", "a body with LF is another body");
	arena_free(arena);
}

static void test_rfc8463_example(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = rfc_zone;
	lab.n_zone = N(rfc_zone);
	assert_true(lab_verify(&lab, lab_crlf(arena, RFC8463_MESSAGE)));
	assert_int_equal(lab.n_results, 2);
	assert_result(&lab.results[0], DKIM_PASS, NULL, "RFC 8463 appendix A.3, Ed25519");
	assert_true(str_eq(lab.results[0].algorithm, STR("ed25519-sha256")));
	assert_int_equal(lab.results[0].key_bits, 256);
	assert_int_equal(lab.results[0].signed_at, 1528637909);
	assert_result(&lab.results[1], DKIM_PASS, NULL, "RFC 8463 appendix A.3, RSA");
	assert_true(str_eq(lab.results[1].selector, STR("test")));
	/* A From added above is caught by the second "from" in h=. */
	struct buf forged = buf_in(arena);
	buf_add_cstr(&forged, "From: Someone Else <joe@football.example.com>\r\n");
	buf_add(&forged, lab_crlf(arena, RFC8463_MESSAGE));
	assert_true(lab_verify(&lab, buf_str(&forged)));
	assert_result(&lab.results[0], DKIM_FAIL, "signature did not verify", "a second From");
	arena_free(arena);
}

/* ---- keys ---- */

static struct dkim_private_key *key_of(const char *text)
{
	const char *error;
	struct dkim_private_key *key = dkim_private_key_parse(str_of(text), &error);
	assert_non_null(key);
	return key;
}

#define NAME "s._domainkey.example.com"
#define MESSAGE "From: a@example.com\nSubject: one\n\nbody\n"
#define OTHER_ED25519 "k=ed25519; p=pP+YUyRjAvKha4Oc49KAY703oLUS1NLMEuGD3IHMKww="

static const struct {
	const char *rule;
	struct lab_record zone[5];
	enum dkim_status status;
	const char *reason;
	bool counts;
} key_rows[] = {
	{"the key", {{NAME, RFC8463_ED25519_KEY}}, DKIM_PASS, NULL, true},
	{"the name in another case", {{"S._DomainKey.Example.COM", RFC8463_ED25519_KEY}}, DKIM_PASS, NULL, true},
	{"no key (6.1.2)", {{"x.example", "x"}}, DKIM_PERMERROR, "no key in the DNS", false},
	{"no answer (6.1.2)", {{NAME, NULL}}, DKIM_TEMPERROR, "the DNS did not answer for the key", false},
	{"revoked", {{NAME, "v=DKIM1; k=ed25519; p="}}, DKIM_PERMERROR, "key revoked", false},
	{"another key", {{NAME, OTHER_ED25519}}, DKIM_FAIL, "signature did not verify", false},
	{"another type of key", {{NAME, RFC8463_RSA_KEY}}, DKIM_PERMERROR, "the key's type is not that of a=", false},
	{"several records: each is tried (6.1.2)",
		{{NAME, "v=spf1 -all"}, {NAME, OTHER_ED25519}, {NAME, RFC8463_ED25519_KEY}}, DKIM_PASS, NULL, true},
	{"several records: the one that got furthest tells", {{NAME, OTHER_ED25519}, {NAME, "v=spf1 -all"}}, DKIM_FAIL,
		"signature did not verify", false},
	{"more records than are tried",
		{{NAME, OTHER_ED25519}, {NAME, OTHER_ED25519}, {NAME, OTHER_ED25519}, {NAME, OTHER_ED25519},
			{NAME, RFC8463_ED25519_KEY}},
		DKIM_FAIL, "signature did not verify", false},
	{"t=y: a pass counts", {{NAME, "t=y; " OTHER_ED25519}}, DKIM_FAIL, "signature did not verify", false},
	{"t=s with i= at d=", {{NAME, "t=s; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}}, DKIM_PASS,
		NULL, true},
};

static void test_keys(void **state)
{
	(void)state;
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	struct dkim_sign_options options = {.header_canonicalization = DKIM_RELAXED};
	for (size_t i = 0; i < N(key_rows); i++) {
		struct arena *arena = arena_new(0);
		struct lab lab;
		lab_init(&lab, arena);
		struct str message = lab_signed(&lab, &options, &signer, lab_crlf(arena, MESSAGE));
		lab.zone = key_rows[i].zone;
		while (lab.n_zone < 5 && key_rows[i].zone[lab.n_zone].name != NULL)
			lab.n_zone++;
		assert_true(lab_verify(&lab, message));
		assert_result(&lab.results[0], key_rows[i].status, key_rows[i].reason, key_rows[i].rule);
		assert_int_equal(lab.results[0].counts, key_rows[i].counts);
		arena_free(arena);
	}
	dkim_private_key_unref(key);
}

/* RFC 6376 section 3.6.1, t=: y changes nothing in the result; s binds i= to d=. */
static void test_key_flags(void **state)
{
	(void)state;
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR("a@sub.example.com"), key};
	struct dkim_sign_options options = {.header_canonicalization = DKIM_RELAXED};
	struct arena *arena = arena_new(0);
	struct lab lab;
	struct lab_record zone[] = {{NAME, "t=y; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}};
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = 1;
	struct str message = lab_signed(&lab, &options, &signer, lab_crlf(arena, MESSAGE));
	assert_true(lab_verify(&lab, message));
	assert_result(&lab.results[0], DKIM_PASS, NULL, "t=y");
	assert_true(str_eq(lab.results[0].identity, STR("a@sub.example.com")));
	assert_true(lab.results[0].key_testing);
	assert_true(lab.results[0].counts);
	lab.verify_options.strict_test_mode = true;
	assert_true(lab_verify(&lab, message));
	assert_result(&lab.results[0], DKIM_PASS, NULL, "t=y, strict");
	assert_false(lab.results[0].counts);
	zone[0].txt = "t=s; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	assert_true(lab_verify(&lab, message));
	assert_result(&lab.results[0], DKIM_PERMERROR, "the key demands that i= be d=", "t=s");
	dkim_private_key_unref(key);
	arena_free(arena);
}

static void test_minimum_bits(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = rfc_zone;
	lab.n_zone = N(rfc_zone);
	lab.verify_options.minimum_key_bits = 1025;
	assert_true(lab_verify(&lab, lab_crlf(arena, RFC8463_MESSAGE)));
	assert_result(&lab.results[0], DKIM_PASS, NULL, "Ed25519 has its own size");
	assert_result(&lab.results[1], DKIM_POLICY, "RSA key smaller than is accepted here", "minimum");
	assert_int_equal(lab.results[1].key_bits, 1024);
	arena_free(arena);
}

/* ---- the body ---- */

static const struct {
	const char *rule, *signed_body, *body;
	enum dkim_canonicalization how;
	bool with_length;
	enum dkim_status status;
	const char *reason;
	bool partial, counts;
} body_rows[] = {
	{"unchanged", "a\nb\n", "a\nb\n", DKIM_SIMPLE, false, DKIM_PASS, NULL, false, true},
	{"empty lines added at the end", "a\n", "a\n\n\n", DKIM_SIMPLE, false, DKIM_PASS, NULL, false, true},
	{"empty", "", "", DKIM_SIMPLE, false, DKIM_PASS, NULL, false, true},
	{"empty, relaxed", "", "\n\n", DKIM_RELAXED, false, DKIM_PASS, NULL, false, true},
	{"white space changed", "a b\n", "a  b \n", DKIM_RELAXED, false, DKIM_PASS, NULL, false, true},
	{"white space changed, simple", "a b\n", "a  b\n", DKIM_SIMPLE, false, DKIM_FAIL, "body hash did not verify",
		false, false},
	{"a footer", "a\n", "a\nfooter\n", DKIM_SIMPLE, false, DKIM_FAIL, "body hash did not verify", false, false},
	{"l= of all", "a\nb\n", "a\nb\n", DKIM_RELAXED, true, DKIM_PASS, NULL, false, true},
	{"l= of all, empty lines behind", "a\n", "a\n\n\n", DKIM_SIMPLE, true, DKIM_PASS, NULL, false, true},
	{"l= and a footer: passes, does not count", "a\n", "a\nfooter\n", DKIM_SIMPLE, true, DKIM_PASS, NULL, true,
		false},
	{"l= and a byte more", "a\n", "a\nx", DKIM_RELAXED, true, DKIM_PASS, NULL, true, false},
	{"l= larger than the body", "a\nb\n", "a\n", DKIM_SIMPLE, true, DKIM_PERMERROR, "l= is larger than the body",
		false, false},
	{"l= of an empty body, relaxed", "", "x\n", DKIM_RELAXED, true, DKIM_PASS, NULL, true, false},
	{"l= and a changed body", "abc\n", "abd\n", DKIM_SIMPLE, true, DKIM_FAIL, "body hash did not verify", false,
		false},
};

static struct str message_with(struct arena *arena, const char *body)
{
	return lab_crlf(arena, arena_printf(arena, "From: a@example.com\nSubject: x\n\n%s", body).p);
}

static void test_body(void **state)
{
	(void)state;
	static const struct lab_record zone[] = {{NAME, RFC8463_ED25519_KEY}};
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	for (size_t i = 0; i < N(body_rows); i++) {
		struct arena *arena = arena_new(0);
		struct lab lab;
		struct dkim_sign_options options = {
			.body_canonicalization = body_rows[i].how, .body_lengths = body_rows[i].with_length};
		lab_init(&lab, arena);
		lab.zone = zone;
		lab.n_zone = 1;
		struct buf message = buf_in(arena);
		buf_add(&message, lab_sign(&lab, &options, &signer, message_with(arena, body_rows[i].signed_body)));
		buf_add(&message, message_with(arena, body_rows[i].body));
		for (lab.chunk = 0; lab.chunk < 4; lab.chunk++) {
			assert_true(lab_verify(&lab, buf_str(&message)));
			assert_result(&lab.results[0], body_rows[i].status, body_rows[i].reason, body_rows[i].rule);
			assert_int_equal(lab.results[0].partial_body, body_rows[i].partial);
			assert_int_equal(lab.results[0].counts, body_rows[i].counts);
		}
		lab.verify_options.allow_partial_body = true;
		assert_true(lab_verify(&lab, buf_str(&message)));
		assert_int_equal(lab.results[0].counts, lab.results[0].status == DKIM_PASS);
		arena_free(arena);
	}
	dkim_private_key_unref(key);
}

/* The rest of the body is skipped once all have enough, and not a byte earlier. */
static void test_body_is_skipped(void **state)
{
	(void)state;
	static const struct lab_record zone[] = {{NAME, RFC8463_ED25519_KEY}};
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	struct dkim_sign_options options = {.body_lengths = true};
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = 1;
	lab.chunk = 1;
	struct buf message = buf_in(arena);
	buf_add(&message, lab_sign(&lab, &options, &signer, message_with(arena, "12345\n")));
	buf_add(&message, message_with(arena, "12345\nand much more that nobody signed\n"));
	assert_true(lab_verify(&lab, buf_str(&message)));
	assert_result(&lab.results[0], DKIM_PASS, NULL, "l=7");
	assert_int_equal(lab.n_body_read, 8);
	/* Another signature wants all of it. */
	options.body_lengths = false;
	struct buf both = buf_in(arena);
	buf_add(&both,
		lab_sign(&lab, &options, &signer, message_with(arena, "12345\nand much more that nobody signed\n")));
	buf_add(&both, buf_str(&message));
	assert_true(lab_verify(&lab, buf_str(&both)));
	assert_result(&lab.results[0], DKIM_PASS, NULL, "whole");
	assert_result(&lab.results[1], DKIM_PASS, NULL, "l=7 beside it");
	assert_int_equal(lab.n_body_read, 41);
	/* Without signatures nobody needs any. */
	assert_true(lab_verify(&lab, message_with(arena, "12345\n")));
	assert_int_equal(lab.n_results, 0);
	assert_int_equal(lab.n_body_read, 1);
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* ---- bounds ---- */

static struct str many(struct arena *arena, struct str field, int n, struct str message)
{
	struct buf out = buf_in(arena);
	for (int i = 0; i < n; i++)
		buf_add(&out, field);
	buf_add(&out, message);
	return buf_str(&out);
}

static void test_many_signatures(void **state)
{
	(void)state;
	struct lab_record zone[] = {{"s._domainkey.genuine.example", RFC8463_ED25519_KEY}};
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("genuine.example"), STR("s"), STR(""), key};
	struct dkim_sign_options options = {.header_canonicalization = DKIM_RELAXED};
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = N(zone);
	struct str message = lab_crlf(arena, MESSAGE), genuine = lab_signed(&lab, &options, &signer, message);
	struct buf others = buf_in(arena);
	for (int i = 0; i < 99; i++) {
		struct str domain = arena_printf(arena, "d%d.example", i);
		struct dkim_signer other = {domain, STR("s"), STR(""), key};
		buf_add(&others, lab_sign(&lab, &options, &other, message));
	}
	buf_add(&others, genuine);

	/* The author's signature is the lowest of a hundred: found and verified, and few keys are asked for. */
	struct str author = STR("mail.genuine.example");
	lab.authors = &author;
	lab.n_authors = 1;
	assert_true(lab_verify(&lab, buf_str(&others)));
	assert_int_equal(lab.n_results, 100);
	assert_result(&lab.results[99], DKIM_PASS, NULL, "the author's own");
	assert_result(&lab.results[8], DKIM_PERMERROR, "no key in the DNS", "the ninth of the others");
	assert_result(&lab.results[9], DKIM_POLICY, "more signatures than are verified", "the tenth of the others");
	assert_true(str_eq(lab.results[9].domain, STR("d9.example")));
	assert_int_equal(lab.n_early, 10);
	assert_int_equal(lab.n_questions, 11);

	/* Beyond a hundred they are not even read. */
	assert_true(lab_verify(&lab, many(arena, STR("DKIM-Signature: v=1\r\n"), 100, genuine)));
	assert_int_equal(lab.n_results, 101);
	assert_result(&lab.results[99], DKIM_PERMERROR, "no d= in the signature", "the hundredth");
	assert_result(&lab.results[100], DKIM_POLICY, "more signatures than are verified", "one more");
	assert_int_equal(lab.results[100].domain.n, 0);

	/* What cannot pass takes no one's place. */
	assert_true(lab_verify(&lab, many(arena, STR("DKIM-Signature: v=1\r\n"), 99, genuine)));
	assert_result(&lab.results[99], DKIM_PASS, NULL, "behind 99 malformed ones");
	lab.verify_options.maximum_signatures = 0;
	assert_true(lab_verify(&lab, genuine));
	assert_result(&lab.results[0], DKIM_POLICY, "more signatures than are verified", "none allowed");
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* Header lines of 1 MiB, an h= of 100,000 names over 10,000 fields: work grows with their size, not with its square. */
static void test_large_headers(void **state)
{
	(void)state;
	static const struct lab_record zone[] = {{NAME, RFC8463_ED25519_KEY}};
	struct dkim_private_key *key = key_of(RFC8463_ED25519_SEED);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = zone;
	lab.n_zone = 1;
	struct buf message = buf_in(arena), hostile = buf_in(arena);
	buf_add(&message, STR("From: a@example.com\r\nSubject:"));
	for (int i = 0; i < 1 << 18; i++)
		buf_add(&message, STR(" a\t "));
	buf_add(&message, STR("\r\n\r\nbody\r\n"));
	for (enum dkim_canonicalization how = DKIM_SIMPLE; how <= DKIM_RELAXED; how++) {
		struct dkim_sign_options options = {.header_canonicalization = how};
		assert_true(lab_verify(&lab, lab_signed(&lab, &options, &signer, buf_str(&message))));
		assert_result(&lab.results[0], DKIM_PASS, NULL, "a line of 1 MiB");
	}
	for (int i = 0; i < 10; i++) {
		buf_add(&hostile, STR("DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=s; h=From"));
		for (int j = 0; j < 100000; j++)
			buf_add(&hostile, STR(":x"));
		buf_add(&hostile, STR("; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=dGVzdA==\r\n"));
	}
	for (int i = 0; i < 10000; i++)
		buf_add(&hostile, STR("x: y\r\n"));
	buf_add(&hostile, STR("From: a@example.com\r\n\r\n"));
	assert_true(lab_verify(&lab, buf_str(&hostile)));
	assert_result(&lab.results[9], DKIM_FAIL, "body hash did not verify", "100,000 names");
	dkim_private_key_unref(key);
	arena_free(arena);
}

/* Fields that were dropped for their number may have been signed, and may be shown: nothing is said. */
static void test_dropped_fields(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_verify_options options = {.minimum_key_bits = 1024, .maximum_signatures = 10};
	struct headers headers;
	struct str key_name;
	const struct dkim_result *results;
	size_t n;
	headers_init(&headers, arena, 2, 10000);
	struct dkim_verifier *verifier = dkim_verifier_new(arena, &options, NULL, 1528637909);
	const struct header_field *field = headers_add(&headers, STR("DKIM-Signature"), STR(RFC8463_RSA_FIELD));
	dkim_verifier_add(verifier, field, &key_name);
	assert_true(str_eq(key_name, STR(RFC8463_RSA_KEY_NAME)));
	headers_add(&headers, STR("From"), STR(" a@example.com"));
	assert_null(headers_add(&headers, STR("From"), STR(" b@example.com")));
	struct dkim_body *body = dkim_body_new(arena);
	dkim_verifier_headers_done(verifier, &headers, NULL, 0, body);
	dkim_body_end(body);
	assert_true(dkim_verifier_judge(verifier, answers_new(arena), &results, &n));
	assert_result(&results[0], DKIM_POLICY, "more header fields than are read", "dropped");
	arena_free(arena);
}

/* A key that is kept ready from an earlier message proves as much of the next as a new one, and no more. */
static void test_kept_keys(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct lab lab;
	lab_init(&lab, arena);
	lab.zone = rfc_zone;
	lab.n_zone = N(rfc_zone);
	lab.keys = dkim_keys_new(2);
	struct str message = lab_crlf(arena, RFC8463_MESSAGE);
	struct buf forged = buf_in(arena);
	buf_add_cstr(&forged, "From: Someone Else <joe@football.example.com>\r\n");
	buf_add(&forged, message);
	for (int i = 0; i < 3; i++) {
		assert_true(lab_verify(&lab, message));
		assert_result(&lab.results[0], DKIM_PASS, NULL, "Ed25519");
		assert_int_equal(lab.results[0].key_bits, 256);
		assert_result(&lab.results[1], DKIM_PASS, NULL, "RSA");
		assert_int_equal(lab.results[1].key_bits, 1024);
		assert_true(lab_verify(&lab, buf_str(&forged)));
		assert_result(&lab.results[0], DKIM_FAIL, "signature did not verify", "Ed25519, forged");
		assert_result(&lab.results[1], DKIM_FAIL, "signature did not verify", "RSA, forged");
	}
	arena_free(arena);
	dkim_keys_free(lab.keys);
}

/* Signatures whose keys are there are judged once; the others when theirs come. */
static void test_answers_in_rounds(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_verify_options options = {.minimum_key_bits = 1024, .maximum_signatures = 10};
	struct headers headers;
	struct str key_name, body_text;
	const struct dkim_result *results;
	size_t n;
	headers_init(&headers, arena, 100, 10000);
	headers_split(&headers, lab_crlf(arena, RFC8463_MESSAGE), &body_text);
	struct dkim_verifier *verifier = dkim_verifier_new(arena, &options, NULL, 1528637909);
	dkim_verifier_add(verifier, &headers.fields[0], &key_name);
	dkim_verifier_add(verifier, &headers.fields[1], &key_name);
	struct dkim_body *body = dkim_body_new(arena);
	dkim_verifier_headers_done(verifier, &headers, NULL, 0, body);
	dkim_body_add(body, body_text);
	dkim_body_end(body);
	struct answers *answers = answers_new(arena);
	struct dns_question first = {DNS_TXT, STR(RFC8463_ED25519_KEY_NAME)};
	struct dns_record record = {.data = STR(RFC8463_ED25519_KEY)};
	answers_put(answers, &first, dns_answer_new(DNS_DATA, &record, 1));
	assert_false(dkim_verifier_judge(verifier, answers, &results, &n));
	answers_give_up(answers);
	assert_true(dkim_verifier_judge(verifier, answers, &results, &n));
	assert_result(&results[0], DKIM_PASS, NULL, "its key was there");
	assert_result(&results[1], DKIM_TEMPERROR, "the DNS did not answer for the key", "its key never came");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc6376_example),
		cmocka_unit_test(test_rfc8463_example),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_key_flags),
		cmocka_unit_test(test_minimum_bits),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_body_is_skipped),
		cmocka_unit_test(test_many_signatures),
		cmocka_unit_test(test_large_headers),
		cmocka_unit_test(test_dropped_fields),
		cmocka_unit_test(test_kept_keys),
		cmocka_unit_test(test_answers_in_rounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
