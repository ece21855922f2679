/*
 * What is recorded of a message, and that it comes back from its line as it went in.
 */
#include "test.h"

#include <stdlib.h>

#include "auth/addresses.h"
#include "report/line.h"
#include "report/record.h"

#define NOW 1763740800

/* ---- what is recorded ---- */

struct message {
	struct auth_facts facts;
	struct runtime *runtime;
	struct auth_envelope envelope;
	struct auth_findings findings;
	struct verdict verdict;
	struct headers headers;
	struct dkim_result dkim[4];
	struct str rcpts[3];
};

/* Forged, from outside, to one recipient, accepted though the domain asks for quarantine. */
static void begin(struct message *message, struct arena *arena)
{
	*message = (struct message){
		.runtime = runtime_new(),
		.envelope = {.client_name = STR("mail.example.net"),
			.helo = STR("helo.example.net"),
			.mail_from = STR("bounce@mail.example.net")},
		.findings =
			{
				.judged = true,
				.spf_evaluated = true,
				.dkim_verified = true,
				.dmarc_evaluated = true,
				.spf = {.status = SPF_FAIL, .domain = STR("mail.example.net"), .reason = "a reason"},
				.dmarc = {.status = DMARC_FAIL,
					.policy = DMARC_P_QUARANTINE,
					.published = DMARC_P_QUARANTINE,
					.disposition = DMARC_P_QUARANTINE,
					.author_domain = STR("sub.example.com"),
					.organizational_domain = STR("example.com"),
					.policy_domain = STR("example.com"),
					.record = STR("v=DMARC1; p=quarantine")},
				.results_value = STR(" mx.example;\n\tspf=fail"),
			},
		.verdict = {.action = VERDICT_ACCEPT,
			.disposition = DMARC_P_NONE,
			.overrides = {{OVERRIDE_LOCAL_POLICY, STR("delivered, marked as failed")}},
			.n_overrides = 1},
		.rcpts = {STR("joe@example.org"), STR("ann@EXAMPLE.org"), STR("bob@example.edu")},
	};
	ip_parse(STR("2001:db8::1"), &message->envelope.client);
	headers_init(&message->headers, arena, 100, 100000);
	headers_add(&message->headers, STR("From"), STR(" joe@sub.example.com"));
	headers_add(&message->headers, STR("Subject"), STR(" a\n\tb"));
	message->findings.dkim = message->dkim;
	message->runtime->auth.authserv_id = STR("mx.example");
	message->facts = (struct auth_facts){
		.runtime = message->runtime,
		.envelope = &message->envelope,
		.rcpts = message->rcpts,
		.n_rcpts = 1,
		.headers = &message->headers,
		.findings = &message->findings,
		.verdict = &message->verdict,
		.queue_id = STR("4F2X"),
	};
}

/* Before and behind what most cases have in common. */
#define ROW(source, disposition, reasons, to, dkim, spf)                                                               \
	"{\"source_ip\":\"" source "\",\"disposition\":\"" disposition                                                 \
	"\",\"dkim_aligned\":false,\"spf_aligned\":false,\"reasons\":[" reasons                                        \
	"],\"header_from\":\"sub.example.com\",\"envelope_from\":\"mail.example.net\",\"envelope_to\":\"" to           \
	"\",\"dkim\":[" dkim "]" spf "}"
#define ACCEPTED "{\"type\":\"local_policy\",\"comment\":\"delivered, marked as failed\"}"
#define SPF ",\"spf\":{\"domain\":\"mail.example.net\",\"result\":\"fail\",\"human_result\":\"a reason\"}"

static void plain(struct message *message)
{
	(void)message;
}

static void rejected(struct message *message)
{
	message->verdict = (struct verdict){.action = VERDICT_REJECT, .disposition = DMARC_P_QUARANTINE};
}

static void refused_before_dmarc(struct message *message)
{
	message->verdict = (struct verdict){.action = VERDICT_REJECT, .disposition = DMARC_P_NONE};
}

