/*
 * What becomes of a message, for each thing that can be found and each wish of the operator's.
 */
#include "test.h"

#include "auth/policy.h"
#include "base/buf.h"

enum option {
	DEFAULTS = 0,
	REJECT = 1,
	HOLD = 2,
	QREJECT = 4,
	MONITOR = 8,
	DNS_ACCEPT = 16,
	REQUIRED = 32,
	NOMULTI = 64
};

static struct auth_options options_of(int wanted)
{
	return (struct auth_options){
		.enforce = !(wanted & MONITOR),
		.reject_failures = (wanted & REJECT) != 0,
		.quarantine_action = wanted & HOLD      ? AUTH_QUARANTINE_HOLD
				     : wanted & QREJECT ? AUTH_QUARANTINE_REJECT
							: AUTH_QUARANTINE_ACCEPT,
		.on_signature_error = VERDICT_TEMPFAIL,
		.reject_string = STR("rejected by DMARC policy for %s"),
		.on_dns_error = wanted & DNS_ACCEPT ? AUTH_ON_ERROR_ACCEPT : AUTH_ON_ERROR_TEMPFAIL,
		.required_headers = (wanted & REQUIRED) != 0,
		.reject_multi_value_from = (wanted & NOMULTI) != 0,
	};
}

struct row {
	const char *what;
	int options;
	enum dmarc_status dmarc;
	enum dmarc_policy disposition;
	enum spf_status spf;
	const char *spf_domain;
	enum dkim_status dkim;
	const char *dkim_domain;
	enum verdict_action action;
	const char *reply;        /* code and enhanced code; NULL: none */
	enum dmarc_policy policy; /* known in spite of a temperror */
};

