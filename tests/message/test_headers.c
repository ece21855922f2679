/* The store of header fields, and stored messages split into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "message/headers.h"

static void test_look_ups(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct headers headers;
	headers_init(&headers, arena, 100, 10000);
	const struct header_field *first = headers_add(&headers, STR("Received"), STR(" one"));
	headers_add(&headers, STR("From"), STR(" joe"));
	headers_add(&headers, STR("RECEIVED \t"), STR(" two"));
	headers_add(&headers, STR("received"), STR(" three"));
	assert_int_equal(headers.n, 4);
	assert_int_equal(headers_count(&headers, STR("rEceived")), 3);
	assert_int_equal(headers_count(&headers, STR("Receive")), 0);
	assert_true(str_eq(headers_from_bottom(&headers, STR("Received"), 0)->value, STR(" three")));
	assert_true(str_eq(headers_from_bottom(&headers, STR("Received"), 1)->value, STR(" two")));
	assert_true(str_eq(headers_from_bottom(&headers, STR("Received"), 2)->value, STR(" one")));
	assert_null(headers_from_bottom(&headers, STR("Received"), 3));
	assert_null(headers_from_bottom(&headers, STR("To"), 0));
	assert_true(str_eq(headers_find(&headers, STR("received"))->value, STR(" one")));
	assert_null(headers_find(&headers, STR("To")));
	/* The milter protocol counts fields of a name from 1. */
	assert_int_equal(headers.fields[0].ordinal, 1);
	assert_int_equal(headers.fields[1].ordinal, 1);
	assert_int_equal(headers.fields[2].ordinal, 2);
	assert_int_equal(headers.fields[3].ordinal, 3);
	assert_true(str_eq(headers.fields[2].name, STR("RECEIVED \t")));
	assert_true(str_eq(header_field_name(&headers.fields[2]), STR("RECEIVED")));
	/* A field stays where it is when the store grows. */
	for (int i = 0; i < 50; i++)
		headers_add(&headers, STR("X"), STR("x"));
	assert_true(str_eq(first->value, STR(" one")));
	arena_free(arena);
}

static void test_limits(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct headers headers;
	headers_init(&headers, arena, 2, 10);
	assert_non_null(headers_add(&headers, STR("ab"), STR("cd")));
	assert_null(headers_add(&headers, STR("ab"), STR("12345")));
	assert_non_null(headers_add(&headers, STR("ab"), STR("1234")));
	assert_int_equal(headers.bytes, 10);
	assert_null(headers_add(&headers, STR(""), STR("")));
	assert_null(headers_add(&headers, STR("FROM "), STR("")));
	assert_int_equal(headers.dropped, 3);
	assert_int_equal(headers.dropped_from, 1);
	assert_int_equal(headers.n, 2);
	arena_free(arena);
}

/* Ten thousand fields, of one name and of ten thousand, cost next to nothing. */
static void test_many(void **state)
{
	(void)state;
	struct arena *arena = arena_new(16 << 20);
	struct headers headers;
	headers_init(&headers, arena, 20000, 4 << 20);
	for (int i = 0; i < 10000; i++) {
		headers_add(&headers, arena_printf(arena, "X-%d", i), STR("x"));
		headers_add(&headers, STR("Same"), STR("y"));
	}
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(headers_from_bottom(&headers, STR("same"), i)->ordinal, 10000 - i);
	assert_int_equal(headers_count(&headers, STR("x-9999")), 1);
	char long_name[300];
	memset(long_name, 'A', sizeof(long_name));
	headers_init(&headers, arena, 10, 1000);
	headers_add(&headers, str_from(long_name, sizeof(long_name)), STR("x"));
	memset(long_name, 'a', sizeof(long_name));
	assert_int_equal(headers_count(&headers, str_from(long_name, sizeof(long_name))), 1);
	arena_free(arena);
}

struct split_row {
	struct str message;
	const char *fields; /* name:value| ... */
	struct str body;
};