static void passed(struct message *message)
{
	message->findings.dmarc.status = DMARC_PASS;
	message->verdict = (struct verdict){.action = VERDICT_ACCEPT, .disposition = DMARC_P_NONE};
}

static void test_mode(struct message *message)
{
	message->verdict.overrides[0] = (struct verdict_override){OVERRIDE_POLICY_TEST_MODE, STR("")};
}

static void behind_a_secondary_mx(struct message *message)
{
	ip_parse(STR("192.0.2.7"), &message->findings.spf_client);
}

static void two_of_a_domain(struct message *message)
{
	message->facts.n_rcpts = 2;
}

static void recipients_elsewhere(struct message *message)
{
	message->facts.n_rcpts = 3;
}

static void no_spf(struct message *message)
{
	message->findings.spf_evaluated = false;
}

static void signatures(struct message *message)
{
	static const struct dkim_result dkim[] = {
		{.status = DKIM_FAIL,
			.domain = STR_INIT("sub.example.com"),
			.selector = STR_INIT("a"),
			.reason = "no match"},
		{.status = DKIM_PASS, .domain = STR_INIT("list.example.net"), .selector = STR_INIT("b")},
		{.status = DKIM_PASS, .domain = STR_INIT("example.com"), .selector = STR_INIT("c")},
		{.status = DKIM_PASS, .domain = STR_INIT("sub.example.com"), .selector = STR_INIT("d")},
	};
	memcpy(message->dkim, dkim, sizeof(dkim));
	message->findings.n_dkim = COUNT(dkim);
}

static void signatures_in_another_order(struct message *message)
{
	signatures(message);
	struct dkim_result first = message->dkim[0];
	memmove(message->dkim, message->dkim + 1, 3 * sizeof(first));
	message->dkim[3] = first;
}

static void signature_of_nobody(struct message *message)
{
	message->dkim[0] = (struct dkim_result){.status = DKIM_PERMERROR, .reason = "no d= in the signature"};
	message->findings.n_dkim = 1;
}

static void not_judged(struct message *message)
{
	message->findings.judged = false;
}

static void deferred(struct message *message)
{
	message->verdict.action = VERDICT_TEMPFAIL;
}

static void local_submission(struct message *message)
{
	message->envelope.client = (struct ip){.family = IP_NONE};
}

static void no_policy(struct message *message)
{
	message->findings.dmarc = (struct dmarc_result){.status = DMARC_NONE, .author_domain = STR("sub.example.com")};
}

static void switched_off(struct message *message)
{
	message->runtime->report.aggregate = false;
}

static struct address reports = {STR_INIT("Reports"), STR_INIT("sub.example.com")};

static void report_of_ours(struct message *message)
{
	message->runtime->report.address = STR("reports@sub.example.com");
	message->findings.author.addresses = &reports;
	message->findings.author.n_addresses = 1;
}

static void failure_report_of_ours(struct message *message)
{
	report_of_ours(message);
	message->runtime->report.address = STR("postmaster@example.com");
	message->runtime->report.failure_from = STR("reports@sub.example.com");
}

static void from_our_domain(struct message *message)
{
	report_of_ours(message);
	message->runtime->report.address = STR("reports@example.com");
	message->runtime->report.failure_from = STR("ports@sub.example.com");
}

#define FOUR_SIGNATURES                                                                                                \
	"{\"domain\":\"sub.example.com\",\"selector\":\"d\",\"result\":\"pass\"},"                                     \
	"{\"domain\":\"example.com\",\"selector\":\"c\",\"result\":\"pass\"},"                                         \
	"{\"domain\":\"list.example.net\",\"selector\":\"b\",\"result\":\"pass\"},"                                    \
	"{\"domain\":\"sub.example.com\",\"selector\":\"a\",\"result\":\"fail\",\"human_result\":\"no match\"}"

