#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dmarc/dmarc.h"
#include "dmarc/psl.h"
#include "zone.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define IDENTITIES_MAX 40

/* What was checked, as words: "spf:example.com dkim:mail.example.com dkim?example.net dkim!x.example" */
struct message {
	struct dmarc_input input;
	struct str authors[IDENTITIES_MAX];
	struct dmarc_dkim_input dkim[IDENTITIES_MAX];
};

static enum dkim_status dkim_status_of(char mark)
{
	return mark == ':' || mark == '~' ? DKIM_PASS : mark == '?' ? DKIM_TEMPERROR : DKIM_FAIL;
}

/* ":" pass, "?" temperror, "!" fail, "~" a pass that does not count */
static void add_checked(struct message *message, struct str word)
{
	if (str_starts(word, STR("spf"))) {
		message->input.spf_status = word.p[3] == ':'   ? SPF_PASS
					    : word.p[3] == '?' ? SPF_TEMPERROR
							       : SPF_SOFTFAIL;
		message->input.spf_domain = str_skip(word, 4);
	} else if (str_starts(word, STR("dkim"))) {
		message->dkim[message->input.n_dkim++] =
			(struct dmarc_dkim_input){str_skip(word, 5), dkim_status_of(word.p[4]), word.p[4] == ':'};
	}
}

static void fill(struct message *message, enum author_outcome outcome, const char *authors, const char *checked)
{
	*message = (struct message){.input = {.author = outcome}};
	struct str rest = str_of(authors), word;
	while (str_cut(&rest, ' ', &word))
		if (word.n > 0)
			message->authors[message->input.n_author_domains++] = word;
	for (rest = str_of(checked); str_cut(&rest, ' ', &word);)
		add_checked(message, word);
	message->input.author_domains = message->authors;
	message->input.dkim = message->dkim;
}

struct expected {
	enum dmarc_status status;
	enum dmarc_policy policy;
	enum dmarc_policy disposition;
	const char *organizational_domain;
	const char *policy_domain;
	const char *aligned; /* of "spf", "dkim", "spf dkim", "" */
	const char *queries;
};

struct row {
	const char *zone;
	const char *authors;
	const char *checked;
	struct expected expected;
};

static struct dmarc_options options_for(enum dmarc_discovery discovery)
{
	return (struct dmarc_options){.discovery = discovery, .suffixes = suffixes, .maximum_author_domains = 4};
}

static size_t evaluate(const struct dmarc_options *options, const char *zone, const struct message *message,
	struct dmarc_result *ret_result)
{
	struct answers *answers = answers_new(arena);
	size_t n = 0;
	while (!dmarc_evaluate(arena, options, &message->input, answers, ret_result)) {
		size_t n_more = zone_answer(zone, answers);
		assert_true(n_more > 0);
		n += n_more;
	}
	return n;
}

static struct str joined(const struct dmarc_result *result)
{
	struct buf buf = buf_in(arena);
	for (size_t i = 0; i < result->n_queries; i++) {
		buf_add_cstr(&buf, i > 0 ? " " : "");
		buf_add(&buf, result->queries[i]);
	}
	return buf_str(&buf);
}

static const char *word_of(enum dmarc_policy policy)
{
	return policy == DMARC_POLICY_UNSET ? "-" : dmarc_policy_text(policy);
}

/* Everything that is expected in one line, so that a miss shows itself whole. */
static struct str described(const struct dmarc_result *result, bool with_queries)
{
	return arena_printf(arena,
		"%s policy=%s disposition=%s organization=%.*s policy of=%.*s aligned=%s%s%s asked=%.*s",
		dmarc_status_text(result->status), word_of(result->policy), word_of(result->disposition),
		STR_ARG(result->organizational_domain), STR_ARG(result->policy_domain),
		result->spf_aligned ? "spf" : "", result->spf_aligned && result->dkim_aligned ? " " : "",
		result->dkim_aligned ? "dkim" : "", STR_ARG(with_queries ? joined(result) : STR("")));
}

