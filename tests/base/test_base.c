#include "test.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/answer.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/domain.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/map.h"

/* ---- str ---- */

static void cut_gives_each_word_and_ends(void **state)
{
	(void)state;
	struct str rest = STR("a,,b,"), word;
	const char *wanted[] = {"a", "", "b", ""};
	for (size_t i = 0; i < COUNT(wanted); i++) {
		assert_true(str_cut(&rest, ',', &word));
		check_str("word", word, wanted[i]);
	}
	assert_false(str_cut(&rest, ',', &word));
}

static void numbers_are_digits_within_range(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} rows[] = {
		{"0", true, 0},
		{"4294967296", true, 4294967296u},
		{"18446744073709551615", true, UINT64_MAX},
		{"18446744073709551616", false, 0},
		{"99999999999999999999999", false, 0},
		{"", false, 0},
		{"+1", false, 0},
		{"1 ", false, 0},
		{"-1", false, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t value = 77;
		check_int(rows[i].text, str_to_u64(str_of(rows[i].text), UINT64_MAX, &value), rows[i].ok);
		check_int(rows[i].text, (long long)value, (long long)(rows[i].ok ? rows[i].value : 77));
	}
	uint64_t value;
	assert_false(str_to_u64(STR("11"), 10, &value));
}

/* ---- arena ---- */

static void count(void *counter)
{
	++*(int *)counter;
}

static void arena_jumps_at_its_cap_and_cleans_up(void **state)
{
	(void)state;
	struct arena *arena = arena_new(100000);
	volatile int jumped = 0;
	int cleaned = 0;
	jmp_buf boundary;
	arena_on_reset(arena, count, &cleaned);
	if (setjmp(boundary) == 0) {
		arena_set_boundary(arena, &boundary);
		for (int i = 0; i < 1000; i++)
			arena_alloc(arena, 1000);
	} else {
		jumped = 1;
	}
	assert_int_equal(jumped, 1);
	assert_null(arena_try_alloc(arena, SIZE_MAX - 5));
	arena_reset(arena);
	assert_int_equal(cleaned, 1);
	assert_int_equal(arena_used(arena), 0);
	assert_non_null(arena_try_alloc(arena, 99000));
	arena_free(arena);
}

static void arenas_share_what_a_meter_allows(void **state)
{
	(void)state;
	struct arena_meter meter = {.limit = 1000000};
	struct arena *large = arena_new(0), *small = arena_new(0);
	arena_set_meter(large, &meter);
	arena_set_meter(small, &meter);
	assert_non_null(arena_try_alloc(large, 900000));
	assert_null(arena_try_alloc(large, 200000));
	assert_null(arena_try_alloc(small, 200000));
	assert_int_equal(meter.held, arena_held(large));
	/* Who needs little gets it whatever the others hold. */
	while (arena_held(small) < ARENA_SMALL - 20000)
		assert_non_null(arena_try_alloc(small, 1000));
	assert_null(arena_try_alloc(small, 100000));
	assert_int_equal(meter.held, arena_held(large) + arena_held(small));
	arena_free(large);
	assert_int_equal(meter.held, arena_held(small));
	assert_non_null(arena_try_alloc(small, 900000));
	arena_reset(small);
	assert_in_range(meter.held, 1, ARENA_SMALL);
	struct arena *within = arena_new_within(small);
	assert_non_null(arena_try_alloc(within, 500000));
	assert_in_range(meter.held, 500000, 600000);
	arena_free(small);
	assert_int_equal(meter.held, 0);
}

static void arena_within_another_fails_to_its_boundary_and_goes_with_it(void **state)
{
	(void)state;
	struct arena *parent = arena_new(0), *within = arena_new_within(parent);
	jmp_buf boundary;
	int cleaned = 0;
	volatile bool jumped = false;
	arena_on_reset(within, count, &cleaned);
	if (setjmp(boundary) == 0) {
		arena_set_boundary(parent, &boundary);
		arena_alloc(within, SIZE_MAX);
	} else {
		jumped = true;
	}
	assert_true(jumped);
	assert_int_equal(cleaned, 0);
	arena_reset(parent);
	assert_int_equal(cleaned, 1);
	arena_free(parent);
}

static void arena_memory_is_zero_also_after_reset(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (int round = 0; round < 3; round++) {
		for (size_t n = 1; n < 40000; n = n * 3 + 1) {
			unsigned char *p = arena_alloc(arena, n);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xff, n);
		}
		arena_reset(arena);
	}
	arena_free(arena);
}

/* ---- domain ---- */

