/* tag=value lists: each row a sentence of RFC 6376 section 3.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "message/tags.h"

struct row {
	struct str text;
	const char *tags; /* name[value] ... */
	const char *error, *error_at;
};

static const struct row rows[] = {
	{STR_INIT("v=1"), "v[1]", NULL, ""},
	{STR_INIT("v=1;"), "v[1]", NULL, ""},
	{STR_INIT(" v = 1 ; a = b ; \r\n "), "v[1] a[b]", NULL, ""},
	{STR_INIT("v=1;\r\n\ta=b;\n c=d"), "v[1] a[b] c[d]", NULL, ""},
	{STR_INIT("v\r\n =\r\n 1"), "v[1]", NULL, ""},
	{STR_INIT("b=ab\r\n\tcd ef"), "b[ab\r\n\tcd ef]", NULL, ""},
	{STR_INIT("p="), "p[]", NULL, ""},
	{STR_INIT("p= ;"), "p[]", NULL, ""},
	{STR_INIT("b=YQ=="), "b[YQ==]", NULL, ""},
	{STR_INIT("a_1B=x"), "a_1B[x]", NULL, ""},
	{STR_INIT("d=x; D=y"), "d[x] D[y]", NULL, ""}, /* names are case-sensitive */
	{STR_INIT("n=J\xc3\xb6rg"), "n[J\xc3\xb6rg]", NULL, ""},
	{STR_INIT("n=a!~\"(\\"), "n[a!~\"(\\]", NULL, ""},
	{STR_INIT("v=DKIM1; p=x\n"), "v[DKIM1] p[x]", NULL, ""}, /* a line from a file */
	{STR_INIT(""), "", "empty list", ""},
	{STR_INIT(" \t"), "", "empty list", " \t"},
	{STR_INIT(";"), "", "empty tag", ""},
	{STR_INIT(";v=1"), "v[1]", "empty tag", ""},
	{STR_INIT("v=1;;a=b"), "v[1] a[b]", "empty tag", ""},
	{STR_INIT("v=1;;"), "v[1]", "empty tag", ""},
	{STR_INIT("v"), "", "tag without '='", "v"},
	{STR_INIT("v=1; x ;a=b"), "v[1] a[b]", "tag without '='", "x"},
	{STR_INIT("=1"), "", "bad tag name", ""},
	{STR_INIT("1a=1"), "", "bad tag name", "1a"},
	{STR_INIT("_a=1"), "", "bad tag name", "_a"},
	{STR_INIT("a-b=1; c=2"), "c[2]", "bad tag name", "a-b"},
	{STR_INIT("a b=1"), "", "bad tag name", "a b"},
	{STR_INIT("\xc3\xa4=1"), "", "bad tag name", "\xc3\xa4"},
	{STR_INIT("d=x; s=1; d=y"), "d[x] s[1]", "duplicate tag", "d"},
	{STR_INIT("a=b\r\nc=d"), "a[b\r\nc=d]", "forbidden byte", "\r"},
	{STR_INIT("a=b\nc"), "a[b\nc]", "forbidden byte", "\n"},
	{STR_INIT("a=b\rc"), "a[b\rc]", "forbidden byte", "\r"},
	{STR_INIT("a=b\x01"), "a[b\x01]", "forbidden byte", "\x01"},
	{STR_INIT("a=b\x7f"), "a[b\x7f]", "forbidden byte", "\x7f"},
	{STR_INIT("a=\xf6"), "a[\xf6]", "forbidden byte", "\xf6"},
	{STR_INIT("a=\xc3"), "a[\xc3]", "forbidden byte", "\xc3"},
	{STR_INIT("a=b\r\n\r\n c"), "a[b\r\n\r\n c]", "forbidden byte", "\r"},
	{STR_INIT("a=b;\r\nc=d"), "a[b] c[d]", "forbidden byte", "\r"},
};

static struct str tags_text(struct arena *arena, const struct tags *tags)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < tags->n; i++) {
		buf_add(&out, i > 0 ? STR(" ") : STR(""));
		buf_add(&out, tags->tags[i].name);
		buf_add_char(&out, '[');
		buf_add(&out, tags->tags[i].value);
		buf_add_char(&out, ']');
	}
	return buf_str(&out);
}

static void test_rows(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tags tags;
		tags_parse(arena, rows[i].text, &tags);
		struct str text = tags_text(arena, &tags);
		const char *error = tags.error != NULL ? tags.error : "";
		if (!str_eq(text, str_of(rows[i].tags)) ||
			strcmp(error, rows[i].error != NULL ? rows[i].error : "") != 0 ||
			!str_eq(tags.error_at, str_of(rows[i].error_at)))
			fail_msg("row %zu: %.*s error %s at '%.*s'", i, STR_ARG(text), error, STR_ARG(tags.error_at));
	}
	arena_free(arena);
}

static void test_nul(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct tags tags;
	tags_parse(arena, STR("a=b\0c"), &tags);
	assert_string_equal(tags.error, "forbidden byte");
	assert_int_equal(tags.tags[0].value.n, 3);
	tags_parse(arena, str_from(NULL, 0), &tags);
	assert_string_equal(tags.error, "empty list");
	arena_free(arena);
}

static void test_at_most_64(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct buf text = buf_in(arena);
	struct tags tags;
	for (int i = 0; i < 64; i++)
		buf_printf(&text, "a%d=%d;", i, i);
	tags_parse(arena, buf_str(&text), &tags);
	assert_null(tags.error);
	assert_int_equal(tags.n, 64);
	buf_add_cstr(&text, "b=c");
	tags_parse(arena, buf_str(&text), &tags);
	assert_string_equal(tags.error, "too many tags");
	assert_int_equal(tags.n, 64);
	arena_free(arena);
}

static void test_get(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct tags tags;
	tags_parse(arena, STR("v=1; bh=a b\r\n\tc; p="), &tags);
	assert_true(str_eq(*tags_get(&tags, "v"), STR("1")));
	assert_int_equal(tags_get(&tags, "p")->n, 0);
	assert_null(tags_get(&tags, "V"));
	assert_null(tags_get(&tags, "b"));
	assert_true(str_eq(tag_without_space(arena, *tags_get(&tags, "bh")), STR("abc")));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_at_most_64),
		cmocka_unit_test(test_get),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