static const struct {
	const char *what;
	void (*change)(struct message *message);
	const char *row; /* NULL: nothing is recorded */
} cases[] = {
	{"accepted against the policy, RFC 9990 section 3.1.1.9", plain,
		ROW("2001:db8::1", "none", ACCEPTED, "example.org", "", SPF)},
	{"the policy was applied", rejected, ROW("2001:db8::1", "quarantine", "", "example.org", "", SPF)},
	{"refused for another reason: a reason is due", refused_before_dmarc,
		ROW("2001:db8::1", "none", "{\"type\":\"other\",\"comment\":\"the policy was not applied\"}",
			"example.org", "", SPF)},
	{"DMARC pass", passed, ROW("2001:db8::1", "pass", "", "example.org", "", SPF)},
	{"t=y", test_mode, ROW("2001:db8::1", "none", "{\"type\":\"policy_test_mode\"}", "example.org", "", SPF)},
	{"the source is who came to the secondary MX", behind_a_secondary_mx,
		ROW("192.0.2.7", "none", ACCEPTED, "example.org", "", SPF)},
	{"two recipients of a domain", two_of_a_domain, ROW("2001:db8::1", "none", ACCEPTED, "example.org", "", SPF)},
	{"recipients of several domains", recipients_elsewhere, ROW("2001:db8::1", "none", ACCEPTED, "", "", SPF)},
	{"no SPF", no_spf, ROW("2001:db8::1", "none", ACCEPTED, "example.org", "", "")},
	{"RFC 9990 section 3.1.3, the order", signatures,
		ROW("2001:db8::1", "none", ACCEPTED, "example.org", FOUR_SIGNATURES, SPF)},
	{"another order in the message is the same row", signatures_in_another_order,
		ROW("2001:db8::1", "none", ACCEPTED, "example.org", FOUR_SIGNATURES, SPF)},
	{"a signature without a domain", signature_of_nobody,
		ROW("2001:db8::1", "none", ACCEPTED, "example.org", "", SPF)},
	{"not judged", not_judged, NULL},
	{"deferred: it comes again", deferred, NULL},
	{"no Internet client", local_submission, NULL},
	{"the domain has no policy", no_policy, NULL},
	{"AggregateReports no", switched_off, NULL},
	{"an aggregate report of ours", report_of_ours, NULL},
	{"a failure report of ours", failure_report_of_ours, NULL},
	{"another address of our domain", from_our_domain,
		ROW("2001:db8::1", "none", ACCEPTED, "example.org", "", SPF)},
};

static void what_is_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct arena *arena = arena_new(0);
		struct message message;
		struct report_record record;
		struct buf row = buf_in(arena);
		begin(&message, arena);
		cases[i].change(&message);
		bool made = report_record_make(arena, &message.facts, NOW, &record);
		check_int(cases[i].what, made, cases[i].row != NULL);
		if (made) {
			report_row_write(&record.row, &row);
			check_str(cases[i].what, buf_str(&row), cases[i].row);
			check_str(cases[i].what, record.policy.domain, "example.com");
			check_str(cases[i].what, record.policy.discovery, "treewalk");
			check_str(cases[i].what, record.reporter, "mx.example");
			check_str(cases[i].what, record.queue_id, "4F2X");
			assert_int_equal(record.time, NOW);
			assert_null(record.failure);
		}
		runtime_unref(message.runtime);
		arena_free(arena);
	}
}

static void recipients_who_are_not_reported(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct message message;
	struct report_record record;
	struct diag diag = diag_in(arena);
	struct dataset dataset = {.kind = DATASET_LIST};
	begin(&message, arena);
	dataset_parse_list(arena, STR("joe@example.org"), (struct diag_place){NULL, 0}, &dataset);
	message.runtime->report.ignore_mail_to = address_set_new(arena, &dataset, &diag);
	assert_false(report_record_make(arena, &message.facts, NOW, &record));
	message.facts.n_rcpts = 2; /* ann is not in it */
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	message.facts.n_rcpts = 0;
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	runtime_unref(message.runtime);
	arena_free(arena);
}

