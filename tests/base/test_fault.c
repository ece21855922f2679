#include "test.h"

#include "base/fault.h"

#define MINUTE INT64_C(60000)

static struct {
	unsigned lines;
	enum log_level level;
	char text[FAULT_TEXT_SIZE];
	uint64_t times;
} told;

static void tell(void *context, enum log_level level, const char *text, uint64_t times)
{
	assert_ptr_equal(context, &told);
	told.lines++;
	told.level = level;
	told.times = times;
	snprintf(told.text, sizeof(told.text), "%s", text);
}

static struct faults faults;

static int set_up(void **state)
{
	(void)state;
	memset(&faults, 0, sizeof(faults));
	memset(&told, 0, sizeof(told));
	return 0;
}

static void add(int64_t now_ms, uint64_t cause, const char *text)
{
	faults_add(&faults, now_ms, LOG_LEVEL_WARNING, cause, text, tell, &told);
}

static void check(const char *what, unsigned lines, const char *text, uint64_t times)
{
	check_int(what, told.lines, lines);
	check_str(what, str_of(told.text), text);
	check_int(what, (long long)told.times, (long long)times);
}

static void first_at_once_then_once_a_minute(void **state)
{
	(void)state;
	/* A clock that has only just begun is no reason to say nothing. */
	add(5, 7, "a");
	check("the first", 1, "a", 1);
	assert_int_equal(told.level, LOG_LEVEL_WARNING);
	for (int i = 0; i < 1000; i++)
		add(5 + i, 7, "b");
	check("within the minute", 1, "a", 1);
	add(5 + MINUTE - 1, 7, "b");
	check("at its end", 1, "a", 1);
	add(5 + MINUTE, 7, "c");
	check("a minute later", 2, "c", 1002);
	add(5 + MINUTE + 1, 7, "d");
	check("and so on", 2, "c", 1002);
	add(5 + 10 * MINUTE, 7, "e");
	check("after a pause", 3, "e", 2);
}

static void causes_do_not_hide_one_another(void **state)
{
	(void)state;
	add(0, 7, "a");
	add(0, 8, "b");
	check("another", 2, "b", 1);
	add(1, 7, "a");
	add(1, 8, "b");
	check("both known", 2, "b", 1);
}

static void the_rest_is_told(void **state)
{
	(void)state;
	add(0, 7, "a");
	faults_rest(&faults, 2 * MINUTE, tell, &told);
	check("nothing waits", 1, "a", 1);
	add(2 * MINUTE, 7, "b");
	add(2 * MINUTE + 1, 7, "c");
	add(2 * MINUTE + 1, 7, "d");
	faults_rest(&faults, 3 * MINUTE - 1, tell, &told);
	check("not yet", 2, "b", 1);
	faults_rest(&faults, 3 * MINUTE, tell, &told);
	check("with the latest text", 3, "d", 2);
	faults_rest(&faults, 5 * MINUTE, tell, &told);
	check("once", 3, "d", 2);
	add(5 * MINUTE, 7, "e");
	add(5 * MINUTE, 7, "f");
	faults_rest(&faults, INT64_MAX, tell, &told);
	check("at the end", 5, "f", 1);
}

static void more_causes_than_there_is_room_for(void **state)
{
	(void)state;
	for (uint64_t cause = 1; cause <= FAULT_CAUSES; cause++)
		add((int64_t)cause, cause, "a");
	add(100, 1, "the oldest");
	add(100, 2, "b");
	check("all known", FAULT_CAUSES, "a", 1);
	/* It takes the place of cause 1, of which one has not been told yet. */
	add(101, 1000, "new");
	check("two lines", FAULT_CAUSES + 2, "new", 1);
	add(102, 2, "b");
	check("the others stay", FAULT_CAUSES + 2, "new", 1);
	add(103, 1, "it is new again");
	check("and it comes again", FAULT_CAUSES + 4, "it is new again", 1);
}

static void long_text_is_cut(void **state)
{
	(void)state;
	char text[2 * FAULT_TEXT_SIZE];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	add(0, 7, text);
	check_int("length", (long long)strlen(told.text), FAULT_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(first_at_once_then_once_a_minute, set_up),
		cmocka_unit_test_setup(causes_do_not_hide_one_another, set_up),
		cmocka_unit_test_setup(the_rest_is_told, set_up),
		cmocka_unit_test_setup(more_causes_than_there_is_room_for, set_up),
		cmocka_unit_test_setup(long_text_is_cut, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