static const struct row rows[] = {
	{"p=reject is refused only where the operator says so", REJECT, DMARC_FAIL, DMARC_P_REJECT, SPF_FAIL,
		"example.com", DKIM_FAIL, "example.com", VERDICT_REJECT, "550 5.7.1", DMARC_POLICY_UNSET},
	{"without RejectFailures p=reject is accepted", DEFAULTS, DMARC_FAIL, DMARC_P_REJECT, SPF_FAIL, "example.com",
		DKIM_FAIL, "example.com", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"without RejectFailures p=reject takes QuarantineAction", HOLD, DMARC_FAIL, DMARC_P_REJECT, SPF_NONE, "",
		DKIM_NONE, "", VERDICT_QUARANTINE, NULL, DMARC_POLICY_UNSET},
	{"p=quarantine is held", REJECT | HOLD, DMARC_FAIL, DMARC_P_QUARANTINE, SPF_NONE, "", DKIM_NONE, "",
		VERDICT_QUARANTINE, NULL, DMARC_POLICY_UNSET},
	{"p=quarantine is accepted by default", REJECT, DMARC_FAIL, DMARC_P_QUARANTINE, SPF_NONE, "", DKIM_NONE, "",
		VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"QuarantineAction reject", QREJECT, DMARC_FAIL, DMARC_P_QUARANTINE, SPF_NONE, "", DKIM_NONE, "",
		VERDICT_REJECT, "550 5.7.1", DMARC_POLICY_UNSET},
	{"p=none is delivered", REJECT | HOLD, DMARC_FAIL, DMARC_P_NONE, SPF_NONE, "", DKIM_NONE, "", VERDICT_ACCEPT,
		NULL, DMARC_POLICY_UNSET},
	{"a pass is accepted whatever the policy", REJECT | HOLD, DMARC_PASS, DMARC_P_NONE, SPF_TEMPERROR,
		"example.com", DKIM_PASS, "example.com", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"monitor-only never refuses", REJECT | MONITOR, DMARC_FAIL, DMARC_P_REJECT, SPF_FAIL, "example.com", DKIM_FAIL,
		"example.com", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"monitor-only never defers", REJECT | MONITOR, DMARC_TEMPERROR, DMARC_P_NONE, SPF_TEMPERROR, "example.com",
		DKIM_NONE, "", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"an unknown policy is deferred where it could have meant rejection", REJECT, DMARC_TEMPERROR, DMARC_P_NONE,
		SPF_FAIL, "example.com", DKIM_NONE, "", VERDICT_TEMPFAIL, "451 4.7.5", DMARC_POLICY_UNSET},
	{"an unknown policy is accepted where nothing would be done anyway", DEFAULTS, DMARC_TEMPERROR, DMARC_P_NONE,
		SPF_FAIL, "example.com", DKIM_NONE, "", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"an unknown alignment under a known p=none changes nothing", REJECT | HOLD, DMARC_TEMPERROR, DMARC_P_NONE,
		SPF_TEMPERROR, "example.com", DKIM_NONE, "", VERDICT_ACCEPT, NULL, DMARC_P_NONE},
	{"an unknown alignment under a known p=reject", REJECT, DMARC_TEMPERROR, DMARC_P_NONE, SPF_TEMPERROR,
		"example.com", DKIM_NONE, "", VERDICT_TEMPFAIL, "451 4.7.5", DMARC_P_REJECT},
	{"On-DNSError accept", REJECT | DNS_ACCEPT, DMARC_TEMPERROR, DMARC_P_NONE, SPF_FAIL, "example.com", DKIM_NONE,
		"", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"a key that could not be had might have aligned: never refused for good", REJECT, DMARC_FAIL, DMARC_P_REJECT,
		SPF_FAIL, "evil.example", DKIM_TEMPERROR, "mail.example.com", VERDICT_TEMPFAIL, "451 4.7.5",
		DMARC_POLICY_UNSET},
	{"the same for SPF", HOLD, DMARC_FAIL, DMARC_P_QUARANTINE, SPF_TEMPERROR, "example.com", DKIM_NONE, "",
		VERDICT_TEMPFAIL, "451 4.7.5", DMARC_POLICY_UNSET},
	{"a stranger's silent name server does not save a forgery", REJECT, DMARC_FAIL, DMARC_P_REJECT, SPF_TEMPERROR,
		"evil.example", DKIM_TEMPERROR, "notexample.com", VERDICT_REJECT, "550 5.7.1", DMARC_POLICY_UNSET},
	{"permerror is no ground for rejection", REJECT | HOLD, DMARC_PERMERROR, DMARC_P_NONE, SPF_NONE, "", DKIM_NONE,
		"", VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
	{"a second From field is no way round p=reject", REJECT, DMARC_PERMERROR, DMARC_P_NONE, SPF_PASS,
		"evil.example", DKIM_NONE, "", VERDICT_REJECT, "550 5.7.1", DMARC_P_REJECT},
	{"nor round p=quarantine", HOLD, DMARC_PERMERROR, DMARC_P_NONE, SPF_PASS, "evil.example", DKIM_NONE, "",
		VERDICT_QUARANTINE, NULL, DMARC_P_QUARANTINE},
	{"no policy found", REJECT | HOLD, DMARC_NONE, DMARC_P_NONE, SPF_FAIL, "example.com", DKIM_NONE, "",
		VERDICT_ACCEPT, NULL, DMARC_POLICY_UNSET},
};

static struct str decide(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *ret_verdict)
{
	struct str reason;
	policy_decide(arena, options, input, ret_verdict, &reason);
	return ret_verdict->reply_code.n == 0 ? STR("")
					      : arena_printf(arena, "%.*s %.*s", STR_ARG(ret_verdict->reply_code),
							STR_ARG(ret_verdict->enhanced_code));
}

static void each_finding_has_its_action(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct dkim_result dkim = {.status = row->dkim, .domain = str_of(row->dkim_domain)};
		struct auth_findings findings = {
			.judged = true,
			.spf_evaluated = true,
			.dkim_verified = true,
			.dmarc_evaluated = true,
			.spf = {.status = row->spf, .domain = str_of(row->spf_domain)},
			.dkim = &dkim,
			.n_dkim = 1,
			.dmarc = {.status = row->dmarc,
				.disposition = row->disposition,
				.policy = row->policy,
				.author_domain = STR("example.com"),
				.organizational_domain = STR("example.com")},
			.author = {.outcome = AUTHOR_ONE, .n_fields = 1},
		};
		struct headers headers = {0};
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = options_of(row->options);
		struct verdict verdict = {0};
		struct str reply = decide(arena, &options, &input, &verdict);
		check_str(row->what, str_of(verdict_action_text(verdict.action)), verdict_action_text(row->action));
		check_str(row->what, reply, row->reply != NULL ? row->reply : "");
		check_int(row->what, verdict.quarantine_reason.n > 0, row->action == VERDICT_QUARANTINE);
	}
	arena_free(arena);
}

