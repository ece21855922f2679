#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dmarc/discovery.h"
#include "dmarc/psl.h"
#include "zone.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct dmarc_lookups lookups_over(const struct dmarc_options *options, struct answers *answers)
{
	return (struct dmarc_lookups){
		.arena = arena, .options = options, .answers = answers, .walk_steps = DMARC_WALK_STEPS, .limit = 100};
}

static struct str joined(const struct dmarc_lookups *lookups)
{
	struct buf buf = buf_in(arena);
	for (size_t i = 0; i < lookups->n_queries; i++) {
		buf_add_cstr(&buf, i > 0 ? " " : "");
		buf_add(&buf, lookups->queries[i]);
	}
	return buf_str(&buf);
}

struct row {
	const char *zone;
	const char *author;
	enum dmarc_found found;
	const char *policy_domain;         /* "" none */
	const char *organizational_domain; /* "" not known */
	const char *queries;
};

static void check(enum dmarc_discovery discovery, const struct row *row)
{
	struct dmarc_options options = {.discovery = discovery, .suffixes = suffixes};
	struct answers *answers = answers_new(arena);
	struct dmarc_lookups lookups = lookups_over(&options, answers);
	struct dmarc_discovered found;
	size_t rounds = 0;
	while (dmarc_discover(&lookups, str_of(row->author), &found) != DMARC_READY) {
		rounds++;
		assert_true(zone_answer(row->zone, answers) > 0);
		lookups = lookups_over(&options, answers);
	}
	/* All names of a walk are asked at once. */
	assert_int_equal(rounds, 1);
	if (found.found != row->found || !str_eq(found.policy_domain, str_of(row->policy_domain)) ||
		!str_eq(found.organizational_domain, str_of(row->organizational_domain)))
		fail_msg("%s over %s: %d, policy of %.*s, organization %.*s", row->author, row->zone, found.found,
			STR_ARG(found.policy_domain), STR_ARG(found.organizational_domain));
	if (!str_eq(joined(&lookups), str_of(row->queries)))
		fail_msg("%s over %s: asked %.*s", row->author, row->zone, STR_ARG(joined(&lookups)));
	arena_reset(arena);
}

#define NONE DMARC_FOUND_NONE
#define FOUND DMARC_FOUND_RECORD
#define FAILED DMARC_FOUND_FAILED

