/*
 * What every test program needs: cmocka with the headers it asks for, and slices in assertions.
 */
#ifndef TRIMILTER_TESTS_TEST_H
#define TRIMILTER_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/** Fails with both texts shown; for table rows, whose number tells little. */
static inline void check_str(const char *what, struct str got, const char *wanted)
{
	if (str_eq(got, str_of(wanted)))
		return;
	print_error("%s: wanted \"%s\", got \"%.*s\"\n", what, wanted, STR_ARG(got));
	fail();
}

static inline void check_int(const char *what, long long got, long long wanted)
{
	if (got == wanted)
		return;
	print_error("%s: wanted %lld, got %lld\n", what, wanted, got);
	fail();
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#endif