static void no_more_than_100_signatures(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct message message;
	struct report_record record;
	struct dkim_result *dkim = ARENA_ARRAY(arena, 150, struct dkim_result);
	begin(&message, arena);
	for (size_t i = 0; i < 150; i++)
		dkim[i] = (struct dkim_result){.status = i == 149 ? DKIM_PASS : DKIM_FAIL,
			.domain = STR("example.com"),
			.selector = arena_printf(arena, "s%zu", i)};
	message.findings.dkim = dkim;
	message.findings.n_dkim = 150;
	message.runtime->report.failure = true;
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	assert_int_equal(record.row.n_dkim, 100);
	check_str("first", record.row.dkim[0].selector, "s149");
	assert_int_equal(record.failure->n_signatures, 100);
	runtime_unref(message.runtime);
	arena_free(arena);
}

/* ---- when a failure goes with it ---- */

static const struct {
	const char *what;
	bool failure, on_none, send_reports;
	const char *record;
	enum dmarc_policy published;
	enum dmarc_status status;
	bool dkim_aligned, spf_aligned, signature_failed, r_y;
	enum spf_status spf;
	bool wanted;
} failures[] = {
	{"off", false, true, false, "p=reject; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_FAIL, 0, 0, 0, 0, SPF_FAIL,
		false},
	{"failed", true, false, false, "p=reject; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_FAIL, 0, 0, 0, 0, SPF_FAIL,
		true},
	{"the operator wants it without ruf", true, false, false, "p=reject", DMARC_P_REJECT, DMARC_FAIL, 0, 0, 0, 0,
		SPF_FAIL, true},
	{"p=none", true, false, false, "p=none; ruf=mailto:a@b.c", DMARC_P_NONE, DMARC_FAIL, 0, 0, 0, 0, SPF_FAIL,
		false},
	{"p=none, FailureReportsOnNone", true, true, false, "p=none; ruf=mailto:a@b.c", DMARC_P_NONE, DMARC_FAIL, 0, 0,
		0, 0, SPF_FAIL, true},
	{"pass", true, false, false, "p=reject; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 0, 1, 0, 0, SPF_PASS,
		false},
	{"fo=1", true, false, false, "p=reject; fo=1; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 0, 1, 0, 0,
		SPF_PASS, true},
	{"fo=1, both aligned", true, false, false, "p=reject; fo=1; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 1, 1,
		0, 0, SPF_PASS, false},
	{"fo=1 without ruf", true, false, false, "p=reject; fo=1", DMARC_P_REJECT, DMARC_PASS, 0, 1, 0, 0, SPF_PASS,
		false},
	{"fo=d", true, false, false, "p=reject; fo=d; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 0, 1, 1, 0,
		SPF_PASS, true},
	{"fo=d, no signature failed", true, false, false, "p=reject; fo=d; ruf=mailto:a@b.c", DMARC_P_REJECT,
		DMARC_PASS, 0, 1, 0, 0, SPF_PASS, false},
	{"fo=s", true, false, false, "p=reject; fo=s; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 1, 0, 0, 0,
		SPF_SOFTFAIL, true},
	{"fo=s, SPF passed", true, false, false, "p=reject; fo=s; ruf=mailto:a@b.c", DMARC_P_REJECT, DMARC_PASS, 1, 0,
		0, 0, SPF_PASS, false},
	{"RFC 6651: SendReports and r=y", false, false, true, "p=none", DMARC_P_NONE, DMARC_PASS, 0, 1, 1, 1, SPF_PASS,
		true},
	{"SendReports without r=y", false, false, true, "p=none", DMARC_P_NONE, DMARC_PASS, 0, 1, 1, 0, SPF_PASS,
		false},
	{"r=y without SendReports", false, false, false, "p=none", DMARC_P_NONE, DMARC_PASS, 0, 1, 1, 1, SPF_PASS,
		false},
};

