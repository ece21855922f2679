/* Canonicalization: RFC 6376 section 3.4, its examples (3.4.5), and what real mail does to lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "dkim/canonicalize.h"

static void append(void *object, struct str text)
{
	buf_add(object, text);
}

static void assert_text(struct str got, struct str expected, const char *rule)
{
	if (!str_eq(got, expected))
		fail_msg("%s: got \"%.*s\", expected \"%.*s\"", rule, STR_ARG(got), STR_ARG(expected));
}

/* ---- header fields ---- */

static const struct {
	const char *rule;
	enum dkim_canonicalization how;
	struct str name, value, expected;
} fields[] = {
	{"3.4.5 relaxed, first", DKIM_RELAXED, STR_INIT("A"), STR_INIT(" X"), STR_INIT("a:X\r\n")},
	{"3.4.5 relaxed, second", DKIM_RELAXED, STR_INIT("B "), STR_INIT(" Y\t\r\n\tZ  "), STR_INIT("b:Y Z\r\n")},
	{"3.4.5 simple, first", DKIM_SIMPLE, STR_INIT("A"), STR_INIT(" X"), STR_INIT("A: X\r\n")},
	{"3.4.5 simple, second", DKIM_SIMPLE, STR_INIT("B "), STR_INIT(" Y\t\r\n\tZ  "),
		STR_INIT("B : Y\t\r\n\tZ  \r\n")},
	{"LF of the milter protocol, simple", DKIM_SIMPLE, STR_INIT("S"), STR_INIT(" a\n\tb\n c"),
		STR_INIT("S: a\r\n\tb\r\n c\r\n")},
	{"LF of the milter protocol, relaxed", DKIM_RELAXED, STR_INIT("S"), STR_INIT(" a\n\tb\n c"),
		STR_INIT("s:a b c\r\n")},
	{"no space after the colon", DKIM_SIMPLE, STR_INIT("S"), STR_INIT("a"), STR_INIT("S:a\r\n")},
	{"empty value, simple", DKIM_SIMPLE, STR_INIT("S"), STR_INIT(""), STR_INIT("S:\r\n")},
	{"empty value, relaxed", DKIM_RELAXED, STR_INIT("S"), STR_INIT(" \r\n "), STR_INIT("s:\r\n")},
	{"a line of nothing but white space is unfolded too", DKIM_RELAXED, STR_INIT("S"), STR_INIT(" a\r\n \r\n b"),
		STR_INIT("s:a b\r\n")},
	{"8-bit bytes stay", DKIM_RELAXED, STR_INIT("SUBJECT"), STR_INIT(" \xc3\xa4  \xff"),
		STR_INIT("subject:\xc3\xa4 \xff\r\n")},
	{"names are lowered in ASCII only", DKIM_RELAXED, STR_INIT("X-\xc3\x84"), STR_INIT(" a"),
		STR_INIT("x-\xc3\x84:a\r\n")},
	{"a bare CR is a byte", DKIM_RELAXED, STR_INIT("S"), STR_INIT(" a\rb"), STR_INIT("s:a\rb\r\n")},
	{"a bare CR at the end, simple", DKIM_SIMPLE, STR_INIT("S"), STR_INIT(" a\r"), STR_INIT("S: a\r\r\n")},
};

static void test_fields(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct buf out = buf_in(arena);
		struct sink sink;
		sink_init(&sink, append, &out);
		dkim_canonicalize_field(&sink, fields[i].how, fields[i].name, fields[i].value);
		sink_flush(&sink);
		assert_text(buf_str(&out), fields[i].expected, fields[i].rule);
	}
	arena_free(arena);
}

