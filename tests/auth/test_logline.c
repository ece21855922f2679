/*
 * The log line: nothing from outside may look like a key of ours.
 */
#include "test.h"

#include "auth/field.h"

static void a_line_tells_all_and_cannot_be_forged(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_envelope envelope = {
		.client_name = STR("mail.example.net"),
		.mail_from = STR("a action=accept\"\\\n@example.com"),
	};
	assert_true(ip_parse(STR("192.0.2.1"), &envelope.client));
	struct str domains[] = {STR("example.com")};
	struct dkim_result dkim[] = {
		{.status = DKIM_PASS, .domain = STR("example.com"), .selector = STR("s1")},
		{.status = DKIM_FAIL,
			.domain = STR("example.org"),
			.selector = STR("s2"),
			.reason = "body hash did not verify"},
	};
	struct auth_findings findings = {
		.judged = true,
		.spf_evaluated = true,
		.dkim_verified = true,
		.dmarc_evaluated = true,
		.spf = {.status = SPF_SOFTFAIL},
		.dkim = dkim,
		.n_dkim = 2,
		.dmarc = {.status = DMARC_PASS, .policy = DMARC_P_REJECT},
		.author = {.domains = domains, .n_domains = 1},
		.n_results_removed = 3,
	};
	struct verdict verdict = {
		.action = VERDICT_ACCEPT, .overrides = {{OVERRIDE_MAILING_LIST, STR("")}}, .n_overrides = 1};
	struct logline_input input = {
		.findings = &findings, .envelope = &envelope, .verdict = &verdict, .queue_id = STR("4F2X")};
	check_str("line", logline_write(arena, &input),
		"4F2X: client=mail.example.net[192.0.2.1] from=\"<a action=accept\\\"\\\\\\x0A@example.com>\" "
		"header_from=example.com origin=outside spf=softfail dkim=pass:example.com/s1,fail:example.org/s2 "
		"dkim_reason=\"body hash did not verify\" dmarc=pass policy=reject removed_results=3 action=accept "
		"override=mailing_list");
	arena_free(arena);
}

/* The terminal that shows the log obeys control characters, U+0080 to U+009F among them. */
static void characters(void **state)
{
	static const struct {
		const char *user, *shown;
	} rows[] = {
		{"joe", "joe"},
		{"j\xC3\xB6rg", "\"j\xC3\xB6rg\""},
		{"a\x1B[2Jb\x7F", "\"a\\x1B[2Jb\\x7F\""},
		{"a\x9B"
		 "2Jb",
			"\"a\\x9B"
			"2Jb\""},
		{"a\xC2\x9B"
		 "2Jb\xC2\xA0",
			"\"a\\xC2\\x9B"
			"2Jb\xC2\xA0\""},
		{"\xC3", "\"\\xC3\""},
	};
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_findings findings = {0};
	struct verdict verdict = {0};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct auth_envelope envelope = {.auth_user = str_of(rows[i].user)};
		struct logline_input input = {.findings = &findings, .envelope = &envelope, .verdict = &verdict};
		struct str line = logline_write(arena, &input), shown = arena_printf(arena, " user=%s ", rows[i].shown);
		assert_non_null(memmem(line.p, line.n, shown.p, shown.n));
	}
	arena_free(arena);
}

static void who_signed_needs_no_excuse(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_findings findings = {0};
	struct auth_envelope envelope = {0};
	struct verdict verdict = {0};
	struct dkim_signer signer = {.domain = STR("list.example"), .selector = STR("s")};
	struct logline_input input = {.findings = &findings,
		.envelope = &envelope,
		.verdict = &verdict,
		.signers = &signer,
		.unsigned_why = STR("not ours")};
	struct str line = logline_write(arena, &input);
	assert_non_null(memmem(line.p, line.n, "unsigned=\"not ours\"", 19));
	input.n_signers = 1; /* for a list: ResignMailTo */
	line = logline_write(arena, &input);
	assert_null(memmem(line.p, line.n, "unsigned", 8));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_tells_all_and_cannot_be_forged),
		cmocka_unit_test(characters),
		cmocka_unit_test(who_signed_needs_no_excuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
