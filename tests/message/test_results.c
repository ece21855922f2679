/*
 * Authentication-Results: what is written, that it reads back as it was, and which fields claim to be ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/utf8.h"
#include "message/results.h"

static struct str write_one(struct arena *arena, const struct result *result)
{
	struct buf out = buf_in(arena);
	results_write(&out, STR("mx.example"), result, result != NULL, "\n");
	return buf_str(&out);
}

static void test_write_whole_field(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	const struct result results[] = {
		{.method = "dkim",
			.value = "pass",
			.properties = {{"header", "d", STR_INIT("example.com")}, {"header", "s", STR_INIT("2024")},
				{"header", "b", STR_INIT("AbC/d+e=")}, {"header", "i", STR_INIT("@example.com")}},
			.n_properties = 4},
		{.method = "spf",
			.value = "softfail",
			.reason = STR_INIT("not designated"),
			.properties = {{"smtp", "mailfrom", STR_INIT("joe@example.com")},
				{"smtp", "helo", STR_INIT("")}},
			.n_properties = 2},
		{.method = "dmarc",
			.value = "pass",
			.comment = STR_INIT("p=reject dis=none"),
			.properties = {{"header", "from", STR_INIT("example.com")}},
			.n_properties = 1},
	};
	struct buf out = buf_in(arena);
	results_write(&out, STR("mx.example"), results, 3, "\r\n");
	assert_string_equal(buf_cstr(&out),
		"mx.example;\r\n"
		"\tdkim=pass header.d=example.com header.s=2024 header.b=\"AbC/d+e=\"\r\n"
		"\theader.i=@example.com;\r\n"
		"\tspf=softfail reason=\"not designated\" smtp.mailfrom=joe@example.com;\r\n"
		"\tdmarc=pass (p=reject dis=none) header.from=example.com");
	out.n = 0;
	results_write(&out, STR("mx.example"), NULL, 0, "\n");
	assert_string_equal(buf_cstr(&out), "mx.example; none");
	out.n = 0;
	results_write(&out, STR("our mx; dkim=pass"), NULL, 0, "\n");
	assert_string_equal(buf_cstr(&out), "\"our mx; dkim=pass\"; none");
	arena_free(arena);
}

static void test_write_values(void **state)
{
	(void)state;
	static const struct {
		struct str value;
		const char *written; /* NULL: left out */
	} rows[] = {
		{STR_INIT("example.com"), "example.com"},
		{STR_INIT("joe@example.com"), "joe@example.com"},
		{STR_INIT("joe+a=b/c?d@example.com"), "joe+a=b/c?d@example.com"},
		{STR_INIT("j\xc3\xb6rg@example.com"), "j\xc3\xb6rg@example.com"},
		{STR_INIT("@example.com"), "@example.com"},
		/* Not the form of RFC 8601 section 2.2: a string then. */
		{STR_INIT("joe@localhost"), "\"joe@localhost\""},
		{STR_INIT("joe@_x.example.com"), "\"joe@_x.example.com\""},
		{STR_INIT("joe@example.com."), "\"joe@example.com.\""},
		{STR_INIT("joe..x@example.com"), "\"joe..x@example.com\""},
		{STR_INIT("\"joe x\"@example.com"), "\"\\\"joe x\\\"@example.com\""},
		{STR_INIT("[192.0.2.1]"), "\"[192.0.2.1]\""},
		{STR_INIT("a b"), "\"a b\""},
		{STR_INIT("a;dkim=pass"), "\"a;dkim=pass\""},
		{STR_INIT("a(b"), "\"a(b\""},
		{STR_INIT("a\"; dkim=pass"), "\"a\\\"; dkim=pass\""},
		{STR_INIT("a\\"), "\"a\\\\\""},
		{STR_INIT("=?utf-8?q?a?=@example.com"), "\"=?utf-8?q?a?=@example.com\""},
		/* Nothing ends the line, or is taken for its end. */
		{STR_INIT("a\r\nX: b"), "\"a??X: b\""},
		{STR_INIT("a\0b\x7f"), "\"a?b?\""},
		{STR_INIT("a\tb"), "\"a?b\""},
		{STR_INIT("a\xc2\x85"
			  "b"),
			"\"a?b\""},
		{STR_INIT("j\xf6rg@example.com"), "j?rg@example.com"},
		{STR_INIT(""), NULL},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result result = {.method = "spf",
			.value = "fail",
			.properties = {{"smtp", "helo", rows[i].value}},
			.n_properties = 1};
		struct str expected =
			rows[i].written == NULL
				? STR("mx.example;\n\tspf=fail")
				: arena_printf(arena, "mx.example;\n\tspf=fail smtp.helo=%s", rows[i].written);
		struct str written = write_one(arena, &result);
		if (!str_eq(written, expected))
			fail_msg("row %zu: %.*s", i, STR_ARG(written));
	}
	arena_free(arena);
}

