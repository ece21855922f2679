#include "report/destination.h"

#include "answers.h"
#include "auth/addresses.h"
#include "base/buf.h"
#include "dmarc/psl.h"

static struct arena *arena;
static struct report_options options;
static struct dmarc_options dmarc;
static struct dmarc_suffixes *suffixes;

/* ---- URIs ---- */

struct uri_row {
	struct str uri;
	const char *address; /* "" where it cannot be used */
	const char *refused; /* NULL */
	uint64_t maximum_bytes;
};

#define NOT_MAILTO "not a mailto URI"
#define SIZE "malformed size behind the URI"
#define FIELDS "header fields in the URI"
#define MALFORMED "malformed URI"
#define LOCAL_PART "local part is not plain text, or there are several addresses"
#define DOMAIN "domain is not one that can have mail"
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void check_uri(const struct uri_row *row)
{
	const struct destination *found;
	size_t n;
	destination_parse(arena, row->uri, &found, &n);
	assert_int_equal(n, 1);
	const char *refused = found[0].refused != NULL ? found[0].refused : "";
	if (!str_eq(found[0].address, str_of(row->address)) ||
		strcmp(refused, row->refused != NULL ? row->refused : "") != 0 ||
		found[0].maximum_bytes != row->maximum_bytes)
		fail_msg("%.*s: \"%.*s\" refused \"%s\" %llu bytes", STR_ARG(row->uri), STR_ARG(found[0].address),
			refused, (unsigned long long)found[0].maximum_bytes);
	if (found[0].refused == NULL)
		assert_true(str_ends(found[0].address, found[0].domain));
	arena_reset(arena);
}

