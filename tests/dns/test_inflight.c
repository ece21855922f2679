#include "dns/inflight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct seen {
	int n;
	char why[32][16];
};

static void on_done(void *context, const struct dns_question *question, struct dns_answer *answer)
{
	struct seen *seen = context;
	assert_true(question->name.n > 0);
	snprintf(seen->why[seen->n++], sizeof(seen->why[0]), "%s", answer->why);
	dns_answer_unref(answer);
}

static enum inflight_outcome add_at(struct inflight *inflight, const char *name, int64_t now_ms, int64_t deadline_ms,
	struct seen *seen, struct dns_ask **ret_ask)
{
	struct dns_question question = {DNS_TXT, str_of(name)};
	return inflight_add(inflight, &question, now_ms, deadline_ms, on_done, seen, ret_ask);
}

static enum inflight_outcome add(
	struct inflight *inflight, const char *name, int64_t deadline_ms, struct seen *seen, struct dns_ask **ret_ask)
{
	return add_at(inflight, name, 0, deadline_ms, seen, ret_ask);
}

static struct dns_answer *failure(const char *why)
{
	struct dns_answer *answer = dns_answer_new(DNS_FAILED, NULL, 0);
	answer->why = why;
	return answer;
}

static void test_domain(void **state)
{
	static const struct {
		const char *name, *domain;
	} rows[] = {
		{"com", "com"},
		{"example.com", "example.com"},
		{"a.b.example.com", "example.com"},
		{"example.co.uk", "example.co.uk"},
		{"a.b.example.co.uk", "example.co.uk"},
		{"a.example.com.au", "example.com.au"},
		{"a.b.abc.de", "abc.de"},
		{"co.uk", "co.uk"},
		{"a.co.info", "co.info"},
		{"4.3.2.1.in-addr.arpa", "2.1.in-addr.arpa"},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
			"8.b.d.0.1.0.0.2.ip6.arpa"},
		{"in-addr.arpa", "in-addr.arpa"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str domain = inflight_domain(str_of(rows[i].name));
		assert_int_equal(domain.n, strlen(rows[i].domain));
		assert_memory_equal(domain.p, rows[i].domain, domain.n);
	}
}

static void test_share_and_answer(void **state)
{
	(void)state;
	struct inflight *inflight = inflight_new((struct inflight_limits){10, 10, 10});
	struct seen seen = {0};
	struct dns_ask *ask, *none;
	assert_int_equal(add(inflight, "a.example", 500, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "a.example", 600, &seen, &none), INFLIGHT_JOINED);
	assert_int_equal(add(inflight, "a.example", 400, &seen, &none), INFLIGHT_EARLIER);
	assert_int_equal(inflight_count(inflight), 1);
	struct dns_answer *answer = failure("x");
	inflight_answer(inflight, ask, answer);
	assert_int_equal(seen.n, 3);
	assert_int_equal(inflight_count(inflight), 0);
	assert_int_equal(answer->references, 1);
	dns_answer_unref(answer);
	inflight_free(inflight);
}

static void test_deadlines(void **state)
{
	(void)state;
	struct inflight *inflight = inflight_new((struct inflight_limits){10, 10, 10});
	struct seen seen = {0};
	struct dns_ask *ask, *none;
	struct dns_answer *late = failure("late"), *answer = failure("answer");
	uint64_t n;
	add(inflight, "a.example", 500, &seen, &ask);
	add(inflight, "a.example", 300, &seen, &none);
	add(inflight, "a.example", 400, &seen, &none);
	assert_int_equal(inflight_expire(inflight, 299, late, &n), 300);
	assert_int_equal(n, 0);
	assert_int_equal(inflight_expire(inflight, 400, late, &n), 500);
	assert_int_equal(n, 2);
	/* The question goes on for the third. */
	assert_int_equal(inflight_count(inflight), 1);
	inflight_answer(inflight, ask, answer);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.why[0], "late");
	assert_string_equal(seen.why[1], "late");
	assert_string_equal(seen.why[2], "answer");
	assert_int_equal(inflight_expire(inflight, 9999, late, &n), INT64_MAX);
	dns_answer_unref(late);
	dns_answer_unref(answer);
	inflight_free(inflight);
}

