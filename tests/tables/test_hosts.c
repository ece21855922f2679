/*
 * Which clients are in a set: opendkim.conf(5), PeerList, says "more precise entries are preferred".
 */
#include "test.h"

#include "tables/hosts.h"

static struct hosts *build(struct arena *arena, struct diag *diag, const char *list, enum dataset_kind kind)
{
	struct dataset dataset = {.kind = kind};
	struct hosts *hosts = NULL;
	dataset_parse_list(arena, str_of(list), (struct diag_place){"hosts", 1}, &dataset);
	hosts_build(arena, &dataset, diag, &hosts);
	return hosts;
}

static const struct {
	const char *what;
	const char *list;
	const char *client; /* NULL: local */
	const char *name;
	bool member;
} rows[] = {
	{"an address", "192.0.2.1", "192.0.2.1", "", true},
	{"another address", "192.0.2.1", "192.0.2.2", "", false},
	{"an address in brackets", "[192.0.2.1]", "192.0.2.1", "", true},
	{"IPv6 in any form", "2001:DB8:0::1", "2001:db8::1", "", true},
	{"a mapped client is an IPv4 client", "192.0.2.1", "::ffff:192.0.2.1", "", true},
	{"a mapped entry is an IPv4 entry", "::ffff:192.0.2.1", "192.0.2.1", "", true},
	{"a network", "192.0.2.0/24", "192.0.2.255", "", true},
	{"beyond a network", "192.0.2.0/24", "192.0.3.0", "", false},
	{"bits beyond the prefix do not count", "192.0.2.77/24", "192.0.2.1", "", true},
	{"an odd prefix", "192.0.2.128/25", "192.0.2.127", "", false},
	{"an odd prefix, inside", "192.0.2.128/25", "192.0.2.129", "", true},
	{"all of IPv4", "0.0.0.0/0", "203.0.113.9", "", true},
	{"all of IPv4 has no IPv6", "0.0.0.0/0", "2001:db8::1", "", false},
	{"a network of IPv6", "2001:db8::/33", "2001:db8:7fff::1", "", true},
	{"beyond a network of IPv6", "2001:db8::/33", "2001:db8:8000::1", "", false},
	{"excluded from a network", "192.0.2.0/24,!192.0.2.1", "192.0.2.1", "", false},
	{"excluded, but more precisely included", "192.0.2.1,!192.0.2.0/24", "192.0.2.1", "", true},
	{"order does not matter", "!192.0.2.1,192.0.2.0/24", "192.0.2.1", "", false},
	{"an exclusion alone includes nothing", "!192.0.2.1", "192.0.2.2", "", false},
	{"a host name", "mail.example.com", "203.0.113.1", "Mail.Example.COM", true},
	{"a host name with a dot at its end", "mail.example.com", "203.0.113.1", "mail.example.com.", true},
	{"not below a host name", "example.com", "203.0.113.1", "mail.example.com", false},
	{"below a domain", ".example.com", "203.0.113.1", "a.b.example.com", true},
	{"a domain is not below itself", ".example.com", "203.0.113.1", "example.com", false},
	{"a name that only ends alike", ".example.com", "203.0.113.1", "badexample.com", false},
	{"the nearer domain decides", ".example.com,!.b.example.com", "203.0.113.1", "a.b.example.com", false},
	{"the name decides before the domain", "!.example.com,a.example.com", "203.0.113.1", "a.example.com", true},
	{"a network decides before a name", "mail.example.com,!203.0.113.0/24", "203.0.113.1", "mail.example.com",
		false},
	{"an unknown name", "unknown", "203.0.113.1", "unknown", false},
	{"an address in the place of a name", ".113.1]", "203.0.113.1", "[203.0.113.1]", false},
	{"local submission", "local", NULL, "", true},
	{"local submission is not loopback", "127.0.0.1", NULL, "localhost", false},
	{"loopback is not local submission", "local", "127.0.0.1", "", false},
	{"local submission excluded", "local,!local", NULL, "", false},
};