static const struct split_row split_rows[] = {
	{STR_INIT("A: b\r\nC: d\r\n\r\nbody\r\n"), "A: b|C: d|", STR_INIT("body\r\n")},
	{STR_INIT("A: b\nC: d\n\nbody\n"), "A: b|C: d|", STR_INIT("body\n")},
	{STR_INIT("A: b\r\n\tc\r\n d\r\n\r\n"), "A: b\r\n\tc\r\n d|", STR_INIT("")},
	{STR_INIT("A: b\n c\n"), "A: b\n c|", STR_INIT("")},
	{STR_INIT("A: b"), "A: b|", STR_INIT("")},
	{STR_INIT("A: b\n c"), "A: b\n c|", STR_INIT("")},
	{STR_INIT("A:\n\n\nx"), "A:|", STR_INIT("\nx")},
	{STR_INIT("A : b\r\n\r\n"), "A : b|", STR_INIT("")},
	{STR_INIT("A:b:c\r\n\r\n"), "A:b:c|", STR_INIT("")},
	{STR_INIT("A: b\n \n c\n\nx"), "A: b\n \n c|", STR_INIT("x")},
	{STR_INIT(""), "", STR_INIT("")},
	{STR_INIT("\r\nbody"), "", STR_INIT("body")},
	/* The line that an mbox file begins with. */
	{STR_INIT("From joe Sat Jan  1 00:00:00 2000\nA: b\n\nx"), "A: b|", STR_INIT("x")},
	{STR_INIT("From : joe\nA: b\n\nx"), "From : joe|A: b|", STR_INIT("x")},
	{STR_INIT("A: b\nFrom joe\nC: d\n\nx"), "A: b|", STR_INIT("From joe\nC: d\n\nx")},
	/* The first line that is no field is the body's first. */
	{STR_INIT("A: b\r\nno field\r\nC: d\r\n"), "A: b|", STR_INIT("no field\r\nC: d\r\n")},
	{STR_INIT("A: b\n: x\n"), "A: b|", STR_INIT(": x\n")},
	{STR_INIT("A: b\nC\xc3\xa9: x\n"), "A: b|", STR_INIT("C\xc3\xa9: x\n")},
	{STR_INIT(" A: b\n"), "", STR_INIT(" A: b\n")},
	/* With CRLF anywhere a bare LF or CR ends no line. */
	{STR_INIT("A: b\nC: d\r\nE: f\r\n\r\nx"), "A: b\nC: d|E: f|", STR_INIT("x")},
	{STR_INIT("\nA: b\r\n\r\nx"), "", STR_INIT("\nA: b\r\n\r\nx")},
	{STR_INIT("A: b\rC: d\r\n\r\nx"), "A: b\rC: d|", STR_INIT("x")},
};

static void test_split(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(split_rows) / sizeof(split_rows[0]); i++) {
		struct headers headers;
		struct str body;
		struct buf out = buf_in(arena);
		headers_init(&headers, arena, 100, 10000);
		headers_split(&headers, split_rows[i].message, &body);
		for (size_t k = 0; k < headers.n; k++)
			buf_printf(
				&out, "%.*s:%.*s|", STR_ARG(headers.fields[k].name), STR_ARG(headers.fields[k].value));
		if (!str_eq(buf_str(&out), str_of(split_rows[i].fields)) || !str_eq(body, split_rows[i].body))
			fail_msg("row %zu: fields %s body %.*s", i, buf_cstr(&out), STR_ARG(body));
	}
	arena_free(arena);
}

/* Lines within a value that are fields to readers for whom a bare CR or LF ends a line. */
static void test_hidden(void **state)
{
	static const struct {
		struct str value;
		const char *fields; /* names, each with a semicolon */
	} rows[] = {
		{STR_INIT(" x"), ""},
		{STR_INIT(" x\r\n From: a"), ""},
		{STR_INIT(" x\n\tFrom: a"), ""},
		{STR_INIT(" x\rFrom: a"), "From;"},
		{STR_INIT(" x\nFrom: a"), "From;"},
		{STR_INIT(" x\r\nFrom : a\n b\rTo:c"), "From ;To;"},
		{STR_INIT(" x\r\r\n\nfrom:a"), "from;"},
		{STR_INIT("\nFrom:\nFrom:"), "From;From;"},
		{STR_INIT(" x\rno field\r: x\rFr\0om: x"), ""},
		{STR_INIT(" From: a\r"), ""},
		{STR_INIT(""), ""},
	};
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = buf_in(arena);
		struct str rest = rows[i].value;
		for (struct header_field hidden; header_next_hidden(&rest, &hidden);)
			buf_printf(&out, "%.*s;", STR_ARG(hidden.name));
		if (!str_eq(buf_str(&out), str_of(rows[i].fields)))
			fail_msg("row %zu: %s", i, buf_cstr(&out));
	}
	struct str value = STR(" x\rFrom: a\r\n b"), rest = value;
	struct header_field hidden;
	assert_true(header_next_hidden(&rest, &hidden));
	assert_true(str_eq(hidden.value, STR(" a\r\n b")));
	rest = (struct str){NULL, 0};
	assert_false(header_next_hidden(&rest, &hidden));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look_ups),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_hidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