/* No parser need know escapes in comments to find their end. */
static void test_write_comments(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct result result = {.method = "spf", .value = "fail", .comment = STR_INIT("a) b; \"c\\ (\n=?u?q?x?=")};
	struct str written = write_one(arena, &result);
	struct str expected = STR("mx.example;\n\tspf=fail (a] b, 'c/ [?=.u?q?x?=)");
	if (!str_eq(written, expected))
		fail_msg("%.*s", STR_ARG(written));
	arena_free(arena);
}

static void test_write_bounds_lines(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t n = 1; n < 3000; n = n * 3 / 2 + 1) {
		char *long_text = arena_alloc(arena, n);
		memset(long_text, '"', n);
		struct str s = str_from(long_text, n);
		struct result result = {.method = "spf",
			.value = "fail",
			.reason = s,
			.comment = s,
			.properties = {{"smtp", "mailfrom", s}, {"smtp", "helo", STR_INIT("a")}},
			.n_properties = 2};
		struct str written = write_one(arena, &result);
		for (struct str rest = written, line; str_cut(&rest, '\n', &line);)
			assert_true(line.n < 998);
		struct results_read read;
		results_parse(arena, written, &read);
		assert_null(read.error);
		/* Left out, not cut: a name cut short is another name. */
		assert_int_equal(read.results[0].n_properties, n <= 400 ? 2 : 1);
	}
	/* Texts are not cut within a character. */
	struct buf umlauts = buf_in(arena);
	buf_add_char(&umlauts, 'x');
	for (int i = 0; i < 200; i++)
		buf_add_cstr(&umlauts, "\xc3\xb6");
	struct result result = {.method = "spf", .value = "fail", .reason = buf_str(&umlauts)};
	struct results_read read;
	results_parse(arena, write_one(arena, &result), &read);
	assert_null(read.error);
	assert_int_equal(read.results[0].reason.n, 199);
	arena_free(arena);
}

static struct str cleaned(struct arena *arena, struct str s)
{
	bool is_utf8 = utf8_is_valid(s);
	char *copy = arena_alloc(arena, s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		copy[i] = c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : s.p[i];
	}
	return str_from(copy, s.n);
}

static struct str hostile_value(struct arena *arena, uint32_t *seed)
{
	static const char bytes[] = "\0\r\n\t\"\\();=?@.,:/<>[] abcexample.com\x7f\x01\xff\xc3\x80-_";
	static const char *const words[] = {"; dkim=pass", "\" ", "\\", "(", ")", "\r\n\tspf=pass", "@example.com",
		"joe", ".example", "=?utf-8?q?", "?=", " reason=\"x\"", "none"};
	struct buf out = buf_in(arena);
	size_t n = (*seed = *seed * 1103515245u + 12345u) >> 16 & 15;
	for (size_t i = 0; i < n; i++) {
		uint32_t r = (*seed = *seed * 1103515245u + 12345u) >> 16;
		if (r & 1)
			buf_add_char(&out, bytes[(r >> 1) % (sizeof(bytes) - 1)]);
		else
			buf_add_cstr(&out, words[(r >> 1) % (sizeof(words) / sizeof(words[0]))]);
	}
	return arena_dup(arena, buf_str(&out));
}

