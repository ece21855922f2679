/*
 * What stands in a report of ours. That others can read it is the business of aggregate_peers.py.
 */
#include "test.h"

#include <stdlib.h>

#include "aggregate_lab.h"
#include "base/utf8.h"

#include "arena_test.h" /* last: its `arena` is in nobody's way then */

static const char *golden; /* directory */

static struct str read_golden(const char *name)
{
	char text[65536];
	FILE *file = fopen(arena_printf(arena, "%s/%s", golden, name).p, "rb");
	assert_non_null(file);
	struct str all = arena_dup(arena, str_from(text, fread(text, 1, sizeof(text), file)));
	fclose(file);
	return all;
}

/* The golden files say VERSION where ours says which. */
static struct str without_version(struct str xml)
{
	struct buf out = buf_in(arena);
	const char *at = strstr(arena_dup(arena, xml).p, "Trimilter " TRIMILTER_VERSION);
	if (at == NULL)
		return xml;
	buf_add(&out, str_head(xml, xml.n - strlen(at)));
	buf_add_cstr(&out, "Trimilter VERSION");
	buf_add_cstr(&out, at + sizeof("Trimilter " TRIMILTER_VERSION) - 1);
	return buf_str(&out);
}

static void test_golden(void **state)
{
	(void)state;
	struct store_row rows[] = {lab_row(arena), lab_random_row(arena, 0), lab_random_row(arena, 1)};
	struct str new = lab_plain(arena, lab_header(REPORT_RFC9990), rows, COUNT(rows));
	struct str old = lab_plain(arena, lab_header(REPORT_RFC7489), rows, COUNT(rows));
	check_str("RFC 9990", without_version(new), read_golden("rfc9990.xml").p);
	check_str("RFC 7489", without_version(old), read_golden("rfc7489.xml").p);
}

/* ---- the policy ---- */

/* The text between the first <@name> and </@name>; empty: there is none. */
static struct str inner(struct str xml, const char *name)
{
	struct str copy = arena_dup(arena, xml);
	struct str open = arena_printf(arena, "<%s>", name), close = arena_printf(arena, "</%s>", name);
	const char *begin = strstr(copy.p, open.p);
	const char *end = begin != NULL ? strstr(begin, close.p) : NULL;
	return end != NULL ? str_from(begin + open.n, (size_t)(end - begin) - open.n) : STR("");
}

/* "p=reject sp=none ..." of the elements. */
static struct str published(struct str xml)
{
	static const char *const names[] = {
		"discovery_method", "p", "sp", "np", "fo", "adkim", "aspf", "pct", "testing"};
	struct str policy = inner(xml, "policy_published");
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < COUNT(names); i++)
		if (inner(policy, names[i]).n > 0)
			buf_printf(&out, "%s%s=%.*s", out.n > 0 ? " " : "", names[i], STR_ARG(inner(policy, names[i])));
	return buf_str(&out);
}

