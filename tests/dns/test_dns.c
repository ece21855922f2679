/* The whole way, against a nameserver on the loopback. */
#include "dns/dns.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server.h"

#define TXT(ttl, text)                                                                                                 \
	{                                                                                                              \
		{                                                                                                      \
			NULL, 16, ttl, text                                                                            \
		}                                                                                                      \
	}
#define TEXT_100 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define TEXT_300 TEXT_100 TEXT_100 TEXT_100
#define TEXT_3000 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300 TEXT_300

static const struct server_rule rules[] = {
	{.name = "a.example", .type = 16, .records = TXT(60, "hello")},
	{.name = "a.example", .way = SERVER_NODATA, .soa_ttl = 60, .soa_minimum = 60},
	{.name = "second.example", .records = TXT(1, "short-lived")},
	{.name = "zero.example", .records = TXT(0, "not to be kept")},
	{.name = "nx.example", .way = SERVER_NXDOMAIN, .soa_ttl = 100, .soa_minimum = 30},
	{.name = "bare-nx.example", .way = SERVER_NXDOMAIN},
	{.name = "*.slow.example", .delay_ms = 600, .records = TXT(60, "at last")},
	{.name = "*.slower.example", .delay_ms = 1500, .records = TXT(60, "at last")},
	{.name = "*.silent.example", .way = SERVER_DROP},
	{.name = "servfail.example", .way = SERVER_SERVFAIL},
	{.name = "refused.example", .way = SERVER_REFUSED},
	{.name = "garbage.example", .way = SERVER_GARBAGE},
	{.name = "wrong-id.example", .way = SERVER_WRONG_ID},
	{.name = "truncated.example", .way = SERVER_TRUNCATE, .records = TXT(60, "over TCP")},
	{.name = "long.example", .records = TXT(60, TEXT_300)},
	{.name = "huge.example", .records = TXT(60, TEXT_3000)},
	{.name = "c1.example", .records = {{NULL, 5, 50, "C2.example"}, {"c2.example", 5, 40, "c3.example"}}},
	{.name = "c2.example", .records = {{NULL, 5, 40, "c3.example"}}},
	{.name = "c3.example", .records = TXT(60, "end of chain")},
	{.name = "to-nothing.example",
		.way = SERVER_NXDOMAIN,
		.soa_ttl = 9,
		.soa_minimum = 9,
		.records = {{NULL, 5, 50, "nx.example"}}},
	{.name = "loop.example", .records = {{NULL, 5, 50, "loop2.example"}}},
	{.name = "loop2.example", .records = {{NULL, 5, 50, "loop.example"}}},
	{.name = "x.test", .records = TXT(60, "test")},
	{.name = "x.invalid", .records = TXT(60, "invalid")},
	{.name = "x.onion", .records = TXT(60, "onion")},
	{.name = "x.home.arpa", .records = TXT(60, "home")},
	{.name = "1.0.0.10.in-addr.arpa", .records = {{NULL, 12, 60, "ten.example"}}},
	{.name = "1.0.168.192.in-addr.arpa", .records = {{NULL, 12, 60, "lan.example"}}},
	{.name = "1.0.0.127.in-addr.arpa", .records = {{NULL, 12, 60, "loop.example"}}},
	{.name = "a\\000\\255\\032b\\092\\034.example", .records = {{NULL, 15, 60, "7 Q\\046W\\092.example"}}},
	{.name = "*.many.example",
		.records = {{NULL, 15, 60, "5 a.example"}, {NULL, 15, 60, "5 b.example"}, {NULL, 15, 60, "5 c.example"},
			{NULL, 15, 60, "5 d.example"}, {NULL, 15, 60, "5 e.example"}}},
	{.name = "*.example", .records = TXT(60, "any")},
	{0},
};

static struct server *server;

static int setup(void **state)
{
	(void)state;
	server = server_start(rules);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server_stop(server);
	return 0;
}

static struct dns *open_dns(struct dns_options options)
{
	struct str address = str_of(server_address(server));
	char error[DNS_ERROR_SIZE] = "";
	struct dns *dns = NULL;
	if (options.n_nameservers == 0 && options.resolv_conf.n == 0) {
		options.nameservers = &address;
		options.n_nameservers = 1;
	}
	if (dns_new(&options, &dns, error) != ERR_OK)
		fail_msg("%s", error);
	return dns;
}

