/*
 * Whose key signs, and who is excepted.
 */
#include "test.h"

#include "auth/addresses.h"
#include "auth/sender.h"

static struct address_set *set_of(struct arena *arena, const char *list)
{
	struct diag diag = diag_in(arena);
	struct dataset dataset;
	assert_int_equal(dataset_read(arena, str_of(list), (struct diag_place){0}, &diag, &dataset), ERR_OK);
	struct address_set *set = address_set_new(arena, &dataset, &diag);
	assert_int_equal(diag.n, 0);
	return set;
}

static void sets_know_domains_and_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *list, *user, *domain;
		bool wanted;
	} rows[] = {
		{"example.com", "joe", "example.com", true},
		{"example.com", "joe", "sub.example.com", false},
		{".example.com", "joe", "sub.example.com", true},
		{".example.com", "joe", "example.com", false},
		{"joe@example.com", "Joe", "example.com", true},
		{"joe@example.com", "jim", "example.com", false},
		{"postmaster@*", "postmaster", "example.net", true},
		{"Example.COM, other.example", "x", "other.example", true},
		{"Example.COM, other.example", "x", "example.com", true},
		{"*", "x", "any.example", true},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address address = {str_of(rows[i].user), str_of(rows[i].domain)};
		check_int(rows[i].list, address_set_has(set_of(arena, rows[i].list), arena, &address), rows[i].wanted);
	}
	struct address two[] = {{STR("a"), STR("example.com")}, {STR("b"), STR("other.example")}};
	assert_false(address_set_has(NULL, arena, two));
	assert_false(address_set_has_all(set_of(arena, "example.com"), arena, two, 2));
	assert_true(address_set_has_all(set_of(arena, "example.com,other.example"), arena, two, 2));
	assert_false(address_set_has_all(set_of(arena, "*"), arena, two, 0));
	arena_free(arena);
}

static void the_first_field_there_is_names_the_sender(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		const char *fields[2][2];
		size_t n_names;
		const char *domain, *why; /* one of them */
	} rows[] = {
		{"From by default", {{"From", " a@author.example"}, {"Sender", " b@list.example"}}, 0, "author.example",
			""},
		{"List-Post is a URI", {{"From", " a@author.example"}, {"List-Post", " <mailto:l@list.example>"}}, 3,
			"list.example", ""},
		{"the order is that of the option",
			{{"Sender", " b@sender.example"}, {"List-Post", " <MAILTO: l@list.example>"}}, 3,
			"list.example", ""},
		{"the second choice", {{"From", " a@author.example"}, {"Sender", " b@sender.example"}}, 3,
			"sender.example", ""},
		{"From as the last choice", {{"From", " a@author.example"}, {"Subject", " x"}}, 3, "author.example",
			""},
		{"List-Post: NO", {{"From", " a@author.example"}, {"List-Post", " NO (announcements)"}}, 3, NULL,
			"no usable address in the field list-post"},
		{"no From", {{"Subject", " a"}, {"X", " b"}}, 3, NULL, "no From field"},
		{"an exempt domain", {{"From", " a@exempt.example"}, {"X", " b"}}, 0, NULL,
			"exempt.example is in ExemptDomains"},
	};
	static const struct str names[] = {STR_INIT("list-post"), STR_INIT("sender"), STR_INIT("from")};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct auth_options options = {.sender_headers = names,
			.n_sender_headers = rows[i].n_names,
			.exempt_domains = set_of(arena, "exempt.example")};
		struct headers headers;
		struct author author;
		struct str why = STR("");
		headers_init(&headers, arena, 10, 10000);
		for (size_t k = 0; k < 2; k++)
			headers_add(&headers, str_of(rows[i].fields[k][0]), str_of(rows[i].fields[k][1]));
		author_find(arena, &headers, &author);
		const struct address *sender = sender_find(arena, &options, &headers, &author, &why);
		check_str(rows[i].what, sender != NULL ? sender->domain : STR("-"),
			rows[i].domain != NULL ? rows[i].domain : "-");
		check_str(rows[i].what, why, rows[i].why);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_know_domains_and_addresses),
		cmocka_unit_test(the_first_field_there_is_names_the_sender),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