static struct str expectation(const struct expected *expected)
{
	return arena_printf(arena, "%s policy=%s disposition=%s organization=%s policy of=%s aligned=%s asked=%s",
		dmarc_status_text(expected->status), word_of(expected->policy), word_of(expected->disposition),
		expected->organizational_domain, expected->policy_domain, expected->aligned,
		expected->queries != NULL ? expected->queries : "");
}

static void check(enum dmarc_discovery discovery, enum author_outcome outcome, const struct row *row)
{
	struct message message;
	fill(&message, outcome, row->authors, row->checked);
	struct dmarc_options options = options_for(discovery);
	struct dmarc_result result;
	evaluate(&options, row->zone, &message, &result);
	struct str got = described(&result, row->expected.queries != NULL);
	if (!str_eq(got, expectation(&row->expected)))
		fail_msg("%s [%s] over\n%s\nwant %s\ngot  %s", row->authors, row->checked, row->zone,
			expectation(&row->expected).p, got.p);
	arena_reset(arena);
}

#define U DMARC_POLICY_UNSET
#define N DMARC_P_NONE
#define Q DMARC_P_QUARANTINE
#define R DMARC_P_REJECT
#define EXAMPLE "TXT _dmarc.example.com v=DMARC1; p=reject"
#define SP(tags) "TXT _dmarc.example.com v=DMARC1; " tags