/* What stands behind as many domains as are looked at might ask for anything. */
static void domains_left_out_may_ask_for_anything(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	static const struct {
		const char *what;
		int options;
		enum dmarc_policy policy;
		enum verdict_action action;
		const char *text;
	} left_out[] = {
		{"refused", REJECT, DMARC_P_NONE, VERDICT_REJECT, "From names more domains than DMARC looks at"},
		{"without RejectFailures it is delivered", DEFAULTS, DMARC_P_NONE, VERDICT_ACCEPT, ""},
		{"or held", HOLD, DMARC_POLICY_UNSET, VERDICT_QUARANTINE, ""},
		{"monitor-only never refuses", REJECT | MONITOR, DMARC_POLICY_UNSET, VERDICT_ACCEPT, ""},
		{"one that is known to ask for it", REJECT, DMARC_P_REJECT, VERDICT_REJECT,
			"rejected by DMARC policy for a.example"},
	};
	for (size_t i = 0; i < COUNT(left_out); i++) {
		struct auth_findings findings = {
			.judged = true,
			.dmarc_evaluated = true,
			.dmarc = {.status = DMARC_FAIL,
				.policy = left_out[i].policy,
				.disposition =
					left_out[i].policy == DMARC_POLICY_UNSET ? DMARC_P_NONE : left_out[i].policy,
				.authors_left_out = true,
				.author_domain = STR("a.example")},
			.author = {.outcome = AUTHOR_SEVERAL, .n_fields = 1},
		};
		struct headers headers = {0};
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = options_of(left_out[i].options);
		struct verdict verdict = {0};
		decide(arena, &options, &input, &verdict);
		check_str(left_out[i].what, str_of(verdict_action_text(verdict.action)),
			verdict_action_text(left_out[i].action));
		check_str(left_out[i].what, verdict.reply_text, left_out[i].text);
		check_int(left_out[i].what, verdict.disposition,
			left_out[i].action == VERDICT_REJECT       ? DMARC_P_REJECT
			: left_out[i].action == VERDICT_QUARANTINE ? DMARC_P_QUARANTINE
								   : DMARC_P_NONE);
	}
	arena_free(arena);
}

static void mail_that_is_ours_is_refused_for_nothing_but_a_broken_key(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_findings findings = {
		.judged = false, .dmarc = {.status = DMARC_FAIL, .disposition = DMARC_P_REJECT}};
	struct headers headers = {0};
	struct policy_input input = {.findings = &findings, .headers = &headers};
	struct auth_options options = options_of(REJECT | HOLD | REQUIRED);
	struct verdict verdict = {0};
	decide(arena, &options, &input, &verdict);
	assert_int_equal(verdict.action, VERDICT_ACCEPT);
	input.signing_failed = true;
	input.signing_failure = STR("key gone");
	check_str("broken key", decide(arena, &options, &input, &verdict), "451 4.7.5");
	assert_int_equal(verdict.action, VERDICT_TEMPFAIL);
	options.enforce = false;
	decide(arena, &options, &input, &verdict);
	assert_int_equal(verdict.action, VERDICT_TEMPFAIL);
	arena_free(arena);
}

/* RFC 6376 section 6.1 leaves them alone; an operator may not. */
enum { BAD = 1, TESTING = 2, MISSING = 4, PASSING = 8, UNKNOWN = 16, PARTIAL = 32 };

