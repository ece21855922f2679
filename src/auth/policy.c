#include "auth/policy.h"

#include "base/buf.h"

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

const char *override_type_text(enum override_type type)
{
	switch (type) {
	case OVERRIDE_LOCAL_POLICY:
		return "local_policy";
	case OVERRIDE_MAILING_LIST:
		return "mailing_list";
	case OVERRIDE_POLICY_TEST_MODE:
		return "policy_test_mode";
	case OVERRIDE_TRUSTED_FORWARDER:
		return "trusted_forwarder";
	}
	return "local_policy";
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

static const char LEFT_OUT[] = "From names more domains than DMARC looks at";

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

/* RejectString: "%s" is the author's domain. */
static struct str reject_text(struct arena *arena, const struct auth_options *options, struct str domain)
{
	struct buf text = buf_in(arena);
	struct str rest = options->reject_string;
	for (size_t i = 0; i < rest.n; i++) {
		if (rest.p[i] == '%' && i + 1 < rest.n && rest.p[i + 1] == 's') {
			buf_add(&text, domain);
			i++;
		} else {
			buf_add_char(&text, rest.p[i]);
		}
	}
	return buf_str(&text);
}

/* ---- DMARC ---- */

static void add_override(struct verdict *verdict, enum override_type type, struct str comment)
{
	verdict->overrides[verdict->n_overrides++] = (struct verdict_override){type, comment};
}

/* A domain that stands behind as many others as are looked at may ask for anything, and must get no less than it asks
 * for. */
static bool authors_left_out_decide(const struct dmarc_result *dmarc)
{
	return dmarc->authors_left_out && dmarc->policy != DMARC_P_REJECT;
}

/* What the author's domain asks for. */
static enum dmarc_policy policy_asked_for(const struct dmarc_result *dmarc)
{
	/* What would be done if the missing answer were a bad one; where the policy itself is missing, the strictest.
	 */
	if (dmarc->status == DMARC_TEMPERROR)
		return dmarc->policy != DMARC_POLICY_UNSET ? dmarc->policy : DMARC_P_REJECT;
	if (authors_left_out_decide(dmarc))
		return DMARC_P_REJECT;
	/* A From that cannot be read with certainty must not be a way round the policy of a domain that it names. */
	if (dmarc->status == DMARC_PERMERROR)
		return dmarc->policy;
	return dmarc->disposition;
}

/* Whom the policy is not for at all. *ret_reason is for the log */
static bool is_excused(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *verdict, struct str *ret_reason)
{
	if (!options->enforce) {
		add_override(verdict, OVERRIDE_LOCAL_POLICY, STR("monitoring only"));
		*ret_reason = STR("Enforce is no, so the DMARC policy is not applied");
		return true;
	}
	if (input->author_ignored) {
		add_override(verdict, OVERRIDE_LOCAL_POLICY, STR("the author is exempt"));
		*ret_reason = STR("the author is in IgnoreMailFrom, so the DMARC policy is not applied");
		return true;
	}
	if (input->forwarder.n > 0) {
		add_override(verdict, input->from_list ? OVERRIDE_MAILING_LIST : OVERRIDE_TRUSTED_FORWARDER,
			input->forwarder);
		*ret_reason = arena_printf(
			arena, "forwarded by %.*s, so the DMARC policy is not applied", STR_ARG(input->forwarder));
		return true;
	}
	return false;
}

static void note_difference(enum dmarc_policy asked, enum verdict_action action, struct verdict *verdict)
{
	if (action == VERDICT_ACCEPT)
		add_override(verdict, OVERRIDE_LOCAL_POLICY, STR("delivered, marked as failed"));
	else if (action == VERDICT_QUARANTINE && asked == DMARC_P_REJECT)
		add_override(verdict, OVERRIDE_LOCAL_POLICY, STR("reject is treated as quarantine"));
	else if (action == VERDICT_REJECT && asked == DMARC_P_QUARANTINE)
		add_override(verdict, OVERRIDE_LOCAL_POLICY, STR("quarantine is treated as reject"));
}

/* What DMARC alone does, and by whose word; *ret_reason where the log should tell why it is less than was asked for. */
static enum verdict_action decide_dmarc(struct arena *arena, const struct auth_options *options,
	const struct policy_input *input, struct verdict *verdict, struct str *ret_reason)
{
	const struct dmarc_result *dmarc = &input->findings->dmarc;
	enum dmarc_policy asked = policy_asked_for(dmarc);
	enum verdict_action action = action_for(options, asked);
	struct str excuse;
	if (asked == DMARC_POLICY_UNSET || asked == DMARC_P_NONE)
		return VERDICT_ACCEPT;
	if (is_excused(arena, options, input, verdict, &excuse)) {
		if (action != VERDICT_ACCEPT)
			*ret_reason = excuse;
		return VERDICT_ACCEPT;
	}
	if (action != VERDICT_ACCEPT && dns_might_have_helped(input->findings)) {
		*ret_reason = arena_printf(arena, "the DNS did not answer what the DMARC result of %.*s depends on",
			STR_ARG(dmarc->author_domain));
		if (options->on_dns_error == AUTH_ON_ERROR_TEMPFAIL)
			return VERDICT_TEMPFAIL;
		action = VERDICT_ACCEPT;
	}
	if (authors_left_out_decide(dmarc) && action != VERDICT_ACCEPT)
		add_override(verdict, OVERRIDE_LOCAL_POLICY, str_of(LEFT_OUT));
	else
		note_difference(asked, action, verdict);
	return action;
}

static void apply_dmarc(struct arena *arena, const struct auth_options *options, const struct dmarc_result *dmarc,
	enum verdict_action action, struct verdict *verdict, struct str *ret_reason)
{
	struct str author_domain = dmarc->author_domain;
	bool left_out = authors_left_out_decide(dmarc);
	if (action == VERDICT_TEMPFAIL) {
		reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.5"),
			arena_printf(arena, "DMARC check of %.*s is not possible now, try again later",
				STR_ARG(author_domain)));
	} else if (action == VERDICT_QUARANTINE) {
		verdict->action = VERDICT_QUARANTINE;
		verdict->quarantine_reason =
			left_out ? arena_printf(arena, "quarantined: %s", LEFT_OUT)
				 : arena_printf(arena, "quarantined by DMARC policy for %.*s", STR_ARG(author_domain));
		*ret_reason = verdict->quarantine_reason;
	} else if (action == VERDICT_REJECT) {
		*ret_reason =
			left_out ? str_of(LEFT_OUT)
				 : arena_printf(arena, "rejected by DMARC policy for %.*s", STR_ARG(author_domain));
		reply(verdict, VERDICT_REJECT, STR("550"), STR("5.7.1"),
			left_out ? *ret_reason : reject_text(arena, options, author_domain));
	}
}

