#include "report/failure.h"

#include "answers.h"
#include "base/buf.h"
#include "report/redact.h"

static struct arena *arena;

/* ---- what is due ---- */

struct due_row {
	const char *record; /* of DMARC */
	const char *spf;    /* result; "aligned" in front: an aligned pass */
	const char *dkim; /* of each signature: result, with "+" in front where it aligns; an aligned pass is "+pass" */
	bool due;
};

static const char *const no_fields = "From: a@example.com\r\n";

static size_t read_signatures(const char *text, struct report_failed_signature *signatures, bool *ret_aligned_pass)
{
	size_t n = 0;
	*ret_aligned_pass = false;
	struct str rest = str_of(text), word;
	while (rest.n > 0 && str_cut(&rest, ' ', &word)) {
		bool aligned = str_starts(word, STR("+"));
		word = str_skip(word, aligned);
		*ret_aligned_pass |= aligned && str_eq(word, STR("pass"));
		if (!str_eq(word, STR("pass")))
			signatures[n++] = (struct report_failed_signature){
				.domain = STR("example.com"), .result = word, .aligned = aligned};
	}
	return n;
}

static bool is_due(
	const struct report_options *options, const struct due_row *row, const char *header_from, const char *headers)
{
	struct report_failed_signature signatures[4];
	struct report_failure failure = {.headers = str_of(headers), .signatures = signatures};
	struct report_record record = {
		.policy = {.domain = STR("example.com"), .record = str_of(row->record), .discovery = STR("treewalk")},
		.row = {.header_from = str_of(header_from), .spf_domain = STR("bounce.example.com")},
		.failure = &failure,
	};
	failure.n_signatures = read_signatures(row->dkim, signatures, &record.row.dkim_aligned);
	record.row.spf_aligned = str_eq(str_of(row->spf), STR("aligned"));
	record.row.spf_result = record.row.spf_aligned ? STR("pass") : str_of(row->spf);
	return failure_due(arena, options, &record);
}

#define RUF "v=DMARC1; p=reject; ruf=mailto:a@example.com"

/* RFC 9989 section 4.7 "fo" */
static void test_fo(void **state)
{
	(void)state;
	static const struct due_row rows[] = {
		/* 0, the default: nothing gave an aligned pass */
		{RUF, "fail", "", true},
		{RUF, "pass", "fail", true},
		{RUF, "aligned", "+fail", false},
		{RUF, "fail", "+pass", false},
		{RUF "; fo=0", "fail", "+fail", true},
		{RUF "; fo=0", "aligned", "", false},
		{RUF "; fo=x", "fail", "", true},
		{RUF "; fo=x", "aligned", "", false},
		/* 1: something did not */
		{RUF "; fo=1", "aligned", "", true},
		{RUF "; fo=1", "fail", "+pass", true},
		{RUF "; fo=1", "aligned", "+pass", false},
		{RUF "; fo=1", "aligned", "+pass fail", false},
		/* d: a signature failed, whoever's */
		{RUF "; fo=d", "aligned", "+pass fail", true},
		{RUF "; fo=d", "fail", "", false},
		{RUF "; fo=d", "fail", "temperror", false},
		/* s: SPF failed, whoever's */
		{RUF "; fo=s", "fail", "+pass", true},
		{RUF "; fo=s", "softfail", "+pass", true},
		{RUF "; fo=s", "permerror", "+pass", true},
		{RUF "; fo=s", "neutral", "+pass", false},
		{RUF "; fo=s", "none", "+pass", false},
		{RUF "; fo=s", "pass", "+pass", false},
		/* lists */
		{RUF "; fo=0:d", "aligned", "permerror", true},
		{RUF "; fo=s:0", "aligned", "permerror", false},
		{RUF "; fo=d:s", "fail", "+pass", true},
		{RUF "; fo=1:d:s", "aligned", "+pass", false},
		/* without ruf fo says nothing: the operator alone may want it */
		{"v=DMARC1; p=reject; fo=1", "aligned", "", false},
		{"v=DMARC1; p=reject; fo=1", "fail", "", true},
		/* where the DNS did not answer nothing failed yet ... */
		{RUF, "temperror", "", false},
		{RUF, "fail", "+temperror", false},
		{RUF "; fo=1", "temperror", "+pass", false},
		{RUF "; fo=1", "temperror", "", true},
		{RUF "; fo=1", "aligned", "+temperror", false},
		/* ... but nobody's else DNS excuses the author's */
		{RUF, "fail", "temperror", true},
	};
	const struct report_options options = {.failure = true, .failure_on_none = true};
	for (size_t i = 0; i < COUNT(rows); i++)
		if (is_due(&options, &rows[i], "example.com", no_fields) != rows[i].due)
			fail_msg("%s, spf=%s dkim=%s", rows[i].record, rows[i].spf, rows[i].dkim);
	arena_reset(arena);
}