/* A burst of a domain's names is let through, unless some of them are slow or there are very many. */
static void test_limit_of_a_domain(void **state)
{
	(void)state;
	struct inflight *inflight = inflight_new((struct inflight_limits){100, 2, 10});
	struct seen seen = {0};
	struct dns_ask *asks[20], *ask;
	char name[32];
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d.one.example", i);
		assert_int_equal(add_at(inflight, name, i < 2 ? 0 : 500, 5000, &seen, &asks[i]), INFLIGHT_NEW);
	}
	assert_int_equal(add_at(inflight, "more.one.example", 500, 5500, &seen, &ask), INFLIGHT_LIMIT);
	assert_int_equal(add_at(inflight, "more.two.test", 500, 5500, &seen, &ask), INFLIGHT_NEW);
	struct dns_answer *answer = failure("x");
	for (int i = 2; i < 20; i++)
		inflight_answer(inflight, asks[i], answer);
	assert_int_equal(add_at(inflight, "late.one.example", 1000, 6000, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add_at(inflight, "later.one.example", 1001, 6001, &seen, &ask), INFLIGHT_LIMIT);
	assert_int_equal(add_at(inflight, "later.two.test", 1001, 6001, &seen, &ask), INFLIGHT_NEW);
	/* What is on its way may be waited for by any number. */
	assert_int_equal(add_at(inflight, "n0.one.example", 1001, 6001, &seen, &ask), INFLIGHT_JOINED);
	inflight_answer(inflight, asks[0], answer);
	assert_int_equal(add_at(inflight, "later.one.example", 1001, 6001, &seen, &ask), INFLIGHT_NEW);
	seen = (struct seen){0};
	inflight_close(inflight, answer);
	dns_answer_unref(answer);
	inflight_free(inflight);
}

static void test_limits_and_close(void **state)
{
	(void)state;
	struct inflight *inflight = inflight_new((struct inflight_limits){5, 2, 10});
	struct seen seen = {0};
	struct dns_ask *ask;
	assert_int_equal(add(inflight, "a.one.example", 1, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "b.one.example", 1, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "a.one.example", 1, &seen, &ask), INFLIGHT_JOINED);
	assert_int_equal(add(inflight, "a.two.test", 1, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "b.two.test", 1, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "a.three.test", 1, &seen, &ask), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "a.four.test", 1, &seen, &ask), INFLIGHT_LIMIT);
	struct dns_answer *closed = failure("closed");
	inflight_close(inflight, closed);
	assert_int_equal(seen.n, 6);
	assert_int_equal(inflight_count(inflight), 0);
	assert_int_equal(add(inflight, "a.one.example", 1, &seen, &ask), INFLIGHT_CLOSED);
	dns_answer_unref(closed);
	inflight_free(inflight);
}

static void test_give_up(void **state)
{
	(void)state;
	struct inflight *inflight = inflight_new((struct inflight_limits){10, 10, 1});
	struct seen seen = {0};
	struct dns_ask *first, *again, *second, *none;
	struct dns_answer *late = failure("late"), *answer = failure("answer"), *closed = failure("closed");
	uint64_t n;
	assert_int_equal(add(inflight, "a.example", 300, &seen, &first), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "a.example", 500, &seen, &none), INFLIGHT_JOINED);
	assert_true(inflight_give_up(inflight, first));
	assert_int_equal(inflight_count(inflight), 0);
	assert_int_equal(seen.n, 0);
	/* No more than one in this test; the question itself may be asked anew. */
	assert_int_equal(add(inflight, "a.example", 600, &seen, &again), INFLIGHT_NEW);
	assert_false(inflight_give_up(inflight, again));
	inflight_answer(inflight, again, answer);
	assert_int_equal(inflight_expire(inflight, 300, late, &n), 500);
	assert_int_equal(inflight_expire(inflight, 500, late, &n), INT64_MAX);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.why[0], "answer");
	assert_string_equal(seen.why[2], "late");
	/* One that nobody waits for does not count. */
	assert_int_equal(add(inflight, "b.example", 600, &seen, &first), INFLIGHT_NEW);
	assert_int_equal(add(inflight, "c.example", 700, &seen, &second), INFLIGHT_NEW);
	inflight_expire(inflight, 600, late, &n);
	assert_true(inflight_give_up(inflight, first));
	assert_true(inflight_give_up(inflight, second));
	assert_int_equal(add(inflight, "d.example", 700, &seen, &first), INFLIGHT_NEW);
	inflight_close(inflight, closed);
	assert_int_equal(seen.n, 6);
	assert_string_equal(seen.why[4], "closed");
	assert_string_equal(seen.why[5], "closed");
	dns_answer_unref(late);
	dns_answer_unref(answer);
	dns_answer_unref(closed);
	inflight_free(inflight);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_share_and_answer),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_limit_of_a_domain),
		cmocka_unit_test(test_limits_and_close),
		cmocka_unit_test(test_give_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