/* RFC 9989 sections 4.7, 4.10.1, 5.3. */
static void test_tree_walk(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{EXAMPLE, "example.com", "spf:evil.net",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com _dmarc.com"}},
		{EXAMPLE, "example.com", "", {DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		{EXAMPLE, "example.com", "dkim:example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		{EXAMPLE, "example.com", "spf:example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "spf", NULL}},
		/* only a pass counts, and only one that DKIM lets count */
		{EXAMPLE, "example.com", "spf!example.com dkim!example.com dkim~example.com",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		{EXAMPLE, "example.com", "dkim!example.com dkim:mail.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim",
				"_dmarc.example.com _dmarc.com _dmarc.mail.example.com"}},
		/* the first that aligns is enough: no walk for a.example.com, none for the stranger */
		{EXAMPLE, "example.com", "dkim:a.example.com dkim:evil.net dkim:example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", "_dmarc.example.com _dmarc.com"}},
		{EXAMPLE, "example.com", "spf:b.example.com dkim:a.example.com dkim:c.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "spf dkim",
				"_dmarc.example.com _dmarc.com _dmarc.b.example.com _dmarc.a.example.com"}},
		/* strict */
		{SP("p=reject; adkim=s"), "example.com", "dkim:mail.example.com spf:mail.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "spf",
				"_dmarc.example.com _dmarc.com _dmarc.mail.example.com"}},
		{SP("p=reject; adkim=s; aspf=s"), "example.com", "dkim:mail.example.com spf:mail.example.com",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com _dmarc.com"}},
		{SP("p=reject; adkim=s"), "example.com", "dkim:a.example.com dkim:example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		{SP("p=reject; adkim=s"), "mail.example.com", "dkim:example.com",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		/* names in any case, with a dot, as U-labels */
		{EXAMPLE, "Example.COM.", "dkim:EXAMPLE.com.",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		{"TXT _dmarc.xn--bcher-kva.example v=DMARC1; p=reject", "b\303\274cher.example",
			"dkim:xn--bcher-kva.example",
			{DMARC_PASS, R, N, "xn--bcher-kva.example", "xn--bcher-kva.example", "dkim", NULL}},
		{"TXT _dmarc.xn--bcher-kva.example v=DMARC1; p=reject", "b\303\274cher.example", "",
			{DMARC_FAIL, R, R, "xn--bcher-kva.example", "xn--bcher-kva.example", "", NULL}},
		/* sp */
		{SP("p=reject; sp=quarantine"), "a.example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "",
				"_dmarc.a.example.com _dmarc.example.com _dmarc.com"}},
		{SP("p=reject; sp=quarantine"), "example.com", "",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		{SP("p=none") "\nTXT _dmarc.a.example.com v=DMARC1; p=quarantine; sp=reject; np=reject",
			"a.example.com", "", {DMARC_FAIL, Q, Q, "example.com", "a.example.com", "", NULL}},
		/* np: asked only where it would matter */
		{SP("p=none; np=reject"), "ghost.example.com", "",
			{DMARC_FAIL, R, R, "example.com", "example.com", "",
				"_dmarc.ghost.example.com _dmarc.example.com _dmarc.com ghost.example.com"}},
		{SP("p=none; np=reject") "\nA a.example.com x", "a.example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "",
				"_dmarc.a.example.com _dmarc.example.com _dmarc.com a.example.com"}},
		{SP("p=none; np=reject") "\nTXT a.example.com x", "a.example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		{SP("p=none; sp=reject; np=reject"), "ghost.example.com", "",
			{DMARC_FAIL, R, R, "example.com", "example.com", "",
				"_dmarc.ghost.example.com _dmarc.example.com _dmarc.com"}},
		{SP("p=reject; np=none"), "ghost.example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		{SP("p=reject; np=none"), "example.com", "",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com _dmarc.com"}},
		{SP("p=none; sp=quarantine"), "ghost.example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "", NULL}},
		{"TXT _dmarc.gov v=DMARC1; p=reject; sp=none; np=quarantine; psd=y", "example.gov", "",
			{DMARC_FAIL, Q, Q, "example.gov", "gov", "", NULL}},
		{SP("p=reject; np=none"), "ghost.example.com", "dkim:example.com",
			{DMARC_PASS, N, N, "example.com", "example.com", "dkim", NULL}},
		/* t */
		{SP("p=reject; t=y"), "example.com", "", {DMARC_FAIL, Q, Q, "example.com", "example.com", "", NULL}},
		{SP("p=quarantine; t=y"), "example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		{SP("p=none; t=y"), "example.com", "", {DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		{SP("p=none; sp=reject; t=y"), "a.example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "", NULL}},
		{SP("p=none; np=reject; t=y"), "ghost.example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "", NULL}},
		{SP("p=reject; t=y"), "example.com", "dkim:example.com",
			{DMARC_PASS, Q, N, "example.com", "example.com", "dkim", NULL}},
		/* no DMARC */
		{"", "example.com", "dkim:example.com", {DMARC_NONE, U, N, "example.com", "", "", NULL}},
		{"", "localhost", "spf:localhost", {DMARC_NONE, U, N, "localhost", "", "", "_dmarc.localhost"}},
		{"", "192.0.2.1", "", {DMARC_NONE, U, N, "192.0.2.1", "", "", NULL}},
		{SP("p=none") "\n" EXAMPLE, "example.com", "dkim:example.com",
			{DMARC_NONE, U, N, "example.com", "", "", NULL}},
		{SP("p=bad"), "example.com", "dkim:example.com",
			{DMARC_NONE, U, N, "example.com", "example.com", "", NULL}},
		{SP("adkim=s"), "a.example.com", "dkim:example.com",
			{DMARC_NONE, U, N, "example.com", "example.com", "", NULL}},
		/* a bad record of the author's own is not made good by one above */
		{EXAMPLE "\nTXT _dmarc.a.example.com v=DMARC1; p=bad", "a.example.com", "",
			{DMARC_NONE, U, N, "example.com", "a.example.com", "", NULL}},
		{SP("p=bad; rua=mailto:a@example.com"), "example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		{SP("p=reject; pct=0"), "example.com", "", {DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		{EXAMPLE, "example.com", "dkim:a!b.example.com dkim:.example.com dkim:a..example.com spf:",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com _dmarc.com"}},
		/* not a domain name */
		{EXAMPLE, "[192.0.2.1]", "", {DMARC_PERMERROR, U, N, "", "", "", ""}},
		{EXAMPLE, "example..com", "", {DMARC_PERMERROR, U, N, "", "", "", ""}},
		{EXAMPLE, "exam!ple.com", "", {DMARC_PERMERROR, U, N, "", "", "", ""}},
		{EXAMPLE, ".", "", {DMARC_PERMERROR, U, N, "", "", "", ""}},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, AUTHOR_ONE, &rows[i]);
}