static const struct {
	const char *rule;
	enum dkim_canonicalization how;
	struct str value, expected;
} signatures[] = {
	{"b= last, simple", DKIM_SIMPLE, STR_INIT(" v=1; b=abc\n\tdef"), STR_INIT("DKIM-Signature: v=1; b=")},
	{"b= last, relaxed", DKIM_RELAXED, STR_INIT(" v=1;\n\tb=abc\n\tdef"), STR_INIT("dkim-signature:v=1; b=")},
	{"b= in the middle, simple", DKIM_SIMPLE, STR_INIT(" v=1; b=ab c ;\n\tbh=xyz"),
		STR_INIT("DKIM-Signature: v=1; b=;\r\n\tbh=xyz")},
	{"b= in the middle, relaxed", DKIM_RELAXED, STR_INIT(" v=1; b=ab c ;\n\tbh=xyz "),
		STR_INIT("dkim-signature:v=1; b=; bh=xyz")},
	{"white space around the value goes, before '=' stays (3.7)", DKIM_SIMPLE, STR_INIT(" b = abc\n ; v=1"),
		STR_INIT("DKIM-Signature: b =; v=1")},
	{"bh= is not b=", DKIM_SIMPLE, STR_INIT(" bh=abc; v=1"), STR_INIT("DKIM-Signature: bh=abc; v=1")},
	{"a ';' at the end stays", DKIM_SIMPLE, STR_INIT(" v=1; b=abc;"), STR_INIT("DKIM-Signature: v=1; b=;")},
	{"B= is another tag", DKIM_SIMPLE, STR_INIT(" B=x; b=abc"), STR_INIT("DKIM-Signature: B=x; b=")},
};

static void test_signature_field(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		struct buf out = buf_in(arena);
		struct sink sink;
		sink_init(&sink, append, &out);
		dkim_canonicalize_signature(&sink, signatures[i].how, STR("DKIM-Signature"), signatures[i].value);
		sink_flush(&sink);
		assert_text(buf_str(&out), signatures[i].expected, signatures[i].rule);
	}
	arena_free(arena);
}

/* RFC 6376 section 5.4.2: the n-th time a name stands in h= it means the n-th field from the bottom. */
static const struct {
	const char *rule, *names, *expected;
	size_t own; /* index of the signature being checked, 9: none */
} selections[] = {
	{"from the bottom up", "To:Subject:To", "to:2\r\nsubject:s\r\nto:1\r\n", 9},
	{"one name, one field", "to", "to:2\r\n", 9},
	{"absent names and excess ones select nothing", "X:To:To:To:Subject:subject", "to:2\r\nto:1\r\nsubject:s\r\n",
		9},
	{"white space around names, empty names", " To :\n\tSUBJECT::", "to:2\r\nsubject:s\r\n", 9},
	{"white space before the colon of a field", "From", "from:f\r\n", 9},
	{"other signatures can be signed", "DKIM-Signature", "dkim-signature:b\r\n", 9},
	{"a signature does not sign itself", "DKIM-Signature:DKIM-Signature", "dkim-signature:b\r\n", 0},
	{"a signature does not sign itself, the lower", "DKIM-Signature:DKIM-Signature", "dkim-signature:a\r\n", 5},
};