/* What a waiter was told; for any number of questions. */
struct inbox {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t n, n_failed;
	struct dns_answer *last;
};

#define INBOX_INIT                                                                                                     \
	{                                                                                                              \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                                \
	}

static void on_done(void *context, const struct dns_question *question, struct dns_answer *answer)
{
	struct inbox *inbox = context;
	(void)question;
	pthread_mutex_lock(&inbox->mutex);
	inbox->n++;
	inbox->n_failed += answer->status == DNS_FAILED;
	dns_answer_unref(inbox->last);
	inbox->last = answer;
	pthread_cond_signal(&inbox->changed);
	pthread_mutex_unlock(&inbox->mutex);
}

static void wait_for(struct inbox *inbox, size_t n)
{
	pthread_mutex_lock(&inbox->mutex);
	while (inbox->n < n)
		pthread_cond_wait(&inbox->changed, &inbox->mutex);
	pthread_mutex_unlock(&inbox->mutex);
}

static struct dns_answer *lookup(
	struct dns *dns, enum dns_type type, const char *name, unsigned timeout_ms, struct inbox *inbox)
{
	struct dns_question question = {type, str_of(name)};
	return dns_lookup(dns, &question, timeout_ms, on_done, inbox);
}

static struct dns_answer *ask_question(struct dns *dns, const struct dns_question *question, unsigned timeout_ms)
{
	struct inbox inbox = INBOX_INIT;
	struct dns_answer *answer = dns_lookup(dns, question, timeout_ms, on_done, &inbox);
	if (answer != NULL)
		return answer;
	wait_for(&inbox, 1);
	return inbox.last;
}

static struct dns_answer *ask(struct dns *dns, enum dns_type type, const char *name, unsigned timeout_ms)
{
	struct dns_question question = {type, str_of(name)};
	return ask_question(dns, &question, timeout_ms);
}

static void assert_text(struct dns_answer *answer, const char *text)
{
	assert_int_equal(answer->status, DNS_DATA);
	assert_int_equal(answer->n_records, 1);
	assert_true(str_eq(answer->records[0].data, str_of(text)));
	dns_answer_unref(answer);
}

static void assert_failed(struct dns_answer *answer, const char *why)
{
	assert_int_equal(answer->status, DNS_FAILED);
	assert_string_equal(answer->why, why);
	dns_answer_unref(answer);
}

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