/* RFC 9989 section 4.8 dmarc-uri and obs-dmarc-uri, RFC 6068 section 2, RFC 7489 section 6.2. */
static void test_uri(void **state)
{
	(void)state;
	static const struct uri_row rows[] = {
		{STR_INIT("mailto:a@example.com"), "a@example.com", NULL, 0},
		{STR_INIT(" \tMailto:a@example.com\t "), "a@example.com", NULL, 0},
		{STR_INIT("mailto:Dmarc.Rua+x=y@Example.COM."), "Dmarc.Rua+x=y@example.com", NULL, 0},
		{STR_INIT("mailto:a%2bb%21@example.com"), "a+b!@example.com", NULL, 0},
		{STR_INIT("mailto:gorby%25kremvax@example.com"), "gorby%kremvax@example.com", NULL, 0},
		{STR_INIT("mailto:a%40example.com"), "a@example.com", NULL, 0},
		/* U-labels, encoded as RFC 6068 section 2 says, become A-labels */
		{STR_INIT("mailto:a@b%C3%BCcher.example"), "a@xn--bcher-kva.example", NULL, 0},
		{STR_INIT("mailto:a@xn--bcher-kva.example"), "a@xn--bcher-kva.example", NULL, 0},
		/* the size of RFC 7489 */
		{STR_INIT("mailto:a@example.com!50"), "a@example.com", NULL, 50},
		{STR_INIT("mailto:a@example.com!10m"), "a@example.com", NULL, 10485760},
		{STR_INIT("mailto:a@example.com!2K"), "a@example.com", NULL, 2048},
		{STR_INIT("mailto:a@example.com!1g"), "a@example.com", NULL, 1073741824},
		{STR_INIT("mailto:a@example.com!1t"), "a@example.com", NULL, 1099511627776},
		{STR_INIT("mailto:a@example.com!16777215t"), "a@example.com", NULL, 18446742974197923840ULL},
		{STR_INIT("mailto:a@example.com!16777216t"), "", SIZE, 0},
		{STR_INIT("mailto:a@example.com!"), "", SIZE, 0},
		{STR_INIT("mailto:a@example.com!m"), "", SIZE, 0},
		{STR_INIT("mailto:a@example.com!0"), "", SIZE, 0},
		{STR_INIT("mailto:a@example.com!10mb"), "", SIZE, 0},
		{STR_INIT("mailto:a!b@example.com"), "", SIZE, 0},
		{STR_INIT("mailto:a@example.com!10m!10m"), "", SIZE, 0},
		/* others */
		{STR_INIT("https://example.com/dmarc"), "", NOT_MAILTO, 0},
		{STR_INIT("a@example.com"), "", NOT_MAILTO, 0},
		{STR_INIT("mail to:a@example.com"), "", NOT_MAILTO, 0},
		{STR_INIT("mailto"), "", NOT_MAILTO, 0},
		{STR_INIT("mailto://a@example.com"), "//a@example.com", NULL, 0}, /* dot-atom-text, as it happens */
		{STR_INIT("mailto:"), "", "no address in the URI", 0},
		{STR_INIT("mailto:example.com"), "", "no address in the URI", 0},
		/* header fields and fragments */
		{STR_INIT("mailto:a@example.com?cc=b@example.org"), "", FIELDS, 0},
		{STR_INIT("mailto:?to=a@example.com"), "", FIELDS, 0},
		{STR_INIT("mailto:a@example.com%3Fcc=b@example.org"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a@example.com#b"), "", MALFORMED, 0},
		/* nothing leaves the address */
		{STR_INIT("mailto:a%0D%0ABcc:b@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a%0a@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a%00@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a\0b@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a@example.com%00"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@example.com%0D%0ARCPT"), "", DOMAIN, 0},
		{STR_INIT("mailto:a\r\nb@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a b@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a%20b@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:%22a%20b%22@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:%22a%22@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:\"a\"@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:<a@example.com>"), "", MALFORMED, 0},
		{STR_INIT("mailto:%3Ca@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a@example.com%3E"), "", DOMAIN, 0},
		{STR_INIT("mailto:a%5C@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a%2Cb@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a@example.com%2Cb@example.org"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a@example.com;b@example.org"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a@b@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a(b)@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a:b@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:@relay.example:a@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:.a@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a..b@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a.@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:-oQ/tmp@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a%C3%BC@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:a\303\274@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a%2@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a@example.com%"), "", MALFORMED, 0},
		{STR_INIT("mailto:a@example.com%4"), "", MALFORMED, 0},
		{STR_INIT("mailto:a%zz@example.com"), "", MALFORMED, 0},
		{STR_INIT("mailto:a@"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@localhost"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@192.0.2.1"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@[192.0.2.1]"), "", MALFORMED, 0},
		{STR_INIT("mailto:a@%5B192.0.2.1%5D"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@example..com"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@.example.com"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@exa%20mple.com"), "", DOMAIN, 0},
		{STR_INIT("mailto:a@%FF.example"), "", DOMAIN, 0},
		{STR_INIT("mailto:" A50 "aaaaaaaaaaaaaa@example.com"), A50 "aaaaaaaaaaaaaa@example.com", NULL, 0},
		{STR_INIT("mailto:" A50 "aaaaaaaaaaaaaaa@example.com"), "", LOCAL_PART, 0},
		{STR_INIT("mailto:" A50 "@" A50 "." A50 "." A50 "." A50 ".example"), "", LOCAL_PART, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		check_uri(&rows[i]);
}

static void test_list(void **state)
{
	(void)state;
	const struct destination *found;
	size_t n;
	destination_parse(
		arena, STR("mailto:a@example.com ,, mailto:b@example.com?cc=x,\tx, mailto:c@example.com,"), &found, &n);
	assert_int_equal(n, 4);
	check_str("first", found[0].address, "a@example.com");
	check_str("second", found[1].uri, "mailto:b@example.com?cc=x");
	assert_string_equal(found[1].refused, FIELDS);
	assert_string_equal(found[2].refused, NOT_MAILTO);
	check_str("fourth", found[3].address, "c@example.com");
	destination_parse(arena, (struct str){NULL, 0}, &found, &n);
	assert_int_equal(n, 0);

	struct buf many = buf_in(arena);
	for (int i = 0; i < 5000; i++)
		buf_printf(&many, "mailto:a%d@example.com,", i);
	destination_parse(arena, buf_str(&many), &found, &n);
	assert_int_equal(n, 100);
	arena_reset(arena);
}

/* ---- which of them get reports ---- */

struct row {
	const char *zone;
	const char *domain; /* of the policy */
	const char *record;
	const char *outcome; /* of each: the address, what is known of it, and why not; lines */
};

/* "retry" at the end where it is said. */
static const char *outcome_of(const struct destination *found, size_t n, bool retry)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < n; i++) {
		struct str name = found[i].address.n > 0 ? found[i].address : found[i].uri;
		buf_printf(&out, "%s%.*s%s%s", i > 0 ? "\n" : "", STR_ARG(name), found[i].external ? " external" : "",
			found[i].overridden ? " overridden" : "");
		if (found[i].maximum_bytes > 0)
			buf_printf(&out, " %lluB", (unsigned long long)found[i].maximum_bytes);
		if (found[i].refused != NULL)
			buf_printf(&out, ": %s", found[i].refused);
	}
	buf_add_cstr(&out, retry ? "\nretry" : "");
	return buf_cstr(&out);
}

static const char *verify(const struct row *row, bool failure, size_t *ret_questions)
{
	struct destination_query query = {
		.options = &options,
		.dmarc = &dmarc,
		.policy = {.domain = str_of(row->domain), .record = str_of(row->record)},
		.failure = failure,
	};
	struct dns_zone *zone = zone_of(row->zone);
	struct answers *answers = answers_new(arena);
	const struct destination *found;
	size_t n, rounds = 0;
	bool retry;
	while (!destination_verify(arena, &query, answers, &found, &n, &retry)) {
		assert_true(answer_from(zone, answers) > 0);
		rounds++;
	}
	assert_true(rounds <= 3);
	*ret_questions = answers_count(answers);
	dns_zone_free(zone);
	return outcome_of(found, n, retry);
}

static void check_rows(const struct row *rows, size_t n_rows, bool failure)
{
	for (size_t i = 0; i < n_rows; i++) {
		size_t n_questions;
		const char *outcome = verify(&rows[i], failure, &n_questions);
		if (strcmp(outcome, rows[i].outcome) != 0)
			fail_msg("%s, %s:\n%s", rows[i].domain, rows[i].record, outcome);
		arena_reset(arena);
	}
}

#define NO_CONSENT ": another organization, which does not consent"
#define NO_ANSWER ": temporary: the DNS did not tell whether it consents"
#define OTHER_HOST ": its consent names an address at another host"

/* RFC 9990 sections 3.5 and 4. */
static void test_rua(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "example.com", "v=DMARC1; p=none", ""},
		{"", "example.com", "no record", ""},
		/* the same organization needs no consent; nothing is asked for the same domain */
		{"_dmarc.example.com TIMEOUT\n", "example.com", "v=DMARC1; rua=mailto:a@example.com", "a@example.com"},
		{"_dmarc.example.com TXT v=DMARC1; p=none\n", "example.com", "v=DMARC1; rua=mailto:a@mail.example.com",
			"a@mail.example.com"},
		{"_dmarc.example.com TXT v=DMARC1; p=none\n", "news.example.com", "v=DMARC1; rua=mailto:a@example.com",
			"a@example.com"},
		/* a subdomain that is an organization by itself does */
		{"_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.own.example.com TXT v=DMARC1; p=none; psd=n\n",
			"example.com", "v=DMARC1; rua=mailto:a@own.example.com",
			"a@own.example.com external" NO_CONSENT},
		/* another organization: the RFC's example */
		{"", "blue.example.com", "v=DMARC1; rua=mailto:reports@red.example.net",
			"reports@red.example.net external" NO_CONSENT},
		{"blue.example.com._report._dmarc.red.example.net TXT v=DMARC1\n", "blue.example.com",
			"v=DMARC1; rua=mailto:reports@red.example.net", "reports@red.example.net external"},
		{"blue.example.com._report._dmarc.red.example.net TXT v=DMARC1;\n", "blue.example.com",
			"v=DMARC1; rua=mailto:reports@red.example.net", "reports@red.example.net external"},
		/* the consent stands at the host itself, for the policy's domain itself */
		{"blue.example.com._report._dmarc.example.net TXT v=DMARC1\n"
		 "example.com._report._dmarc.red.example.net TXT v=DMARC1\n"
		 "_report._dmarc.red.example.net TXT v=DMARC1\n",
			"blue.example.com", "v=DMARC1; rua=mailto:reports@red.example.net",
			"reports@red.example.net external" NO_CONSENT},
		/* through a CNAME, by a wildcard */
		{"example.com._report._dmarc.example.net CNAME yes.example.org\nyes.example.org TXT v=DMARC1\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net", "a@example.net external"},
		{"*._report._dmarc.example.net TXT v=DMARC1\n", "news.example.com",
			"v=DMARC1; rua=mailto:a@example.net", "a@example.net external"},
		/* a wildcard that says something else is no consent, nor is what only looks like it */
		{"*.example.net TXT v=spf1 -all\n", "example.com", "v=DMARC1; rua=mailto:a@example.net",
			"a@example.net external" NO_CONSENT},
		{"example.com._report._dmarc.example.net TXT v=dmarc1\n"
		 "example.com._report._dmarc.example.net TXT p=none; v=DMARC1\n"
		 "example.com._report._dmarc.example.net TXT v=DMARC10\n"
		 "example.com._report._dmarc.example.net TXT \"\"\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net", "a@example.net external" NO_CONSENT},
		/* one good record among others */
		{"example.com._report._dmarc.example.net TXT v=spf1 -all\n"
		 "example.com._report._dmarc.example.net TXT v=DMARC1; p=none\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net", "a@example.net external"},
		/* no answer is no consent yet */
		{"example.com._report._dmarc.example.net TIMEOUT\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net, mailto:b@example.com",
			"a@example.net external" NO_ANSWER "\nb@example.com\nretry"},
		{"example.com._report._dmarc.example.net RCODE SERVFAIL\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "a@example.net external" NO_ANSWER "\nretry"},
		/* the organization cannot be told: consent helps, no consent is not the last word */
		{"_dmarc.com TIMEOUT\n_dmarc.example.com TIMEOUT\n", "a.example.com",
			"v=DMARC1; rua=mailto:a@b.example.com", "a@b.example.com external" NO_ANSWER "\nretry"},
		{"_dmarc.com TIMEOUT\n_dmarc.example.com TIMEOUT\n"
		 "a.example.com._report._dmarc.b.example.com TXT v=DMARC1\n",
			"a.example.com", "v=DMARC1; rua=mailto:a@b.example.com", "a@b.example.com external"},
		/* malformed ones are passed over */
		{"", "example.com", "v=DMARC1; rua=mailto:,https://example.com/,mailto:a@example.com",
			"mailto:: no address in the URI\nhttps://example.com/: not a mailto URI\na@example.com"},
		/* rua twice says nothing */
		{"", "example.com", "v=DMARC1; rua=mailto:a@example.com; rua=mailto:b@example.com", ""},
		/* nobody gets it twice */
		{"", "example.com",
			"v=DMARC1; rua=mailto:a@example.com,mailto:a@EXAMPLE.com!10m,mailto:%61@example.com",
			"a@example.com\na@example.com 10485760B: named twice\na@example.com: named twice"},
	};
	check_rows(rows, COUNT(rows), false);
}

/* RFC 9990 section 4, step 9. */
static void test_override(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:other@example.net!1m\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net",
			"other@example.net external overridden 1048576B"},
		/* for this kind of report only */
		{"example.com._report._dmarc.example.net TXT v=DMARC1; ruf=mailto:other@example.net\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "a@example.net external"},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:b@example.net,mailto:c@example.net\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net",
			"b@example.net external overridden\nc@example.net external overridden"},
		/* another host: neither gets anything, not even a part of it */
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:victim@example.org\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "a@example.net external" OTHER_HOST},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; "
		 "rua=mailto:b@example.net,mailto:c@sub.example.net\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net", "a@example.net external" OTHER_HOST},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:b@example.com\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "a@example.net external" OTHER_HOST},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=https://example.net/\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net",
			"a@example.net external: its consent names no usable address"},
		/* the same host, spelled otherwise */
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:b@EXAMPLE.net.\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "b@example.net external overridden"},
		/* several: always the same one, and nobody twice */
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:z@example.net\n"
		 "example.com._report._dmarc.example.net TXT v=DMARC1\n"
		 "example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:b@example.net\n",
			"example.com", "v=DMARC1; rua=mailto:a@example.net,mailto:b@example.net",
			"b@example.net external overridden\nb@example.net: named twice"},
	};
	check_rows(rows, COUNT(rows), false);
}