/* Disposition and overrides are told to the domain whatever else becomes of the message (RFC 9990 section 3.1). */
static enum verdict_action judge_dmarc(struct arena *arena, const struct auth_options *options,
	const struct policy_input *input, struct verdict *verdict, struct str *ret_reason)
{
	const struct dmarc_result *dmarc = &input->findings->dmarc;
	enum verdict_action action = decide_dmarc(arena, options, input, verdict, ret_reason);
	if (dmarc->status == DMARC_TEMPERROR)
		verdict->n_overrides = 0; /* it was not evaluated to its end */
	else if (dmarc->status == DMARC_FAIL && dmarc->testing && dmarc->published != dmarc->policy)
		add_override(verdict, OVERRIDE_POLICY_TEST_MODE, STR("t=y"));
	verdict->disposition = action == VERDICT_REJECT       ? DMARC_P_REJECT
			       : action == VERDICT_QUARANTINE ? DMARC_P_QUARANTINE
							      : DMARC_P_NONE;
	return action;
}

/* Carry out what an On- option says; codes of RFC 7372 section 3.1. */
static void act(struct verdict *verdict, enum verdict_action action, struct str why, struct str *ret_reason)
{
	bool held = verdict->action == VERDICT_QUARANTINE;
	if (action == VERDICT_ACCEPT || (held && action == VERDICT_QUARANTINE))
		return;
	*ret_reason = why;
	verdict->action = action;
	verdict->quarantine_reason = action == VERDICT_QUARANTINE ? why : STR("");
	if (action == VERDICT_REJECT)
		reply(verdict, action, STR("550"), STR("5.7.20"), why);
	else if (action == VERDICT_TEMPFAIL)
		reply(verdict, action, STR("451"), STR("4.7.20"), why);
}