static void when_a_failure_is_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(failures); i++) {
		struct arena *arena = arena_new(0);
		struct message message;
		struct report_record record;
		begin(&message, arena);
		struct report_options *options = &message.runtime->report;
		struct dmarc_result *dmarc = &message.findings.dmarc;
		options->failure = failures[i].failure;
		options->failure_on_none = failures[i].on_none;
		options->dkim_failure = failures[i].send_reports;
		dmarc->record = arena_printf(arena, "v=DMARC1; %s", failures[i].record);
		dmarc->published = failures[i].published;
		dmarc->status = failures[i].status;
		dmarc->dkim_aligned = failures[i].dkim_aligned;
		dmarc->spf_aligned = failures[i].spf_aligned;
		message.findings.spf.status = failures[i].spf;
		message.findings.n_dkim = failures[i].signature_failed;
		message.dkim[0] = (struct dkim_result){
			.status = DKIM_FAIL, .domain = STR("example.com"), .report_requested = failures[i].r_y};
		assert_true(report_record_make(arena, &message.facts, NOW, &record));
		check_int(failures[i].what, record.failure != NULL, failures[i].wanted);
		runtime_unref(message.runtime);
		arena_free(arena);
	}
}

static void what_a_failure_has(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct message message;
	struct report_record record;
	begin(&message, arena);
	message.runtime->report.failure = true;
	message.runtime->report.aggregate = false;
	signatures(&message);
	message.dkim[0].identity = STR("@sub.example.com");
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	const struct report_failure *failure = record.failure;
	check_str("mail_from", failure->mail_from, "bounce@mail.example.net");
	check_str("rcpt", failure->rcpt, "joe@example.org");
	check_str("client_name", failure->client_name, "mail.example.net");
	check_str("helo", failure->helo, "helo.example.net");
	check_str("delivery_result", failure->delivery_result, "delivered");
	check_str("results", failure->authentication_results, "mx.example;\tspf=fail");
	check_str("headers", failure->headers, "From: joe@sub.example.com\r\nSubject: a\r\n\tb\r\n");
	assert_false(failure->headers_cut);
	assert_int_equal(failure->n_signatures, 1);
	check_str("domain", failure->signatures[0].domain, "sub.example.com");
	check_str("identity", failure->signatures[0].identity, "@sub.example.com");
	check_str("reason", failure->signatures[0].reason, "no match");
	assert_true(failure->signatures[0].aligned);
	assert_false(failure->signatures[0].report_requested);
	/* Whole fields alone. */
	message.runtime->report.failure_header_bytes = 27 + 5;
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	check_str("cut", record.failure->headers, "From: joe@sub.example.com\r\n");
	assert_true(record.failure->headers_cut);
	message.runtime->report.failure_header_bytes = 43;
	assert_true(report_record_make(arena, &message.facts, NOW, &record));
	assert_int_equal(record.failure->headers.n, 43);
	assert_false(record.failure->headers_cut);
	runtime_unref(message.runtime);
	arena_free(arena);
}

/* ---- there and back ---- */

static unsigned long long seed = 88172645463325252ULL;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static struct str any_text(struct arena *arena, bool well_formed)
{
	static const char *const pieces[] = {"example", ".", "\"", "\\", "\n", "\r\n", "\x01", "\x7f", "\xc3\xa9",
		"\xf0\x9f\x98\x80", "/", "{", "]"};
	struct buf text = buf_in(arena);
	for (unsigned n = below(12); n > 0; n--) {
		if (!well_formed && below(4) == 0)
			buf_add_char(&text, (char)below(256));
		else if (below(20) == 0)
			buf_add(&text, str_from("\0", 1));
		else
			buf_add_cstr(&text, pieces[below(COUNT(pieces))]);
	}
	return arena_dup(arena, buf_str(&text));
}