/* RFC 9991 sections 2 and 5. */
static void test_ruf(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "example.com", "v=DMARC1; rua=mailto:a@example.com", ""},
		{"", "example.com", "v=DMARC1; ruf=mailto:a@example.com", "a@example.com"},
		{"", "example.com", "v=DMARC1; ruf=mailto:a@example.net", "a@example.net external" NO_CONSENT},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:x@example.org\n", "example.com",
			"v=DMARC1; ruf=mailto:a@example.net", "a@example.net external"},
		{"example.com._report._dmarc.example.net TXT v=DMARC1; ruf=mailto:x@example.org\n", "example.com",
			"v=DMARC1; ruf=mailto:a@example.net", "a@example.net external" OTHER_HOST},
		{"", "bank", "v=DMARC1; psd=y; ruf=mailto:a@nic.bank",
			"a@nic.bank: failure reports never go to a public suffix (psd=y)"},
	};
	check_rows(rows, COUNT(rows), true);
	dmarc.discovery = DMARC_PSL;
	check_rows(&rows[COUNT(rows) - 1], 1, true);
	dmarc.discovery = DMARC_TREE_WALK;
}

static void test_psl(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "a.example.co.uk", "v=DMARC1; rua=mailto:a@b.example.co.uk", "a@b.example.co.uk"},
		{"", "example.co.uk", "v=DMARC1; rua=mailto:a@other.co.uk", "a@other.co.uk external" NO_CONSENT},
		{"example.co.uk._report._dmarc.other.co.uk TXT v=DMARC1\n", "example.co.uk",
			"v=DMARC1; rua=mailto:a@other.co.uk", "a@other.co.uk external"},
	};
	dmarc.discovery = DMARC_PSL;
	check_rows(rows, COUNT(rows), false);
	dmarc.discovery = DMARC_TREE_WALK;
}