/* Not the envelope's domain of somebody whose DNS is silent on purpose. */
static void test_foreign_temperror(void **state)
{
	(void)state;
	struct report_failure failure = {0};
	struct report_record record = {
		.policy = {.domain = STR("example.com"), .record = STR(RUF)},
		.row = {.header_from = STR("example.com"),
			.spf_domain = STR("silent.example.net"),
			.spf_result = STR("temperror")},
		.failure = &failure,
	};
	const struct report_options options = {.failure = true};
	assert_true(failure_due(arena, &options, &record));
	record.failure = NULL;
	assert_false(failure_due(arena, &options, &record));
	record.failure = &failure;
	record.policy.domain = STR("");
	assert_false(failure_due(arena, &options, &record));
	arena_reset(arena);
}

/* FailureReports, FailureReportsOnNone */
static void test_options(void **state)
{
	(void)state;
	static const struct {
		const char *record, *header_from;
		bool due; /* without FailureReportsOnNone */
	} rows[] = {
		{"v=DMARC1; p=quarantine", "example.com", true},
		{"v=DMARC1; p=none", "example.com", false},
		{"v=DMARC1; p=none; sp=reject", "example.com", false},
		{"v=DMARC1; p=none; sp=reject", "a.example.com", true},
		{"v=DMARC1; p=reject; sp=none", "a.example.com", false},
		{"v=DMARC1; p=reject", "a.example.com", true},
		{"v=DMARC1; p=none; np=reject", "a.example.com", true},
		{"v=DMARC1; p=none; np=none", "a.example.com", false},
		{"v=DMARC1; p=reject; t=y", "example.com", true},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct report_options options = {.failure = true};
		const struct due_row row = {rows[i].record, "fail", "", true};
		if (is_due(&options, &row, rows[i].header_from, no_fields) != rows[i].due)
			fail_msg("%s for %s", rows[i].record, rows[i].header_from);
		options.failure_on_none = true;
		assert_true(is_due(&options, &row, rows[i].header_from, no_fields));
		options.failure = false;
		assert_false(is_due(&options, &row, rows[i].header_from, no_fields));
	}
	arena_reset(arena);
}

/* Two hosts whose reports fail at each other's must not go on for ever. */
static void test_loop(void **state)
{
	(void)state;
	static const struct {
		const char *headers;
		bool due;
	} rows[] = {
		{"From: a@example.com\r\nContent-Type: multipart/report; report-type=feedback-report\r\n", false},
		{"CONTENT-TYPE:\r\n Multipart/Report;\r\n report-type=delivery-status\r\n", false},
		{"Content-Type: multipart/mixed; boundary=\"multipart/report\"\r\n", true},
		{"Subject: Content-Type: multipart/report\r\n", true},
		{"", true},
	};
	const struct report_options options = {.failure = true};
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct due_row row = {RUF, "fail", "", true};
		if (is_due(&options, &row, "example.com", rows[i].headers) != rows[i].due)
			fail_msg("%s", rows[i].headers);
	}
	arena_reset(arena);
}

/* ---- SPF-DNS ---- */