static void test_selection(void **state)
{
	(void)state;
	static const struct str rows[][2] = {{STR_INIT("DKIM-Signature"), STR_INIT(" a")},
		{STR_INIT("To"), STR_INIT(" 1")}, {STR_INIT("From "), STR_INIT(" f")},
		{STR_INIT("Subject"), STR_INIT(" s")}, {STR_INIT("tO"), STR_INIT(" 2")},
		{STR_INIT("DKIM-Signature"), STR_INIT(" b")}};
	struct arena *arena = arena_new(0);
	struct headers headers;
	headers_init(&headers, arena, 100, 10000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		headers_add(&headers, rows[i][0], rows[i][1]);
	for (size_t i = 0; i < sizeof(selections) / sizeof(selections[0]); i++) {
		struct buf out = buf_in(arena);
		struct sink sink;
		sink_init(&sink, append, &out);
		dkim_canonicalize_selected(&sink, DKIM_RELAXED, &headers, str_of(selections[i].names),
			selections[i].own < headers.n ? &headers.fields[selections[i].own] : NULL);
		sink_flush(&sink);
		assert_text(buf_str(&out), str_of(selections[i].expected), selections[i].rule);
	}
	arena_free(arena);
}

/* ---- bodies ---- */

static const struct {
	const char *rule;
	struct str body, simple, relaxed;
} bodies[] = {
	{"3.4.5", STR_INIT(" C \r\nD \t E\r\n\r\n\r\n"), STR_INIT(" C \r\nD \t E\r\n"), STR_INIT(" C\r\nD E\r\n")},
	{"empty", STR_INIT(""), STR_INIT("\r\n"), STR_INIT("")},
	{"one empty line", STR_INIT("\r\n"), STR_INIT("\r\n"), STR_INIT("")},
	{"only empty lines", STR_INIT("\r\n\r\n\r\n"), STR_INIT("\r\n"), STR_INIT("")},
	{"only white space", STR_INIT(" \t\r\n\t\r\n"), STR_INIT(" \t\r\n\t\r\n"), STR_INIT("")},
	{"no final CRLF", STR_INIT("a"), STR_INIT("a\r\n"), STR_INIT("a\r\n")},
	{"no final CRLF, white space at the end", STR_INIT("a\r\nb \t"), STR_INIT("a\r\nb \t\r\n"),
		STR_INIT("a\r\nb\r\n")},
	{"empty lines in front and between stay", STR_INIT("\r\n\r\na\r\n\r\nb\r\n\r\n"),
		STR_INIT("\r\n\r\na\r\n\r\nb\r\n"), STR_INIT("\r\n\r\na\r\n\r\nb\r\n")},
	{"a line of white space between is an empty one", STR_INIT("a\r\n \t \r\nb"), STR_INIT("a\r\n \t \r\nb\r\n"),
		STR_INIT("a\r\n\r\nb\r\n")},
	{"runs of white space", STR_INIT("  a \t b\tc\r\n"), STR_INIT("  a \t b\tc\r\n"), STR_INIT(" a b c\r\n")},
	{"a bare LF is a byte, and no line end", STR_INIT("a \nb\n"), STR_INIT("a \nb\n\r\n"), STR_INIT("a \nb\n\r\n")},
	{"a bare CR is a byte, and no line end", STR_INIT("a \rb\r"), STR_INIT("a \rb\r\r\n"), STR_INIT("a \rb\r\r\n")},
	{"CR CR LF", STR_INIT("a \r\r\nb\r\n"), STR_INIT("a \r\r\nb\r\n"), STR_INIT("a \r\r\nb\r\n")},
	{"CR, space, LF", STR_INIT("\r \n"), STR_INIT("\r \n\r\n"), STR_INIT("\r \n\r\n")},
	{"LF CR", STR_INIT("a\n\r"), STR_INIT("a\n\r\r\n"), STR_INIT("a\n\r\r\n")},
	{"only a CR", STR_INIT("\r"), STR_INIT("\r\r\n"), STR_INIT("\r\r\n")},
	{"empty lines, then a CR", STR_INIT("\r\n\r\n\r"), STR_INIT("\r\n\r\n\r\r\n"), STR_INIT("\r\n\r\n\r\r\n")},
	{"NUL and 8-bit", STR_INIT("\0\xff \x80\r\n"), STR_INIT("\0\xff \x80\r\n"), STR_INIT("\0\xff \x80\r\n")},
	{"longer than a block, changes at its ends",
		STR_INIT("0123456789abcde  0123456789abcde \r\n0123456789abcd\r\n\r\n"),
		STR_INIT("0123456789abcde  0123456789abcde \r\n0123456789abcd\r\n"),
		STR_INIT("0123456789abcde 0123456789abcde\r\n0123456789abcd\r\n")},
};

/* @first bytes, then @step by @step. */
static struct str canonical_body(
	struct arena *arena, enum dkim_canonicalization how, struct str body, size_t first, size_t step)
{
	struct buf out = buf_in(arena);
	struct sink sink;
	sink_init(&sink, append, &out);
	struct body_canonicalizer canonicalizer = {.how = how, .sink = &sink};
	dkim_canonicalize_body(&canonicalizer, str_head(body, first));
	for (body = str_skip(body, first); body.n > 0; body = str_skip(body, step))
		dkim_canonicalize_body(&canonicalizer, str_head(body, step));
	dkim_canonicalize_body_end(&canonicalizer);
	return buf_str(&out);
}

static void test_bodies(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		for (size_t first = 0; first <= bodies[i].body.n; first++) {
			for (size_t step = 1; step <= bodies[i].body.n + 1; step += step > 2 ? bodies[i].body.n : 1) {
				assert_text(canonical_body(arena, DKIM_SIMPLE, bodies[i].body, first, step),
					bodies[i].simple, bodies[i].rule);
				assert_text(canonical_body(arena, DKIM_RELAXED, bodies[i].body, first, step),
					bodies[i].relaxed, bodies[i].rule);
			}
		}
	}
	arena_free(arena);
}