static void test_answers(void **state)
{
	static const struct {
		enum dns_type type;
		const char *name;
		enum dns_status status;
		uint32_t ttl;
		const char *data; /* DNS_FAILED: the reason */
	} rows[] = {
		{DNS_TXT, "a.example", DNS_DATA, 60, "hello"},
		{DNS_A, "a.example", DNS_NODATA, 60, NULL},
		{DNS_TXT, "nx.example", DNS_NXDOMAIN, 30, NULL},
		{DNS_TXT, "bare-nx.example", DNS_NXDOMAIN, 0, NULL},
		{DNS_TXT, "servfail.example", DNS_FAILED, 0, "SERVFAIL"},
		{DNS_TXT, "refused.example", DNS_FAILED, 0, "SERVFAIL"}, /* by libunbound, after it has tried all */
		{DNS_TXT, "garbage.example", DNS_FAILED, 0, "SERVFAIL"},
		{DNS_TXT, "truncated.example", DNS_DATA, 60, "over TCP"},
		{DNS_TXT, "long.example", DNS_DATA, 60, TEXT_300},
		{DNS_TXT, "huge.example", DNS_DATA, 60, TEXT_3000},
		{DNS_TXT, "c1.example", DNS_DATA, 40, "end of chain"},
		{DNS_TXT, "to-nothing.example", DNS_NXDOMAIN, 9, NULL},
		{DNS_TXT, "loop.example", DNS_FAILED, 0, "SERVFAIL"},
		{DNS_TXT, "1.slow.example", DNS_DATA, 60, "at last"},
		{DNS_TXT, "1.slower.example", DNS_DATA, 60, "at last"},
		/* What libunbound would not ask of its own accord. */
		{DNS_TXT, "x.test", DNS_DATA, 60, "test"},
		{DNS_TXT, "x.invalid", DNS_DATA, 60, "invalid"},
		{DNS_TXT, "x.onion", DNS_DATA, 60, "onion"},
		{DNS_TXT, "x.home.arpa", DNS_DATA, 60, "home"},
		{DNS_PTR, "1.0.0.10.in-addr.arpa", DNS_DATA, 60, "ten.example"},
		{DNS_PTR, "1.0.168.192.in-addr.arpa", DNS_DATA, 60, "lan.example"},
		{DNS_PTR, "1.0.0.127.in-addr.arpa", DNS_DATA, 60, "loop.example"},
	};
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_answer *answer = ask(dns, rows[i].type, rows[i].name, 0);
		if (answer->status != rows[i].status)
			print_error("%s\n", rows[i].name);
		assert_int_equal(answer->status, rows[i].status);
		assert_in_range(answer->ttl, rows[i].ttl > 3 ? rows[i].ttl - 2 : 0, rows[i].ttl);
		assert_int_equal(answer->security, DNS_SECURITY_UNKNOWN);
		if (rows[i].status == DNS_FAILED)
			assert_failed(answer, rows[i].data);
		else if (rows[i].status == DNS_DATA)
			assert_text(answer, rows[i].data);
		else
			dns_answer_unref(answer);
	}
	assert_true(server_count_tcp(server) >= 2);
	dns_free(dns);
}

static void test_odd_bytes(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct dns_question question = {DNS_MX, STR("a\0\377 b\\\".example")};
	struct dns_answer *answer = ask_question(dns, &question, 0);
	assert_int_equal(answer->status, DNS_DATA);
	assert_int_equal(answer->records[0].preference, 7);
	assert_true(str_eq(answer->records[0].data, STR("q\\046w\\092.example")));
	dns_answer_unref(answer);
	dns_free(dns);
}

/* SPF looks at ten names and no more: which ones they are is not for libunbound's rotation to say. */
static void test_order(void **state)
{
	static const char *const names[] = {"1.many.example", "2.many.example", "3.many.example", "4.many.example"};
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct dns_answer *answer = ask(dns, DNS_MX, names[i], 0);
		assert_int_equal(answer->status, DNS_DATA);
		assert_int_equal(answer->n_records, 5);
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(answer->records[j].data.p[0], "abcde"[j]);
		dns_answer_unref(answer);
	}
	dns_free(dns);
}

static void test_unaskable(void **state)
{
	static const char *const names[] = {"", ".", "a..example", ".a.example", "a.example.",
		"0123456789012345678901234567890123456789012345678901234567890123.example"};
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct dns_answer *answer = lookup(dns, DNS_TXT, names[i], 0, NULL);
		assert_non_null(answer);
		assert_int_equal(answer->status, DNS_NXDOMAIN);
		dns_answer_unref(answer);
	}
	struct dns_counters counters;
	dns_counters(dns, &counters);
	assert_int_equal(counters.sent, 0);
	dns_free(dns);
}

