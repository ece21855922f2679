#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dmarc/record.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Which texts are DMARC records at all; RFC 9989 section 4.7 "v", section 4.8. */
static void test_version(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool is_record;
	} rows[] = {
		{STR_INIT("v=DMARC1; p=none"), true},
		{STR_INIT("v=DMARC1;p=none;"), true},
		{STR_INIT("v=DMARC1"), true},
		{STR_INIT("v=DMARC1;"), true},
		{STR_INIT("v = DMARC1 ; p=none"), true},
		{STR_INIT("v\t=\tDMARC1\t;\tp=none"), true},
		{STR_INIT("V=DMARC1; p=none"), true},  /* ABNF's "v" is any case ... */
		{STR_INIT("v=dmarc1; p=none"), false}, /* ... its %s"DMARC1" is not */
		{STR_INIT("v=DMARC1x; p=none"), false},
		{STR_INIT("v=DMARC10; p=none"), false},
		{STR_INIT("v=DMARC2; p=none"), false},
		{STR_INIT("v=DMARC1 p=none"), false},    /* no separator: the value is all of it */
		{STR_INIT("v=DMARC1\\; p=none"), false}, /* an escape left over from a zone file */
		{STR_INIT("v=DMARC1\r\n; p=none"), false},
		{STR_INIT("\"v=DMARC1; p=none\""), false}, /* quotes from a web form */
		{STR_INIT("p=none; v=DMARC1"), false},     /* not first */
		{STR_INIT(" v=DMARC1; p=none"), false},
		{STR_INIT(";v=DMARC1; p=none"), false},
		{STR_INIT("v=; p=none"), false},
		{STR_INIT("v; p=none"), false},
		{STR_INIT("v=spf1 -all"), false},
		{STR_INIT("v=DMARC1\0; p=none"), false},
		{STR_INIT(""), false},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dmarc_record record;
		bool is_record = dmarc_record_parse(DMARC_TREE_WALK, rows[i].text, &record);
		if (is_record != rows[i].is_record)
			fail_msg("%s: %d", rows[i].text.p, is_record);
		if (is_record)
			assert_true(str_eq(record.text, rows[i].text));
	}
}

struct policy_row {
	struct str text;
	bool usable;
	enum dmarc_policy p, sp, np;
};

static void check_policies(enum dmarc_discovery discovery, const struct policy_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct dmarc_record record;
		assert_true(dmarc_record_parse(discovery, rows[i].text, &record));
		if (record.usable != rows[i].usable || record.p != rows[i].p || record.sp != rows[i].sp ||
			record.np != rows[i].np)
			fail_msg("%s: usable %d p %d sp %d np %d", rows[i].text.p, record.usable, record.p, record.sp,
				record.np);
	}
}

#define U DMARC_POLICY_UNSET
#define N DMARC_P_NONE
#define Q DMARC_P_QUARANTINE
#define R DMARC_P_REJECT
#define RUA "; rua=mailto:a@example.com"