/* RFC 9989 sections 4.10, 4.10.1, 4.10.2 and appendix B.4. */
static void test_tree_walk(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* the author's own record; the organization is the shortest name that has one */
		{"TXT _dmarc.example.com v=DMARC1; p=reject", "example.com", FOUND, "example.com", "example.com",
			"_dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", FOUND, "a.example.com", "example.com",
			"_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		/* none of its own: the organization's */
		{"TXT _dmarc.example.com v=DMARC1; p=reject", "a.b.example.com", FOUND, "example.com", "example.com",
			"_dmarc.a.b.example.com _dmarc.b.example.com _dmarc.example.com _dmarc.com"},
		/* what lies between the author and the organization does not apply */
		{"TXT _dmarc.b.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject",
			"a.b.example.com", FOUND, "example.com", "example.com",
			"_dmarc.a.b.example.com _dmarc.b.example.com _dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.mail.example.com v=DMARC1; p=reject", "a.mail.example.com", FOUND, "mail.example.com",
			"mail.example.com",
			"_dmarc.a.mail.example.com _dmarc.mail.example.com _dmarc.example.com _dmarc.com"},
		/* psd=n ends the walk */
		{"TXT _dmarc.b.example.com v=DMARC1; p=reject; psd=n\nTXT _dmarc.example.com v=DMARC1; p=none",
			"a.b.example.com", FOUND, "b.example.com", "b.example.com",
			"_dmarc.a.b.example.com _dmarc.b.example.com"},
		{"TXT _dmarc.b.example.com v=DMARC1; p=reject; psd=n", "b.example.com", FOUND, "b.example.com",
			"b.example.com", "_dmarc.b.example.com"},
		/* psd=y: one label below; its record only where the organization has none */
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y", "giant.bank.example", FOUND, "bank.example",
			"giant.bank.example", "_dmarc.giant.bank.example _dmarc.bank.example"},
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y\nTXT _dmarc.giant.bank.example v=DMARC1; p=none",
			"mail.giant.bank.example", FOUND, "giant.bank.example", "giant.bank.example",
			"_dmarc.mail.giant.bank.example _dmarc.giant.bank.example _dmarc.bank.example"},
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y", "a.b.giant.bank.example", FOUND, "bank.example",
			"giant.bank.example",
			"_dmarc.a.b.giant.bank.example _dmarc.b.giant.bank.example _dmarc.giant.bank.example "
			"_dmarc.bank.example"},
		{"TXT _dmarc.gov v=DMARC1; p=reject; psd=y", "example.gov", FOUND, "gov", "example.gov",
			"_dmarc.example.gov _dmarc.gov"},
		/* a public suffix that writes mail is its own organization */
		{"TXT _dmarc.gov v=DMARC1; p=reject; psd=y", "gov", FOUND, "gov", "gov", "_dmarc.gov"},
		{"TXT _dmarc.co.uk v=DMARC1; p=reject; psd=y\nTXT _dmarc.uk v=DMARC1; p=none", "co.uk", FOUND, "co.uk",
			"co.uk", "_dmarc.co.uk"},
		/* a top level domain without psd=y is taken for the organization: literally section 4.10.2 */
		{"TXT _dmarc.com v=DMARC1; p=reject", "example.com", FOUND, "com", "com",
			"_dmarc.example.com _dmarc.com"},
		/* nothing anywhere */
		{"", "example.com", NONE, "", "example.com", "_dmarc.example.com _dmarc.com"},
		{"", "localhost", NONE, "", "localhost", "_dmarc.localhost"},
		{"", "x.com", NONE, "", "x.com", "_dmarc.x.com _dmarc.com"},
		{"TXT _dmarc.localhost v=DMARC1; p=reject", "localhost", FOUND, "localhost", "localhost",
			"_dmarc.localhost"},
		/* several records at a name are none, and so are records of others */
		{"TXT _dmarc.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject", "example.com",
			NONE, "", "example.com", "_dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.a.example.com v=DMARC1; p=reject\n"
		 "TXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", FOUND, "example.com", "example.com",
			"_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=none\n"
		 "TXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", FOUND, "a.example.com", "a.example.com",
			"_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.example.com google-site-verification=1\nTXT _dmarc.example.com v=DMARC1; p=reject\n"
		 "TXT _dmarc.example.com note: v=DMARC1 is above",
			"example.com", FOUND, "example.com", "example.com", "_dmarc.example.com _dmarc.com"},
		{"TXT _dmarc.a.example.com v=spf1 -all\nTXT _dmarc.example.com v=DMARC1; p=reject", "a.example.com",
			FOUND, "example.com", "example.com", "_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		/* eight labels: each; more: the name itself and the last seven */
		{"", "a.b.c.d.e.f.example.com", NONE, "", "a.b.c.d.e.f.example.com",
			"_dmarc.a.b.c.d.e.f.example.com _dmarc.b.c.d.e.f.example.com _dmarc.c.d.e.f.example.com "
			"_dmarc.d.e.f.example.com _dmarc.e.f.example.com _dmarc.f.example.com _dmarc.example.com "
			"_dmarc.com"},
		{"TXT _dmarc.example.com v=DMARC1; p=reject", "a.b.c.d.e.f.g.h.i.j.mail.example.com", FOUND,
			"example.com", "example.com",
			"_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com _dmarc.g.h.i.j.mail.example.com "
			"_dmarc.h.i.j.mail.example.com _dmarc.i.j.mail.example.com _dmarc.j.mail.example.com "
			"_dmarc.mail.example.com _dmarc.example.com _dmarc.com"},
		/* section 5.1.8: a cut that the shortened walk jumps over is not seen */
		{"TXT _dmarc.example.com v=DMARC1; p=reject\nTXT _dmarc.b.c.d.e.f.g.example.com v=DMARC1; p=none; "
		 "psd=n",
			"mail.a.b.c.d.e.f.g.example.com", FOUND, "example.com", "example.com",
			"_dmarc.mail.a.b.c.d.e.f.g.example.com _dmarc.c.d.e.f.g.example.com _dmarc.d.e.f.g.example.com "
			"_dmarc.e.f.g.example.com _dmarc.f.g.example.com _dmarc.g.example.com _dmarc.example.com "
			"_dmarc.com"},
		/* one label below a suffix of seven labels was not asked for, and is the organization */
		{"TXT _dmarc.3.4.5.6.7.8.9 v=DMARC1; p=reject; psd=y", "0.1.2.3.4.5.6.7.8.9", FOUND, "3.4.5.6.7.8.9",
			"2.3.4.5.6.7.8.9", "_dmarc.0.1.2.3.4.5.6.7.8.9 _dmarc.3.4.5.6.7.8.9"},
		/*
		 * failure: unknown is the policy, unless it is the author's own, and the organization, unless every
		 * possible content leads to the same
		 */
		{"FAILED _dmarc.example.com", "example.com", FAILED, "", "example.com",
			"_dmarc.example.com _dmarc.com"},
		{"FAILED _dmarc.com", "example.com", FAILED, "", "", "_dmarc.example.com _dmarc.com"},
		{"FAILED _dmarc.a.example.com\nTXT _dmarc.example.com v=DMARC1; p=none", "a.example.com", FAILED, "",
			"", "_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		{"FAILED _dmarc.com\nTXT _dmarc.example.com v=DMARC1; p=none", "a.example.com", FAILED, "", "",
			"_dmarc.a.example.com _dmarc.example.com _dmarc.com"},
		{"FAILED _dmarc.com\nTXT _dmarc.example.com v=DMARC1; p=none", "example.com", FOUND, "example.com", "",
			"_dmarc.example.com _dmarc.com"},
		/* but not above the end of the walk */
		{"FAILED _dmarc.com\nTXT _dmarc.example.com v=DMARC1; p=none; psd=n", "a.example.com", FOUND,
			"example.com", "example.com", "_dmarc.a.example.com _dmarc.example.com"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, &rows[i]);
}

