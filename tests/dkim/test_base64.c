/* Base64 as keys and signatures are really published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dkim/base64.h"

static const struct {
	const char *rule, *text;
	bool good;
	struct str expected;
} rows[] = {
	{"RFC 4648 section 10", "Zm9vYmFy", true, STR_INIT("foobar")},
	{"one padding", "Zm9vYmE=", true, STR_INIT("fooba")},
	{"two paddings", "Zm9vYg==", true, STR_INIT("foob")},
	{"empty", "", true, STR_INIT("")},
	{"white space anywhere", " Z m9v\r\n\tYg=\n =", true, STR_INIT("foob")},
	{"padding left out", "Zm9vYg", true, STR_INIT("foob")},
	{"all digits", "+/+/", true, STR_INIT("\xfb\xff\xbf")},
	{"a lone character", "Zm9vY", false, STR_INIT("")},
	{"padding in the middle", "Zg==Zg==", false, STR_INIT("")},
	{"too much padding", "Zm9vYg===", false, STR_INIT("")},
	{"padding where none belongs", "Zm9v=", false, STR_INIT("")},
	{"another character", "Zm9v*mFy", false, STR_INIT("")},
	{"the URL alphabet", "-_-_", false, STR_INIT("")},
	{"only padding", "==", false, STR_INIT("")},
	{"more than there is room for", "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy", false, STR_INIT("")},
};

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[32];
		size_t n = 0;
		bool good = base64_decode(str_of(rows[i].text), out, sizeof(out), &n);
		if (good != rows[i].good || !str_eq(str_from((const char *)out, n), rows[i].expected))
			fail_msg("%s", rows[i].rule);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	uint8_t bytes[256], back[256];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct buf text = buf_in(arena);
		size_t n_back;
		base64_write(&text, bytes, n);
		assert_int_equal(text.n, (n + 2) / 3 * 4);
		assert_true(base64_decode(buf_str(&text), back, sizeof(back), &n_back));
		assert_int_equal(n_back, n);
		assert_memory_equal(back, bytes, n);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode), cmocka_unit_test(test_round_trip)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