static void signatures_decide_where_the_operator_says_so(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int signatures; /* one of each */
		enum verdict_action bad, none, missing;
		bool exempt, enforce;
		enum verdict_action action;
		const char *reply;
	} cases[] = {
		{"by default nothing", BAD, VERDICT_ACCEPT, VERDICT_ACCEPT, VERDICT_ACCEPT, false, true, VERDICT_ACCEPT,
			""},
		{"a bad one", BAD, VERDICT_REJECT, 0, 0, false, true, VERDICT_REJECT, "550 5.7.20"},
		{"a bad one is no missing key", BAD, 0, 0, VERDICT_REJECT, false, true, VERDICT_ACCEPT, ""},
		{"a missing key", MISSING, 0, 0, VERDICT_TEMPFAIL, false, true, VERDICT_TEMPFAIL, "451 4.7.20"},
		{"a missing key beside a bad one", MISSING | BAD, VERDICT_DISCARD, 0, VERDICT_REJECT, false, true,
			VERDICT_DISCARD, ""},
		{"one that passes is enough", BAD | PASSING, VERDICT_REJECT, 0, 0, false, true, VERDICT_ACCEPT, ""},
		{"part of the body is not enough", PARTIAL, VERDICT_REJECT, 0, 0, false, true, VERDICT_REJECT,
			"550 5.7.20"},
		{"a key under test excuses", BAD | TESTING, VERDICT_REJECT, 0, 0, false, true, VERDICT_ACCEPT, ""},
		{"a silent DNS defers", BAD | UNKNOWN, VERDICT_REJECT, 0, 0, false, true, VERDICT_TEMPFAIL,
			"451 4.7.20"},
		{"a silent DNS where nothing would be done", BAD | UNKNOWN, 0, 0, 0, false, true, VERDICT_ACCEPT, ""},
		{"no signature", 0, VERDICT_REJECT, VERDICT_QUARANTINE, 0, false, true, VERDICT_QUARANTINE, ""},
		{"no signature is no bad one", 0, VERDICT_REJECT, 0, VERDICT_REJECT, false, true, VERDICT_ACCEPT, ""},
		{"ExemptDomains", BAD, VERDICT_REJECT, 0, 0, true, true, VERDICT_ACCEPT, ""},
		{"monitor-only", BAD, VERDICT_REJECT, 0, 0, false, false, VERDICT_ACCEPT, ""},
	};
	static const struct dkim_result all[] = {
		{.status = DKIM_FAIL},
		{.status = DKIM_FAIL, .key_testing = true},
		{.status = DKIM_PERMERROR, .no_key = true},
		{.status = DKIM_PASS, .counts = true},
		{.status = DKIM_TEMPERROR},
		{.status = DKIM_PASS, .partial_body = true},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dkim_result found[COUNT(all)];
		struct auth_findings findings = {.judged = true, .dkim_verified = true, .dkim = found};
		for (size_t k = 0; k < COUNT(all); k++)
			if (cases[i].signatures & 1 << k)
				found[findings.n_dkim++] = all[k];
		struct auth_options options = {
			.enforce = cases[i].enforce,
			.on_bad_signature = cases[i].bad,
			.on_no_signature = cases[i].none,
			.on_key_not_found = cases[i].missing,
		};
		struct headers headers = {0};
		struct policy_input input = {
			.findings = &findings, .headers = &headers, .author_exempt = cases[i].exempt};
		struct verdict verdict = {0};
		check_str(cases[i].what, decide(arena, &options, &input, &verdict), cases[i].reply);
		check_int(cases[i].what, verdict.action, cases[i].action);
		check_int(cases[i].what, verdict.quarantine_reason.n > 0, cases[i].action == VERDICT_QUARANTINE);
	}
	arena_free(arena);
}