static void test_spf_record(void **state)
{
	(void)state;
	static const struct {
		const char *domain, *result, *record;
		size_t questions;
	} rows[] = {
		{"a.example", "fail", "v=spf1 -all", 1},
		{"a.example", "pass", "", 0},
		{"two.example", "permerror", "", 1},
		{"slow.example", "temperror", "", 1},
		{"no.example", "none", "", 1},
		{"", "none", "", 0},
	};
	struct dns_zone *zone =
		zone_of("a.example TXT note\na.example TXT v=spf1 -all\n"
			"two.example TXT v=spf1 -all\ntwo.example TXT v=spf1 +all\nslow.example TIMEOUT\n");
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct report_record record = {
			.row = {.spf_domain = str_of(rows[i].domain), .spf_result = str_of(rows[i].result)}};
		struct answers *answers = answers_new(arena);
		struct str found;
		while (!failure_spf_record(&record, answers, &found))
			assert_true(answer_from(zone, answers) > 0);
		check_str(rows[i].domain, found, rows[i].record);
		check_int(rows[i].domain, (long long)answers_count(answers), (long long)rows[i].questions);
		arena_reset(arena);
	}
	dns_zone_free(zone);
}

/* ---- redaction ---- */

/* HMAC-SHA-256 of "alice" with key "key", by openssl dgst: 16 characters of its base64. */
#define ALICE "dvtV6SnAa5ewHDWV"

