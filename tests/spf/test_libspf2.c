#include "test.h"

#include "spf/spf_libspf2.h"

#define FACTS_MAX 6

struct row {
	const char *what;
	struct spf_fact facts[FACTS_MAX];
	enum spf_status status;
	size_t undecided, matched;
};

/* What is left to libspf2: order, qualifiers, include (RFC 7208 section 5.2) and redirect (section 6.1). */
static const struct row rows[] = {
	{"nothing matches: neutral", {{.record = "v=spf1"}}, SPF_NEUTRAL, 0, 0},
	{"pass", {{.record = "v=spf1 +exists:1.t"}, {.answer = SPF_YES, .reports = true}}, SPF_PASS, 0, 1},
	{"fail", {{.record = "v=spf1 -exists:1.t"}, {.answer = SPF_YES, .reports = true}}, SPF_FAIL, 0, 1},
	{"softfail", {{.record = "v=spf1 ~exists:1.t"}, {.answer = SPF_YES, .reports = true}}, SPF_SOFTFAIL, 0, 1},
	{"neutral", {{.record = "v=spf1 ?exists:1.t"}, {.answer = SPF_YES, .reports = true}}, SPF_NEUTRAL, 0, 1},
	{"the first match counts",
		{{.record = "v=spf1 -exists:1.t ~exists:2.t +exists:3.t"}, {.answer = SPF_NO, .reports = true},
			{.answer = SPF_YES, .reports = true}, {.answer = SPF_YES, .reports = true}},
		SPF_SOFTFAIL, 0, 2},
	{"undecided", {{.record = "v=spf1 -exists:1.t +exists:2.t"}, {.answer = SPF_NO}, {.answer = SPF_UNDECIDED}},
		SPF_TEMPERROR, 2, 0},
	{"not reached, so it may be undecided",
		{{.record = "v=spf1 -exists:1.t +exists:2.t"}, {.answer = SPF_YES, .reports = true},
			{.answer = SPF_UNDECIDED}},
		SPF_FAIL, 0, 1},
	{"include: pass matches",
		{{.record = "v=spf1 ?include:1.t -exists:3.t"}, {.record = "v=spf1 +exists:2.t", .reports = true},
			{.answer = SPF_YES}, {.answer = SPF_YES, .reports = true}},
		SPF_NEUTRAL, 0, 1},
	{"include: fail does not match",
		{{.record = "v=spf1 ?include:1.t -exists:3.t"}, {.record = "v=spf1 -exists:2.t", .reports = true},
			{.answer = SPF_YES}, {.answer = SPF_YES, .reports = true}},
		SPF_FAIL, 0, 3},
	{"include: neutral does not match", {{.record = "v=spf1 +include:1.t"}, {.record = "v=spf1", .reports = true}},
		SPF_NEUTRAL, 0, 0},
	{"include: undecided within",
		{{.record = "v=spf1 +include:1.t"}, {.record = "v=spf1 -exists:2.t", .reports = true},
			{.answer = SPF_UNDECIDED}},
		SPF_TEMPERROR, 2, 0},
	{"include: record not there yet", {{.record = "v=spf1 +include:1.t"}, {.record = NULL, .reports = true}},
		SPF_TEMPERROR, 1, 0},
	{"redirect",
		{{.record = "v=spf1 +exists:1.t redirect=2.t"}, {.answer = SPF_NO, .reports = true},
			{.record = "v=spf1 -exists:3.t"}, {.answer = SPF_YES, .reports = true}},
		SPF_FAIL, 0, 3},
	{"redirect is not reached after a match",
		{{.record = "v=spf1 +exists:1.t redirect=2.t"}, {.answer = SPF_YES, .reports = true}, {.record = NULL}},
		SPF_PASS, 0, 1},
	{"redirect within an include",
		{{.record = "v=spf1 -include:1.t"}, {.record = "v=spf1 redirect=2.t", .reports = true},
			{.record = "v=spf1 +exists:3.t"}, {.answer = SPF_YES}},
		SPF_FAIL, 0, 1},
};

static void test_combination(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct spf_verdict verdict;
		assert_true(spf_libspf2_run(rows[i].facts, FACTS_MAX, &verdict));
		check_int(rows[i].what, (long long)verdict.undecided, (long long)rows[i].undecided);
		if (verdict.undecided != 0)
			continue;
		check_int(rows[i].what, verdict.status, rows[i].status);
		check_int(rows[i].what, (long long)verdict.matched, (long long)rows[i].matched);
	}
}

/* As many terms in a record, and as many includes in one another, as the guard ever gives it. */
static void test_room(void **state)
{
	(void)state;
	char text[1024] = "v=spf1";
	struct spf_fact facts[1000] = {{.record = text}};
	struct spf_verdict verdict;
	for (size_t i = 0; i <= SPF_LIBSPF2_LOOKUPS_MAX; i++) {
		snprintf(text + strlen(text), 32, " ~exists:%zu.t", 900 + i);
		facts[900 + i].answer = SPF_NO;
	}
	strcat(text, " redirect=999.t");
	facts[999].record = "v=spf1 -exists:1.t";
	facts[1] = (struct spf_fact){.answer = SPF_YES, .reports = true};
	assert_true(spf_libspf2_run(facts, COUNT(facts), &verdict));
	check_int("last of many", verdict.status, SPF_FAIL);

	char records[SPF_LIBSPF2_LOOKUPS_MAX][32];
	for (size_t i = 0; i < SPF_LIBSPF2_LOOKUPS_MAX; i++) {
		snprintf(records[i], sizeof(records[i]), "v=spf1 +include:%zu.t", i + 1);
		facts[i] = (struct spf_fact){.record = records[i]};
	}
	facts[SPF_LIBSPF2_LOOKUPS_MAX].record = "v=spf1 +exists:998.t";
	facts[998].answer = SPF_YES;
	assert_true(spf_libspf2_run(facts, COUNT(facts), &verdict));
	check_int("deep", verdict.status, SPF_PASS);
}

/* A record that libspf2 does not understand is a breakdown, not a result. */
static void test_breakdown(void **state)
{
	(void)state;
	const struct spf_fact broken[] = {{.record = "v=spf1 nonsense"}},
			      unknown[] = {{.record = "v=spf1 +exists:7.t"}},
			      foreign[] = {{.record = "v=spf1 +exists:example.com"}};
	struct spf_verdict verdict;
	assert_false(spf_libspf2_run(broken, 1, &verdict));
	assert_false(spf_libspf2_run(unknown, 1, &verdict));
	assert_false(spf_libspf2_run(foreign, 1, &verdict));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combination),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_breakdown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