/*
 * On-BadSignature and its like. One signature that passes is enough; one whose key is under test (t=y) excuses the
 * message, as opendkim.conf(5) says.
 */
static void decide_dkim(const struct auth_options *options, const struct auth_findings *findings,
	struct verdict *verdict, struct str *ret_reason)
{
	bool unknown = false, missing = true;
	if (findings->n_dkim == 0)
		act(verdict, options->on_no_signature, STR("no DKIM signature data"), ret_reason);
	for (size_t i = 0; i < findings->n_dkim; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		if ((result->status == DKIM_PASS && result->counts) || result->key_testing)
			return;
		unknown = unknown || result->status == DKIM_TEMPERROR;
		missing = missing && result->no_key;
	}
	if (findings->n_dkim == 0)
		return;
	enum verdict_action action = missing ? options->on_key_not_found : options->on_bad_signature;
	if (unknown && action != VERDICT_ACCEPT)
		action = options->on_dns_error == AUTH_ON_ERROR_TEMPFAIL ? VERDICT_TEMPFAIL : VERDICT_ACCEPT;
	act(verdict, action,
		unknown   ? STR("a DKIM key cannot be had from the DNS now")
		: missing ? STR("DKIM key not found")
			  : STR("bad DKIM signature data"),
		ret_reason);
}

static bool refuses(unsigned wanted, const struct spf_result *spf)
{
	return (wanted & 1u << spf->status) != 0;
}

static void refuse_spf(struct arena *arena, const struct spf_result *spf, const char *identity, struct verdict *verdict,
	struct str *ret_reason)
{
	struct str domain = spf->domain.n > 0 ? spf->domain : STR("the sender");
	*ret_reason =
		arena_printf(arena, "SPF %s check failed: %s for %.*s%s%.*s", identity, spf_status_text(spf->status),
			STR_ARG(domain), spf->explanation.n > 0 ? ", which explains: " : "", STR_ARG(spf->explanation));
	/* RFC 7372 section 3.2; RFC 7208 section 8.6 wants temperror deferred. */
	if (spf->status == SPF_TEMPERROR)
		reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.24"), *ret_reason);
	else
		reply(verdict, VERDICT_REJECT, STR("550"), spf->status == SPF_PERMERROR ? STR("5.7.24") : STR("5.7.23"),
			*ret_reason);
}

/*
 * RejectSPF. It comes last, when DMARC is known: what an aligned signature has authenticated is not refused because
 * a forwarder brought it (RFC 9989 section 7.1).
 */
static void decide_spf(struct arena *arena, const struct auth_options *options, const struct auth_findings *findings,
	struct verdict *verdict, struct str *ret_reason)
{
	bool mail_from = refuses(options->reject_spf, &findings->spf);
	if (!mail_from && !refuses(options->reject_spf_helo, &findings->spf_helo))
		return;
	if (findings->dmarc_evaluated && findings->dmarc.status == DMARC_PASS)
		return;
	const struct spf_result *spf = mail_from ? &findings->spf : &findings->spf_helo;
	if (spf->status != SPF_TEMPERROR && dns_might_have_helped(findings)) {
		*ret_reason = STR("the DNS did not answer whether DMARC excuses the SPF result");
		if (options->on_dns_error == AUTH_ON_ERROR_TEMPFAIL)
			reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.24"),
				STR("SPF and DMARC check is not possible now, try again later"));
		return;
	}
	refuse_spf(arena, spf, mail_from && spf->identity == SPF_MAILFROM ? "MAIL FROM" : "HELO", verdict, ret_reason);
}

/* It should have been signed. Accepted is what goes out unsigned: never without a word in the log. */
static void decide_signing(const struct auth_options *options, const struct policy_input *input,
	struct verdict *verdict, struct str *ret_reason)
{
	*ret_reason = input->signing_failure;
	verdict->action = options->on_signature_error;
	if (verdict->action == VERDICT_QUARANTINE)
		verdict->quarantine_reason = STR("this message must be signed and cannot be");
	else if (verdict->action == VERDICT_REJECT)
		reply(verdict, VERDICT_REJECT, STR("550"), STR("5.7.5"),
			STR("this message must be signed and cannot be"));
	else if (verdict->action == VERDICT_TEMPFAIL)
		reply(verdict, VERDICT_TEMPFAIL, STR("451"), STR("4.7.5"),
			STR("this message must be signed and cannot be now, try again later"));
}