static struct report_record any_record(struct arena *arena, bool well_formed)
{
	static const char *const dispositions[] = {"none", "pass", "quarantine", "reject"};
	static const char *const types[] = {"local_policy", "mailing_list", "other", "policy_test_mode"};
	struct report_dkim *dkim = ARENA_ARRAY(arena, 4, struct report_dkim);
	struct report_reason *reasons = ARENA_ARRAY(arena, 4, struct report_reason);
	struct report_failed_signature *failed = ARENA_ARRAY(arena, 4, struct report_failed_signature);
#define TEXT any_text(arena, well_formed)
	for (size_t i = 0; i < 4; i++) {
		dkim[i] = (struct report_dkim){TEXT, TEXT, TEXT, TEXT};
		reasons[i] = (struct report_reason){str_of(types[i]), TEXT};
		failed[i] = (struct report_failed_signature){TEXT, TEXT, TEXT, TEXT, TEXT, below(2), below(2)};
	}
	struct report_failure *failure = ARENA_NEW(arena, struct report_failure);
	*failure = (struct report_failure){TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, below(2), failed, below(5)};
	return (struct report_record){
		.id = arena_printf(arena, "id%u", below(1000)),
		.time = below(2000000000),
		.reporter = TEXT,
		.queue_id = TEXT,
		.policy = {STR("example.com"), TEXT, below(2) ? STR("psl") : STR("treewalk")},
		.row =
			{
				.source_ip = below(2) ? STR("192.0.2.1") : STR("2001:db8::1"),
				.disposition = str_of(dispositions[below(4)]),
				.dkim_aligned = below(2),
				.spf_aligned = below(2),
				.reasons = reasons,
				.n_reasons = below(5),
				.header_from = TEXT,
				.envelope_from = TEXT,
				.envelope_to = TEXT,
				.dkim = dkim,
				.n_dkim = below(5),
				.spf_domain = STR("example.net"),
				.spf_result = TEXT,
				.spf_human_result = TEXT,
			},
		.failure = below(2) ? failure : NULL,
	};
#undef TEXT
}

static void check_same(const char *what, struct str got, struct str wanted)
{
	if (!str_eq(got, wanted)) {
		print_error("%s: wanted \"%.*s\", got \"%.*s\"\n", what, STR_ARG(wanted), STR_ARG(got));
		fail();
	}
}

static void check_records(const struct report_record *got, const struct report_record *wanted)
{
#define SAME(member) check_same(#member, got->member, wanted->member)
	SAME(id);
	SAME(reporter);
	SAME(queue_id);
	SAME(policy.domain);
	SAME(policy.record);
	SAME(policy.discovery);
	SAME(row.source_ip);
	SAME(row.disposition);
	SAME(row.header_from);
	SAME(row.envelope_from);
	SAME(row.envelope_to);
	SAME(row.spf_domain);
	SAME(row.spf_result);
	SAME(row.spf_human_result);
	assert_int_equal(got->time, wanted->time);
	assert_int_equal(got->row.dkim_aligned, wanted->row.dkim_aligned);
	assert_int_equal(got->row.spf_aligned, wanted->row.spf_aligned);
	assert_int_equal(got->row.n_dkim, wanted->row.n_dkim);
	for (size_t i = 0; i < wanted->row.n_dkim; i++) {
		SAME(row.dkim[i].domain);
		SAME(row.dkim[i].selector);
		SAME(row.dkim[i].result);
		SAME(row.dkim[i].human_result);
	}
	assert_int_equal(got->row.n_reasons, wanted->row.n_reasons);
	for (size_t i = 0; i < wanted->row.n_reasons; i++) {
		SAME(row.reasons[i].type);
		SAME(row.reasons[i].comment);
	}
	assert_int_equal(got->failure != NULL, wanted->failure != NULL);
	if (wanted->failure == NULL)
		return;
	SAME(failure->mail_from);
	SAME(failure->rcpt);
	SAME(failure->client_name);
	SAME(failure->helo);
	SAME(failure->delivery_result);
	SAME(failure->authentication_results);
	SAME(failure->headers);
	assert_int_equal(got->failure->headers_cut, wanted->failure->headers_cut);
	assert_int_equal(got->failure->n_signatures, wanted->failure->n_signatures);
	for (size_t i = 0; i < wanted->failure->n_signatures; i++) {
		SAME(failure->signatures[i].domain);
		SAME(failure->signatures[i].selector);
		SAME(failure->signatures[i].identity);
		SAME(failure->signatures[i].result);
		SAME(failure->signatures[i].reason);
		assert_int_equal(got->failure->signatures[i].aligned, wanted->failure->signatures[i].aligned);
		assert_int_equal(
			got->failure->signatures[i].report_requested, wanted->failure->signatures[i].report_requested);
	}
#undef SAME
}