static void check_round_trip(struct arena *arena, struct str a, struct str b, struct str c)
{
	const struct result results[] = {
		{.method = "spf",
			.value = "fail",
			.reason = a,
			.comment = b,
			.properties = {{"smtp", "mailfrom", c}, {"smtp", "helo", a}},
			.n_properties = 2},
		{.method = "dkim", .value = "permerror", .properties = {{"header", "d", b}}, .n_properties = 1},
	};
	struct buf out = buf_in(arena);
	results_write(&out, STR("mx.example"), results, 2, "\r\n");
	struct results_read read;
	results_parse(arena, buf_str(&out), &read);
	if (read.error != NULL)
		fail_msg("%s: %s", read.error, buf_cstr(&out));
	assert_int_equal(read.n, 2);
	assert_true(str_eq(read.authserv_id, STR("mx.example")));
	for (size_t i = 0; i < 2; i++) {
		assert_true(str_eq(read.results[i].method, str_of(results[i].method)));
		assert_true(str_eq(read.results[i].value, str_of(results[i].value)));
		assert_true(str_eq(read.results[i].reason, cleaned(arena, results[i].reason)));
		size_t k = 0;
		for (size_t j = 0; j < results[i].n_properties; j++) {
			const struct result_property *property = &results[i].properties[j];
			if (property->value.n == 0)
				continue;
			assert_true(k < read.results[i].n_properties);
			assert_true(str_eq(read.results[i].properties[k].ptype, str_of(property->ptype)));
			assert_true(str_eq(read.results[i].properties[k].property, str_of(property->property)));
			assert_true(str_eq(read.results[i].properties[k++].value, cleaned(arena, property->value)));
		}
		assert_int_equal(read.results[i].n_properties, k);
	}
}

/* Whatever the envelope and the signatures hold, what is read back is what was written, and nothing more. */
static void test_round_trip_of_hostile_bytes(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	uint32_t seed = 1;
	for (int i = 0; i < 5000; i++) {
		struct str a = hostile_value(arena, &seed), b = hostile_value(arena, &seed),
			   c = hostile_value(arena, &seed);
		check_round_trip(arena, a, b, c);
		arena_reset(arena);
	}
	for (unsigned c = 0; c < 256; c++) {
		char byte = (char)(unsigned char)c;
		check_round_trip(arena, str_from(&byte, 1), str_from(&byte, 1), str_from(&byte, 1));
	}
	arena_free(arena);
}

struct parse_row {
	struct str value;
	const char *read;  /* id|method=value reason ptype.property=value ...|... */
	const char *error; /* NULL: well-formed */
};

static const struct parse_row parse_rows[] = {
	/* RFC 8601 appendix B */
	{STR_INIT(" example.org 1; none"), "example.org|none", NULL},
	{STR_INIT(" example.com;\r\n spf=pass smtp.mailfrom=example.net"),
		"example.com|spf=pass smtp.mailfrom=example.net", NULL},
	{STR_INIT(" example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass "
		  "smtp.mailfrom=example.net"),
		"example.com|auth=pass smtp.auth=sender@example.net|spf=pass smtp.mailfrom=example.net", NULL},
	{STR_INIT(" example.com;\n dkim=pass (good signature) header.d=example.com;\n sender-id=fail "
		  "header.from=example.com"),
		"example.com|dkim=pass header.d=example.com|sender-id=fail header.from=example.com", NULL},
	{STR_INIT(
		 " foo.example.net (foobar) 1 (baz);\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\n"
		 " policy (A dot can go here) . (like that) expired\n (this surprised me) = (as I wasn't expecting it) "
		 "1362471462"),
		"foo.example.net|dkim=fail policy.expired=1362471462", NULL},
	{STR_INIT("a.example; dkim=pass reason=\"good \\\"x\\\"\" header.i=@mail-router.example.net"),
		"a.example|dkim=pass good \"x\" header.i=@mail-router.example.net", NULL},
	{STR_INIT("\"a \\x\";SPF=Pass"), "a x|spf=pass", NULL},
	{STR_INIT("a;dkim=pass header.b=\"a;b\"header.d=c.example"), "a|dkim=pass header.b=a;b", "text behind a value"},
	{STR_INIT("a;spf=pass smtp.mailfrom=\"joe x\"@example.com"), "a|spf=pass smtp.mailfrom=joe x@example.com",
		NULL},
	{STR_INIT("a; spf=pass smtp.mailfrom=b(c)smtp.helo=d"), "a|spf=pass smtp.mailfrom=b smtp.helo=d", NULL},
	{STR_INIT("a; dkim=pass reason=x reason.y=z"), "a|dkim=pass x reason.y=z", NULL},
	{STR_INIT("a; none=pass"), "a|none=pass", NULL},
	{STR_INIT("a1; none"), "a1|none", NULL},
	{STR_INIT("a;none (really)"), "a|none", NULL},
	{STR_INIT(""), "", "value expected"},
	{STR_INIT("; none"), "", "value expected"},
	{STR_INIT("a/1; none"), "", "value expected"},
	{STR_INIT("a"), "a", "no result"},
	{STR_INIT("a 1"), "a", "no result"},
	{STR_INIT("a b; none"), "a", "text behind a result"},
	{STR_INIT("a; none; spf=pass"), "a", "method without '='"},
	{STR_INIT("a; spf=pass; none"), "a|spf=pass", "none behind a result"},
	{STR_INIT("a; spf=pass;"), "a|spf=pass", "keyword expected"},
	{STR_INIT("a; spf"), "a", "method without '='"},
	{STR_INIT("a; spf="), "a", "keyword expected"},
	{STR_INIT("a; spf=pass x"), "a|spf=pass", "property expected"},
	{STR_INIT("a; spf=pass smtp.x"), "a|spf=pass", "property without '='"},
	{STR_INIT("a; spf=pass smtp.x="), "a|spf=pass", "property without value"},
	{STR_INIT("a; spf=pass smtp.x=a/b"), "a|spf=pass", "property without value"},
	{STR_INIT("a; spf=pass smtp.x=\"b"), "a|spf=pass", "unterminated quoted string"},
	{STR_INIT("a; spf=pass smtp.x=\"b\"@c"), "a|spf=pass", "bad domain in a property"},
	{STR_INIT("a; spf/=pass"), "a", "bad method version"},
	{STR_INIT("a; spf=pass (x"), "a|spf=pass", "unterminated comment"},
	{STR_INIT("a; spf=pass\nX: y"), "a|spf=pass", "line break without folding"},
	{STR_INIT("a; spf=pass smtp.x=\"b\xff\""), "a|spf=pass", "quoted string is not UTF-8"},
	{STR_INIT("a; spf=pass\0"), "a|spf=pass", "text behind a value"},
};

