/*
 * Two tenants behind one submission service.
 */
#include "test.h"

#include "auth/users.h"

static const char table[] = "alice           a.example, .a.example\n"
			    "bob             b.example\n"
			    "bob             news@c.example\n"
			    "@tenant.example %\n"
			    "boss@tenant.example a.example\n"
			    "root            *\n";

static const struct {
	const char *what, *user, *local_part, *domain;
	bool wanted;
} rows[] = {
	{"her own domain", "alice", "x", "a.example", true},
	{"below it", "alice", "x", "news.a.example", true},
	{"another tenant's", "alice", "x", "b.example", false},
	{"the name in any case", "ALICE", "x", "a.example", true},
	{"his own", "bob", "x", "b.example", true},
	{"rows add up: an address", "bob", "news", "c.example", true},
	{"of that domain nothing else", "bob", "x", "c.example", false},
	{"below his domain was not granted", "bob", "x", "sub.b.example", false},
	{"the realm's own domain", "joe@tenant.example", "x", "tenant.example", true},
	{"of a realm nothing else", "joe@tenant.example", "x", "a.example", false},
	{"who has a row has no realm's", "boss@tenant.example", "x", "tenant.example", false},
	{"his row", "boss@tenant.example", "x", "a.example", true},
	{"any", "root", "x", "any.example", true},
	{"unknown user", "mallory", "x", "a.example", false},
	{"unknown realm", "joe@else.example", "x", "else.example", false},
};

static struct users *users_of(struct arena *arena, const char *text, enum dataset_kind kind, struct diag *diag)
{
	struct dataset dataset = {.kind = kind};
	dataset_parse_lines(arena, str_of(text), "users", &dataset);
	return users_new(arena, &dataset, diag);
}

static void nobody_gets_the_signature_of_another(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct users *users = users_of(arena, table, DATASET_FILE, &diag);
	assert_int_equal(diag.n, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address author = {str_of(rows[i].local_part), str_of(rows[i].domain)};
		check_int(rows[i].what, users_may(users, arena, str_of(rows[i].user), &author, 1), rows[i].wanted);
	}
	struct address both[] = {{STR("x"), STR("a.example")}, {STR("x"), STR("b.example")}};
	assert_false(users_may(users, arena, STR("alice"), both, 2));
	assert_true(users_may(users, arena, STR("root"), both, 2));
	assert_false(users_may(users, arena, STR("root"), both, 0));
	assert_true(users_may(NULL, arena, STR("anybody"), both, 2));
	users = users_of(arena, "* %\n", DATASET_FILE, &diag);
	assert_true(users_may(users, arena, STR("x@a.example"), both, 1));
	assert_false(users_may(users, arena, STR("x@b.example"), both, 1));
	assert_false(users_may(users, arena, STR("x"), both, 1));
	arena_free(arena);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	users_of(arena, "alice\n", DATASET_FILE, &diag);
	check_str("no domains", diag.entries[0].text,
		"users:1: UserDomains: \"alice\" has no domains: write alice  example.com,.example.com");
	users_of(arena, "alice *@a.example\n", DATASET_FILE, &diag);
	assert_true(str_starts(diag.entries[1].text, STR("users:1: \"*@a.example\" matches no address")));
	users_of(arena, "alice a.example\n", DATASET_REFILE, &diag);
	assert_int_equal(diag.n_errors, 2);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_gets_the_signature_of_another),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