static void test_policy(void **state)
{
	(void)state;
	static const struct {
		enum report_format format;
		const char *discovery, *record, *published, *error;
	} rows[] = {
		{REPORT_RFC9990, "treewalk", "v=DMARC1; p=none; rua=mailto:a@example.com",
			"discovery_method=treewalk p=none sp=none np=none fo=0 adkim=r aspf=r testing=n", ""},
		{REPORT_RFC9990, "treewalk", "v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=s; t=y",
			"discovery_method=treewalk p=reject sp=none np=quarantine fo=0 adkim=s aspf=s testing=y", ""},
		/* np falls back to sp, sp to p */
		{REPORT_RFC9990, "treewalk", "v=DMARC1; p=reject; sp=quarantine",
			"discovery_method=treewalk p=reject sp=quarantine np=quarantine fo=0 adkim=r aspf=r testing=n",
			""},
		{REPORT_RFC9990, "treewalk", "v=DMARC1; p=none; fo=s:d:1; ruf=mailto:a@example.com",
			"discovery_method=treewalk p=none sp=none np=none fo=1:d:s adkim=r aspf=r testing=n", ""},
		/* np and t are unknown to RFC 7489's method */
		{REPORT_RFC9990, "psl", "v=DMARC1; p=reject; np=none; t=y",
			"discovery_method=psl p=reject sp=reject fo=0 adkim=r aspf=r", ""},
		{REPORT_RFC7489, "treewalk", "v=DMARC1; p=reject; np=none; t=y; pct=7",
			"p=reject sp=reject fo=0 adkim=r aspf=r pct=7", ""},
		{REPORT_RFC9990, "treewalk", "v=DMARC1; p=reject; sp=x; rua=mailto:a@example.com",
			"discovery_method=treewalk p=none sp=none np=none fo=0 adkim=r aspf=r testing=n",
			"sp=x: neither none, quarantine nor reject; the record is taken as p=none"},
		{REPORT_RFC7489, "psl", "v=DMARC1; p=none; rua=a@example.com",
			"p=none sp=none fo=0 adkim=r aspf=r pct=100",
			"rua=a@example.com: no URI that a report could go to, ignored"},
		{REPORT_RFC9990, "treewalk", "something else",
			"discovery_method=treewalk p=none sp=none np=none fo=0 adkim=r aspf=r testing=n",
			"the record does not begin with v=DMARC1"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct aggregate_header header = lab_header(rows[i].format);
		struct store_row row = lab_row(arena);
		header.policy.record = str_of(rows[i].record);
		header.policy.discovery = str_of(rows[i].discovery);
		struct str xml = lab_plain(arena, header, &row, 1);
		check_str(rows[i].record, published(xml), rows[i].published);
		check_str(rows[i].record, inner(xml, "error"), rows[i].error);
	}
}

/* ---- names ---- */

/* RFC 9990 sections 3.1.4, 3.5.1, 3.5.2 */
static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *submitter, *domain, *unique;
		unsigned part;
		const char *file_name, *subject, *report_id;
	} rows[] = {
		{"mx.example.net", "example.com", "7f3a", 0, "mx.example.net!example.com!10!19!7f3a.xml.gz",
			"Report Domain: example.com Submitter: mx.example.net Report-ID: <7f3a>", "7f3a"},
		{"mx.example.net", "example.com", "7f3a", 2, "mx.example.net!example.com!10!19!7f3ap2.xml.gz",
			"Report Domain: example.com Submitter: mx.example.net Report-ID: <7f3ap2>", "7f3ap2"},
		{"MX.Example.NET.", "b\xc3\xbc\x63her.example", "1", 0,
			"mx.example.net!xn--bcher-kva.example!10!19!1.xml.gz",
			"Report Domain: xn--bcher-kva.example Submitter: mx.example.net Report-ID: <1>", "1"},
		/* nothing in a name gets out of its place */
		{"mx.example.net", "../a!b\r\nX: y\xff", "1", 0, "mx.example.net!.._a_b__X__y_!10!19!1.xml.gz",
			"Report Domain: .._a_b__X__y_ Submitter: mx.example.net Report-ID: <1>", "1"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct aggregate_header header = lab_header(REPORT_RFC9990);
		struct store_row row = lab_row(arena);
		struct store_report report;
		header.submitter = str_of(rows[i].submitter);
		header.policy.domain = str_of(rows[i].domain);
		header.unique = str_of(rows[i].unique);
		header.part = rows[i].part;
		header.begin = 10;
		header.end = 19;
		lab_write(arena, header, &row, 1, SIZE_MAX, &report, 1);
		check_str("file name", report.file_name, rows[i].file_name);
		check_str("subject", report.subject, rows[i].subject);
		check_str("report id", report.report_id, rows[i].report_id);
		check_str("report id", inner(lab_plain(arena, header, &row, 1), "report_id"), rows[i].report_id);
		check_str("domain", report.domain, rows[i].domain);
		check_int("begin", report.begin, 10);
		check_int("end", report.end, 19);
		check_int("messages", (long long)report.messages, 12);
		check_int("rows", (long long)report.rows, 1);
	}
}

/* ---- text ---- */

#define BAD "\xef\xbf\xbd"