static struct address_set *set_of(const char *list)
{
	struct dataset dataset = {.kind = DATASET_LIST};
	struct diag diag = diag_in(arena);
	dataset_parse_list(arena, str_of(list), (struct diag_place){0}, &dataset);
	return address_set_new(arena, &dataset, &diag);
}

/* NoReportsList, ReportOnlyTo. */
static void test_operator(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "example.com", "v=DMARC1; rua=mailto:a@example.com,mailto:b@example.com",
			"a@example.com: in NoReportsList\nb@example.com"},
		{"*._report._dmarc.example.org TXT v=DMARC1\n", "example.com", "v=DMARC1; rua=mailto:b@example.org",
			"b@example.org: in NoReportsList"},
		/* the consumer's override leads there */
		{"example.com._report._dmarc.example.net TXT v=DMARC1; rua=mailto:no@example.net\n", "example.com",
			"v=DMARC1; rua=mailto:a@example.net", "no@example.net external overridden: in NoReportsList"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		options.no_reports = set_of("a@example.com,example.org,no@example.net");
		check_rows(&rows[i], 1, false);
	}
	options.no_reports = NULL;
	static const struct row only = {"", "example.com", "v=DMARC1; rua=mailto:a@example.com,mailto:b@example.com",
		"a@example.com\nb@example.com: not in ReportOnlyTo"};
	options.only_reports = set_of("a@example.com");
	check_rows(&only, 1, false);
	options.only_reports = NULL;
}