/* RFC 7489 sections 3.2 and 6.6.3. */
static void test_suffix_list(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"TXT _dmarc.example.com v=DMARC1; p=reject", "example.com", FOUND, "example.com", "example.com",
			"_dmarc.example.com"},
		{"TXT _dmarc.example.com v=DMARC1; p=reject", "a.b.example.com", FOUND, "example.com", "example.com",
			"_dmarc.a.b.example.com _dmarc.example.com"},
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", FOUND, "a.example.com", "example.com", "_dmarc.a.example.com"},
		/* only two places */
		{"TXT _dmarc.b.example.com v=DMARC1; p=none\nTXT _dmarc.com v=DMARC1; p=none", "a.b.example.com", NONE,
			"", "example.com", "_dmarc.a.b.example.com _dmarc.example.com"},
		{"TXT _dmarc.co.uk v=DMARC1; p=reject", "foo.co.uk", NONE, "", "foo.co.uk", "_dmarc.foo.co.uk"},
		{"TXT _dmarc.co.uk v=DMARC1; p=reject", "co.uk", FOUND, "co.uk", "co.uk", "_dmarc.co.uk"},
		{"TXT _dmarc.www.ck v=DMARC1; p=reject", "x.www.ck", FOUND, "www.ck", "www.ck",
			"_dmarc.x.www.ck _dmarc.www.ck"},
		{"TXT _dmarc.corp.lan v=DMARC1; p=reject", "a.corp.lan", FOUND, "corp.lan", "corp.lan",
			"_dmarc.a.corp.lan _dmarc.corp.lan"},
		/* step 5: several records end the search, those of others do not */
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.a.example.com v=DMARC1; p=reject\n"
		 "TXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", DMARC_FOUND_SEVERAL, "", "example.com", "_dmarc.a.example.com"},
		{"TXT _dmarc.a.example.com v=DMARC2; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject",
			"a.example.com", FOUND, "example.com", "example.com",
			"_dmarc.a.example.com _dmarc.example.com"},
		{"TXT _dmarc.example.com v=DMARC1; p=none\nTXT _dmarc.example.com v=DMARC1; p=reject", "a.example.com",
			DMARC_FOUND_SEVERAL, "", "example.com", "_dmarc.a.example.com _dmarc.example.com"},
		{"FAILED _dmarc.a.example.com\nTXT _dmarc.example.com v=DMARC1; p=none", "a.example.com", FAILED, "",
			"example.com", "_dmarc.a.example.com"},
		{"FAILED _dmarc.example.com", "a.example.com", FAILED, "", "example.com",
			"_dmarc.a.example.com _dmarc.example.com"},
		{"FAILED _dmarc.example.com\nTXT _dmarc.a.example.com v=DMARC1; p=none", "a.example.com", FOUND,
			"a.example.com", "example.com", "_dmarc.a.example.com"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_PSL, &rows[i]);
}