static void test_redaction(void **state)
{
	(void)state;
	static const struct {
		const char *text, *redacted;
	} rows[] = {
		{"alice@example.com", ALICE "@example.com"},
		{"<alice@example.com>,alice@example.org", "<" ALICE "@example.com>," ALICE "@example.org"},
		{"Alice <alice@example.com> (alice@example.com)",
			"Alice <" ALICE "@example.com> (" ALICE "@example.com)"},
		{"mx.example; spf=fail smtp.mailfrom=alice@example.com header.i=alice@example.com",
			"mx.example; spf=fail smtp.mailfrom=" ALICE "@example.com header.i=" ALICE "@example.com"},
		{"d=example.com; i=alice@example.com; s=x", "d=example.com; i=" ALICE "@example.com; s=x"},
		{"header.i=@example.com i=@example.com", "header.i=@example.com i=@example.com"},
		{"for <alice@[192.0.2.1]>", "for <" ALICE "@[192.0.2.1]>"},
		{"alice@b\303\274cher.example", ALICE "@b\303\274cher.example"},
		{"at 5 @ home, alice@ home, @", "at 5 @ home, alice@ home, @"},
		{"", ""},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		check_str(rows[i].text, redact_addresses(arena, STR("key"), str_of(rows[i].text)), rows[i].redacted);

	/* Of these nothing of the name is left. */
	static const char *const names[] = {"\"alice b\"@x.example", "\"alice\\\"b\"@x.example", "alice+b@x.example",
		"bounce-alice=x.example@y.example", "SRS0=ab=cd=x.example=alice@y.example", "alice@x.example@y.example",
		"\303\274alice@x.example", "alice!b@x.example", "alice\303\274@x.example", "\"alice@b\"@x.example"};
	for (size_t i = 0; i < COUNT(names); i++) {
		struct str redacted = redact_addresses(arena, STR("key"), str_of(names[i]));
		if (memmem(redacted.p, redacted.n, "alice", 5) != NULL)
			fail_msg("%s: %.*s", names[i], STR_ARG(redacted));
	}
	/* Another key, another name. */
	struct str other = redact_addresses(arena, STR("other"), STR("alice@example.com"));
	assert_false(str_starts(other, STR(ALICE)));
	struct str long_key =
		redact_addresses(arena, STR("0123456789012345678901234567890123456789012345678901234567890123456789"),
			STR("alice@example.com"));
	check_str("a key longer than a block", long_key, "W11cT5UcfyFL6WYR@example.com");
	arena_reset(arena);
}

static void test_redacted_headers(void **state)
{
	(void)state;
	check_str("headers",
		redact_headers(arena, STR("key"),
			STR("Received: from x by y\r\n\tfor <alice@example.com>; today\r\n"
			    "Message-ID:\r\n <alice@example.com>\r\n"
			    "X-Message-ID: <alice@example.com>\r\n"
			    "references : <alice@example.com>\r\n <alice@example.com>\r\n"
			    "To: alice@example.com")),
		"Received: from x by y\r\n\tfor <" ALICE "@example.com>; today\r\n"
		"Message-ID:\r\n <alice@example.com>\r\n"
		"X-Message-ID: <" ALICE "@example.com>\r\n"
		"references : <alice@example.com>\r\n <alice@example.com>\r\n"
		"To: " ALICE "@example.com");
	check_str("none", redact_headers(arena, STR("key"), STR("")), "");
	arena_reset(arena);
}

/* ---- RFC 6651 ---- */

static void test_request(void **state)
{
	(void)state;
	static const struct {
		struct str record;
		const char *address; /* NULL: nothing can be sent */
		unsigned percent, kinds;
		const char *smtp;
	} rows[] = {
		{STR_INIT("ra=postmaster"), "postmaster@example.com", 100, DKIM_REPORT_ALL, ""},
		{STR_INIT("ra=dkim-errors; rp=10; rr=v:x; rs=not=20you;"), "dkim-errors@example.com", 10,
			DKIM_REPORT_VERIFICATION | DKIM_REPORT_EXPIRED, "not you"},
		{STR_INIT(" ra = a=2Bb ; rr = D : o ; unknown=x"), "a+b@example.com", 100,
			DKIM_REPORT_DNS | DKIM_REPORT_OTHER, ""},
		{STR_INIT("ra=a; rr=p:s:u"), "a@example.com", 100,
			DKIM_REPORT_POLICY | DKIM_REPORT_SIGNATURE | DKIM_REPORT_UNKNOWN, ""},
		{STR_INIT("ra=a; rr=all:z"), "a@example.com", 100, DKIM_REPORT_ALL, ""},
		{STR_INIT("ra=a; rr=z"), "a@example.com", 100, 0, ""},
		{STR_INIT("ra=a; rp=0"), "a@example.com", 0, DKIM_REPORT_ALL, ""},
		{STR_INIT("ra=a; rs=x=0D=0A250 ok"), "a@example.com", 100, DKIM_REPORT_ALL, ""},
		{STR_INIT("rp=100"), NULL, 0, 0, ""},
		{STR_INIT("v=spf1 -all"), NULL, 0, 0, ""},
		{STR_INIT("v=DMARC1; p=none"), NULL, 0, 0, ""},
		{STR_INIT(""), NULL, 0, 0, ""},
		{STR_INIT("ra="), NULL, 0, 0, ""},
		{STR_INIT("ra=a; rp=101"), NULL, 0, 0, ""},
		{STR_INIT("ra=a; rp=1/2"), NULL, 0, 0, ""},
		{STR_INIT("ra=a; ra=b"), NULL, 0, 0, ""},
		{STR_INIT("ra=a; nonsense"), NULL, 0, 0, ""},
		/* a local part alone: nobody else gets anything */
		{STR_INIT("ra=victim@example.net"), NULL, 0, 0, ""},
		{STR_INIT("ra=victim=40example.net"), NULL, 0, 0, ""},
		{STR_INIT("ra=a=2C=20b"), NULL, 0, 0, ""},
		{STR_INIT("ra=a=0D=0ARCPT"), NULL, 0, 0, ""},
		{STR_INIT("ra=a=00"), NULL, 0, 0, ""},
		{STR_INIT("ra==22a=20b=22"), NULL, 0, 0, ""},
		{STR_INIT("ra=-f"), NULL, 0, 0, ""},
		{STR_INIT("ra=a=4"), NULL, 0, 0, ""},
		{STR_INIT("ra=\303\274"), NULL, 0, 0, ""},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dkim_report_request request;
		bool usable = dkim_report_request_parse(arena, STR("example.com"), rows[i].record, &request);
		check_int(rows[i].record.p, usable, rows[i].address != NULL);
		if (!usable)
			continue;
		check_str(rows[i].record.p, request.address, rows[i].address);
		check_str(rows[i].record.p, request.smtp, rows[i].smtp);
		check_int(rows[i].record.p, request.percent, rows[i].percent);
		check_int(rows[i].record.p, request.kinds, rows[i].kinds);
	}
	arena_reset(arena);
}

static void test_request_find(void **state)
{
	(void)state;
	static const struct {
		const char *domain, *address; /* "" none */
		bool retry;
	} rows[] = {
		{"a.example", "x@a.example", false},
		{"wild.example", "", false},
		{"two.example", "", false},
		{"slow.example", "", true},
		{"no.example", "", false},
		{"example", "", false},
		{"no host name.example", "", false},
		{"", "", false},
	};
	struct dns_zone *zone =
		zone_of("_report._domainkey.a.example TXT v=spf1 -all\n_report._domainkey.a.example TXT ra=x; rp=50\n"
			"*.wild.example TXT v=spf1 -all\n"
			"_report._domainkey.two.example TXT ra=x\n_report._domainkey.two.example TXT ra=y\n"
			"_report._domainkey.slow.example TIMEOUT\n_report._domainkey.example TXT ra=x\n");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dkim_report_request request;
		struct answers *answers = answers_new(arena);
		bool found, retry;
		while (!dkim_report_request_find(arena, str_of(rows[i].domain), answers, &found, &retry, &request))
			assert_true(answer_from(zone, answers) > 0);
		check_str(rows[i].domain, found ? request.address : STR(""), rows[i].address);
		check_int(rows[i].domain, retry, rows[i].retry);
		arena_reset(arena);
	}
	dns_zone_free(zone);
}