/* A record cannot buy more than so many mails, nor more than so many questions. */
static void test_caps(void **state)
{
	(void)state;
	struct buf record = buf_in(arena), foreign = buf_in(arena), zone = buf_in(arena);
	buf_add_cstr(&record, "v=DMARC1; rua=");
	buf_add_cstr(&foreign, "v=DMARC1; rua=");
	for (int i = 0; i < 100; i++) {
		buf_printf(&record, "%smailto:a%d@example.com", i > 0 ? "," : "", i);
		buf_printf(&foreign, "%smailto:a@victim%d.a.b.c.d.e.f.g.example.com", i > 0 ? "," : "", i);
		buf_printf(&zone,
			"example.com._report._dmarc.victim%d.a.b.c.d.e.f.g.example.com TIMEOUT\n"
			"_dmarc.victim%d.a.b.c.d.e.f.g.example.com TXT v=DMARC1; psd=n\n",
			i, i);
	}
	struct row row = {"", "example.com", buf_cstr(&record), ""};
	size_t n_questions;
	const char *outcome = verify(&row, false, &n_questions);
	assert_non_null(strstr(outcome, "a4@example.com\na5@example.com: more than ReportMaximumDestinations\n"));
	assert_null(strstr(outcome, "a6@example.com\n"));
	assert_non_null(strstr(outcome, "a20@example.com: more than are looked at\n"));
	assert_int_equal(n_questions, 0);

	row = (struct row){buf_cstr(&zone), "example.com", buf_cstr(&foreign), ""};
	outcome = verify(&row, false, &n_questions);
	assert_non_null(strstr(outcome, "a@victim4.a.b.c.d.e.f.g.example.com external" NO_ANSWER "\n"));
	assert_non_null(strstr(outcome, "a@victim19.a.b.c.d.e.f.g.example.com external: more than Report"));
	assert_non_null(strstr(outcome, "a@victim20.a.b.c.d.e.f.g.example.com: more than are looked at\n"));
	assert_true(n_questions > 20 && n_questions < 70);
	arena_reset(arena);
}