static void test_cache(void **state)
{
	static const struct {
		const char *name;
		unsigned wait_ms;
		uint64_t hits; /* when it is asked twice, with that time in between */
	} rows[] = {
		{"kept1.example", 0, 1},
		{"nx.example", 0, 1},
		{"bare-nx.example", 0, 0},
		{"zero.example", 0, 0},
		{"second.example", 0, 1},
		{"second.example", 1100, 0},
		{"second.example", 2100, 0},
		{"servfail.example", 0, 1},
		{"servfail.example", 1100, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns *dns = open_dns((struct dns_options){0});
		struct dns_counters counters;
		dns_answer_unref(ask(dns, DNS_TXT, rows[i].name, 0));
		sleep_ms(rows[i].wait_ms);
		dns_answer_unref(ask(dns, DNS_TXT, rows[i].name, 0));
		dns_counters(dns, &counters);
		if (counters.cache_hits != rows[i].hits)
			print_error("%s after %u ms\n", rows[i].name, rows[i].wait_ms);
		assert_int_equal(counters.cache_hits, rows[i].hits);
		assert_int_equal(counters.questions, 2);
		assert_int_equal(counters.sent, 2 - rows[i].hits);
		assert_int_equal(counters.in_flight, 0);
		dns_free(dns);
	}
	/* An answer that is over is asked for again, not only of libunbound. */
	assert_true(server_count(server, "second.example") >= 3);
	assert_int_equal(server_count(server, "kept1.example"), 1);
}

static void test_shared_in_flight(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct inbox inbox = INBOX_INIT;
	struct dns_counters counters;
	for (int i = 0; i < 10; i++)
		assert_null(lookup(dns, DNS_TXT, "shared.slow.example", 0, &inbox));
	dns_counters(dns, &counters);
	assert_int_equal(counters.in_flight, 1);
	wait_for(&inbox, 10);
	dns_counters(dns, &counters);
	assert_int_equal(counters.sent, 1);
	assert_int_equal(counters.in_flight, 0);
	assert_int_equal(inbox.n_failed, 0);
	dns_answer_unref(inbox.last);
	dns_free(dns);
}

static void test_late_answer_is_kept(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct inbox patient = INBOX_INIT;
	struct dns_counters counters;
	int64_t start_ms = clock_monotonic_ms();
	assert_null(lookup(dns, DNS_TXT, "late.slower.example", 5000, &patient));
	/* The later and more hasty one is told first. */
	assert_failed(ask(dns, DNS_TXT, "late.slower.example", 200), "timeout");
	assert_in_range(clock_monotonic_ms() - start_ms, 200, 1200);
	assert_int_equal(patient.n, 0);
	wait_for(&patient, 1);
	dns_answer_unref(patient.last);
	assert_text(lookup(dns, DNS_TXT, "late.slower.example", 1, NULL), "at last");
	dns_counters(dns, &counters);
	assert_int_equal(counters.timeouts, 1);
	assert_int_equal(counters.sent, 1);

	assert_failed(ask(dns, DNS_TXT, "late2.slow.example", 100), "timeout");
	sleep_ms(2000);
	assert_text(lookup(dns, DNS_TXT, "late2.slow.example", 1, NULL), "at last");
	dns_free(dns);
}

static void test_silent_names_hold_up_nobody(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct inbox silent = INBOX_INIT;
	char name[64];
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d.silent.example", i);
		assert_null(lookup(dns, DNS_TXT, name, 2500, &silent));
	}
	int64_t start_ms = clock_monotonic_ms(), slowest_ms = 0;
	for (int i = 0; i < 200; i++) {
		int64_t asked_ms = clock_monotonic_ms();
		snprintf(name, sizeof(name), "healthy%d.example", i);
		assert_text(ask(dns, DNS_TXT, name, 0), "any");
		int64_t took_ms = clock_monotonic_ms() - asked_ms;
		slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
		sleep_ms(10);
	}
	assert_true(slowest_ms < 1000);
	wait_for(&silent, 20);
	assert_true(clock_monotonic_ms() - start_ms >= 1000);
	assert_int_equal(silent.n_failed, 20);
	dns_answer_unref(silent.last);
	/* And soon after an outage all is well. */
	assert_text(ask(dns, DNS_TXT, "afterwards.example", 0), "any");
	dns_free(dns);
}

/* A resolver that has most names at hand may still need a second or two for one that it has not. */
static void test_slow_after_quick(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	for (int i = 0; i < 40; i++) {
		char name[64];
		snprintf(name, sizeof(name), "warm%d.example", i);
		assert_text(ask(dns, DNS_TXT, name, 0), "any");
	}
	assert_text(ask(dns, DNS_TXT, "warm.slower.example", 0), "at last");
	dns_free(dns);
}