/* p, sp, np and what becomes of bad ones; RFC 9989 sections 4.7 and 4.10.1. */
static void test_policies(void **state)
{
	(void)state;
	static const struct policy_row rows[] = {
		{STR_INIT("v=DMARC1; p=none"), true, N, U, U},
		{STR_INIT("v=DMARC1; p=quarantine"), true, Q, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=none; np=quarantine"), true, R, N, Q},
		{STR_INIT("v=DMARC1; P=REJECT; Sp=None"), true, R, N, U},
		{STR_INIT("v=DMARC1; rua=mailto:a@example.com; p=reject"), true, R, U, U},
		{STR_INIT("v=DMARC1; p =\treject ;"), true, R, U, U},
		{STR_INIT("v=DMARC1; p=reject\r\n"), true, R, U, U}, /* a file's last line break ... */
		{STR_INIT("v=DMARC1; p=reject\n "), false, U, U, U}, /* ... is the very last */
		{STR_INIT("v=DMARC1;;; p=reject"), true, R, U, U},
		{STR_INIT("v=DMARC1; words; =x; p=reject"), true, R, U, U},
		{STR_INIT("v=DMARC1; future=1; p=reject"), true, R, U, U},
		{STR_INIT("v=DMARC1; pct=0; ri=1d; fo=9; p=reject"), true, R, U, U},
		/* a bad one of the three makes the whole record p=none, if somebody wants reports */
		{STR_INIT("v=DMARC1"), false, U, U, U},
		{STR_INIT("v=DMARC1" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p="), false, U, U, U},
		{STR_INIT("v=DMARC1; p=" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=r"), false, U, U, U},
		{STR_INIT("v=DMARC1; p=r" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=rejected" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=\"reject\"" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject sp=none" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=re\tject" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject\r" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject\0" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=bad"), false, U, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=bad" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp="), false, U, U, U},
		{STR_INIT("v=DMARC1; p=reject; np=bad"), false, U, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=reject; np=bad" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; sp=reject; np=reject" RUA), true, N, U, U},
		/* twice: the same is harmless, else the tag is worth nothing */
		{STR_INIT("v=DMARC1; p=reject; p=Reject"), true, R, U, U},
		{STR_INIT("v=DMARC1; p=reject; p=none"), false, U, U, U},
		{STR_INIT("v=DMARC1; p=none; p=reject" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=none; sp=reject"), false, U, U, U},
		/* reports that nobody could send do not count */
		{STR_INIT("v=DMARC1; rua=a@example.com"), false, U, U, U},
		{STR_INIT("v=DMARC1; rua=mailto:a@example.com; rua=mailto:b@example.com"), false, U, U, U},
		{STR_INIT("v=DMARC1; rua="), false, U, U, U},
		{STR_INIT("v=DMARC1; rua=mailto:"), false, U, U, U},
		{STR_INIT("v=DMARC1; ruf=mailto:a@example.com"), false, U, U, U},
	};
	check_policies(DMARC_TREE_WALK, rows, LENGTH(rows));
}

/* To RFC 7489 np, psd and t are unknown tags, to be ignored whatever they hold. */
static void test_policies_psl(void **state)
{
	(void)state;
	static const struct policy_row rows[] = {
		{STR_INIT("v=DMARC1; p=reject; sp=quarantine; np=none"), true, R, Q, U},
		{STR_INIT("v=DMARC1; p=reject; np=bad"), true, R, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=bad"), false, U, U, U},
		{STR_INIT("v=DMARC1; p=reject; sp=bad" RUA), true, N, U, U},
		{STR_INIT("v=DMARC1" RUA), true, N, U, U},
	};
	check_policies(DMARC_PSL, rows, LENGTH(rows));
	struct dmarc_record record;
	assert_true(dmarc_record_parse(DMARC_PSL, STR("v=DMARC1; p=reject; t=y; psd=y; adkim=s"), &record));
	assert_false(record.testing);
	assert_int_equal(record.psd, DMARC_PSD_UNKNOWN);
	assert_int_equal(record.adkim, DMARC_STRICT);
}

/* The rest: a value that is not in the grammar is the default; RFC 9989 section 4.8. */
static void test_other_tags(void **state)
{
	(void)state;
	static const struct {
		struct str tags;
		enum dmarc_mode adkim, aspf;
		enum dmarc_psd psd;
		bool testing;
	} rows[] = {
		{STR_INIT("v=DMARC1; p=none"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_UNKNOWN, false},
		{STR_INIT("v=DMARC1; adkim=s; aspf=r"), DMARC_STRICT, DMARC_RELAXED, DMARC_PSD_UNKNOWN, false},
		{STR_INIT("v=DMARC1; adkim=r; aspf = S"), DMARC_RELAXED, DMARC_STRICT, DMARC_PSD_UNKNOWN, false},
		{STR_INIT("v=DMARC1; adkim=strict; aspf="), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_UNKNOWN, false},
		{STR_INIT("v=DMARC1; adkim=s; adkim=r"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_UNKNOWN, false},
		{STR_INIT("v=DMARC1; psd=y; t=y"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_YES, true},
		{STR_INIT("v=DMARC1; psd=N; t=n"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_NO, false},
		{STR_INIT("v=DMARC1; psd=u; t=Y"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_UNKNOWN, true},
		{STR_INIT("v=DMARC1; psd=yes; t=1"), DMARC_RELAXED, DMARC_RELAXED, DMARC_PSD_UNKNOWN, false},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dmarc_record record;
		assert_true(dmarc_record_parse(DMARC_TREE_WALK, rows[i].tags, &record));
		if (record.adkim != rows[i].adkim || record.aspf != rows[i].aspf || record.psd != rows[i].psd ||
			record.testing != rows[i].testing)
			fail_msg("%s", rows[i].tags.p);
	}
}

/* What reports need, as published. A tag given twice says nothing. */
static void test_report_tags(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		const char *rua, *ruf, *fo;
	} rows[] = {
		{STR_INIT("v=DMARC1; p=none"), "", "", ""},
		{STR_INIT("v=DMARC1; p=none; rua=mailto:a@example.com, mailto:b@example.com ;ruf=mailto:c@example.com"),
			"mailto:a@example.com, mailto:b@example.com", "mailto:c@example.com", ""},
		{STR_INIT("v=DMARC1; p=none; FO = 1:d:s ; ruf="), "", "", "1:d:s"},
		{STR_INIT("v=DMARC1; p=none; rua=mailto:a@example.com; ruf=mailto:b@example.com; "
			  "rua=mailto:c@example.com"),
			"", "mailto:b@example.com", ""},
		{STR_INIT("v=DMARC1; p=none; fo=1; fo=1; ruf=mailto:a@example.com\r\n;"), "", "", "1"},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dmarc_record record;
		assert_true(dmarc_record_parse(DMARC_PSL, rows[i].text, &record));
		if (!str_eq(record.rua, str_of(rows[i].rua)) || !str_eq(record.ruf, str_of(rows[i].ruf)) ||
			!str_eq(record.fo, str_of(rows[i].fo)))
			fail_msg("%s: rua \"%.*s\" ruf \"%.*s\" fo \"%.*s\"", rows[i].text.p, STR_ARG(record.rua),
				STR_ARG(record.ruf), STR_ARG(record.fo));
	}
}

/* fo, RFC 9989 sections 4.7 and 4.8; pct, RFC 7489. */
static void test_fo_and_pct(void **state)
{
	(void)state;
	static const struct {
		struct str tags;
		unsigned fo, pct;
	} rows[] = {
		{STR_INIT("v=DMARC1; p=none"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=mailto:a@example.com"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; fo=1"), DMARC_FO_ALL, 100}, /* no ruf: ignored */
		{STR_INIT("v=DMARC1; ruf=x:y; fo=0"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=1"), DMARC_FO_ANY, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; FO = D "), DMARC_FO_DKIM, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=s:d"), DMARC_FO_SPF | DMARC_FO_DKIM, 100},
		{STR_INIT("v=DMARC1; fo=d:1:s; ruf=x:y"), DMARC_FO_ANY | DMARC_FO_SPF | DMARC_FO_DKIM, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=0:1:d:s"), DMARC_FO_ALL, 100}, /* 0 and 1 exclude each other */
		{STR_INIT("v=DMARC1; ruf=x:y; fo=d:d"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=1:"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo="), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=2"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=1ds"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; ruf=x:y; fo=1; fo=d"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; pct=20"), DMARC_FO_ALL, 20},
		{STR_INIT("v=DMARC1; pct=0"), DMARC_FO_ALL, 0},
		{STR_INIT("v=DMARC1; pct=101"), DMARC_FO_ALL, 100},
		{STR_INIT("v=DMARC1; pct=20%"), DMARC_FO_ALL, 100},
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct dmarc_record record;
		assert_true(dmarc_record_parse(DMARC_TREE_WALK, rows[i].tags, &record));
		if (dmarc_record_fo(&record) != rows[i].fo || record.pct != rows[i].pct)
			fail_msg("%s: fo %u pct %u", rows[i].tags.p, dmarc_record_fo(&record), record.pct);
	}
}

/* What the owner of a record is told; RFC 9990 section 3.1.5. */
static void test_faults(void **state)
{
	(void)state;
	static const struct {
		enum dmarc_discovery discovery;
		struct str text;
		const char *faults;
	} rows[] = {
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none"), ""},
		{DMARC_TREE_WALK,
			STR_INIT("v=DMARC1; p=reject; sp=none; np=Quarantine; adkim=s; aspf=R; t=y; psd=u; fo=1:d:s; "
				 "pct=5; "
				 "x=y; rua=mailto:a@example.com!10m , https://example.com/; ruf=mailto:b@example.com;"),
			""},
		{DMARC_TREE_WALK, STR_INIT("v=spf1 -all"), "the record does not begin with v=DMARC1"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1"), "p is missing; the record is taken as p=none"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=r; sp=x"),
			"p=r: neither none, quarantine nor reject; sp=x: neither none, quarantine nor reject; "
			"the record is taken as p=none"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; np="),
			"np=: neither none, quarantine nor reject; the record is taken as p=none"},
		{DMARC_PSL, STR_INIT("v=DMARC1; p=none; np=x; t=x; psd=x"), ""},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; p=reject"),
			"p=reject: given twice with different values; the record is taken as p=none"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; adkim=strict; aspf=x; t=1; psd=yes; fo=0:1"),
			"adkim=strict: neither r nor s, taken as r; aspf=x: neither r nor s, taken as r; "
			"t=1: neither y nor n, taken as n; psd=yes: neither y, n nor u, taken as u; "
			"fo=0:1: not 0 or 1, d, s with colons between, taken as 0"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; rua=a@example.com, mailto:b@example.com; ruf=mailto:"),
			"rua=a@example.com: no URI that a report could go to, ignored; "
			"ruf=mailto:: no URI that a report could go to, ignored"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; rua=mailto:\xff@example.com"),
			"rua=mailto:?@example.com: not printable US-ASCII"},
		{DMARC_TREE_WALK, STR_INIT("v=DMARC1; p=none; rua=x:y; rua=x:z"), "rua=x:z: given twice"},
		{DMARC_TREE_WALK,
			STR_INIT("v=DMARC1; p=none; "
				 "adkim=0123456789012345678901234567890123456789012345678901234567890123"),
			"adkim=012345678901234567890123456789012345678901234567890123456789...: neither r nor s, taken "
			"as "
			"r"},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct str faults = dmarc_record_faults(arena, rows[i].discovery, rows[i].text);
		if (!str_eq(faults, str_of(rows[i].faults)))
			fail_msg("%s: \"%.*s\"", rows[i].text.p, STR_ARG(faults));
	}
	arena_free(arena);
}

/* dmarc-urilist and obs-dmarc-uri; RFC 9989 section 4.8, RFC 3986. */
static void test_uris(void **state)
{
	(void)state;
	static const struct {
		struct str list;
		bool usable;
	} rows[] = {
		{STR_INIT("mailto:a@example.com"), true},
		{STR_INIT("MAILTO:a@example.com"), true},
		{STR_INIT("mailto:a@example.com!10m"), true},
		{STR_INIT("mailto:a@example.com!10"), true},
		{STR_INIT("mailto:a@example.com!m"), false},
		{STR_INIT("mailto:a@example.com!"), false},
		{STR_INIT("mailto:a@example.com!10m!"), false},
		{STR_INIT("mailto:a%2Cb@example.com?subject=x"), true},
		{STR_INIT("mailto:a%2@example.com"), false},
		{STR_INIT("mailto:a%2"), false},
		{STR_INIT("mailto:a b@example.com"), false},
		{STR_INIT("mailto:<a@example.com>"), false},
		{STR_INIT("mailto:a"), false},
		{STR_INIT("mailto:@example.com"), false},
		{STR_INIT("mailto:a@"), false},
		{STR_INIT("mailto:?to=a@example.com"), false},
		{STR_INIT("https://example.com/dmarc"), true},
		{STR_INIT("1ttp://example.com/"), false},
		{STR_INIT("ht_tp://example.com/"), false},
		{STR_INIT(":a@example.com"), false},
		{STR_INIT("a@example.com"), false},
		{STR_INIT(", a@example.com ,mailto:a@example.com,"), true},
		{STR_INIT(","), false},
		{STR_INIT(""), false},
		{STR_INIT("mailto:a\0@example.com"), false},
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		if (dmarc_uri_list_is_usable(rows[i].list) != rows[i].usable)
			fail_msg("%s", rows[i].list.p);
}

static void test_one_below(void **state)
{
	(void)state;
	assert_int_equal(dmarc_policy_one_below(R), Q);
	assert_int_equal(dmarc_policy_one_below(Q), N);
	assert_int_equal(dmarc_policy_one_below(N), N);
	assert_int_equal(dmarc_policy_one_below(U), U);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_policies_psl),
		cmocka_unit_test(test_other_tags),
		cmocka_unit_test(test_report_tags),
		cmocka_unit_test(test_fo_and_pct),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_uris),
		cmocka_unit_test(test_one_below),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