static struct str results_text(struct arena *arena, const struct results_read *read)
{
	struct buf out = buf_in(arena);
	buf_add(&out, read->authserv_id);
	if (read->none)
		buf_add_cstr(&out, "|none");
	for (size_t i = 0; i < read->n; i++) {
		const struct result_read *result = &read->results[i];
		buf_printf(&out, "|%.*s=%.*s", STR_ARG(result->method), STR_ARG(result->value));
		if (result->reason.n > 0)
			buf_printf(&out, " %.*s", STR_ARG(result->reason));
		for (size_t k = 0; k < result->n_properties; k++)
			buf_printf(&out, " %.*s.%.*s=%.*s", STR_ARG(result->properties[k].ptype),
				STR_ARG(result->properties[k].property), STR_ARG(result->properties[k].value));
	}
	return buf_str(&out);
}

static void test_parse(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]); i++) {
		const struct parse_row *row = &parse_rows[i];
		struct results_read read;
		results_parse(arena, row->value, &read);
		struct str text = results_text(arena, &read);
		bool same_error = row->error == NULL ? read.error == NULL
						     : read.error != NULL && strcmp(read.error, row->error) == 0;
		if (!str_eq(text, str_of(row->read)) || !same_error)
			fail_msg("%.*s\n got %.*s error %s", STR_ARG(row->value), STR_ARG(text),
				read.error != NULL ? read.error : "none");
	}
	arena_free(arena);
}

static const struct str ours[] = {STR_INIT("mx.example.com"), STR_INIT("example.com")};

