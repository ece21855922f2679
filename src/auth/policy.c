#include "auth/policy.h"

const char *verdict_action_text(enum verdict_action action)
{
	switch (action) {
	case VERDICT_ACCEPT:
		return "accept";
	case VERDICT_REJECT:
		return "reject";
	case VERDICT_TEMPFAIL:
		return "tempfail";
	case VERDICT_QUARANTINE:
		return "quarantine";
	case VERDICT_DISCARD:
		return "discard";
	}
	return "accept";
}

/* Class and enhanced code must agree, or Sendmail replaces the text by "Command rejected". */
static void reply(
	struct verdict *verdict, enum verdict_action action, struct str code, struct str enhanced, struct str text)
{
	verdict->action = action;
	verdict->reply_code = code;
	verdict->enhanced_code = enhanced;
	verdict->reply_text = text;
}

/* Could the identity have aligned, had the DNS answered? Generous: below the organizational domain is enough. */
static bool could_align(const struct dmarc_result *dmarc, struct str domain)
{
	struct str apex = dmarc->organizational_domain.n > 0 ? dmarc->organizational_domain : dmarc->author_domain;
	return domain_is_within(domain, apex) || domain_is_within(apex, domain);
}

/* A check that ended in temperror might have authenticated the author's domain. */
static bool dns_might_have_helped(const struct auth_findings *findings)
{
	if (findings->dmarc.status == DMARC_TEMPERROR)
		return true;
	if (findings->spf_evaluated && findings->spf.status == SPF_TEMPERROR &&
		could_align(&findings->dmarc, findings->spf.domain))
		return true;
	for (size_t i = 0; i < findings->n_dkim; i++)
		if (findings->dkim[i].status == DKIM_TEMPERROR &&
			could_align(&findings->dmarc, findings->dkim[i].domain))
			return true;
	return false;
}

/* What the operator does with mail that failed under this policy. */
static enum verdict_action action_for(const struct auth_options *options, enum dmarc_policy policy)
{
	switch (policy) {
	case DMARC_POLICY_UNSET:
	case DMARC_P_NONE:
		return VERDICT_ACCEPT;
	case DMARC_P_REJECT:
		if (options->reject_failures)
			return VERDICT_REJECT;
		break;
	case DMARC_P_QUARANTINE:
		break;
	}
	switch (options->quarantine_action) {
	case AUTH_QUARANTINE_ACCEPT:
		return VERDICT_ACCEPT;
	case AUTH_QUARANTINE_HOLD:
		return VERDICT_QUARANTINE;
	case AUTH_QUARANTINE_REJECT:
		return VERDICT_REJECT;
	}
	return VERDICT_ACCEPT;
}

static void decide_dmarc(struct arena *arena, const struct auth_options *options, const struct auth_findings *findings,
	struct verdict *verdict, struct str *ret_reason)
{
	const struct dmarc_result *dmarc = &findings->dmarc;
	enum dmarc_policy policy = dmarc->disposition;
	/* What would be done if the missing answer were a bad one; where the policy itself is missing, the strictest. */
	if (dmarc->status == DMARC_TEMPERROR)
		policy = dmarc->policy != DMARC_POLICY_UNSET ? dmarc->policy : DMARC_P_REJECT;
	enum verdict_action action = action_for(options, policy);
	if (action == VERDICT_ACCEPT)
		return;
	if (dns_might_have_helped(findings)) {
		*ret_reason = arena_printf(arena, "the DNS did not answer what the DMARC result of %.*s depends on",
			STR_ARG(dmarc->author_domain));
		if (options->on_dns_error == AUTH_ON_ERROR_TEMPFAIL)
			reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.5"),
				arena_printf(arena, "DMARC check of %.*s is not possible now, try again later",
					STR_ARG(dmarc->author_domain)));
		return;
	}
	if (action == VERDICT_QUARANTINE) {
		verdict->action = VERDICT_QUARANTINE;
		verdict->quarantine_reason =
			arena_printf(arena, "quarantined by DMARC policy for %.*s", STR_ARG(dmarc->author_domain));
		*ret_reason = verdict->quarantine_reason;
		return;
	}
	*ret_reason = arena_printf(arena, "rejected by DMARC policy for %.*s", STR_ARG(dmarc->author_domain));
	reply(verdict, VERDICT_REJECT, STR("550"), STR("5.7.1"), *ret_reason);
}

static void decide_headers(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *verdict, struct str *ret_reason)
{
	const struct author *author = &input->findings->author;
	const char *what = NULL;
	if (options->required_headers && author->n_fields != 1)
		what = author->n_fields == 0 ? "no From field" : "more than one From field";
	else if (options->required_headers && author->outcome != AUTHOR_ONE && author->outcome != AUTHOR_SEVERAL)
		what = author->reason;
	else if (options->required_headers && headers_count(input->headers, STR("Date")) != 1)
		what = "not exactly one Date field";
	else if (options->reject_multi_value_from && (author->outcome == AUTHOR_SEVERAL || author->n_fields > 1))
		what = "From names more than one domain";
	if (what == NULL)
		return;
	*ret_reason = arena_printf(arena, "message is not as RFC 5322 asks: %s", what);
	reply(verdict, VERDICT_REJECT, STR("550"), STR("5.6.0"), *ret_reason);
}

void policy_decide(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *verdict, struct str *ret_reason)
{
	const struct auth_findings *findings = input->findings;
	*ret_reason = STR("");
	verdict->action = VERDICT_ACCEPT;
	/* A field that was not kept may be a forged result of ours: nothing unread may pass. */
	if (input->headers->dropped > 0) {
		*ret_reason = arena_printf(arena, "header section is over the limit of %zu fields or %zu bytes",
			input->headers->max_fields, input->headers->max_bytes);
		reply(verdict, VERDICT_REJECT, STR("552"), STR("5.3.4"), *ret_reason);
		return;
	}
	if (input->signing_failed) {
		*ret_reason = input->signing_failure;
		reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.5"),
			STR("this message must be signed and cannot be now, try again later"));
		return;
	}
	if (!findings->judged || !options->enforce)
		return;
	decide_headers(arena, options, input, verdict, ret_reason);
	if (verdict->action == VERDICT_ACCEPT && findings->dmarc_evaluated)
		decide_dmarc(arena, options, findings, verdict, ret_reason);
}
