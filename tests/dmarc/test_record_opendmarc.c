#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dmarc/record_opendmarc.h"

static enum dmarc_policy expected(const struct dmarc_case *row)
{
	return row->is_subdomain ? row->sp : row->p;
}

/* Every case there is: p or sp decides, an aligned identifier passes. */
static void test_all_cases(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * 3 * 8; i++) {
		struct dmarc_case row = {
			.p = DMARC_P_NONE + i % 3,
			.sp = DMARC_P_NONE + i / 3 % 3,
			.is_subdomain = i / 9 & 1,
			.spf_aligned = i / 18 & 1,
			.dkim_aligned = i / 36 & 1,
		};
		bool passes;
		enum dmarc_policy policy;
		assert_true(dmarc_opendmarc_decide(&row, &passes, &policy));
		assert_int_equal(passes, row.spf_aligned || row.dkim_aligned);
		if (!passes)
			assert_int_equal(policy, expected(&row));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_cases)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