static void members_are_found(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag diag = diag_in(arena);
		struct hosts *hosts = build(arena, &diag, rows[i].list, DATASET_FILE);
		struct ip client = {.family = IP_NONE};
		if (rows[i].client != NULL)
			assert_true(ip_parse(str_of(rows[i].client), &client));
		check_int(rows[i].what, hosts_contain(hosts, &client, str_of(rows[i].name)), rows[i].member);
	}
	struct ip client = {.family = IP_NONE};
	assert_false(hosts_contain(NULL, &client, STR("")));
	arena_free(arena);
}

static const struct {
	const char *what, *list, *client, *name;
	bool member;
} pattern_rows[] = {
	{"below a domain", "*.example.com", "203.0.113.1", "a.b.example.com", true},
	{"a pattern in the middle", "mx*.example.com", "203.0.113.1", "mx7.example.com", true},
	{"another host", "mx*.example.com", "203.0.113.1", "web.example.com", false},
	{"a pattern of addresses", "203.0.113.*", "203.0.113.77", "", true},
	{"the first in the file decides", "!mx1*.example.com,mx*.example.com", "203.0.113.1", "mx10.example.com",
		false},
	{"no name, no match", "*", "203.0.113.1", "", true},
};

static void patterns_match_names_and_addresses(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(pattern_rows); i++) {
		struct diag diag = diag_in(arena);
		struct hosts *hosts = build(arena, &diag, pattern_rows[i].list, DATASET_REFILE);
		struct ip client;
		assert_true(ip_parse(str_of(pattern_rows[i].client), &client));
		check_int(pattern_rows[i].what, hosts_contain(hosts, &client, str_of(pattern_rows[i].name)),
			pattern_rows[i].member);
	}
	arena_free(arena);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *entry;
		size_t errors, entries;
		const char *part;
	} mistakes[] = {
		{"192.0.2/24", 1, 1, "hosts:1: \"192.0.2/24\" is not a network"},
		{"10.0.0.0/33", 1, 1, "is not a network"},
		{"10.0.0.0/255.0.0.0", 1, 1, "is not a network"},
		{"2001:db8::/129", 1, 1, "is not a network"},
		{"joe@example.com", 1, 1, "nor a host name"},
		{"!", 1, 1, "'!' with nothing behind it"},
		{"*.example.com", 0, 1, "write .example.com"},
		{"192.0.2.1,!192.0.2.1", 0, 1, "contradicts line 1"},
		{"192.0.2.1,192.0.2.1", 0, 0, ""},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag = diag_in(arena);
		struct hosts *hosts = build(arena, &diag, mistakes[i].entry, DATASET_FILE);
		check_int(mistakes[i].entry, (long long)diag.n_errors, (long long)mistakes[i].errors);
		check_int(mistakes[i].entry, (long long)diag.n, (long long)mistakes[i].entries);
		check_int(mistakes[i].entry, hosts != NULL, mistakes[i].errors == 0);
		if (diag.n > 0)
			assert_non_null(strstr(diag.entries[0].text.p, mistakes[i].part));
	}
	arena_free(arena);
}

static const struct {
	const char *what;
	const char *list;
	enum dataset_kind kind;
	bool wanted;
} everybody[] = {
	{"IPv4", "10.0.0.0/8,0.0.0.0/0", DATASET_LIST, true},
	{"IPv6", "::/0", DATASET_LIST, true},
	{"with an exception", "0.0.0.0/0,!10.0.0.0/8", DATASET_LIST, true},
	{"a star in a refile:", "127.0.0.1,*", DATASET_REFILE, true},
	{"a star that means nothing", "*", DATASET_FILE, false},
	{"nobody", "!0.0.0.0/0", DATASET_LIST, false},
	{"half of all", "0.0.0.0/1,128.0.0.0/2", DATASET_LIST, false},
	{"all of a domain", "*.example.com", DATASET_REFILE, false},
	{"a set without a row", "", DATASET_LIST, false},
};

static void everybody_is_noticed(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	for (size_t i = 0; i < COUNT(everybody); i++)
		check_int(everybody[i].what,
			hosts_have_everybody(build(arena, &diag, everybody[i].list, everybody[i].kind)),
			everybody[i].wanted);
	assert_false(hosts_have_everybody(NULL));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_is_noticed),
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(patterns_match_names_and_addresses),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