static void test_limits(void **state)
{
	(void)state;
	struct dns *dns =
		open_dns((struct dns_options){.maximum_per_domain = 2, .maximum_in_flight = 3, .timeout_ms = 300});
	struct inbox inbox = INBOX_INIT;
	struct dns_counters counters;
	assert_null(lookup(dns, DNS_TXT, "a.silent.example", 0, &inbox));
	assert_null(lookup(dns, DNS_TXT, "b.silent.example", 0, &inbox));
	assert_null(lookup(dns, DNS_MX, "x.test", 0, &inbox));
	wait_for(&inbox, 1);
	assert_null(lookup(dns, DNS_TXT, "b.silent.example", 0, &inbox));
	wait_for(&inbox, 4);
	sleep_ms(800);
	/* Nobody waits for the two any more, but they are still on their way, and slow. */
	assert_failed(lookup(dns, DNS_TXT, "c.silent.example", 0, &inbox), "too many questions in flight");
	dns_counters(dns, &counters);
	assert_int_equal(counters.refused_by_limit, 1);
	dns_answer_unref(inbox.last);
	dns_free(dns);
}

/* Eight at a time are four generations of two. */
static void test_oldest_are_crowded_out(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){.maximum_per_domain = 100, .maximum_in_flight = 8});
	struct inbox patient = INBOX_INIT, silent = INBOX_INIT, last = INBOX_INIT;
	struct dns_counters counters;
	char name[64];
	assert_null(lookup(dns, DNS_TXT, "crowd.slow.example", 0, &patient));
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "crowd%d.silent.example", i);
		assert_null(lookup(dns, DNS_TXT, name, 2000, &silent));
	}
	/* Its generation is no longer asked, but there are not yet too many. */
	wait_for(&patient, 1);
	assert_text(patient.last, "at last");
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "crowd%d.silent.example", 10 + i);
		assert_null(lookup(dns, DNS_TXT, name, 0, &last));
		snprintf(name, sizeof(name), "uncrowded%d.example", i);
		assert_text(ask(dns, DNS_TXT, name, 0), "any");
	}
	dns_counters(dns, &counters);
	assert_int_equal(counters.crowded_out, 5);
	assert_int_equal(counters.in_flight, 7);
	/* Who waits for them is not told before the time. */
	assert_int_equal(silent.n, 0);
	wait_for(&silent, 6);
	assert_failed(silent.last, "timeout");
	assert_int_equal(last.n, 0);
	/* Nobody has learned anything of them, and they may be asked for again. */
	assert_failed(ask(dns, DNS_TXT, "crowd0.silent.example", 100), "timeout");
	dns_counters(dns, &counters);
	assert_int_equal(counters.sent, 1 + 6 + 12 + 1);
	dns_free(dns);
	assert_int_equal(last.n, 6);
	assert_failed(last.last, "shutting down");
}

static void test_wrong_id_is_no_answer(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	assert_failed(ask(dns, DNS_TXT, "wrong-id.example", 700), "timeout");
	dns_free(dns);
}

static void test_free_in_flight(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct inbox inbox = INBOX_INIT;
	char name[64];
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%d.silent.example", i / 2);
		assert_null(lookup(dns, DNS_TXT, name, 0, &inbox));
	}
	sleep_ms(100);
	assert_null(lookup(dns, DNS_TXT, "last.silent.example", 0, &inbox));
	dns_free(dns);
	assert_int_equal(inbox.n, 9);
	assert_failed(inbox.last, "shutting down");
}

static void test_free_unused(void **state)
{
	(void)state;
	dns_free(open_dns((struct dns_options){0}));
	dns_free(NULL);
}

/* Asks again from within done(), as auth does. */
struct again {
	struct dns *dns;
	struct inbox inbox;
};

static void on_again(void *context, const struct dns_question *question, struct dns_answer *answer)
{
	struct again *again = context;
	struct dns_question next = {DNS_TXT, STR("again2.example")};
	assert_true(str_eq(question->name, STR("again1.example")));
	dns_answer_unref(answer);
	answer = dns_lookup(again->dns, &next, 0, on_done, &again->inbox);
	if (answer != NULL)
		on_done(&again->inbox, &next, answer);
}

static void test_ask_from_done(void **state)
{
	(void)state;
	struct again again = {open_dns((struct dns_options){0}), INBOX_INIT};
	struct dns_question question = {DNS_TXT, STR("again1.example")};
	assert_null(dns_lookup(again.dns, &question, 0, on_again, &again));
	wait_for(&again.inbox, 1);
	assert_text(again.inbox.last, "any");
	dns_free(again.dns);
}

