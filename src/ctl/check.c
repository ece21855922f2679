/*
 * trimilterctl check: what would become of this message? All that was found, for people or for programs.
 */
#include <stdio.h>

#include "ctl/message.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl check [OPTION]... MESSAGE|-\n"
	"Verify DKIM, SPF and DMARC of a stored message and say what would become of it.\n\n" MESSAGE_USAGE;

static void json_dkim(struct json *json, const struct auth_findings *findings)
{
	json_array_begin(json, "dkim");
	for (size_t i = 0; i < findings->n_dkim; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		json_object_begin(json, NULL);
		json_cstr(json, "result", dkim_status_text(result->status));
		json_str_or_null(json, "domain", result->domain);
		json_str_or_null(json, "selector", result->selector);
		json_str_or_null(json, "identity", result->identity);
		json_str_or_null(json, "algorithm", result->algorithm);
		if (result->key_bits > 0)
			json_int(json, "key_bits", result->key_bits);
		else
			json_cstr(json, "key_bits", NULL);
		if (result->key_security == DNS_SECURITY_UNKNOWN)
			json_cstr(json, "secure", NULL);
		else
			json_bool(json, "secure", result->key_security == DNS_SECURE);
		json_cstr(json, "reason", result->reason);
		json_object_end(json);
	}
	json_array_end(json);
}

static struct dmarc_input author_input(const struct author *author)
{
	return (struct dmarc_input){
		.author = author->outcome, .author_domains = author->domains, .n_author_domains = author->n_domains};
}

static void show_json(
	struct ctl *ctl, struct buf *out, const struct auth_findings *findings, const struct verdict *verdict)
{
	struct json json = json_to(out);
	struct dmarc_input input = author_input(&findings->author);
	json_object_begin(&json, NULL);
	json_str(&json, "authserv_id", ctl->runtime->auth.authserv_id);
	if (findings->spf_evaluated) {
		ctl_json_spf(&json, "spf", &findings->spf);
		ctl_json_spf(&json, "spf_helo", &findings->spf_helo);
	} else {
		json_cstr(&json, "spf", NULL);
		json_cstr(&json, "spf_helo", NULL);
	}
	json_dkim(&json, findings);
	if (findings->dmarc_evaluated)
		ctl_json_dmarc(&json, "dmarc", &ctl->runtime->dmarc, &input, &findings->dmarc);
	else
		json_cstr(&json, "dmarc", NULL);
	json_object_begin(&json, "verdict");
	json_cstr(&json, "action", verdict_action_text(verdict->action));
	json_str(&json, "reply", message_reply(ctl->arena, verdict));
	json_object_end(&json);
	json_int(&json, "removed_headers", (int64_t)verdict->n_deletions);
	json_str(&json, "authentication_results",
		findings->results_value.n > 0 ? str_trim(findings->results_value) : (struct str){NULL, 0});
	json_object_end(&json);
}

static void text_dkim(struct buf *out, const struct dkim_result *result)
{
	buf_printf(out, "DKIM: %s\n", dkim_status_text(result->status));
	ctl_text_row(out, "domain", result->domain);
	ctl_text_row(out, "selector", result->selector);
	ctl_text_row(out, "identity", result->identity);
	ctl_text_row(out, "algorithm", result->algorithm);
	if (result->key_bits > 0)
		ctl_text_row(out, "key",
			arena_printf(out->arena, "%u bits%s", result->key_bits,
				result->key_testing ? ", in test mode" : ""));
	ctl_text_row(out, "reason", str_of(result->reason));
}

static void show_text(
	struct ctl *ctl, struct buf *out, const struct auth_findings *findings, const struct verdict *verdict)
{
	struct dmarc_input input = author_input(&findings->author);
	if (findings->origin == AUTH_AUTHENTICATED)
		buf_add_cstr(out, "The client is authenticated: SPF and DMARC are not for its mail.\n");
	else if (findings->origin == AUTH_PEER)
		buf_add_cstr(out, "The client is in PeerList: nothing of it is looked at.\n");
	else if (!findings->judged)
		buf_add_cstr(out, "The client is one of ours: SPF and DMARC are not for its mail.\n");
	if (findings->author.reason != NULL)
		buf_printf(out, "From: %s\n", findings->author.reason);
	if (findings->spf_evaluated) {
		ctl_text_spf(out, findings->spf.identity == SPF_MAILFROM ? "SPF (mailfrom)" : "SPF", &findings->spf);
		ctl_text_spf(out, "SPF (helo)", &findings->spf_helo);
	}
	for (size_t i = 0; i < findings->n_dkim; i++)
		text_dkim(out, &findings->dkim[i]);
	if (findings->dkim_verified && findings->n_dkim == 0)
		buf_add_cstr(out, "DKIM: none\n");
	if (findings->dmarc_evaluated)
		ctl_text_dmarc(out, &ctl->runtime->dmarc, &input, &findings->dmarc);
	buf_printf(out, "Verdict: %s\n", verdict_action_text(verdict->action));
	ctl_text_row(out, "reply", message_reply(ctl->arena, verdict));
	ctl_text_row(out, "quarantine", verdict->quarantine_reason);
	ctl_text_row(out, "copy to", verdict->copy_to);
	for (size_t i = 0; i < verdict->n_overrides; i++)
		ctl_text_row(out, "override",
			arena_printf(ctl->arena, "%s (%.*s)", override_type_text(verdict->overrides[i].type),
				STR_ARG(verdict->overrides[i].comment)));
	if (verdict->n_deletions > 0)
		buf_printf(
			out, "  removed      %zu Authentication-Results that claim to be ours\n", verdict->n_deletions);
	if (findings->results_value.n > 0) {
		buf_add_cstr(out, "\nAuthentication-Results:");
		buf_add(out, findings->results_value);
		buf_add_char(out, '\n');
	}
	out->n--;
}

static void show(struct message_request *request, struct buf *out, const struct auth_findings *findings,
	const struct verdict *verdict)
{
	if (request->ctl.json)
		show_json(&request->ctl, out, findings, verdict);
	else
		show_text(&request->ctl, out, findings, verdict);
}

int ctl_check(int argc, char **argv)
{
	return message_verify(argc, argv, "check", usage, show);
}
