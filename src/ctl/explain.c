/*
 * trimilterctl explain: what check finds, in sentences: what would become of the message, by whose word, and which
 * option would change it.
 */
#include <stdio.h>

#include "ctl/message.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl explain [OPTION]... MESSAGE|-\n"
	"Say why a stored message would be accepted, refused or held, and what would change it.\n\n" MESSAGE_USAGE;

/* What refuses a message is told apart by its enhanced status code; auth/policy.c gives them. */
static const struct cause {
	struct str code;
	const char *what, *remedy;
} causes[] = {
	{STR_INIT("5.7.1"), "the DMARC policy of the author's domain",
		"The author's domain has to mend its SPF or sign with DKIM. Here: IgnoreMailFrom excuses an author, "
		"TrustedForwarders a host that forwards mail, DomainWhitelist a domain that has authenticated; "
		"RejectFailures no refuses no such mail at all, Enforce no does nothing to any"},
	{STR_INIT("4.7.5"), "the DNS, which does not answer what DMARC needs",
		"The sender tries again. Look after the name servers; On-DNSError accept takes such mail in"},
	{STR_INIT("5.7.20"), "its DKIM signatures",
		"On-BadSignature, On-NoSignature and On-KeyNotFound say what is done; ExemptDomains excuses an "
		"author's "
		"domain"},
	{STR_INIT("4.7.20"), "its DKIM signatures, which cannot be verified now",
		"The sender tries again. On-BadSignature, On-NoSignature, On-KeyNotFound and On-DNSError say what is "
		"done"},
	{STR_INIT("5.7.23"), "SPF",
		"RejectSPF and RejectSPFHELO say which results are refused; SPFIgnoreHosts excuses a host"},
	{STR_INIT("5.7.24"), "the sender's SPF record, which is broken",
		"The sender's domain has to mend its record. RejectSPF and RejectSPFHELO say which results are "
		"refused"},
	{STR_INIT("4.7.24"), "the DNS, which does not answer what SPF needs",
		"The sender tries again. RejectSPF says which results are refused; On-DNSError accept takes such mail "
		"in"},
	{STR_INIT("5.6.0"), "its header section",
		"RequiredHeaders, RequiredFrom and RejectMultiValueFrom say what a message must have"},
	{STR_INIT("5.3.4"), "the size of its header section", "MaximumHeaders is the limit, On-Security what is done"},
	{STR_INIT("4.3.4"), "the size of its header section", "MaximumHeaders is the limit, On-Security what is done"},
};

static const struct cause *cause_of(const struct verdict *verdict)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(*causes); i++)
		if (str_eq(causes[i].code, verdict->enhanced_code))
			return &causes[i];
	return NULL;
}

/* ---- a sentence to each thing ---- */

static void say(struct buf *out, struct str text)
{
	ctl_text_add(out, text);
}

static void say_outcome(struct buf *out, const struct verdict *verdict)
{
	const struct cause *cause = cause_of(verdict);
	struct str reply = message_reply(out->arena, verdict);
	switch (verdict->action) {
	case VERDICT_ACCEPT:
		buf_add_cstr(out, "This message would be accepted.\n");
		return;
	case VERDICT_REJECT:
		buf_add_cstr(out, "This message would be refused");
		break;
	case VERDICT_TEMPFAIL:
		buf_add_cstr(out, "This message would be put off");
		break;
	case VERDICT_QUARANTINE:
		buf_add_cstr(out, "This message would be held: ");
		say(out, verdict->quarantine_reason);
		buf_add_cstr(out, ".\n");
		return;
	case VERDICT_DISCARD:
		buf_add_cstr(out, "This message would be thrown away");
		break;
	}
	if (cause != NULL)
		buf_printf(out, ", because of %s", cause->what);
	if (reply.n > 0) {
		buf_add_cstr(out, ", with the reply\n    ");
		say(out, reply);
	}
	buf_add_cstr(out, reply.n > 0 ? "\n" : ".\n");
}