static void test_wanted(void **state)
{
	(void)state;
	static const struct {
		struct report_failed_signature signature;
		unsigned kind;
	} rows[] = {
		{{.result = STR_INIT("temperror"), .reason = STR_INIT("the DNS did not answer for the key")},
			DKIM_REPORT_DNS},
		{{.result = STR_INIT("permerror"), .reason = STR_INIT(DKIM_REASON_NO_KEY)}, DKIM_REPORT_DNS},
		{{.result = STR_INIT("permerror"), .reason = STR_INIT(DKIM_REASON_EXPIRED)}, DKIM_REPORT_EXPIRED},
		{{.result = STR_INIT("permerror"), .reason = STR_INIT(DKIM_REASON_REVOKED)}, DKIM_REPORT_OTHER},
		{{.result = STR_INIT("permerror"), .reason = STR_INIT("malformed b=")}, DKIM_REPORT_SIGNATURE},
		{{.result = STR_INIT("policy"), .reason = STR_INIT("key too small")}, DKIM_REPORT_POLICY},
		{{.result = STR_INIT("fail"), .reason = STR_INIT(DKIM_REASON_BODY_HASH)}, DKIM_REPORT_VERIFICATION},
		{{.result = STR_INIT("fail"), .reason = STR_INIT("signature did not verify")},
			DKIM_REPORT_VERIFICATION},
		{{.result = STR_INIT("neutral")}, DKIM_REPORT_OTHER},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct report_failed_signature signature = rows[i].signature;
		struct dkim_report_request request = {.percent = 100, .kinds = rows[i].kind};
		/* nobody gets what was not asked for: r=y */
		assert_false(dkim_report_wanted(arena, &request, &signature, STR("id")));
		signature.report_requested = true;
		check_int("its kind", dkim_report_wanted(arena, &request, &signature, STR("id")), true);
		request.kinds = DKIM_REPORT_ALL & ~rows[i].kind;
		check_int("other kinds", dkim_report_wanted(arena, &request, &signature, STR("id")), false);
	}
	arena_reset(arena);
}

static void test_percent(void **state)
{
	(void)state;
	const struct report_failed_signature signature = {.result = STR("fail"), .report_requested = true};
	static const unsigned percents[] = {0, 1, 25, 99, 100};
	for (size_t i = 0; i < COUNT(percents); i++) {
		const struct dkim_report_request request = {.percent = percents[i], .kinds = DKIM_REPORT_ALL};
		unsigned n = 0;
		for (int id = 0; id < 10000; id++) {
			struct str text = arena_printf(arena, "%d", id);
			bool wanted = dkim_report_wanted(arena, &request, &signature, text);
			assert_true(wanted == dkim_report_wanted(arena, &request, &signature, text));
			n += wanted;
		}
		/* 10,000 draws: a standard deviation is at most 50 */
		if (n + 250 < percents[i] * 100 || n > percents[i] * 100 + 250 ||
			(percents[i] % 100 == 0 && n % 10000 != 0))
			fail_msg("%u%%: %u of 10,000", percents[i], n);
		arena_reset(arena);
	}
}

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(0);
	return arena == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fo),
		cmocka_unit_test(test_foreign_temperror),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_spf_record),
		cmocka_unit_test(test_redaction),
		cmocka_unit_test(test_redacted_headers),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_request_find),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_percent),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