static void spf_refuses_where_the_operator_says_so(void **state)
{
	(void)state;
	enum { FAIL = 1 << SPF_FAIL, SOFT = 1 << SPF_SOFTFAIL, TEMP = 1 << SPF_TEMPERROR, PERM = 1 << SPF_PERMERROR };
	static const struct {
		const char *what;
		unsigned wanted, wanted_helo;
		enum spf_status mail_from, helo;
		enum dmarc_status dmarc;
		enum dkim_status dkim;
		const char *reply;
	} cases[] = {
		{"off by default", 0, 0, SPF_FAIL, SPF_FAIL, DMARC_NONE, DKIM_NONE, ""},
		{"fail", FAIL, 0, SPF_FAIL, SPF_NONE, DMARC_NONE, DKIM_NONE, "550 5.7.23"},
		{"softfail is not fail", FAIL, 0, SPF_SOFTFAIL, SPF_FAIL, DMARC_NONE, DKIM_NONE, ""},
		{"softfail", FAIL | SOFT, 0, SPF_SOFTFAIL, SPF_NONE, DMARC_NONE, DKIM_NONE, "550 5.7.23"},
		{"permerror", PERM, 0, SPF_PERMERROR, SPF_NONE, DMARC_NONE, DKIM_NONE, "550 5.7.24"},
		{"temperror defers", TEMP, 0, SPF_TEMPERROR, SPF_NONE, DMARC_NONE, DKIM_NONE, "451 4.7.24"},
		{"HELO", 0, FAIL, SPF_PASS, SPF_FAIL, DMARC_NONE, DKIM_NONE, "550 5.7.23"},
		{"a DMARC pass excuses it", FAIL, FAIL, SPF_FAIL, SPF_FAIL, DMARC_PASS, DKIM_PASS, ""},
		{"a key that cannot be had might have excused it", FAIL, 0, SPF_FAIL, SPF_NONE, DMARC_NONE,
			DKIM_TEMPERROR, "451 4.7.24"},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dkim_result dkim = {.status = cases[i].dkim, .domain = STR("example.com")};
		struct auth_findings findings = {
			.judged = true,
			.spf_evaluated = true,
			.dmarc_evaluated = true,
			.spf = {.status = cases[i].mail_from, .domain = STR("example.net")},
			.spf_helo = {.status = cases[i].helo, .identity = SPF_HELO, .domain = STR("mx.example.net")},
			.dkim = &dkim,
			.n_dkim = 1,
			.dmarc = {.status = cases[i].dmarc, .author_domain = STR("example.com")},
		};
		struct headers headers = {0};
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = {
			.enforce = true, .reject_spf = cases[i].wanted, .reject_spf_helo = cases[i].wanted_helo};
		struct verdict verdict = {0};
		check_str(cases[i].what, decide(arena, &options, &input, &verdict), cases[i].reply);
	}
	arena_free(arena);
}

static void the_policy_of_some_is_not_applied(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_findings findings = {.judged = true,
		.dmarc_evaluated = true,
		.dmarc = {.status = DMARC_FAIL, .disposition = DMARC_P_REJECT, .author_domain = STR("example.com")}};
	struct headers headers = {0};
	struct policy_input input = {.findings = &findings, .headers = &headers, .author_ignored = true};
	struct auth_options options = options_of(REJECT);
	struct verdict verdict = {0};
	struct str reason;
	policy_decide(arena, &options, &input, &verdict, &reason);
	assert_int_equal(verdict.action, VERDICT_ACCEPT);
	assert_true(str_starts(reason, STR("the author is in IgnoreMailFrom")));
	input.author_ignored = false;
	options.reject_string = STR("go away, %s!");
	check_str("reply", decide(arena, &options, &input, &verdict), "550 5.7.1");
	check_str("text", verdict.reply_text, "go away, example.com!");
	arena_free(arena);
}