static void say_origin(struct buf *out, const struct auth_findings *findings)
{
	if (findings->origin == AUTH_AUTHENTICATED)
		buf_add_cstr(out, "The client has authenticated, so SPF and DMARC are not for it "
				  "(IgnoreAuthenticatedClients).\n");
	else if (findings->origin == AUTH_PEER)
		buf_add_cstr(out, "The client is in PeerList, so nothing of it is looked at.\n");
	else if (!findings->judged)
		buf_add_cstr(out,
			"The client is one of ours (InternalHosts, IgnoreHosts), so SPF and DMARC are not for "
			"it.\n");
	if (findings->author.reason != NULL)
		buf_printf(out, "Its From field cannot be relied on: %s.\n", findings->author.reason);
}

static const char *spf_sentence(enum spf_status status)
{
	switch (status) {
	case SPF_PASS:
		return "says that this client may send for it";
	case SPF_FAIL:
		return "says that this client may not send for it";
	case SPF_SOFTFAIL:
		return "says that this client probably may not send for it";
	case SPF_NEUTRAL:
		return "says nothing of this client";
	case SPF_NONE:
		return "has no SPF record";
	case SPF_TEMPERROR:
		return "could not be asked: the DNS did not answer";
	case SPF_PERMERROR:
		return "has an SPF record that is broken";
	}
	return "";
}

static void say_spf(struct buf *out, const struct spf_result *spf)
{
	buf_printf(out, "SPF: the domain of %s, ", spf->identity == SPF_MAILFROM ? "MAIL FROM" : "HELO");
	say(out, spf->domain.n > 0 ? spf->domain : STR("none"));
	buf_printf(out, ", %s", spf_sentence(spf->status));
	if (spf->mechanism.n > 0) {
		buf_add_cstr(out, ", by ");
		say(out, spf->mechanism);
	}
	if (spf->reason != NULL && spf->status != SPF_NONE)
		buf_printf(out, ": %s", spf->reason);
	buf_add_cstr(out, ".\n");
}

static void say_dkim(struct buf *out, const struct dkim_result *dkim)
{
	buf_add_cstr(out, "DKIM: the signature of ");
	say(out, dkim->domain.n > 0 ? dkim->domain : STR("an unknown domain"));
	if (dkim->status == DKIM_PASS) {
		buf_printf(out, " is good%s", dkim->counts ? "" : ", but does not count");
	} else {
		buf_printf(out, " does not verify (%s)", dkim_status_text(dkim->status));
	}
	if (dkim->reason != NULL)
		buf_printf(out, ": %s", dkim->reason);
	if (dkim->selector.n > 0) {
		buf_add_cstr(out, "; its key is at ");
		say(out, arena_printf(
				 out->arena, "%.*s._domainkey.%.*s", STR_ARG(dkim->selector), STR_ARG(dkim->domain)));
	}
	buf_add_cstr(out, ".\n");
}

static void say_aligned(struct buf *out, const struct auth_findings *findings)
{
	const struct dmarc_result *dmarc = &findings->dmarc;
	bool spf_passed = findings->spf_evaluated && findings->spf.status == SPF_PASS;
	if (dmarc->spf_aligned || dmarc->dkim_aligned) {
		buf_printf(out, "%s is for the author's own domain, which is enough.\n",
			dmarc->dkim_aligned ? "A good signature" : "SPF's pass");
		return;
	}
	if (spf_passed) {
		buf_add_cstr(out, "SPF passes for ");
		say(out, findings->spf.domain);
		buf_add_cstr(out, ", which is not the author's domain: that does not count.\n");
	}
	for (size_t i = 0; i < findings->n_dkim; i++) {
		if (findings->dkim[i].status != DKIM_PASS)
			continue;
		buf_add_cstr(out, "The good signature is of ");
		say(out, findings->dkim[i].domain);
		buf_add_cstr(out, ", which is not the author's domain: that does not count.\n");
	}
	if (dmarc->status == DMARC_FAIL)
		buf_add_cstr(out, "So nothing shows that the message comes from its author's domain.\n");
}