/* XML 1.0 section 2.2 */
static void test_characters(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		const char *written;
	} rows[] = {
		{STR_INIT("plain"), "plain"},
		{STR_INIT("<a href=\"x\">&amp;]]>"), "&lt;a href=&quot;x&quot;&gt;&amp;amp;]]&gt;"},
		{STR_INIT("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f"},
		{STR_INIT("\xf0\x9f\x93\xa7"), "\xf0\x9f\x93\xa7"},
		{STR_INIT("a\0b"), "a" BAD "b"},
		{STR_INIT("\x01\x08\x0b\x0c\x0e\x1b\x1f\x7f"), BAD BAD BAD BAD BAD BAD BAD BAD},
		{STR_INIT("a\tb\r\nc"), "a b  c"},
		{STR_INIT("\xc2\x80\xc2\x9f\xc2\xa0"), BAD BAD "\xc2\xa0"},
		{STR_INIT("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd"), BAD BAD BAD},
		{STR_INIT("\xff\xfe"), BAD BAD},
		{STR_INIT("\xed\xa0\x80"), BAD BAD BAD},         /* a surrogate */
		{STR_INIT("\xc0\xbc"), BAD BAD},                 /* "<" in two bytes */
		{STR_INIT("\xf4\x90\x80\x80"), BAD BAD BAD BAD}, /* beyond U+10FFFF */
		{STR_INIT("cut \xe2\x82"), "cut " BAD BAD},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct store_row row = lab_text_row(arena, rows[i].text);
		struct str xml = lab_plain(arena, lab_header(REPORT_RFC9990), &row, 1);
		check_str(rows[i].written, inner(xml, "comment"), rows[i].written);
		check_str(rows[i].written, inner(xml, "source_ip"), rows[i].written);
		check_str(rows[i].written, inner(xml, "selector"), rows[i].written);
		check_str(rows[i].written, inner(xml, "human_result"), rows[i].written);
	}
}

static void check_clean(struct str xml)
{
	assert_true(utf8_is_valid(xml));
	for (size_t i = 0; i < xml.n; i++)
		if ((unsigned char)xml.p[i] < 0x20 && xml.p[i] != '\n')
			fail_msg("byte 0x%02x", (unsigned char)xml.p[i]);
	assert_null(strstr(arena_dup(arena, xml).p, "\xef\xbf\xbe"));
	assert_null(strstr(arena_dup(arena, xml).p, "\xef\xbf\xbf"));
}

/* Each byte, before each other one, in each text of a header and of a row. */
static void test_all_bytes(void **state)
{
	(void)state;
	struct arena *outer = arena;
	for (unsigned first = 0; first < 256; first++) {
		char text[512];
		arena = arena_new(0);
		for (unsigned second = 0; second < 256; second++) {
			text[2 * second] = (char)first;
			text[2 * second + 1] = (char)second;
		}
		struct str all = str_from(text, sizeof(text));
		struct aggregate_header header = {REPORT_RFC9990, all, all, all, all, {all, all, all}, 1, 2, 0, all};
		struct store_row row = lab_text_row(arena, all);
		check_clean(lab_plain(arena, header, &row, 1));
		header.format = REPORT_RFC7489;
		check_clean(lab_plain(arena, header, &row, 1));
		arena_free(arena);
	}
	arena = outer;
}

/* A-labels, and what cannot be one as it was seen. */
static void test_domains(void **state)
{
	(void)state;
	static const struct {
		const char *seen, *written;
	} rows[] = {
		{"example.com", "example.com"},
		{"Example.COM.", "example.com"},
		{"b\xc3\xbc\x63her.example", "xn--bcher-kva.example"},
		{"B\xc3\x9c\x43HER.example", "xn--bcher-kva.example"},
		{"_spf.a--b.example", "_spf.a--b.example"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"a..b", "a..b"},
		{"b\xfc\x63her.example", "b" BAD "cher.example"},
	};
	static const char *const names[] = {"envelope_to", "envelope_from", "header_from"};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct store_row row = lab_text_row(arena, str_of(rows[i].seen));
		struct str xml = lab_plain(arena, lab_header(REPORT_RFC9990), &row, 1);
		for (size_t j = 0; j < COUNT(names); j++)
			check_str(rows[i].seen, inner(xml, names[j]), rows[i].written);
		struct str results = inner(xml, "auth_results");
		check_str(rows[i].seen, inner(inner(results, "dkim"), "domain"), rows[i].written);
		check_str(rows[i].seen, inner(inner(results, "spf"), "domain"), rows[i].written);
	}
}