/* RFC 5322 section 3.6: what may occur once at most. */
static const char *repeated_field(struct arena *arena, const struct headers *headers)
{
	static const char *const once[] = {
		"Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject"};
	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
		if (headers_count(headers, str_of(once[i])) > 1)
			return arena_printf(arena, "more than one %s field", once[i]).p;
	return NULL;
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
	else if (options->required_headers && repeated_field(arena, input->headers) != NULL)
		what = repeated_field(arena, input->headers);
	else if (options->required_from && author->n_domains == 0)
		what = author->reason;
	else if (options->reject_multi_value_from && (author->outcome == AUTHOR_SEVERAL || author->n_fields > 1))
		what = "From names more than one domain";
	if (what == NULL)
		return;
	*ret_reason = arena_printf(arena, "message is not as RFC 5322 asks: %s", what);
	reply(verdict, VERDICT_REJECT, STR("550"), STR("5.6.0"), *ret_reason);
}

/* A field that was not kept may be a forged result of ours: nothing unread may pass. */
static void decide_security(struct arena *arena, const struct auth_options *options, const struct headers *headers,
	struct verdict *verdict, struct str *ret_reason)
{
	*ret_reason = arena_printf(arena, "header section is over the limit of %zu fields or %zu bytes",
		headers->max_fields, headers->max_bytes);
	verdict->action = options->on_security;
	if (verdict->action == VERDICT_TEMPFAIL)
		reply(verdict, VERDICT_TEMPFAIL, STR("452"), STR("4.3.4"), *ret_reason);
	else if (verdict->action != VERDICT_DISCARD)
		reply(verdict, VERDICT_REJECT, STR("552"), STR("5.3.4"), *ret_reason);
}

static bool is_open(const struct verdict *verdict)
{
	return verdict->action == VERDICT_ACCEPT || verdict->action == VERDICT_QUARANTINE;
}

static void enforce(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	enum verdict_action dmarc, struct verdict *verdict, struct str *ret_reason)
{
	const struct auth_findings *findings = input->findings;
	decide_headers(arena, options, input, verdict, ret_reason);
	if (is_open(verdict))
		apply_dmarc(arena, options, &findings->dmarc, dmarc, verdict, ret_reason);
	/* A forwarder breaks SPF, a list signatures as well. */
	if (input->forwarder.n > 0)
		return;
	if (is_open(verdict) && findings->dkim_verified && !input->author_exempt)
		decide_dkim(options, findings, verdict, ret_reason);
	if (is_open(verdict) && findings->spf_evaluated && !input->spf_ignored)
		decide_spf(arena, options, findings, verdict, ret_reason);
}

void policy_decide(struct arena *arena, const struct auth_options *options, const struct policy_input *input,
	struct verdict *verdict, struct str *ret_reason)
{
	const struct auth_findings *findings = input->findings;
	*ret_reason = STR("");
	verdict->action = VERDICT_ACCEPT;
	verdict->disposition = DMARC_P_NONE;
	verdict->n_overrides = 0;
	verdict->copy_to = STR("");
	if (input->headers->dropped > 0) {
		decide_security(arena, options, input->headers, verdict, ret_reason);
		return;
	}
	if (input->signing_failed) {
		decide_signing(options, input, verdict, ret_reason);
		if (verdict->action != VERDICT_ACCEPT)
			return;
	}
	if (!findings->judged)
		return;
	enum verdict_action dmarc = VERDICT_ACCEPT;
	if (findings->dmarc_evaluated)
		dmarc = judge_dmarc(arena, options, input, verdict, ret_reason);
	if (options->enforce)
		enforce(arena, options, input, dmarc, verdict, ret_reason);
	if (findings->dmarc_evaluated && findings->dmarc.status == DMARC_FAIL && is_open(verdict))
		verdict->copy_to = options->copy_failures_to;
}