/* Spellings of example.com: each has been taken for it by some program, or could be. */
static const struct str claiming[] = {
	STR_INIT("example.com; dkim=pass"),
	STR_INIT(" example.com; none"),
	STR_INIT("mx.example.com; none"),
	STR_INIT("EXAMPLE.com; none"),
	STR_INIT("example.com 1; none"),
	STR_INIT("example.com/1; none"),
	STR_INIT("example.com (c) 1; none"),
	STR_INIT("example.com;none"),
	STR_INIT("example.com"),
	STR_INIT("example.com."),
	STR_INIT("example.com.; dkim=pass"),
	STR_INIT(".example.com; dkim=pass"),
	STR_INIT("example.com dkim=pass"),
	STR_INIT("example.com=pass"),
	STR_INIT("example.com, dkim=pass"),
	STR_INIT("example.com: dkim=pass"),
	STR_INIT("example.com!garbage; dkim=pass"),
	STR_INIT("garbage example.com; dkim=pass"),
	STR_INIT("@example.com; dkim=pass"),
	STR_INIT("<example.com>; dkim=pass"),
	STR_INIT("[example.com]; dkim=pass"),
	STR_INIT("'example.com'; dkim=pass"),
	/* folding */
	STR_INIT("\n example.com; none"),
	STR_INIT("\r\n\texample.com\r\n ; none"),
	STR_INIT("example\r\n .com; none"),
	STR_INIT("example . com; none"),
	/* comments */
	STR_INIT("(c) example.com; none"),
	STR_INIT("(c)example.com(c); none"),
	STR_INIT("(a (b) c) (d) example.com; none"),
	STR_INIT("(; ) example.com; none"),
	STR_INIT("(\\)) example.com; none"),
	STR_INIT("exam(c)ple.com; none"),
	STR_INIT("example.(c)com; none"),
	STR_INIT("(example.com; none"),
	STR_INIT("(c example.com; none"),
	STR_INIT("example.com (c; none"),
	STR_INIT("((a) example.com; dkim=pass) other.example; none"),
	STR_INIT("((a) exam(c)ple.com; dkim=pass) other.example; none"),
	STR_INIT("((a) x exam(c)ple.com; dkim=pass) other.example; none"),
	STR_INIT("((a) example.com(c)x; dkim=pass) other.example; none"),
	STR_INIT("i=1; example.com(c)x; dkim=pass"),
	STR_INIT("(\\) example.com; dkim=pass"),
	STR_INIT(") example.com; dkim=pass"),
	/* quotes and escapes */
	STR_INIT("\"example.com\"; none"),
	STR_INIT("\"e\\xample.com\"; none"),
	STR_INIT("\"\\e\\x\\a\\m\\p\\l\\e\\.\\c\\o\\m\"; none"),
	STR_INIT("\"EXAMPLE.COM.\"; none"),
	STR_INIT("\" example.com \"; none"),
	STR_INIT("\"example.com; none"),
	STR_INIT("exam\"ple\".com; none"),
	STR_INIT("\"exam\"\"ple.com\"; none"),
	STR_INIT("e\\xample.com; none"),
	STR_INIT("\"example.com\"x; none"),
	STR_INIT("(c)\"example.com\"(c)1; none"),
	/* control bytes: dropped, or the end */
	STR_INIT("exam\0ple.com; none"),
	STR_INIT("\0example.com; none"),
	STR_INIT("example.com\0.attacker.example; none"),
	STR_INIT("\x01"
		 "example.com\x7f; none"),
	STR_INIT("exam\rple.com; none"),
	STR_INIT("example.com\rx; none"),
	STR_INIT("\"exam\0ple.com\"; none"),
	STR_INIT("exam\xc2\x80ple.com; none"),
	/* what Unicode makes equal, or a program drops */
	STR_INIT("\xef\xbd\x85xample.com; none"),
	STR_INIT("example\xe3\x80\x82"
		 "com; none"),
	STR_INIT("example.com\xe3\x80\x82; none"),
	STR_INIT("exam\xc2\xadple.com; none"),
	STR_INIT("exam\xe2\x80\x8bple.com; none"),
	STR_INIT("exam\xffple.com; none"),
	STR_INIT("example.com\xc3\xa9; none"),
	STR_INIT("\xef\xbb\xbf"
		 "example.com; none"),
	STR_INIT("example.com\xc2\xa0x; none"),
	STR_INIT("\xe3\x80\x80"
		 "example.com; none"),
	STR_INIT("\xe2\x80\xae"
		 "example.com; none"),
	/* encoded words */
	STR_INIT("=?utf-8?q?example.com?=; none"),
	STR_INIT("=?UTF-8?Q?ex=61mple=2Ecom?=; none"),
	STR_INIT("=?utf-8?B?ZXhhbXBsZS5jb20=?=; none"),
	STR_INIT("=?utf-8?q?exam?= =?utf-8?q?ple.com?=; none"),
	STR_INIT("=?utf-8?q?exam?=\r\n =?utf-8?b?cGxlLmNvbQ==?=; none"),
	STR_INIT("\"=?utf-8?q?example.com?=\"; none"),
	/* the id in a wrong place */
	STR_INIT("; example.com; none"),
	STR_INIT("i=1; example.com; dkim=pass"),
	STR_INIT(" ; ;example.com; dkim=pass"),
};