static void records_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2000; i++) {
		struct arena *arena = arena_new(0);
		bool well_formed = i % 2 == 0;
		struct report_record record = any_record(arena, well_formed), got, again;
		struct buf line = buf_in(arena), second = buf_in(arena), row = buf_in(arena), row_again = buf_in(arena);
		struct report_row got_row;
		report_record_write(&record, &line);
		assert_int_equal(str_index(buf_str(&line), '\n'), line.n - 1);
		const char *problem = report_record_read(arena, buf_str(&line), &got);
		if (problem != NULL)
			check_str("problem", str_of(problem), "");
		if (well_formed)
			check_records(&got, &record);
		/* Other bytes have become the characters of their number; that stays so. */
		report_record_write(&got, &second);
		assert_null(report_record_read(arena, buf_str(&second), &again));
		check_records(&again, &got);
		report_row_write(&got.row, &row);
		assert_null(report_row_read(arena, buf_str(&row), &got_row));
		report_row_write(&got_row, &row_again);
		check_same("row", buf_str(&row_again), buf_str(&row));
		arena_free(arena);
	}
}

/* What a policy's absence looks like: a DKIM failure alone. */
static void a_record_without_policy(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct report_record record = any_record(arena, true), got;
	struct buf line = buf_in(arena);
	record.policy = (struct report_policy){.domain = STR("")};
	record.row.spf_domain = STR("");
	report_record_write(&record, &line);
	assert_null(report_record_read(arena, buf_str(&line), &got));
	assert_int_equal(got.policy.domain.n, 0);
	assert_int_equal(got.row.spf_domain.n, 0);
	arena_free(arena);
}

/* ---- what is no record ---- */

#define GOOD_ROW                                                                                                       \
	"\"row\":{\"source_ip\":\"192.0.2.1\",\"disposition\":\"none\",\"dkim_aligned\":false,\"spf_aligned\":false,"  \
	"\"header_from\":\"a\",\"envelope_from\":\"\",\"envelope_to\":\"\"}"
#define HEAD "{\"id\":\"x\",\"time\":1,\"reporter\":\"r\",\"queue_id\":\"q\","