/* A name to which "_dmarc." cannot be prepended has no record; its parents may. */
static void test_long_name(void **state)
{
	(void)state;
	struct buf author = buf_in(arena);
	for (int i = 0; i < 3; i++)
		buf_printf(&author, "%060d.", i);
	buf_printf(&author, "%057d.example.com", 3);
	assert_int_equal(author.n, 252);
	struct dmarc_options options = {.discovery = DMARC_TREE_WALK};
	struct answers *answers = answers_new(arena);
	struct dmarc_lookups lookups = lookups_over(&options, answers);
	struct dmarc_discovered found;
	assert_int_equal(dmarc_discover(&lookups, buf_str(&author), &found), DMARC_WAITING);
	assert_int_equal(zone_answer("TXT _dmarc.example.com v=DMARC1; p=reject", answers), 5);
	lookups = lookups_over(&options, answers);
	assert_int_equal(dmarc_discover(&lookups, buf_str(&author), &found), DMARC_READY);
	assert_int_equal(found.found, DMARC_FOUND_RECORD);
	assert_int_equal(lookups.n_queries, 5);
	arena_reset(arena);
}

static void test_existence(void **state)
{
	(void)state;
	static const struct {
		const char *zone;
		enum dmarc_existence existence;
	} rows[] = {
		{"A a.example.com x", DMARC_EXISTS},
		{"TXT a.example.com v=spf1 -all", DMARC_EXISTS}, /* any type will do, RFC 9989 appendix A.4 */
		{"A b.a.example.com x", DMARC_EXISTS},           /* an empty non-terminal, RFC 8020 */
		{"A example.com x", DMARC_EXISTS_NOT},
		{"FAILED a.example.com", DMARC_EXISTENCE_UNKNOWN},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dmarc_options options = {.discovery = DMARC_TREE_WALK};
		struct answers *answers = answers_new(arena);
		struct dmarc_lookups lookups = lookups_over(&options, answers);
		enum dmarc_existence existence;
		assert_int_equal(dmarc_exists(&lookups, STR("a.example.com"), &existence), DMARC_WAITING);
		assert_int_equal(zone_answer(rows[i].zone, answers), 1);
		assert_int_equal(dmarc_exists(&lookups, STR("a.example.com"), &existence), DMARC_READY);
		assert_int_equal(existence, rows[i].existence);
		lookups.limit = lookups.n_asked;
		assert_int_equal(dmarc_exists(&lookups, STR("b.example.com"), &existence), DMARC_OVER_LIMIT);
		arena_reset(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_walk),
		cmocka_unit_test(test_suffix_list),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_existence),
	};
	return cmocka_run_group_tests(tests, zone_set_up, zone_tear_down);
}
