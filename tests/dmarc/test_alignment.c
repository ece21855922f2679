#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dmarc/alignment.h"
#include "dmarc/psl.h"
#include "zone.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct row {
	const char *zone;
	const char *author, *identifier;
	enum dmarc_alignment relaxed, strict;
	size_t n_more; /* questions beyond those that the author's discovery asks */
};

static enum dmarc_alignment align(struct dmarc_lookups *lookups, const struct dmarc_discovered *found,
	const struct row *row, enum dmarc_mode mode, size_t *n_more)
{
	enum dmarc_alignment outcome;
	while (dmarc_align(lookups, found, str_of(row->author), str_of(row->identifier), mode, &outcome) ==
		DMARC_WAITING)
		*n_more += zone_answer(row->zone, lookups->answers);
	return outcome;
}

static void check(enum dmarc_discovery discovery, const struct row *row)
{
	struct dmarc_options options = {.discovery = discovery, .suffixes = suffixes};
	struct answers *answers = answers_new(arena);
	struct dmarc_lookups lookups = {
		.arena = arena, .options = &options, .answers = answers, .walk_steps = DMARC_WALK_STEPS, .limit = 100};
	struct dmarc_discovered found;
	while (dmarc_discover(&lookups, str_of(row->author), &found) == DMARC_WAITING)
		zone_answer(row->zone, answers);
	size_t n_more = 0;
	enum dmarc_alignment strict = align(&lookups, &found, row, DMARC_STRICT, &n_more);
	assert_int_equal(n_more, 0);
	enum dmarc_alignment relaxed = align(&lookups, &found, row, DMARC_RELAXED, &n_more);
	if (relaxed != row->relaxed || strict != row->strict || n_more != row->n_more)
		fail_msg("%s, %s over %s: relaxed %d strict %d, %zu more questions", row->author, row->identifier,
			row->zone, relaxed, strict, n_more);
	arena_reset(arena);
}

#define NO DMARC_UNALIGNED
#define YES DMARC_ALIGNED
#define UNKNOWN DMARC_ALIGNMENT_UNKNOWN
#define EXAMPLE "TXT _dmarc.example.com v=DMARC1; p=reject"

/* RFC 9989 sections 4.4 and 4.10.2. */
static void test_tree_walk(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{EXAMPLE, "example.com", "example.com", YES, YES, 0},
		{EXAMPLE, "example.com", "mail.example.com", YES, NO, 1},
		{EXAMPLE, "mail.example.com", "example.com", YES, NO, 0},
		{EXAMPLE, "news.example.com", "foo.example.com", YES, NO, 1},
		{EXAMPLE, "a.b.example.com", "b.example.com", YES, NO, 0},
		/* outside the organization: not even asked */
		{EXAMPLE, "example.com", "example.net", NO, NO, 0},
		{EXAMPLE, "example.com", "com", NO, NO, 0},
		{EXAMPLE, "example.com", "evil.com", NO, NO, 0},
		{EXAMPLE, "example.com", "example.com.evil.net", NO, NO, 0},
		{EXAMPLE, "example.com", "notexample.com", NO, NO, 0},
		{"TXT _dmarc.x.com v=DMARC1; p=reject", "x.com", "evil.com", NO, NO, 0}, /* one letter */
		/* a record of its own does not part a name from its organization; psd=n does */
		{EXAMPLE "\nTXT _dmarc.mail.example.com v=DMARC1; p=none", "example.com", "mail.example.com", YES, NO,
			1},
		{EXAMPLE "\nTXT _dmarc.mail.example.com v=DMARC1; p=none; psd=n", "example.com", "mail.example.com", NO,
			NO, 1},
		{EXAMPLE "\nTXT _dmarc.mail.example.com v=DMARC1; p=none; psd=n", "a.mail.example.com",
			"evil.example.com", NO, NO, 0},
		{EXAMPLE "\nTXT _dmarc.mail.example.com v=DMARC1; p=none; psd=n", "a.mail.example.com",
			"b.mail.example.com", YES, NO, 1},
		{EXAMPLE "\nTXT _dmarc.mail.example.com v=DMARC1; psd=n", "a.mail.example.com", "b.mail.example.com",
			YES, NO, 1}, /* a record without policy still says where the organization begins */
		/* below a public suffix */
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y", "giant.bank.example", "mega.bank.example", NO, NO,
			0},
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y", "giant.bank.example", "mail.giant.bank.example",
			YES, NO, 1},
		{"TXT _dmarc.bank.example v=DMARC1; p=reject; psd=y", "giant.bank.example", "bank.example", NO, NO, 0},
		{"TXT _dmarc.gov v=DMARC1; p=reject; psd=y", "gov", "example.gov", NO, NO, 1},
		{"TXT _dmarc.gov v=DMARC1; p=reject; psd=y", "gov", "gov", YES, YES, 0},
		{EXAMPLE "\nTXT _dmarc.hosting.example.com v=DMARC1; p=none; psd=y", "example.com",
			"customer.hosting.example.com", NO, NO, 2},
		/* a suffix that does not say psd=y aligns with all below: literally section 4.10.2 */
		{"TXT _dmarc.github.io v=DMARC1; p=reject", "github.io", "evil.github.io", YES, NO, 1},
		/* deep names */
		{EXAMPLE, "a.b.c.d.e.f.g.h.i.example.com", "1.2.3.4.5.6.7.8.9.example.com", YES, NO, 6},
		{EXAMPLE, "1.b.c.d.e.f.g.h.i.example.com", "2.b.c.d.e.f.g.h.i.example.com", YES, NO, 1},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, &rows[i]);
}