static const struct {
	const char *json, *problem;
} bad_records[] = {
	{HEAD GOOD_ROW "}", NULL},
	{HEAD "\"later\":{\"x\":[1]}," GOOD_ROW "}", NULL}, /* of a newer program */
	{HEAD "\"policy\":null," GOOD_ROW "}", NULL},
	{"[]", "no JSON object"},
	{"{", "no JSON object"},
	{HEAD GOOD_ROW "} ", NULL},
	{HEAD GOOD_ROW "}x", "no JSON object"},
	{HEAD "\"id\":\"y\"," GOOD_ROW "}", "no JSON object"}, /* twice */
	{"{\"time\":1,\"reporter\":\"r\",\"queue_id\":\"q\"," GOOD_ROW "}", "there is no id"},
	{"{\"id\":\"\",\"time\":1,\"reporter\":\"r\",\"queue_id\":\"q\"," GOOD_ROW "}", "there is no id"},
	{"{\"id\":\"x\",\"time\":\"1\",\"reporter\":\"r\",\"queue_id\":\"q\"," GOOD_ROW "}", "there is no time"},
	{"{\"id\":\"x\",\"time\":-1,\"reporter\":\"r\",\"queue_id\":\"q\"," GOOD_ROW "}", "there is no time"},
	{"{\"id\":\"x\",\"time\":1,\"reporter\":7,\"queue_id\":\"q\"," GOOD_ROW "}", "there is no reporter"},
	{HEAD "\"row\":3}", "the row is not complete"},
	{HEAD "\"row\":{\"source_ip\":\"x\",\"disposition\":\"none\",\"dkim_aligned\":false,\"spf_aligned\":false,"
	      "\"header_from\":\"a\",\"envelope_from\":\"\",\"envelope_to\":\"\"}}",
		"row.source_ip is no address"},
	{HEAD "\"row\":{\"source_ip\":\"::1\",\"disposition\":\"no\",\"dkim_aligned\":false,\"spf_aligned\":false,"
	      "\"header_from\":\"a\",\"envelope_from\":\"\",\"envelope_to\":\"\"}}",
		"row.disposition is an unknown word"},
	{HEAD "\"policy\":{\"domain\":\"a\",\"record\":\"b\",\"discovery\":\"guess\"}," GOOD_ROW "}",
		"policy.discovery is an unknown word"},
	{HEAD "\"policy\":{\"domain\":\"a\"}," GOOD_ROW "}", "the policy is not complete"},
	{HEAD GOOD_ROW ",\"failure\":{}}", "the failure is not complete"},
	{HEAD GOOD_ROW ",\"failure\":[]}", "the failure is not complete"},
};

static void what_is_no_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_records); i++) {
		struct arena *arena = arena_new(0);
		struct report_record record;
		struct buf line = buf_in(arena);
		report_line_write(str_of(bad_records[i].json), &line);
		const char *problem = report_record_read(arena, buf_str(&line), &record);
		check_str(bad_records[i].json, problem != NULL ? str_of(problem) : STR("good"),
			bad_records[i].problem != NULL ? bad_records[i].problem : "good");
		arena_free(arena);
	}
}

static void nothing_is_no_record(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct report_record record;
	struct report_row row;
	check_str("row", str_of(report_row_read(arena, (struct str){NULL, 0}, &row)), "no JSON object");
	assert_non_null(report_record_read(arena, (struct str){NULL, 0}, &record));
	arena_free(arena);
}

static const struct {
	const char *what, *line, *problem;
} lines[] = {
	{"as written", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}}\n", NULL},
	{"without its newline", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}}", NULL},
	{"empty", "", "not a line of the spool"},
	{"blank", "\n", "not a line of the spool"},
	{"foreign", "hello\n", "not a line of the spool"},
	{"torn in its head", "{\"length\":2,\"crc32\":\"a3a6", "not a line of the spool"},
	{"torn", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{", "the length is wrong"},
	{"torn before its end", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}", "the length is wrong"},
	{"two in one", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}}{\"length\":2", "the length is wrong"},
	{"changed", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":[]}", "the checksum is wrong"},
	{"another checksum", "{\"length\":2,\"crc32\":\"a3a6bf40\",\"record\":{}}", "the checksum is wrong"},
	{"too long to be ours", "{\"length\":99999999999,\"crc32\":\"a3a6bf43\",\"record\":{}}",
		"not a line of the spool"},
};

static void what_is_no_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct str json;
		const char *problem = report_line_read(str_of(lines[i].line), &json);
		check_str(lines[i].what, problem != NULL ? str_of(problem) : STR("good"),
			lines[i].problem != NULL ? lines[i].problem : "good");
		if (problem == NULL)
			check_str(lines[i].what, json, "{}");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_recorded),
		cmocka_unit_test(recipients_who_are_not_reported),
		cmocka_unit_test(no_more_than_100_signatures),
		cmocka_unit_test(when_a_failure_is_recorded),
		cmocka_unit_test(what_a_failure_has),
		cmocka_unit_test(records_come_back),
		cmocka_unit_test(a_record_without_policy),
		cmocka_unit_test(what_is_no_record),
		cmocka_unit_test(nothing_is_no_record),
		cmocka_unit_test(what_is_no_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