static void test_nobody_listens(void **state)
{
	(void)state;
	struct server *gone = server_start(rules);
	char address[64];
	snprintf(address, sizeof(address), "%s", server_address(gone));
	server_stop(gone);
	struct str dead[] = {str_of(address), STR("127.0.0.1@1")},
		   half_dead[] = {str_of(address), str_of(server_address(server))};
	struct dns *dns = open_dns((struct dns_options){.nameservers = dead, .n_nameservers = 2});
	int64_t start_ms = clock_monotonic_ms();
	assert_failed(ask(dns, DNS_TXT, "a.example", 0), "nameserver unreachable");
	assert_true(clock_monotonic_ms() - start_ms < 2000);
	dns_free(dns);
	/* One that answers is enough. */
	dns = open_dns((struct dns_options){.nameservers = half_dead, .n_nameservers = 2});
	for (int i = 0; i < 6; i++) {
		char name[64];
		snprintf(name, sizeof(name), "half%d.example", i);
		assert_text(ask(dns, DNS_TXT, name, 0), "any");
	}
	dns_free(dns);
}

static void write_file(const char *path, const char *text)
{
	char fresh[128];
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	FILE *file = fopen(fresh, "w");
	fputs(text, file);
	fclose(file);
	rename(fresh, path);
}

static void test_resolv_conf_changes(void **state)
{
	static const struct server_rule other_rules[] = {{.name = "*.example", .records = TXT(60, "other")}, {0}};
	(void)state;
	struct server *other = server_start(other_rules);
	char path[] = "resolv.conf.XXXXXX", text[128];
	close(mkstemp(path));
	snprintf(text, sizeof(text), "nameserver %s\n", server_address(server));
	write_file(path, text);
	struct dns *dns = open_dns((struct dns_options){.resolv_conf = str_of(path)});
	struct inbox inbox = INBOX_INIT;
	assert_text(ask(dns, DNS_TXT, "before.example", 0), "any");
	sleep_ms(2000);
	assert_null(lookup(dns, DNS_TXT, "old.slower.example", 0, &inbox));
	snprintf(text, sizeof(text), "# moved\nnameserver %s\n", server_address(other));
	write_file(path, text);
	sleep_ms(1100);
	assert_text(ask(dns, DNS_TXT, "new.example", 0), "other");
	/* What was out goes on where it was asked. */
	wait_for(&inbox, 1);
	assert_text(inbox.last, "at last");
	unlink(path);
	sleep_ms(3100);
	assert_text(ask(dns, DNS_TXT, "no-file.example", 0), "other");
	dns_free(dns);
	server_stop(other);
}

static void test_fetch(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){0});
	struct arena *arena = arena_new(0);
	struct answers *answers = answers_new(arena);
	assert_null(answers_get(answers, DNS_TXT, STR("A.Example.")));
	answers_want(answers, DNS_TXT, STR("fetch.slow.example"));
	answers_want(answers, DNS_TXT, STR("fetch.silent.example"));
	answers_want(answers, DNS_TXT, STR("nx.example"));
	int64_t start_ms = clock_monotonic_ms();
	dns_fetch(dns, answers, 2500);
	assert_in_range(clock_monotonic_ms() - start_ms, 2500, 4500);
	assert_int_equal(answers_outstanding(answers), 0);
	assert_int_equal(answers_get(answers, DNS_TXT, STR("a.example"))->status, DNS_DATA);
	assert_int_equal(answers_get(answers, DNS_TXT, STR("fetch.slow.example"))->status, DNS_DATA);
	assert_int_equal(answers_get(answers, DNS_TXT, STR("nx.example"))->status, DNS_NXDOMAIN);
	assert_string_equal(answers_get(answers, DNS_TXT, STR("fetch.silent.example"))->why, "timeout");
	arena_free(arena);
	dns_free(dns);
}

#define N_THREADS 4
#define N_ROUNDS 3000