/* Fields of others, which must stay. */
static const struct str foreign[] = {
	STR_INIT(""),
	STR_INIT("other.example; none"),
	STR_INIT("notexample.com; none"),
	STR_INIT("not-example.com; none"),
	STR_INIT("not_example.com; none"),
	STR_INIT("a.example.com; none"),
	STR_INIT("example.com.evil.net; none"),
	STR_INIT("example.com-evil.net; none"),
	STR_INIT("example.community; none"),
	STR_INIT("example.co; none"),
	STR_INIT("examplecom; none"),
	STR_INIT("exampl\xc3\xa9.com; none"),
	STR_INIT("\xd0\xb5xample.com; none"),
	STR_INIT("other.example; dkim=pass header.d=example.com"),
	STR_INIT("other.example; spf=pass smtp.mailfrom=joe@example.com; dkim=pass header.d=example.com"),
	STR_INIT("other.example (example.com); spf=pass smtp.helo=example.com"),
	STR_INIT("(example.com) other.example; none"),
	STR_INIT("other.example; dkim=fail reason=\"no; example.com said\" header.d=example.com"),
	STR_INIT("other.example; dkim=fail reason=\"no; example.com; said\""),
	STR_INIT("other.example; spf=pass (other.example: domain of (joe) fine; example.com) smtp.mailfrom=a.example"),
	STR_INIT("spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; example.org; dkim=none"),
	STR_INIT("other.example dkim=pass header.d=example.com"),
	STR_INIT("other.example; arc=pass (i=1); example.com=x"),
	STR_INIT("=?utf-8?q?other.example?=; none"),
	STR_INIT("other.example; none; none; none; none; example.com"),
};

static void test_claims(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(claiming) / sizeof(claiming[0]); i++)
		if (!results_claims(claiming[i], ours, 2))
			fail_msg("not found in: %.*s", STR_ARG(claiming[i]));
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (results_claims(foreign[i], ours, 2))
			fail_msg("taken for ours: %.*s", STR_ARG(foreign[i]));
	assert_false(results_claims(STR("example.com; none"), NULL, 0));
	assert_false(results_claims(STR("example.com; none"), &(struct str){"", 0}, 1));
	arena_free(arena);
}

/* An id that is no name, as RFC 8601 section 2.5 allows. */
static void test_claims_of_odd_id(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	const struct str ids[] = {STR_INIT("our mail/filter")};
	assert_true(results_claims(STR("\"Our Mail/Filter\"; none"), ids, 1));
	assert_false(results_claims(STR("\"Your Mail/Filter\"; none"), ids, 1));
	arena_free(arena);
}

static void test_claims_of_all_below(void **state)
{
	(void)state;
	const struct str ids[] = {STR_INIT(".example.com")};
	static const char *const below[] = {"mx.example.com; none", "a.b.example.com; none",
		"\"MX.Example.COM.\" 1; none", "(c)mx(c).(c)example.com; none", "b\xc3\xbc.example.com; none"};
	static const char *const others[] = {"example.com; none",
		"mx.example.org; spf=pass smtp.mailfrom=mx.example.com", "mxexample.com; none",
		"mx.example.com.evil.net; none", "mx.example.community; none"};
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		if (!results_claims(str_of(below[i]), ids, 1))
			fail_msg("\"%s\" is below", below[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (results_claims(str_of(others[i]), ids, 1))
			fail_msg("\"%s\" is not below", others[i]);
}

/* What hides the id in more text than any honest field has is not trusted, and costs little. */
static void test_claims_is_bounded(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1 << 16);
	static const char *const hostile[] = {"a", "(", ")", "()", "(a", "\"", "\\", ";", "=", "=?", "=?;", "=?q?q?",
		"a;", " ", "\xc3\xa9", "\xc3\xa9 ", "\xff", "\xe3\x80\x82", "=?a?q?b?=", "=?a?b?QUJD?= ", "((a)", "(\\",
		"\"\\"};
	const size_t n = 1 << 18;
	char *value = malloc(n);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		size_t length = strlen(hostile[i]);
		for (size_t k = 0; k < n; k++)
			value[k] = hostile[i][k % length];
		results_claims(str_from(value, n), ours, 2);
	}
	memset(value, 'a', n);
	assert_true(results_claims(str_from(value, n), ours, 2));
	free(value);
	for (int i = 0; i < 10000; i++)
		assert_false(results_claims(STR("\xc3\xa9.example; spf=pass"), ours, 2));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_whole_field),
		cmocka_unit_test(test_write_values),
		cmocka_unit_test(test_write_comments),
		cmocka_unit_test(test_write_bounds_lines),
		cmocka_unit_test(test_round_trip_of_hostile_bytes),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_claims_of_odd_id),
		cmocka_unit_test(test_claims_of_all_below),
		cmocka_unit_test(test_claims_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
