#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/domain.h"
#include "dmarc/psl.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct arena *arena;

/* A list of our own, with each kind of rule, so that the result does not hang on the age of the system's. */
static const char *const list = "// ===BEGIN ICANN DOMAINS===\n"
				"com\n"
				"biz\n"
				"uk\n"
				"co.uk\n"
				"ac\n"
				"com.ac\n"
				"jp\n"
				"ac.jp\n"
				"kyoto.jp\n"
				"ide.kyoto.jp\n"
				"*.kobe.jp\n"
				"!city.kobe.jp\n"
				"*.ck\n"
				"!www.ck\n"
				"us\n"
				"ak.us\n"
				"k12.ak.us\n"
				"cn\n"
				"com.cn\n"
				"\345\205\254\345\217\270.cn\n" /* xn--55qx5d.cn */
				"\344\270\255\345\233\275\n"    /* xn--fiqs8s */
				"// ===END ICANN DOMAINS===\n"
				"// ===BEGIN PRIVATE DOMAINS===\n"
				"github.io\n"
				"uk.com\n"
				"// ===END PRIVATE DOMAINS===\n";

static struct dmarc_suffixes *load(const char *text)
{
	char path[] = "/tmp/test-psl-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *file = fdopen(fd, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	struct dmarc_suffixes *suffixes = dmarc_suffixes_load(path);
	int error = errno;
	unlink(path);
	errno = error;
	return suffixes;
}

struct row {
	const char *domain, *organizational; /* equal for a suffix */
};

/* The rules of publicsuffix.org's own test table, with the result that RFC 7489 section 3.2 makes of it. */
static const struct row rows[] = {
	{"com", "com"},
	{"example.com", "example.com"},
	{"b.example.com", "example.com"},
	{"a.b.example.com", "example.com"},
	{"EXAMPLE.COM", "example.com"},
	{"WwW.Example.Com", "example.com"},
	{"x.com", "x.com"}, /* one letter */
	{"a.x.com", "x.com"},
	{"biz", "biz"},
	{"domain.biz", "domain.biz"},
	{"b.domain.biz", "domain.biz"},
	{"uk.com", "uk.com"}, /* a private suffix */
	{"example.uk.com", "example.uk.com"},
	{"b.example.uk.com", "example.uk.com"},
	{"github.io", "github.io"},
	{"alice.github.io", "alice.github.io"},
	{"www.alice.github.io", "alice.github.io"},
	{"ac", "ac"},
	{"test.ac", "test.ac"},
	{"com.ac", "com.ac"},
	{"www.test.com.ac", "test.com.ac"},
	{"co.uk", "co.uk"},
	{"foo.co.uk", "foo.co.uk"},
	{"a.foo.co.uk", "foo.co.uk"},
	{"foo.uk", "foo.uk"},
	{"jp", "jp"},
	{"test.jp", "test.jp"},
	{"www.test.jp", "test.jp"},
	{"ac.jp", "ac.jp"},
	{"www.test.ac.jp", "test.ac.jp"},
	{"kyoto.jp", "kyoto.jp"},
	{"test.kyoto.jp", "test.kyoto.jp"},
	{"ide.kyoto.jp", "ide.kyoto.jp"},
	{"a.b.ide.kyoto.jp", "b.ide.kyoto.jp"},
	{"c.kobe.jp", "c.kobe.jp"}, /* wildcard */
	{"b.c.kobe.jp", "b.c.kobe.jp"},
	{"a.b.c.kobe.jp", "b.c.kobe.jp"},
	{"city.kobe.jp", "city.kobe.jp"}, /* exception */
	{"www.city.kobe.jp", "city.kobe.jp"},
	{"ck", "ck"},
	{"test.ck", "test.ck"},
	{"b.test.ck", "b.test.ck"},
	{"a.b.test.ck", "b.test.ck"},
	{"www.ck", "www.ck"},
	{"www.www.ck", "www.ck"},
	{"us", "us"},
	{"test.us", "test.us"},
	{"ak.us", "ak.us"},
	{"www.test.ak.us", "test.ak.us"},
	{"k12.ak.us", "k12.ak.us"},
	{"www.test.k12.ak.us", "test.k12.ak.us"},
	/* an unlisted top level domain is a suffix (the prevailing rule "*") */
	{"lan", "lan"},
	{"corp.lan", "corp.lan"},
	{"a.corp.lan", "corp.lan"},
	{"example.example", "example.example"},
	{"a.b.example.example", "example.example"},
	/* A-labels meet the rule that is written in U-labels */
	{"xn--85x722f.com.cn", "xn--85x722f.com.cn"},
	{"www.xn--85x722f.com.cn", "xn--85x722f.com.cn"},
	{"shishi.xn--55qx5d.cn", "shishi.xn--55qx5d.cn"},
	{"xn--55qx5d.cn", "xn--55qx5d.cn"},
	{"www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"},
	{"xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s"},
	{"www.xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s"},
	{"xn--fiqs8s", "xn--fiqs8s"},
};