/* RFC 9990 section 3.1.1.9: where DMARC failed and the published policy was not applied, the report says why. */
static void what_is_done_otherwise_is_told(void **state)
{
	(void)state;
	enum { IGNORED = 1, FORWARDED = 2, BY_LIST = 4, DNS_SILENT = 8 };
	static const struct {
		const char *what;
		int options, why;
		enum dmarc_status status;
		enum dmarc_policy published, policy; /* before and after t=y */
		enum verdict_action action;
		const char *told; /* disposition, then the overrides */
	} cases[] = {
		{"done as asked", REJECT, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_REJECT, "reject"},
		{"held as asked", HOLD, 0, DMARC_FAIL, DMARC_P_QUARANTINE, DMARC_P_QUARANTINE, VERDICT_QUARANTINE,
			"quarantine"},
		{"nothing is asked for", REJECT, 0, DMARC_FAIL, DMARC_P_NONE, DMARC_P_NONE, VERDICT_ACCEPT, "none"},
		{"a pass", REJECT, FORWARDED, DMARC_PASS, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_ACCEPT, "none"},
		{"no RejectFailures", HOLD, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_QUARANTINE,
			"quarantine, local_policy: reject is treated as quarantine"},
		{"nothing but the field", DEFAULTS, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_ACCEPT,
			"none, local_policy: delivered, marked as failed"},
		{"QuarantineAction reject", QREJECT, 0, DMARC_FAIL, DMARC_P_QUARANTINE, DMARC_P_QUARANTINE,
			VERDICT_REJECT, "reject, local_policy: quarantine is treated as reject"},
		{"QuarantineAction reject is what p=reject wants", QREJECT, 0, DMARC_FAIL, DMARC_P_REJECT,
			DMARC_P_REJECT, VERDICT_REJECT, "reject"},
		{"Enforce no", REJECT | MONITOR, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_ACCEPT,
			"none, local_policy: monitoring only"},
		{"IgnoreMailFrom", REJECT, IGNORED, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_ACCEPT,
			"none, local_policy: the author is exempt"},
		{"a trusted forwarder", REJECT, FORWARDED, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_ACCEPT,
			"none, trusted_forwarder: fwd.example.net"},
		{"a list", HOLD, FORWARDED | BY_LIST, DMARC_FAIL, DMARC_P_QUARANTINE, DMARC_P_QUARANTINE,
			VERDICT_ACCEPT, "none, mailing_list: fwd.example.net"},
		{"a list that we do not trust", REJECT, BY_LIST, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT,
			VERDICT_REJECT, "reject"},
		{"t=y", HOLD, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_QUARANTINE, VERDICT_QUARANTINE,
			"quarantine, policy_test_mode: t=y"},
		{"t=y and nothing left", REJECT, 0, DMARC_FAIL, DMARC_P_QUARANTINE, DMARC_P_NONE, VERDICT_ACCEPT,
			"none, policy_test_mode: t=y"},
		{"t=y, and less than that", REJECT, 0, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_QUARANTINE, VERDICT_ACCEPT,
			"none, local_policy: delivered, marked as failed, policy_test_mode: t=y"},
		{"t=y and a pass", REJECT, 0, DMARC_PASS, DMARC_P_REJECT, DMARC_P_QUARANTINE, VERDICT_ACCEPT, "none"},
		{"On-DNSError accept", REJECT | DNS_ACCEPT, DNS_SILENT, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT,
			VERDICT_ACCEPT, "none, local_policy: delivered, marked as failed"},
		{"deferred: it will come again", REJECT, DNS_SILENT, DMARC_FAIL, DMARC_P_REJECT, DMARC_P_REJECT,
			VERDICT_TEMPFAIL, "none"},
		{"temperror is no failure", DEFAULTS, 0, DMARC_TEMPERROR, DMARC_P_REJECT, DMARC_P_REJECT,
			VERDICT_ACCEPT, "none"},
		{"a forwarder breaks no second From field", REJECT | NOMULTI, FORWARDED, DMARC_PERMERROR,
			DMARC_P_REJECT, DMARC_P_REJECT, VERDICT_REJECT, "none, trusted_forwarder: fwd.example.net"},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		bool failed = cases[i].status == DMARC_FAIL;
		struct auth_findings findings = {
			.judged = true,
			.spf_evaluated = true,
			.spf = {.status = cases[i].why & DNS_SILENT ? SPF_TEMPERROR : SPF_FAIL,
				.domain = STR("example.com")},
			.dmarc_evaluated = true,
			.dmarc = {.status = cases[i].status,
				.published = cases[i].published,
				.policy = cases[i].policy,
				.disposition = failed ? cases[i].policy : DMARC_P_NONE,
				.testing = cases[i].published != cases[i].policy,
				.author_domain = STR("example.com")},
			.author = {.outcome = AUTHOR_ONE, .n_fields = cases[i].status == DMARC_PERMERROR ? 2 : 1},
		};
		struct headers headers = {0};
		struct policy_input input = {
			.findings = &findings,
			.headers = &headers,
			.author_ignored = (cases[i].why & IGNORED) != 0,
			.forwarder = cases[i].why & FORWARDED ? STR("fwd.example.net") : STR(""),
			.from_list = (cases[i].why & BY_LIST) != 0,
		};
		struct auth_options options = options_of(cases[i].options);
		struct verdict verdict = {0};
		decide(arena, &options, &input, &verdict);
		check_str(cases[i].what, str_of(verdict_action_text(verdict.action)),
			verdict_action_text(cases[i].action));
		struct buf told = buf_in(arena);
		buf_add_cstr(&told, dmarc_policy_text(verdict.disposition));
		for (size_t k = 0; k < verdict.n_overrides; k++)
			buf_printf(&told, ", %s: %.*s", override_type_text(verdict.overrides[k].type),
				STR_ARG(verdict.overrides[k].comment));
		check_str(cases[i].what, buf_str(&told), cases[i].told);
	}
	arena_free(arena);
}