/* Whoever may qualify yet keeps the place: with the second attempt there are no more than with one. */
static void test_retry(void **state)
{
	(void)state;
	static const char record[] = "v=DMARC1; rua=mailto:a@example.net,mailto:b@example.com,mailto:c@example.com";
	static const struct row first = {"example.com._report._dmarc.example.net TIMEOUT\n", "example.com", record,
		"a@example.net external" NO_ANSWER "\nb@example.com\n"
		"c@example.com: more than ReportMaximumDestinations\nretry"};
	static const struct row second = {"example.com._report._dmarc.example.net TXT v=DMARC1\n", "example.com",
		record, "a@example.net external\nb@example.com\nc@example.com: more than ReportMaximumDestinations"};
	static const struct row many = {"example.com._report._dmarc.example.net TIMEOUT\n", "example.com",
		"v=DMARC1; rua=mailto:a@example.net,mailto:b@example.net,mailto:c@example.net,mailto:d@example.com",
		"a@example.net external" NO_ANSWER "\nb@example.net external" NO_ANSWER
		"\nc@example.net external: more than ReportMaximumDestinations\n"
		"d@example.com: more than ReportMaximumDestinations\nretry"};
	options.maximum_destinations = 2;
	check_rows(&first, 1, false);
	check_rows(&second, 1, false);
	check_rows(&many, 1, false);
	options.maximum_destinations = 5;
}

/* A consent whose name would be too long is none. RFC 9990 section 4, step 4 */
static void test_long_name(void **state)
{
	(void)state;
	static const struct row row = {"", A50 "." A50 "." A50 "." A50 ".example",
		"v=DMARC1; rua=mailto:a@" A50 ".example.net", "a@" A50 ".example.net external" NO_CONSENT};
	check_rows(&row, 1, false);
}

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(0);
	suffixes = dmarc_suffixes_load(NULL);
	options = (struct report_options){.maximum_destinations = 5};
	dmarc = (struct dmarc_options){.discovery = DMARC_TREE_WALK, .suffixes = suffixes};
	return arena == NULL || suffixes == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	dmarc_suffixes_free(suffixes);
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_rua),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_ruf),
		cmocka_unit_test(test_psl),
		cmocka_unit_test(test_operator),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_long_name),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