/* Alignment is known where whatever the DNS withheld would lead to it, or would not. */
static void test_failures(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* the top level domain's server is broken: both names share it, all its possible records align them */
		{EXAMPLE "\nFAILED _dmarc.com", "example.com", "example.com", YES, YES, 0},
		{EXAMPLE "\nFAILED _dmarc.com", "example.com", "mail.example.com", YES, NO, 1},
		{EXAMPLE "\nFAILED _dmarc.com", "mail.example.com", "example.com", YES, NO, 0},
		{EXAMPLE "\nFAILED _dmarc.com", "example.com", "example.net", NO, NO, 0},
		/* it may be a record without psd=y: then all of .com is one organization */
		{EXAMPLE "\nFAILED _dmarc.com", "example.com", "evil.com", UNKNOWN, NO, 1},
		{EXAMPLE "\nFAILED _dmarc.com\nTXT _dmarc.evil.com v=DMARC1; psd=n", "example.com", "evil.com", NO, NO,
			1},
		/* the identifier's own */
		{EXAMPLE "\nFAILED _dmarc.mail.example.com", "example.com", "mail.example.com", UNKNOWN, NO, 1},
		{EXAMPLE "\nFAILED _dmarc.mail.example.com", "example.com", "a.mail.example.com", UNKNOWN, NO, 2},
		/* a name between author and organization could only be another cut */
		{"TXT _dmarc.a.b.example.com v=DMARC1; p=none\nFAILED _dmarc.b.example.com\n" EXAMPLE,
			"a.b.example.com", "c.b.example.com", UNKNOWN, NO, 1},
		{"TXT _dmarc.a.b.example.com v=DMARC1; p=none\nFAILED _dmarc.b.example.com\n" EXAMPLE,
			"a.b.example.com", "c.example.com", UNKNOWN, NO, 1},
		{"TXT _dmarc.a.b.example.com v=DMARC1; p=none\nFAILED _dmarc.b.example.com\n" EXAMPLE,
			"a.b.example.com", "example.net", NO, NO, 0},
		/* below the cut nothing above matters */
		{"TXT _dmarc.example.com v=DMARC1; p=none; psd=n\nFAILED _dmarc.com", "example.com", "evil.com", NO, NO,
			0},
		{"TXT _dmarc.example.com v=DMARC1; p=none; psd=n\nFAILED _dmarc.com", "example.com", "a.example.com",
			YES, NO, 1},
		/* more than a few failures: no telling */
		{"TXT _dmarc.a.b.c.d.example.com v=DMARC1; p=none\nFAILED _dmarc.b.c.d.example.com\n"
		 "FAILED _dmarc.c.d.example.com\nFAILED _dmarc.d.example.com\nFAILED _dmarc.example.com",
			"a.b.c.d.example.com", "x.a.b.c.d.example.com", UNKNOWN, NO, 1},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, &rows[i]);
}

/* RFC 7489 section 3.1. */
static void test_suffix_list(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{EXAMPLE, "example.com", "mail.example.com", YES, NO, 0},
		{EXAMPLE, "news.example.com", "bounce.example.com", YES, NO, 0},
		{EXAMPLE, "example.com", "evil.com", NO, NO, 0},
		{EXAMPLE, "example.com", "com", NO, NO, 0},
		{EXAMPLE, "example.com", "example.com.evil.net", NO, NO, 0},
		{"", "alice.github.io", "github.io", NO, NO, 0},
		{"", "alice.github.io", "bob.github.io", NO, NO, 0},
		{"", "github.io", "evil.github.io", NO, NO, 0},
		{"", "github.io", "github.io", YES, YES, 0},
		{"", "a.corp.lan", "b.corp.lan", YES, NO, 0},
		{"", "x.com", "y.com", NO, NO, 0},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_PSL, &rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_walk),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_suffix_list),
	};
	return cmocka_run_group_tests(tests, zone_set_up, zone_tear_down);
}