static void say_dmarc(struct buf *out, const struct auth_findings *findings)
{
	const struct dmarc_result *dmarc = &findings->dmarc;
	const char *policy = dmarc_policy_text(dmarc->policy);
	buf_add_cstr(out, "DMARC: ");
	say(out, dmarc->author_domain.n > 0 ? dmarc->author_domain : STR("the author's domain"));
	if (dmarc->record.n == 0) {
		buf_printf(out, " has no policy%s%s.\n", dmarc->reason != NULL ? ": " : "",
			dmarc->reason != NULL ? dmarc->reason : "");
		return;
	}
	buf_printf(out, " asks for %s where mail fails, by the record at _dmarc.", policy != NULL ? policy : "nothing");
	say(out, dmarc->policy_domain);
	buf_add_cstr(out, ":\n    ");
	say(out, dmarc->record);
	buf_add_cstr(out, "\n");
	if (dmarc->testing)
		buf_add_cstr(out, "The record says t=y: one step milder than it says.\n");
	if (dmarc->reason != NULL)
		buf_printf(out, "(%s)\n", dmarc->reason);
	say_aligned(out, findings);
}

static void say_more(struct buf *out, const struct verdict *verdict)
{
	const struct cause *cause = cause_of(verdict);
	for (size_t i = 0; i < verdict->n_overrides; i++) {
		buf_add_cstr(out, "Something else is done than the domain asks for: ");
		say(out, verdict->overrides[i].comment);
		buf_printf(out, " (%s).\n", override_type_text(verdict->overrides[i].type));
	}
	if (verdict->n_deletions > 0)
		buf_printf(out, "%zu Authentication-Results that claim to be ours would be removed.\n",
			verdict->n_deletions);
	if (verdict->action == VERDICT_QUARANTINE)
		buf_add_cstr(out,
			"What would change it: QuarantineAction says what becomes of held mail; IgnoreMailFrom, "
			"TrustedForwarders and DomainWhitelist excuse.\n");
	else if (cause != NULL)
		buf_printf(out, "What would change it: %s.\n", cause->remedy);
}

static void show_sentences(struct buf *out, const struct auth_findings *findings, const struct verdict *verdict)
{
	say_outcome(out, verdict);
	buf_add_char(out, '\n');
	say_origin(out, findings);
	if (findings->spf_evaluated) {
		say_spf(out, &findings->spf);
		if (findings->spf.identity == SPF_MAILFROM)
			say_spf(out, &findings->spf_helo);
	}
	for (size_t i = 0; i < findings->n_dkim; i++)
		say_dkim(out, &findings->dkim[i]);
	if (findings->dkim_verified && findings->n_dkim == 0)
		buf_add_cstr(out, "DKIM: it is not signed.\n");
	if (findings->dmarc_evaluated)
		say_dmarc(out, findings);
	say_more(out, verdict);
}

static void show(struct message_request *request, struct buf *out, const struct auth_findings *findings,
	const struct verdict *verdict)
{
	struct buf text = buf_in(request->ctl.arena);
	struct json json = json_to(out);
	if (!request->ctl.json) {
		show_sentences(out, findings, verdict);
		out->n--;
		return;
	}
	show_sentences(&text, findings, verdict);
	json_object_begin(&json, NULL);
	json_cstr(&json, "action", verdict_action_text(verdict->action));
	json_array_begin(&json, "sentences");
	for (struct str rest = buf_str(&text), line; rest.n > 0 && str_cut(&rest, '\n', &line);)
		if (line.n > 0)
			json_str(&json, NULL, str_trim(line));
	json_array_end(&json);
	json_object_end(&json);
}

int ctl_explain(int argc, char **argv)
{
	return message_verify(argc, argv, "explain", usage, show);
}