static void *hammer(void *arg)
{
	struct dns *dns = arg;
	struct inbox inbox = INBOX_INIT;
	size_t n_waiting = 0;
	for (int i = 0; i < N_ROUNDS; i++) {
		char name[64];
		snprintf(name, sizeof(name), "t%d.%s.example", i % 97, i % 5 == 0 ? "slow" : "quick");
		struct dns_answer *answer = lookup(dns, DNS_TXT, name, 1 + (unsigned)i % 1000, &inbox);
		n_waiting += answer == NULL;
		dns_answer_unref(answer);
		if (i % 100 == 0)
			sleep_ms(10);
	}
	wait_for(&inbox, n_waiting);
	assert_int_equal(inbox.n, n_waiting);
	dns_answer_unref(inbox.last);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct dns *dns = open_dns((struct dns_options){.maximum_per_domain = 1000});
	pthread_t threads[N_THREADS];
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, hammer, dns);
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	/* On a busy machine their answers may all come behind the last of their questions; these questions find them.
	 */
	hammer(dns);
	struct dns_counters counters;
	dns_counters(dns, &counters);
	assert_int_equal(counters.questions, (N_THREADS + 1) * N_ROUNDS);
	assert_true(counters.cached >= 50);
	dns_free(dns);
}

static void test_zone_file(void **state)
{
	(void)state;
	char path[] = "zone.XXXXXX", error[DNS_ERROR_SIZE];
	close(mkstemp(path));
	write_file(path, "a.example TXT from the file\n");
	struct dns_options options = {.zone_file = str_of(path)};
	struct dns *dns = open_dns(options);
	assert_text(lookup(dns, DNS_TXT, "a.example", 0, NULL), "from the file");
	write_file(path, "a.example TXT from another\n");
	assert_text(lookup(dns, DNS_TXT, "a.example", 0, NULL), "from the file");
	assert_int_equal(dns_reread(dns, error), ERR_OK);
	assert_text(lookup(dns, DNS_TXT, "a.example", 0, NULL), "from another");
	write_file(path, "a.example TXT\tx\nb.example TXT\n");
	assert_int_equal(dns_reread(dns, error), ERR_CONFIG);
	assert_non_null(strstr(error, ":2: TXT without a value"));
	assert_text(lookup(dns, DNS_TXT, "a.example", 0, NULL), "from another");
	dns_free(dns);
	assert_int_equal(dns_new(&options, &dns, error), ERR_CONFIG);
	assert_non_null(strstr(error, ":2: TXT without a value"));
	unlink(path);
	assert_int_equal(dns_new(&options, &dns, error), ERR_IO);
}

static void test_bad_options(void **state)
{
	static const struct str bad = STR_INIT("ns.example"), good = STR_INIT("127.0.0.1@53");
	const struct {
		struct dns_options options;
		enum err err;
		const char *error;
	} rows[] = {
		{{.nameservers = &bad, .n_nameservers = 1}, ERR_CONFIG,
			"nameserver ns.example: neither ADDR nor ADDR@PORT"},
		{{.resolv_conf = STR("/nonexistent/resolv.conf")}, ERR_IO,
			"/nonexistent/resolv.conf: No such file or directory"},
		{{.nameservers = &good, .n_nameservers = 1, .trust_anchor_file = STR("/nonexistent/key")}, ERR_IO,
			"/nonexistent/key: No such file or directory"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[DNS_ERROR_SIZE] = "";
		struct dns *dns = NULL;
		assert_int_equal(dns_new(&rows[i].options, &dns, error), rows[i].err);
		assert_string_equal(error, rows[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_unaskable),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_shared_in_flight),
		cmocka_unit_test(test_late_answer_is_kept),
		cmocka_unit_test(test_silent_names_hold_up_nobody),
		cmocka_unit_test(test_slow_after_quick),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_oldest_are_crowded_out),
		cmocka_unit_test(test_wrong_id_is_no_answer),
		cmocka_unit_test(test_free_in_flight),
		cmocka_unit_test(test_free_unused),
		cmocka_unit_test(test_ask_from_done),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_resolv_conf_changes),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_zone_file),
		cmocka_unit_test(test_bad_options),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