/* Words that a schema does not have; null sender; no SPF; too many signatures. */
static void test_rows(void **state)
{
	(void)state;
	static const struct {
		enum report_format format;
		const char *word, *disposition, *reason, *dkim, *spf;
	} rows[] = {
		{REPORT_RFC9990, "pass", "pass", "other", "pass", "pass"},
		{REPORT_RFC7489, "pass", "none", "other", "pass", "pass"},
		{REPORT_RFC9990, "policy_test_mode", "none", "policy_test_mode", "neutral", "neutral"},
		{REPORT_RFC7489, "policy_test_mode", "none", "other", "neutral", "neutral"},
		{REPORT_RFC9990, "softfail", "none", "other", "neutral", "softfail"},
		{REPORT_RFC9990, "policy", "none", "other", "policy", "neutral"},
		{REPORT_RFC9990, "sampled_out", "none", "other", "neutral", "neutral"},
		{REPORT_RFC9990, "REJECT", "none", "other", "neutral", "neutral"},
		{REPORT_RFC7489, "", "none", "other", "neutral", "none"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct store_row row = lab_text_row(arena, str_of(rows[i].word));
		struct str xml = lab_plain(arena, lab_header(rows[i].format), &row, 1);
		struct str results = inner(xml, "auth_results");
		check_str(rows[i].word, inner(xml, "disposition"), rows[i].disposition);
		check_str(rows[i].word, inner(xml, "type"), rows[i].reason);
		check_str(rows[i].word, inner(inner(results, "dkim"), "result"), rows[i].dkim);
		check_str(rows[i].word, inner(inner(results, "spf"), "result"), rows[i].spf);
	}
}

static size_t count_of(struct str xml, const char *tag)
{
	size_t n = 0;
	for (const char *at = arena_dup(arena, xml).p; (at = strstr(at, tag)) != NULL; at++)
		n++;
	return n;
}

static void test_extremes(void **state)
{
	(void)state;
	struct store_row row = lab_row(arena);
	struct report_dkim *dkim = ARENA_ARRAY(arena, 150, struct report_dkim);
	for (unsigned i = 0; i < 150; i++)
		dkim[i] = (struct report_dkim){STR("example.com"), arena_printf(arena, "s%u", i), STR("fail"), STR("")};
	row.row.dkim = dkim;
	row.row.n_dkim = 150;
	row.row.envelope_from = row.row.envelope_to = row.row.spf_domain = row.row.spf_result = STR("");
	row.row.n_reasons = 0;
	row.count = UINT64_MAX;
	struct str xml = lab_plain(arena, lab_header(REPORT_RFC9990), &row, 1);
	check_int("signatures", (long long)count_of(xml, "<selector>"), REPORT_MAX_DKIM);
	check_int("the first are kept", (long long)count_of(xml, "<selector>s0<"), 1);
	check_int("null sender", (long long)count_of(xml, "<envelope_from></envelope_from>"), 1);
	check_int("no recipient domain", (long long)count_of(xml, "envelope_to"), 0);
	check_int("no SPF", (long long)count_of(inner(xml, "auth_results"), "<spf>"), 0);
	check_int("no reason", (long long)count_of(xml, "<reason>"), 0);
	check_str("count", inner(xml, "count"), "18446744073709551615");
	xml = lab_plain(arena, lab_header(REPORT_RFC7489), &row, 1);
	check_int("SPF by RFC 7489", (long long)count_of(inner(xml, "auth_results"), "<spf>"), 1);
}

/* ---- size ---- */

static void check_split(const struct store_row *rows, size_t n_rows, size_t maximum_bytes, size_t least_parts)
{
	static struct store_report reports[2000];
	uint64_t messages = 0, sum = 0, n = 0;
	struct buf whole = buf_in(arena), joined = buf_in(arena);
	size_t parts =
		lab_write(arena, lab_header(REPORT_RFC9990), rows, n_rows, maximum_bytes, reports, COUNT(reports));
	for (size_t i = 0; i < parts; i++) {
		struct buf xml = buf_in(arena);
		assert_int_equal(aggregate_plain(arena, &reports[i], &xml), ERR_OK);
		if (reports[i].data.n > maximum_bytes && reports[i].rows > 1)
			fail_msg("part %zu: %zu bytes, allowed are %zu", i, reports[i].data.n, maximum_bytes);
		assert_true(reports[i].rows > 0);
		check_int("records", (long long)count_of(buf_str(&xml), "<record>"), (long long)reports[i].rows);
		assert_true(str_ends(buf_str(&xml), STR("</feedback>\n")));
		for (size_t j = 0; j < i; j++)
			assert_false(str_eq(reports[i].file_name, reports[j].file_name));
		struct str text = buf_str(&xml);
		size_t at = (size_t)(strstr(buf_cstr(&xml), " <record>") - xml.p);
		buf_add(&joined, str_from(text.p + at, text.n - at - sizeof("</feedback>\n") + 1));
		n += reports[i].rows;
		sum += reports[i].messages;
	}
	for (size_t i = 0; i < n_rows; i++)
		messages += rows[i].count;
	check_int("rows", (long long)n, (long long)n_rows);
	check_int("messages", (long long)sum, (long long)messages);
	if (parts < least_parts)
		fail_msg("%zu parts of %zu bytes", parts, maximum_bytes);
	/* The parts' records are the whole's, in order. */
	buf_add(&whole, lab_plain(arena, lab_header(REPORT_RFC9990), rows, n_rows));
	assert_non_null(memmem(whole.p, whole.n, joined.p, joined.n));
}

static void test_split(void **state)
{
	(void)state;
	struct store_row *rows = ARENA_ARRAY(arena, 1000, struct store_row);
	for (unsigned i = 0; i < 1000; i++)
		rows[i] = lab_random_row(arena, i);
	check_split(rows, 1000, SIZE_MAX, 1);
	check_split(rows, 1000, 20000, 2);
	check_split(rows, 1000, 5000, 5);
	check_split(rows, 1000, 2000, 20);
	check_split(rows, 1000, 1, 1000);
	check_split(rows, 1, 1, 1);
	/* Parts are filled: no more of them than the sizes ask for, give or take the end of each. */
	static struct store_report reports[100];
	size_t whole, parts;
	lab_write(arena, lab_header(REPORT_RFC9990), rows, 1000, SIZE_MAX, reports, 1);
	whole = reports[0].data.n;
	parts = lab_write(arena, lab_header(REPORT_RFC9990), rows, 1000, whole / 3, reports, COUNT(reports));
	if (parts > 4)
		fail_msg("%zu parts instead of 4", parts);
}

/* Equal rows take hardly any room in the compressed file; the XML is bounded all the same. */
static void test_plain_size(void **state)
{
	(void)state;
	static char text[100000];
	struct store_report report;
	struct aggregate_header header = lab_header(REPORT_RFC9990);
	struct aggregate_writer *writer = aggregate_begin(arena, &header, SIZE_MAX);
	struct store_row row = lab_row(arena);
	memset(text, 'x', sizeof(text));
	row.row.spf_human_result = str_from(text, sizeof(text));
	while (aggregate_add(writer, &row))
		;
	assert_int_equal(aggregate_end(writer, &report), ERR_OK);
	if (report.rows < 1300 || report.rows > 1342)
		fail_msg("%llu rows of 100,000 bytes each", (unsigned long long)report.rows);
}

/* A report that is made again is the same file: RFC 9990 section 3.5.2. */
static void test_same_again(void **state)
{
	(void)state;
	struct store_report first, again;
	struct store_row row = lab_row(arena);
	lab_write(arena, lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX, &first, 1);
	lab_write(arena, lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX, &again, 1);
	assert_true(str_eq(first.data, again.data));
	assert_true(str_eq(first.file_name, again.file_name));
}

static void test_plain_of_damaged(void **state)
{
	(void)state;
	struct store_report report;
	struct store_row row = lab_row(arena);
	struct buf out = buf_in(arena);
	lab_write(arena, lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX, &report, 1);
	report.data = str_head(report.data, report.data.n - 9);
	assert_int_equal(aggregate_plain(arena, &report, &out), ERR_LIBRARY);
	report.data = STR("no gzip file");
	assert_int_equal(aggregate_plain(arena, &report, &out), ERR_LIBRARY);
	report.data = STR("");
	assert_int_equal(aggregate_plain(arena, &report, &out), ERR_LIBRARY);
}

/* Out of memory anywhere in it: the caller's boundary is jumped to, and the arena gives all back (ASan sees it). */
static void test_out_of_memory(void **state)
{
	(void)state;
	jmp_buf boundary;
	volatile unsigned failed = 0, done = 0;
	struct arena *outside = arena_new(0);
	struct store_row row = lab_row(outside);
	for (size_t volatile cap = 64; cap < 16384; cap += 64) {
		struct arena *volatile small = arena_new(cap);
		struct store_report report;
		if (setjmp(boundary) == 0) {
			arena_set_boundary(small, &boundary);
			lab_write(small, lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX, &report, 1);
			done++;
		} else {
			failed++;
		}
		arena_free(small);
	}
	arena_free(outside);
	assert_true(failed > 0 && done > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_golden),
		ARENA_TEST(test_policy),
		ARENA_TEST(test_names),
		ARENA_TEST(test_characters),
		ARENA_TEST(test_all_bytes),
		ARENA_TEST(test_domains),
		ARENA_TEST(test_rows),
		ARENA_TEST(test_extremes),
		ARENA_TEST(test_split),
		ARENA_TEST(test_plain_size),
		ARENA_TEST(test_same_again),
		ARENA_TEST(test_plain_of_damaged),
		cmocka_unit_test(test_out_of_memory),
	};
	golden = argc > 1 ? argv[1] : "golden";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