/* The sentences of sections 3.4.3 and 3.4.4 one after another over the whole body, with no thought of speed. */
static struct str by_the_letter(struct arena *arena, enum dkim_canonicalization how, struct str body)
{
	struct buf reduced = buf_in(arena);
	for (size_t i = 0; i < body.n; i++) {
		bool line_end = i + 1 < body.n && body.p[i] == '\r' && body.p[i + 1] == '\n';
		bool blank = how == DKIM_RELAXED && (body.p[i] == ' ' || body.p[i] == '\t');
		if (line_end && how == DKIM_RELAXED && reduced.n > 0 && reduced.p[reduced.n - 1] == ' ')
			reduced.n--;
		if (blank && i > 0 && (body.p[i - 1] == ' ' || body.p[i - 1] == '\t'))
			continue;
		buf_add_char(&reduced, blank ? ' ' : body.p[i]);
	}
	struct str text = buf_str(&reduced);
	if (how == DKIM_RELAXED && text.n > 0 && text.p[text.n - 1] == ' ')
		text.n--;
	while (str_ends(text, STR("\r\n")))
		text.n -= 2;
	struct buf out = buf_in(arena);
	buf_add(&out, text);
	if (text.n > 0 || how == DKIM_SIMPLE)
		buf_add(&out, STR("\r\n"));
	return buf_str(&out);
}

/* Bodies made of what lines are made of, cut anywhere, against the letter. The generator is fixed: failures repeat. */
static void test_random_bodies(void **state)
{
	(void)state;
	static const char *const pieces[] = {"\r\n", "\r\n", "\r", "\n", " ", "  ", "\t", "a", "word",
		"0123456789abcdef", "0123456789abcdef0123456789abcdef", "\r\n\r\n", " \r\n", "\xc3\xa4"};
	unsigned seed = 1;
	for (int round = 0; round < 4000; round++) {
		struct arena *arena = arena_new(0);
		struct buf body = buf_in(arena);
		int n = rand_r(&seed) % 60;
		/* Some rounds are mostly regular text, so that whole blocks go through. */
		for (int i = 0; i < n; i++)
			buf_add_cstr(
				&body, round % 3 == 0 && rand_r(&seed) % 8 != 0
					       ? pieces[7 + rand_r(&seed) % 4]
					       : pieces[(size_t)rand_r(&seed) % (sizeof(pieces) / sizeof(pieces[0]))]);
		size_t first = body.n > 0 ? (size_t)rand_r(&seed) % body.n : 0, step = 1 + (size_t)rand_r(&seed) % 40;
		for (enum dkim_canonicalization how = DKIM_SIMPLE; how <= DKIM_RELAXED; how++)
			assert_text(canonical_body(arena, how, buf_str(&body), first, step),
				by_the_letter(arena, how, buf_str(&body)), "random body");
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_signature_field),
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_random_bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