static void check(const struct dmarc_suffixes *suffixes)
{
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct str found = dmarc_suffixes_organizational(suffixes, arena, str_of(rows[i].domain));
		if (!str_eq(found, str_of(rows[i].organizational)))
			fail_msg("%s: %s, not %s", rows[i].domain, found.p, rows[i].organizational);
	}
}

static void test_own_list(void **state)
{
	(void)state;
	struct dmarc_suffixes *suffixes = load(list);
	assert_non_null(suffixes);
	check(suffixes);
	assert_true(dmarc_suffixes_is_suffix(suffixes, arena, STR("co.uk")));
	assert_true(dmarc_suffixes_is_suffix(suffixes, arena, STR("Github.IO")));
	assert_true(dmarc_suffixes_is_suffix(suffixes, arena, STR("c.kobe.jp")));
	assert_true(dmarc_suffixes_is_suffix(suffixes, arena, STR("unlisted")));
	assert_false(dmarc_suffixes_is_suffix(suffixes, arena, STR("city.kobe.jp")));
	assert_false(dmarc_suffixes_is_suffix(suffixes, arena, STR("foo.co.uk")));
	dmarc_suffixes_free(suffixes);
}

static void test_system_list(void **state)
{
	(void)state;
	struct dmarc_suffixes *suffixes = dmarc_suffixes_load(NULL);
	assert_non_null(suffixes);
	check(suffixes);
	dmarc_suffixes_free(suffixes);
}

/* Names that no list can hold are their own organization. */
static void test_odd_names(void **state)
{
	(void)state;
	static const struct str odd[] = {
		STR_INIT(""),
		STR_INIT("a..com"),
		STR_INIT(".com"),
		STR_INIT("a\0.com"),
	};
	struct dmarc_suffixes *suffixes = load(list);
	assert_non_null(suffixes);
	for (size_t i = 0; i < LENGTH(odd); i++)
		assert_true(str_eq(dmarc_suffixes_organizational(suffixes, arena, odd[i]), odd[i]) ||
			    domain_is_askable(odd[i]));
	assert_false(dmarc_suffixes_is_suffix(suffixes, arena, STR("")));
	char text[DOMAIN_MAX + 10];
	memset(text, 'a', sizeof(text));
	struct str longest = str_from(text, sizeof(text));
	assert_true(str_eq(dmarc_suffixes_organizational(suffixes, arena, longest), longest));
	assert_int_equal(dmarc_suffixes_organizational_labels(NULL, STR("a.b.com")), 3);
	dmarc_suffixes_free(suffixes);
}

static void test_load_errors(void **state)
{
	(void)state;
	assert_null(dmarc_suffixes_load("/nonexistent/list"));
	assert_int_equal(errno, ENOENT);
	assert_null(load("// nothing but a comment\n"));
	assert_int_equal(errno, EINVAL);
	assert_null(load(""));
	assert_int_equal(errno, EINVAL);
	dmarc_suffixes_free(NULL);
}

static int setup(void **state)
{
	(void)state;
	arena = arena_new(0);
	return arena == NULL;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_list),
		cmocka_unit_test(test_system_list),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_load_errors),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