/* What a forwarder breaks is no ground for refusal, whichever protocol finds it. */
static void what_a_trusted_forwarder_brings_is_not_refused(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_result dkim = {.status = DKIM_FAIL};
	struct auth_findings findings = {.judged = true,
		.spf_evaluated = true,
		.spf = {.status = SPF_FAIL},
		.dkim_verified = true,
		.dkim = &dkim,
		.n_dkim = 1};
	struct headers headers = {0};
	struct policy_input input = {.findings = &findings, .headers = &headers};
	struct auth_options bad = {.enforce = true, .on_bad_signature = VERDICT_REJECT};
	struct auth_options spf = {.enforce = true, .reject_spf = 1u << SPF_FAIL};
	struct verdict verdict = {0};
	check_str("stranger", decide(arena, &bad, &input, &verdict), "550 5.7.20");
	verdict = (struct verdict){0};
	check_str("stranger", decide(arena, &spf, &input, &verdict), "550 5.7.23");
	input.spf_ignored = true;
	verdict = (struct verdict){0};
	check_str("SPFIgnoreHosts", decide(arena, &bad, &input, &verdict), "550 5.7.20");
	verdict = (struct verdict){0};
	check_str("SPFIgnoreHosts", decide(arena, &spf, &input, &verdict), "");
	input.spf_ignored = false;
	input.forwarder = STR("fwd.example.net");
	verdict = (struct verdict){0};
	check_str("forwarder", decide(arena, &bad, &input, &verdict), "");
	check_str("forwarder", decide(arena, &spf, &input, &verdict), "");
	arena_free(arena);
}

/* CopyFailuresTo: of what is let in, or held. */
static void failures_are_copied(void **state)
{
	(void)state;
	static const struct {
		enum dmarc_status status;
		int options;
		bool copied;
	} cases[] = {
		{DMARC_FAIL, DEFAULTS, true},
		{DMARC_FAIL, HOLD, true},
		{DMARC_FAIL, MONITOR | REJECT, true},
		{DMARC_FAIL, REJECT, false},
		{DMARC_PASS, DEFAULTS, false},
		{DMARC_NONE, DEFAULTS, false},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct auth_findings findings = {.judged = true,
			.dmarc_evaluated = true,
			.dmarc = {.status = cases[i].status,
				.disposition = cases[i].status == DMARC_FAIL ? DMARC_P_REJECT : DMARC_P_NONE}};
		struct headers headers = {0};
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = options_of(cases[i].options);
		struct verdict verdict = {0};
		decide(arena, &options, &input, &verdict);
		assert_int_equal(verdict.copy_to.n, 0);
		options.copy_failures_to = STR("postmaster@example.com");
		decide(arena, &options, &input, &verdict);
		check_int("copied", verdict.copy_to.n > 0, cases[i].copied);
	}
	arena_free(arena);
}

static void what_cannot_be_signed_goes_as_the_operator_says(void **state)
{
	(void)state;
	static const struct {
		enum verdict_action action;
		const char *reply;
	} cases[] = {
		{VERDICT_TEMPFAIL, "451 4.7.5"},
		{VERDICT_REJECT, "550 5.7.5"},
		{VERDICT_QUARANTINE, ""},
		{VERDICT_ACCEPT, ""},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct auth_findings findings = {0};
		struct headers headers = {0};
		struct policy_input input = {.findings = &findings,
			.headers = &headers,
			.signing_failed = true,
			.signing_failure = STR("key gone")};
		struct auth_options options = {.on_signature_error = cases[i].action};
		struct verdict verdict = {0};
		struct str reason;
		policy_decide(arena, &options, &input, &verdict, &reason);
		check_int("action", verdict.action, cases[i].action);
		check_str("reason", reason, "key gone");
		check_str("reply", decide(arena, &options, &input, &verdict), cases[i].reply);
	}
	arena_free(arena);
}

