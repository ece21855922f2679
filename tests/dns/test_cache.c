#include "dns/cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct dns_question question_of(const char *name)
{
	return (struct dns_question){DNS_TXT, str_of(name)};
}

static struct dns_answer *answer_of(enum dns_status status, uint32_t ttl, const char *text)
{
	struct dns_record record = {.data = str_of(text)};
	struct dns_answer *answer = dns_answer_new(status, &record, status == DNS_DATA);
	answer->ttl = ttl;
	return answer;
}

static void put(struct cache *cache, const char *name, struct dns_answer *answer, int64_t now_ms)
{
	struct dns_question question = question_of(name);
	cache_stamp(answer, now_ms);
	cache_put(cache, &question, answer, now_ms);
	dns_answer_unref(answer);
}

static bool has(struct cache *cache, const char *name, int64_t now_ms)
{
	struct dns_question question = question_of(name);
	struct dns_answer *answer = cache_get(cache, &question, now_ms);
	dns_answer_unref(answer);
	return answer != NULL;
}

static void test_lifetimes(void **state)
{
	static const struct {
		enum dns_status status;
		uint32_t ttl;
		int64_t kept_ms;
	} rows[] = {
		{DNS_DATA, 60, 60000},
		{DNS_DATA, 0, 0}, /* RFC 1035 section 3.2.1: not to be kept */
		{DNS_DATA, 1, 1000},
		{DNS_DATA, INT32_MAX, 86400000},
		{DNS_NODATA, 30, 30000},
		{DNS_NODATA, 0, 0}, /* no SOA: RFC 2308 section 5 */
		{DNS_NXDOMAIN, 30, 30000},
		{DNS_NXDOMAIN, 86400, 3600000},
		{DNS_FAILED, 0, 1000},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cache *cache = cache_new(1 << 20);
		put(cache, "a.example", answer_of(rows[i].status, rows[i].ttl, "x"), 5000);
		if (rows[i].kept_ms > 0)
			assert_true(has(cache, "a.example", 5000 + rows[i].kept_ms - 1));
		assert_false(has(cache, "a.example", 5000 + rows[i].kept_ms));
		struct cache_counters counters;
		cache_counters(cache, &counters);
		assert_int_equal(counters.answers, 0);
		assert_int_equal(counters.bytes, 0);
		cache_free(cache);
	}
}

static void test_question_is_type_and_name(void **state)
{
	(void)state;
	struct cache *cache = cache_new(1 << 20);
	put(cache, "a.example", answer_of(DNS_DATA, 60, "x"), 0);
	struct dns_question other = {DNS_A, STR("a.example")};
	assert_null(cache_get(cache, &other, 0));
	assert_false(has(cache, "b.example", 0));
	assert_false(has(cache, "a.exampl", 0));
	assert_true(has(cache, "a.example", 0));
	cache_free(cache);
}

static void test_newer_answer_replaces(void **state)
{
	(void)state;
	struct cache *cache = cache_new(1 << 20);
	struct dns_question question = question_of("a.example");
	put(cache, "a.example", answer_of(DNS_DATA, 60, "old"), 0);
	struct dns_answer *old = cache_get(cache, &question, 1);
	put(cache, "a.example", answer_of(DNS_DATA, 60, "new"), 2);
	struct dns_answer *fresh = cache_get(cache, &question, 3);
	assert_true(str_eq(fresh->records[0].data, STR("new")));
	/* Whoever has the old one may go on reading it. */
	assert_true(str_eq(old->records[0].data, STR("old")));
	struct cache_counters counters;
	cache_counters(cache, &counters);
	assert_int_equal(counters.answers, 1);
	cache_free(cache);
	assert_true(str_eq(fresh->records[0].data, STR("new")));
	dns_answer_unref(old);
	dns_answer_unref(fresh);
}

static void test_bounded_in_bytes(void **state)
{
	(void)state;
	const size_t bytes = 256 * 1024;
	struct cache *cache = cache_new(bytes);
	struct cache_counters counters;
	for (int i = 0; i < 20000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example", i);
		put(cache, name, answer_of(DNS_DATA, 3600, "v=spf1 include:_spf.example -all"), 0);
		/* What is read now and then stays. */
		if (i > 0)
			assert_true(has(cache, "n0.example", 0));
	}
	cache_counters(cache, &counters);
	assert_true(counters.bytes <= bytes);
	assert_true(counters.answers > 500);
	assert_true(counters.answers < 5000);
	assert_true(has(cache, "n19999.example", 0));
	assert_false(has(cache, "n1.example", 0));
	cache_free(cache);
}

static void test_answer_too_large(void **state)
{
	(void)state;
	struct cache *cache = cache_new(4096);
	static char large[8192];
	memset(large, 'x', sizeof(large) - 1);
	put(cache, "small.example", answer_of(DNS_DATA, 60, "x"), 0);
	put(cache, "large.example", answer_of(DNS_DATA, 60, large), 0);
	assert_false(has(cache, "large.example", 0));
	assert_true(has(cache, "small.example", 0));
	cache_free(cache);
}

#define N_NAMES 500

static void *hammer(void *arg)
{
	struct cache *cache = arg;
	for (int i = 0; i < 20000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%d.example", i * 7 % N_NAMES);
		if (!has(cache, name, i))
			put(cache, name, answer_of(DNS_DATA, 1, "x"), i);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct cache *cache = cache_new(64 * 1024);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hammer, cache);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	struct cache_counters counters;
	cache_counters(cache, &counters);
	assert_int_equal(counters.hits + counters.misses, 4 * 20000);
	cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_question_is_type_and_name),
		cmocka_unit_test(test_newer_answer_replaces),
		cmocka_unit_test(test_bounded_in_bytes),
		cmocka_unit_test(test_answer_too_large),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
