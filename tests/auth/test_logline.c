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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_line_tells_all_and_cannot_be_forged)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