static void headers_can_be_required(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int options;
		size_t n_from;
		enum author_outcome outcome;
		bool has_date;
		enum verdict_action action;
	} cases[] = {
		{"all is there", REQUIRED | NOMULTI, 1, AUTHOR_ONE, true, VERDICT_ACCEPT},
		{"no From, not asked for", DEFAULTS, 0, AUTHOR_NONE, true, VERDICT_ACCEPT},
		{"no From", REQUIRED, 0, AUTHOR_NONE, true, VERDICT_REJECT},
		{"two From fields", REQUIRED, 2, AUTHOR_MALFORMED, true, VERDICT_REJECT},
		{"unreadable From", REQUIRED, 1, AUTHOR_MALFORMED, true, VERDICT_REJECT},
		{"no Date", REQUIRED, 1, AUTHOR_ONE, false, VERDICT_REJECT},
		{"several domains are allowed by RFC 5322", REQUIRED, 1, AUTHOR_SEVERAL, true, VERDICT_ACCEPT},
		{"several domains", NOMULTI, 1, AUTHOR_SEVERAL, true, VERDICT_REJECT},
		{"two From fields name several", NOMULTI, 2, AUTHOR_MALFORMED, true, VERDICT_REJECT},
		{"monitor-only", REQUIRED | NOMULTI | MONITOR, 2, AUTHOR_MALFORMED, false, VERDICT_ACCEPT},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct auth_findings findings = {
			.judged = true,
			.author = {.outcome = cases[i].outcome, .reason = "unreadable", .n_fields = cases[i].n_from},
		};
		struct headers headers;
		headers_init(&headers, arena, 100, 10000);
		if (cases[i].has_date)
			headers_add(&headers, STR("date"), STR(" today"));
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = options_of(cases[i].options);
		struct verdict verdict = {0};
		decide(arena, &options, &input, &verdict);
		check_int(cases[i].what, verdict.action, cases[i].action);
	}
	struct auth_findings findings = {.judged = true, .author = {.outcome = AUTHOR_ONE, .n_fields = 1}};
	struct headers headers;
	headers_init(&headers, arena, 100, 10000);
	static const char *const names[] = {"Date", "Received", "Received", "subject", "Subject"};
	for (size_t i = 0; i < COUNT(names); i++) {
		struct policy_input input = {.findings = &findings, .headers = &headers};
		struct auth_options options = options_of(REQUIRED);
		struct verdict verdict = {0};
		headers_add(&headers, str_of(names[i]), STR(" x"));
		decide(arena, &options, &input, &verdict);
		check_int(names[i], verdict.action, i == 4 ? VERDICT_REJECT : VERDICT_ACCEPT);
		if (i == 4)
			check_str("text", verdict.reply_text,
				"message is not as RFC 5322 asks: more than one Subject field");
	}
	arena_free(arena);
}

static void what_was_not_read_is_not_let_in(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct auth_findings findings = {0};
	struct headers headers;
	headers_init(&headers, arena, 1, 10000);
	headers_add(&headers, STR("a"), STR(" b"));
	headers_add(&headers, STR("Authentication-Results"), STR(" us; dmarc=pass"));
	struct policy_input input = {.findings = &findings, .headers = &headers};
	struct auth_options options = options_of(MONITOR);
	struct verdict verdict = {0};
	check_str("reply", decide(arena, &options, &input, &verdict), "552 5.3.4");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_finding_has_its_action),
		cmocka_unit_test(domains_left_out_may_ask_for_anything),
		cmocka_unit_test(mail_that_is_ours_is_refused_for_nothing_but_a_broken_key),
		cmocka_unit_test(signatures_decide_where_the_operator_says_so),
		cmocka_unit_test(spf_refuses_where_the_operator_says_so),
		cmocka_unit_test(the_policy_of_some_is_not_applied),
		cmocka_unit_test(what_is_done_otherwise_is_told),
		cmocka_unit_test(what_a_trusted_forwarder_brings_is_not_refused),
		cmocka_unit_test(failures_are_copied),
		cmocka_unit_test(what_cannot_be_signed_goes_as_the_operator_says),
		cmocka_unit_test(headers_can_be_required),
		cmocka_unit_test(what_was_not_read_is_not_let_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