static void domains_become_canonical_or_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *wanted; /* NULL: refused */
	} rows[] = {
		{"Example.COM", "example.com"}, {"example.com.", "example.com"},
		{"b\xc3\xbc"
		 "cher.example",
			"xn--bcher-kva.example"},
		{"B\xc3\x9c"
		 "CHER.example",
			"xn--bcher-kva.example"},
		{"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* non-transitional */
		{"a\xe3\x80\x82"
		 "b",
			"a.b"}, /* ideographic full stop */
		{"_dmarc.example", "_dmarc.example"}, {"", NULL}, {".", NULL}, {"a..b", NULL}, {".a", NULL},
		{"a.b..", NULL}, {"\xff\xfe.example", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", NULL}, /* 64 bytes */
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str domain;
		bool ok = domain_normalize(arena, str_of(rows[i].text), &domain);
		check_int(rows[i].text, ok, rows[i].wanted != NULL);
		if (ok)
			check_str(rows[i].text, domain, rows[i].wanted);
	}
	arena_free(arena);
}

static void a_domain_is_within_itself_and_its_ancestors_only(void **state)
{
	(void)state;
	assert_true(domain_is_within(STR("a.b.c"), STR("b.c")));
	assert_true(domain_is_within(STR("b.c"), STR("b.c")));
	assert_false(domain_is_within(STR("ab.c"), STR("b.c")));
	assert_false(domain_is_within(STR("c"), STR("b.c")));
	assert_false(domain_is_within(STR("b.c"), STR("")));
	check_str("last labels", domain_last_labels(STR("a.b.c.d"), 2), "c.d");
	check_str("parent", domain_parent(STR("a.b")), "b");
	check_str("parent of one", domain_parent(STR("a")), "");
}

/* ---- ip ---- */

static void networks_hold_what_they_should(void **state)
{
	(void)state;
	static const struct {
		const char *network, *ip;
		int in; /* -1: the network is malformed */
	} rows[] = {
		{"192.0.2.0/24", "192.0.2.255", 1},
		{"192.0.2.0/24", "192.0.3.0", 0},
		{"192.0.2.1", "192.0.2.1", 1},
		{"192.0.2.1", "192.0.2.2", 0},
		{"0.0.0.0/0", "203.0.113.9", 1},
		{"0.0.0.0/0", "2001:db8::1", 0},
		{"2001:db8::/33", "2001:db8:7fff::1", 1},
		{"2001:db8::/33", "2001:db8:8000::1", 0},
		{"[2001:db8::1]", "2001:db8::1", 1},
		{"192.0.2.0/24", "::ffff:192.0.2.9", 1},
		{"::ffff:192.0.2.0/120", "192.0.2.9", 1},
		{"::ffff:192.0.2.0/120", "192.0.3.9", 0},
		{"::ffff:192.0.2.0/24", "192.0.2.9", -1},
		{"::ffff:192.0.2.0/95", "192.0.2.9", -1},
		{"::ffff:192.0.2.0/129", "192.0.2.9", -1},
		{"::ffff:192.0.2.0/96", "203.0.113.9", 1},
		{"::ffff:192.0.2.9", "192.0.2.9", 1},
		{"::ffff:192.0.2.9", "192.0.2.8", 0},
		{"2001:db8::/129", "2001:db8::1", -1},
		{"[192.0.2.1", "192.0.2.1", -1},
		{"192.0.2.1]", "192.0.2.1", -1},
		{"192.0.2.0/33", "192.0.2.9", -1},
		{"192.0.2/24", "192.0.2.9", -1},
		{"192.0.2.0/", "192.0.2.9", -1},
		{"", "192.0.2.9", -1},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ip_network network;
		struct ip ip;
		assert_true(ip_parse(str_of(rows[i].ip), &ip));
		int in = ip_network_parse(str_of(rows[i].network), &network) ? ip_in_network(&ip, &network) : -1;
		check_int(rows[i].network, in, rows[i].in);
	}
}

static void addresses_come_in_other_forms(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t n;
		const char *text;
		bool is_loopback;
	} rows[] = {
		{"\xc0\0\2\1", 4, "192.0.2.1", false},
		{"\x7f\1\2\3", 4, "127.1.2.3", true},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, "::1", true},
		{"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16, "2001:db8::1", false},
		{"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16, "192.0.2.1", false},
		{"\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16, "127.0.0.1", true},
		{"", 0, "local", false},
		{"\xc0\0\2", 3, "local", false},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ip ip = ip_from_bytes(str_from(rows[i].bytes, rows[i].n)), of_socket;
		struct sockaddr_storage address = {.ss_family = AF_UNIX};
		char text[IP_TEXT_SIZE];
		check_str(rows[i].text, str_of(ip_text(&ip, text)), rows[i].text);
		check_int(rows[i].text, ip_is_loopback(&ip), rows[i].is_loopback);
		check_int(rows[i].text, ip_eq(&ip, &ip), ip.family != IP_NONE);
		if (rows[i].n == 4) {
			struct sockaddr_in in = {.sin_family = AF_INET};
			memcpy(&in.sin_addr, rows[i].bytes, 4);
			memcpy(&address, &in, sizeof(in));
		} else if (rows[i].n == 16) {
			struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
			memcpy(&in6.sin6_addr, rows[i].bytes, 16);
			memcpy(&address, &in6, sizeof(in6));
		}
		of_socket = ip_from_sockaddr((const struct sockaddr *)&address);
		check_str(rows[i].text, str_of(ip_text(&of_socket, text)), rows[i].text);
	}
	assert_int_equal(ip_from_sockaddr(NULL).family, IP_NONE);
}

/* ---- answers ---- */

static void a_missing_answer_is_wanted_once_and_found_when_it_came(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct answers *answers = answers_new(arena);
	struct dns_question question;
	const struct dns_record record = {.data = STR_INIT("v=spf1")};
	assert_null(answers_get(answers, DNS_TXT, STR("Example.com.")));
	assert_null(answers_get(answers, DNS_TXT, STR("example.COM")));
	answers_want(answers, DNS_A, STR("example.com"));
	assert_int_equal(answers_outstanding(answers), 2);
	assert_true(answers_next_wanted(answers, &question));
	check_str("name", question.name, "example.com");
	answers_put(answers, &question, dns_answer_new(DNS_DATA, &record, 1));
	check_str("data", answers_get(answers, DNS_TXT, STR("example.com"))->records[0].data, "v=spf1");
	assert_true(answers_next_wanted(answers, &question));
	assert_false(answers_next_wanted(answers, &question));
	assert_int_equal(answers_get(answers, DNS_TXT, STR("a..b"))->status, DNS_NXDOMAIN);
	answers_give_up(answers);
	assert_int_equal(answers_get(answers, DNS_A, STR("example.com"))->status, DNS_FAILED);
	assert_int_equal(answers_get(answers, DNS_MX, STR("new.example"))->status, DNS_FAILED);
	assert_int_equal(answers_outstanding(answers), 0);
	arena_free(arena);
}

/* ---- json, map ---- */

static void json_is_utf8_whatever_comes_in(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct buf out = buf_in(arena);
	struct json json = json_to(&out);
	json_object_begin(&json, NULL);
	json_str(&json, "a", STR("\"\\\n\xc3\xbc\xff\xed\xa0\x80"));
	json_array_begin(&json, "b");
	json_int(&json, NULL, -1);
	json_bool(&json, NULL, true);
	json_array_end(&json);
	json_cstr(&json, "c", NULL);
	json_str(&json, "d", STR(""));
	json_str_or_null(&json, "e", STR(""));
	json_str_or_null(&json, "f", STR("x"));
	json_object_end(&json);
	check_str("json", buf_str(&out),
		"{\"a\":\"\\\"\\\\\\u000a\xc3\xbc\\u00ff\\u00ed\\u00a0\\u0080\",\"b\":[-1,true],\"c\":null,"
		"\"d\":\"\",\"e\":null,\"f\":\"x\"}");
	arena_free(arena);
}

static void map_finds_what_was_put_first(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct map *map = map_new(arena);
	for (uintptr_t i = 1; i <= 5000; i++)
		assert_true(map_put(map, arena_printf(arena, "key%zu", (size_t)i), (void *)i));
	assert_false(map_put(map, STR("key17"), arena));
	assert_int_equal(map_count(map), 5000);
	assert_int_equal((uintptr_t)map_get(map, STR("key17")), 17);
	assert_int_equal((uintptr_t)map_get(map, STR("key5000")), 5000);
	assert_null(map_get(map, STR("key5001")));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_gives_each_word_and_ends),
		cmocka_unit_test(numbers_are_digits_within_range),
		cmocka_unit_test(arena_jumps_at_its_cap_and_cleans_up),
		cmocka_unit_test(arenas_share_what_a_meter_allows),
		cmocka_unit_test(arena_within_another_fails_to_its_boundary_and_goes_with_it),
		cmocka_unit_test(arena_memory_is_zero_also_after_reset),
		cmocka_unit_test(domains_become_canonical_or_are_refused),
		cmocka_unit_test(a_domain_is_within_itself_and_its_ancestors_only),
		cmocka_unit_test(networks_hold_what_they_should),
		cmocka_unit_test(addresses_come_in_other_forms),
		cmocka_unit_test(a_missing_answer_is_wanted_once_and_found_when_it_came),
		cmocka_unit_test(json_is_utf8_whatever_comes_in),
		cmocka_unit_test(map_finds_what_was_put_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