/* temperror only where the missing answer could change the result; RFC 9989 section 5.3.6. */
static void test_failures(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"FAILED _dmarc.example.com", "example.com", "dkim:example.com",
			{DMARC_TEMPERROR, U, N, "example.com", "", "", NULL}},
		{"FAILED _dmarc.com", "example.com", "", {DMARC_TEMPERROR, U, N, "", "", "", NULL}},
		{"FAILED _dmarc.a.example.com\n" EXAMPLE, "a.example.com", "",
			{DMARC_TEMPERROR, U, N, "", "", "", NULL}},
		/* the policy is known: does alignment depend on it? */
		{"FAILED _dmarc.com\n" EXAMPLE, "example.com", "dkim:example.com",
			{DMARC_PASS, R, N, "", "example.com", "dkim", NULL}},
		{"FAILED _dmarc.com\n" EXAMPLE, "example.com", "dkim:mail.example.com",
			{DMARC_PASS, R, N, "", "example.com", "dkim", NULL}},
		{"FAILED _dmarc.com\n" EXAMPLE, "example.com", "spf:evil.net",
			{DMARC_FAIL, R, R, "", "example.com", "", NULL}},
		{"FAILED _dmarc.com\n" SP("p=reject; aspf=s"), "example.com", "spf:evil.com",
			{DMARC_FAIL, R, R, "", "example.com", "", NULL}},
		{"FAILED _dmarc.com\n" EXAMPLE, "example.com", "spf:evil.com",
			{DMARC_TEMPERROR, R, N, "", "example.com", "", NULL}},
		{"FAILED _dmarc.mail.example.com\n" EXAMPLE, "example.com", "spf:mail.example.com",
			{DMARC_TEMPERROR, R, N, "example.com", "example.com", "", NULL}},
		/* another identifier settles it */
		{"FAILED _dmarc.mail.example.com\n" EXAMPLE, "example.com", "spf:mail.example.com dkim:a.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		{"FAILED _dmarc.mail.example.com\n" EXAMPLE, "example.com", "dkim:mail.example.com dkim:a.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		/* existence */
		{"FAILED ghost.example.com\n" SP("p=none; np=reject"), "ghost.example.com", "",
			{DMARC_TEMPERROR, U, N, "example.com", "example.com", "", NULL}},
		{"FAILED ghost.example.com\n" SP("p=none; np=reject"), "ghost.example.com", "dkim:example.com",
			{DMARC_PASS, N, N, "example.com", "example.com", "dkim", NULL}},
		{"FAILED ghost.example.com\n" SP("p=none; np=quarantine; t=y"), "ghost.example.com", "",
			{DMARC_FAIL, N, N, "example.com", "example.com", "", NULL}},
		/* SPF or DKIM that could not be checked; RFC 7489 section 6.6.2 says the same */
		{EXAMPLE, "example.com", "spf?example.com",
			{DMARC_TEMPERROR, R, N, "example.com", "example.com", "", NULL}},
		{EXAMPLE, "example.com", "spf!example.com dkim?a.example.com",
			{DMARC_TEMPERROR, R, N, "example.com", "example.com", "", NULL}},
		{EXAMPLE, "example.com", "spf?evil.net dkim?evil.com",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com _dmarc.com"}},
		{EXAMPLE, "example.com", "spf?example.com dkim:a.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "dkim", NULL}},
		{SP("p=reject; adkim=s"), "example.com", "dkim?a.example.com",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, AUTHOR_ONE, &rows[i]);
}

/* RFC 7489 sections 3, 6.3, 6.6. */
static void test_suffix_list(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{EXAMPLE, "example.com", "spf:evil.net",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", "_dmarc.example.com"}},
		{EXAMPLE, "news.example.com", "spf:bounce.example.com",
			{DMARC_PASS, R, N, "example.com", "example.com", "spf",
				"_dmarc.news.example.com _dmarc.example.com"}},
		{SP("p=none; sp=reject"), "a.example.com", "",
			{DMARC_FAIL, R, R, "example.com", "example.com", "", NULL}},
		{SP("p=none; sp=quarantine; np=reject; t=y; psd=n"), "ghost.example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "",
				"_dmarc.ghost.example.com _dmarc.example.com"}},
		{SP("p=quarantine; t=y"), "example.com", "",
			{DMARC_FAIL, Q, Q, "example.com", "example.com", "", NULL}},
		{"TXT _dmarc.mail.example.com v=DMARC1; p=reject", "a.mail.example.com", "",
			{DMARC_NONE, U, N, "example.com", "", "", NULL}},
		{"TXT _dmarc.co.uk v=DMARC1; p=reject; psd=y\nTXT _dmarc.foo.co.uk v=DMARC1; p=none", "foo.co.uk", "",
			{DMARC_FAIL, N, N, "foo.co.uk", "foo.co.uk", "", NULL}},
		{"TXT _dmarc.a.example.com v=DMARC1; p=none\nTXT _dmarc.a.example.com v=DMARC1; p=reject\n" EXAMPLE,
			"a.example.com", "", {DMARC_NONE, U, N, "example.com", "", "", NULL}},
		{"TXT _dmarc.a.example.com v=DMARC1; sp=quarantine\n" EXAMPLE, "a.example.com", "",
			{DMARC_NONE, U, N, "example.com", "a.example.com", "", NULL}},
		{"TXT _dmarc.github.io v=DMARC1; p=reject", "github.io", "spf:evil.github.io",
			{DMARC_FAIL, R, R, "github.io", "github.io", "", NULL}},
		{"FAILED _dmarc.example.com", "example.com", "dkim:example.com",
			{DMARC_TEMPERROR, U, N, "example.com", "", "", NULL}},
		{"FAILED _dmarc.example.com\nTXT _dmarc.a.example.com v=DMARC1; p=reject", "a.example.com", "",
			{DMARC_FAIL, R, R, "example.com", "a.example.com", "", NULL}},
		{"FAILED _dmarc.example.com", "a.example.com", "",
			{DMARC_TEMPERROR, U, N, "example.com", "", "", NULL}},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_PSL, AUTHOR_ONE, &rows[i]);
}

#define BANK "TXT _dmarc.bank.example v=DMARC1; p=reject"
#define SHOP "TXT _dmarc.shop.example v=DMARC1; p=quarantine"
#define CLUB "TXT _dmarc.club.example v=DMARC1; p=none"

/* Several authors never pass; the strictest policy of those that fail applies. RFC 9989 section 11.5. */
static void test_several_authors(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{BANK "\n" SHOP, "shop.example bank.example", "",
			{DMARC_FAIL, R, R, "bank.example", "bank.example", "", NULL}},
		{BANK "\n" SHOP "\n" CLUB, "club.example shop.example other.example", "",
			{DMARC_FAIL, Q, Q, "shop.example", "shop.example", "", NULL}},
		/* a pass for one helps it, not the message */
		{BANK "\n" SHOP, "bank.example shop.example", "dkim:bank.example",
			{DMARC_FAIL, Q, Q, "shop.example", "shop.example", "", NULL}},
		{BANK "\n" SHOP, "bank.example shop.example", "dkim:bank.example dkim:shop.example",
			{DMARC_FAIL, U, N, "bank.example", "bank.example", "dkim", NULL}},
		{"", "a.example b.example", "", {DMARC_FAIL, U, N, "a.example", "", "", NULL}},
		/* more than are looked at */
		{BANK, "1.example 2.example 3.example 4.example bank.example", "",
			{DMARC_FAIL, U, N, "1.example", "", "", NULL}},
		/* a domain that does not answer does not hide the other */
		{BANK "\nFAILED _dmarc.broken.test", "broken.test bank.example", "",
			{DMARC_FAIL, R, R, "bank.example", "bank.example", "", NULL}},
		{SHOP "\nFAILED _dmarc.broken.test", "broken.test shop.example", "",
			{DMARC_TEMPERROR, U, N, "broken.test", "", "", NULL}},
		{BANK, "not!a!domain bank.example", "", {DMARC_FAIL, R, R, "bank.example", "bank.example", "", NULL}},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		check(DMARC_TREE_WALK, AUTHOR_SEVERAL, &rows[i]);
}

/* A From that cannot be read is permerror; the policy of what could be read is there for the operator. */
static void test_unreadable_authors(void **state)
{
	(void)state;
	static const struct row malformed[] = {
		{BANK, "bank.example", "dkim:bank.example",
			{DMARC_PERMERROR, U, N, "bank.example", "bank.example", "dkim", NULL}},
		{BANK, "bank.example", "", {DMARC_PERMERROR, R, N, "bank.example", "bank.example", "", NULL}},
		{BANK "\n" SHOP, "shop.example bank.example", "dkim:shop.example",
			{DMARC_PERMERROR, R, N, "bank.example", "bank.example", "", NULL}},
		{"", "", "", {DMARC_PERMERROR, U, N, "", "", "", ""}},
		/* what the DNS does not tell might refuse it: not by being unreadable does it get through */
		{"FAILED _dmarc.bank.example", "bank.example", "",
			{DMARC_TEMPERROR, U, N, "bank.example", "", "", NULL}},
		{BANK, "bank.example", "dkim?lame.bank.example",
			{DMARC_TEMPERROR, U, N, "bank.example", "bank.example", "", NULL}},
		{BANK, "bank.example", "spf?lame.bank.example",
			{DMARC_TEMPERROR, U, N, "bank.example", "bank.example", "", NULL}},
		{SHOP "\nFAILED _dmarc.broken.test", "shop.example broken.test", "",
			{DMARC_TEMPERROR, U, N, "broken.test", "", "", NULL}},
		/* another one's failure suffices */
		{BANK "\nFAILED _dmarc.broken.test", "broken.test bank.example", "",
			{DMARC_PERMERROR, R, N, "bank.example", "bank.example", "", NULL}},
	};
	for (size_t i = 0; i < LENGTH(malformed); i++)
		check(DMARC_TREE_WALK, AUTHOR_MALFORMED, &malformed[i]);
	static const struct row none = {BANK, "", "spf:bank.example", {DMARC_PERMERROR, U, N, "", "", "", ""}};
	check(DMARC_TREE_WALK, AUTHOR_NONE, &none);
	check(DMARC_TREE_WALK, AUTHOR_ONE, &none);
}

/* What a row cannot show: published, testing, non_existent, record, reason. */
static void test_details(void **state)
{
	(void)state;
	struct message message;
	struct dmarc_options options = options_for(DMARC_TREE_WALK);
	struct dmarc_result result;
	fill(&message, AUTHOR_ONE, "ghost.example.com", "");
	evaluate(&options, SP("p=none; np=reject; t=y"), &message, &result);
	assert_int_equal(result.published, R);
	assert_true(result.testing);
	assert_true(result.non_existent);
	assert_true(str_eq(result.record, STR("v=DMARC1; p=none; np=reject; t=y")));
	assert_true(str_eq(result.author_domain, STR("ghost.example.com")));
	assert_null(result.reason);

	evaluate(&options, SP("p=bad"), &message, &result);
	assert_string_equal(result.reason, "the DMARC record has no valid policy");
	assert_true(str_eq(result.record, STR("v=DMARC1; p=bad")));
	evaluate(&options, EXAMPLE "\n" EXAMPLE, &message, &result);
	assert_string_equal(result.reason, "several DMARC records at one name");
	fill(&message, AUTHOR_MALFORMED, "", "");
	message.input.author_reason = "two From fields";
	evaluate(&options, "", &message, &result);
	assert_string_equal(result.reason, "two From fields");
	fill(&message, AUTHOR_SEVERAL, "a.example b.example", "");
	options.maximum_author_domains = 1;
	evaluate(&options, "", &message, &result);
	assert_string_equal(result.reason, "From names several domains, more than are looked at");
	assert_true(result.authors_left_out);
	fill(&message, AUTHOR_MALFORMED, "a.example b.example", "");
	evaluate(&options, "", &message, &result);
	assert_true(result.authors_left_out);
	fill(&message, AUTHOR_ONE, "a.example", "");
	evaluate(&options, "", &message, &result);
	assert_false(result.authors_left_out);
	options.maximum_author_domains = 50; /* four at most, whatever the option says */
	fill(&message, AUTHOR_SEVERAL, "a.example b.example c.example d.example e.example", "");
	evaluate(&options, "", &message, &result);
	assert_string_equal(result.reason, "From names several domains, more than are looked at");
	assert_string_equal(dmarc_status_text(DMARC_PERMERROR), "permerror");
	assert_null(dmarc_policy_text(DMARC_POLICY_UNSET));
	arena_reset(arena);
}

/* No message makes us ask more than 29 questions, those at MAIL FROM included. */
static void test_cost(void **state)
{
	(void)state;
	static const struct {
		enum author_outcome outcome;
		const char *zone, *authors, *checked;
	} rows[] = {
		{AUTHOR_ONE, "", "a.b.c.d.e.f.g.h.i.j.example.com", "spf:example.com"},
		/* every signer is a cut of its own, so none aligns */
		{AUTHOR_ONE,
			SP("p=none; np=reject") "\nTXT _dmarc.9.example.com v=DMARC1; psd=n\n"
						"TXT _dmarc.8.example.com v=DMARC1; psd=n\n"
						"TXT _dmarc.7.example.com v=DMARC1; psd=n",
			"a.b.c.d.e.f.g.h.example.com",
			"spf:a.b.c.d.e.9.example.com dkim:a.b.c.d.e.8.example.com dkim:a.b.c.d.e.7.example.com "
			"dkim?a.b.c.d.f.7.example.com dkim:a.b.c.e.f.7.example.com dkim:a.b.d.e.f.7.example.com"},
		{AUTHOR_SEVERAL,
			"TXT _dmarc.1 v=DMARC1; p=none; np=reject\nTXT _dmarc.2 v=DMARC1; p=none; np=reject\n"
			"TXT _dmarc.3 v=DMARC1; p=none; np=reject\nTXT _dmarc.4 v=DMARC1; p=none; np=reject",
			"a.b.c.d.e.f.g.h.1 a.b.c.d.e.f.g.h.2 a.b.c.d.e.f.g.h.3 a.b.c.d.e.f.g.h.4 a.b.c.d.e.f.g.h.5",
			"spf:i.j.k.l.m.n.o.p.1 dkim:i.j.k.l.m.n.o.p.2 dkim:i.j.k.l.m.n.o.p.3 dkim:i.j.k.l.m.n.o.p.4"},
		{AUTHOR_SEVERAL, "",
			"1.a 2.a 3.a 4.a 5.a 6.a 7.a 8.a 9.a 10.a 11.a 12.a 13.a 14.a 15.a 16.a 17.a 18.a 19.a 20.a "
			"21.a 22.a",
			"dkim:a"},
		{AUTHOR_SEVERAL, "", "a.b.c.d.e.f.g.h.1 a.b.c.d.e.f.g.h.2", ""},
		{AUTHOR_SEVERAL, "", "a.b.c.d.e.f.g.h.1 a.b.c.d.e.f.g.h.2 a.b.c.d.e.f.g.h.3", ""},
		{AUTHOR_MALFORMED, "",
			"a.b.c.d.e.f.g.h.1 a.b.c.d.e.f.g.h.2 a.b.c.d.e.f.g.h.3 a.b.c.d.e.f.g.h.4 a.b.c.d.e.f.g.h.5",
			""},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct message message;
		fill(&message, rows[i].outcome, rows[i].authors, rows[i].checked);
		struct dmarc_options options = options_for(DMARC_TREE_WALK);
		options.maximum_author_domains = 50;
		struct answers *answers = answers_new(arena);
		dmarc_want(&options, STR("z.y.x.w.v.u.t.s.r.q.p.o"), answers);
		struct dmarc_result result;
		while (!dmarc_evaluate(arena, &options, &message.input, answers, &result))
			assert_true(zone_answer(rows[i].zone, answers) > 0);
		if (answers_count(answers) > 29)
			fail_msg("%s: %zu questions", rows[i].authors, answers_count(answers));
		assert_true(result.n_queries <= answers_count(answers));
		assert_int_not_equal(result.status, DMARC_PASS);
		arena_reset(arena);
	}
}

/* What is asked early is what will be needed. */
static void test_want(void **state)
{
	(void)state;
	static const struct {
		enum dmarc_discovery discovery;
		const char *domain;
		size_t n;
	} rows[] = {
		{DMARC_TREE_WALK, "example.com", 2},
		{DMARC_TREE_WALK, "Mail.Example.COM", 3},
		{DMARC_TREE_WALK, "a.b.c.d.e.f.g.h.example.com", 5},
		{DMARC_PSL, "a.b.example.co.uk", 2},
		{DMARC_PSL, "example.co.uk", 1},
		{DMARC_TREE_WALK, "not!a!domain", 0},
		{DMARC_TREE_WALK, "", 0},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct message message;
		fill(&message, AUTHOR_ONE, rows[i].domain, "");
		struct dmarc_options options = options_for(rows[i].discovery);
		struct answers *answers = answers_new(arena);
		dmarc_want(&options, str_of(rows[i].domain), answers);
		assert_int_equal(answers_count(answers), rows[i].n);
		struct dmarc_result result;
		dmarc_evaluate(arena, &options, &message.input, answers, &result);
		if (rows[i].n < 5)
			assert_int_equal(answers_count(answers), rows[i].n);
		arena_reset(arena);
	}
}

/* A NUL ends no name: what stands before it is not what was signed. */
static void test_nul(void **state)
{
	(void)state;
	static const struct str names[] = {STR_INIT("example.com\0.evil.net"), STR_INIT("a\0.example.com"),
		STR_INIT("example.com\0"), STR_INIT("\0")};
	struct dmarc_options options = options_for(DMARC_TREE_WALK);
	for (size_t i = 0; i < LENGTH(names); i++) {
		struct message message;
		struct dmarc_result result;
		fill(&message, AUTHOR_ONE, "example.com", "dkim:x");
		message.dkim[0].domain = message.input.spf_domain = names[i];
		message.input.spf_status = SPF_PASS;
		assert_int_equal(evaluate(&options, EXAMPLE, &message, &result), 2);
		assert_int_equal(result.status, DMARC_FAIL);
		message.authors[0] = names[i];
		assert_int_equal(evaluate(&options, EXAMPLE, &message, &result), 0);
		assert_int_equal(result.status, DMARC_PERMERROR);
	}
	arena_reset(arena);
}

/* After the deadline what is missing reads as failed. */
static void test_give_up(void **state)
{
	(void)state;
	struct message message;
	fill(&message, AUTHOR_ONE, "a.example.com", "dkim:a.example.com");
	struct dmarc_options options = options_for(DMARC_TREE_WALK);
	struct answers *answers = answers_new(arena);
	struct dmarc_result result;
	assert_false(dmarc_evaluate(arena, &options, &message.input, answers, &result));
	answers_give_up(answers);
	assert_true(dmarc_evaluate(arena, &options, &message.input, answers, &result));
	assert_int_equal(result.status, DMARC_TEMPERROR);
	assert_int_equal(result.policy, DMARC_POLICY_UNSET);
	arena_reset(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_walk),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_suffix_list),
		cmocka_unit_test(test_several_authors),
		cmocka_unit_test(test_unreadable_authors),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_want),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_give_up),
	};
	return cmocka_run_group_tests(tests, zone_set_up, zone_tear_down);
}
