#include "auth/field.h"
#include "base/buf.h"
#include "base/utf8.h"

/* A line that nobody reads to its end helps nobody; syslog cuts at some length, too. */
#define VALUE_MAX 256
#define DKIM_IN_LINE 5

static bool is_plain(struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
			return false;
	}
	return value.n > 0;
}

/*
 * Bytes of the character at the front that a terminal shows and does not obey; 0: none. Control characters have one
 * byte, or two from U+0080 to U+009F.
 */
static size_t shown_length(struct str text)
{
	unsigned char c = (unsigned char)text.p[0];
	size_t n = utf8_length(text);
	bool is_control = c < ' ' || c == 0x7f || (n == 2 && c == 0xC2 && (unsigned char)text.p[1] < 0xA0);
	return is_control ? 0 : n;
}

/* Quoted where it could be taken for something else: nothing from outside may look like a key of ours. */
static void add_value(struct buf *line, struct str value)
{
	value = str_head(value, VALUE_MAX);
	if (is_plain(value)) {
		buf_add(line, value);
		return;
	}
	buf_add_char(line, '"');
	for (size_t n; value.n > 0; value = str_skip(value, n)) {
		n = shown_length(value);
		if (n == 0)
			buf_printf(line, "\\x%02X", (unsigned char)value.p[0]);
		else if (value.p[0] == '"' || value.p[0] == '\\')
			buf_printf(line, "\\%c", value.p[0]);
		else
			buf_add(line, str_head(value, n));
		n += n == 0;
	}
	buf_add_char(line, '"');
}

static void add_key(struct buf *line, const char *key, struct str value)
{
	buf_printf(line, " %s=", key);
	add_value(line, value);
}

static void add_client(struct buf *line, struct arena *arena, const struct auth_envelope *envelope)
{
	char ip[IP_TEXT_SIZE];
	struct str name = envelope->client_name.n > 0 ? envelope->client_name : STR("unknown");
	add_key(line, "client", arena_printf(arena, "%.*s[%s]", STR_ARG(name), ip_text(&envelope->client, ip)));
}

static void add_dkim(struct buf *line, struct arena *arena, const struct auth_findings *findings)
{
	struct buf list = buf_in(arena);
	for (size_t i = 0; i < findings->n_dkim && i < DKIM_IN_LINE; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		buf_printf(&list, "%s%s", i > 0 ? "," : "", dkim_status_text(result->status));
		if (result->domain.n > 0)
			buf_printf(&list, ":%.*s/%.*s", STR_ARG(result->domain), STR_ARG(result->selector));
	}
	if (findings->n_dkim > DKIM_IN_LINE)
		buf_printf(&list, ",+%zu", findings->n_dkim - DKIM_IN_LINE);
	add_key(line, "dkim", findings->n_dkim > 0 ? buf_str(&list) : STR("none"));
	for (size_t i = 0; i < findings->n_dkim && i < DKIM_IN_LINE; i++)
		if (findings->dkim[i].status != DKIM_PASS && findings->dkim[i].reason != NULL)
			add_key(line, "dkim_reason", str_of(findings->dkim[i].reason));
}

static void add_spf(struct buf *line, struct arena *arena, const struct logline_input *input)
{
	const struct spf_result *spf = &input->findings->spf;
	const struct ip *client = &input->findings->spf_client;
	char ip[IP_TEXT_SIZE];
	if (client->family != IP_NONE && !ip_eq(client, &input->envelope->client))
		add_key(line, "spf_client", arena_dup(arena, str_of(ip_text(client, ip))));
	add_key(line, "spf", str_of(spf_status_text(spf->status)));
	if (spf->reason != NULL && spf->status != SPF_PASS)
		add_key(line, "spf_reason", str_of(spf->reason));
}

static void add_dmarc(struct buf *line, const struct dmarc_result *dmarc)
{
	const char *policy = dmarc_policy_text(dmarc->policy);
	add_key(line, "dmarc", str_of(dmarc_status_text(dmarc->status)));
	if (policy != NULL)
		add_key(line, "policy", str_of(policy));
	if (dmarc->reason != NULL && dmarc->status != DMARC_PASS)
		add_key(line, "dmarc_reason", str_of(dmarc->reason));
}

static const char *origin_text(enum auth_origin origin)
{
	switch (origin) {
	case AUTH_OUTSIDE:
		return "outside";
	case AUTH_AUTHENTICATED:
		return "authenticated";
	case AUTH_INTERNAL:
		return "internal";
	case AUTH_PEER:
		return "peer";
	}
	return "outside";
}

struct str logline_write(struct arena *arena, const struct logline_input *input)
{
	const struct auth_findings *findings = input->findings;
	struct buf line = buf_in(arena);
	buf_printf(&line, "%.*s:", STR_ARG(input->queue_id.n > 0 ? input->queue_id : STR("NOQUEUE")));
	add_client(&line, arena, input->envelope);
	add_key(&line, "from", arena_printf(arena, "<%.*s>", STR_ARG(input->envelope->mail_from)));
	if (findings->author.n_domains > 0)
		add_key(&line, "header_from", findings->author.domains[0]);
	add_key(&line, "origin", str_of(origin_text(findings->origin)));
	if (input->envelope->auth_user.n > 0)
		add_key(&line, "user", input->envelope->auth_user);
	if (findings->spf_evaluated)
		add_spf(&line, arena, input);
	if (findings->dkim_verified)
		add_dkim(&line, arena, findings);
	if (findings->dmarc_evaluated)
		add_dmarc(&line, &findings->dmarc);
	for (size_t i = 0; i < input->n_signers; i++)
		buf_printf(&line, " signed=%.*s/%.*s", STR_ARG(input->signers[i].domain),
			STR_ARG(input->signers[i].selector));
	if (input->unsigned_why.n > 0 && input->n_signers == 0)
		add_key(&line, "unsigned", input->unsigned_why);
	if (findings->n_results_removed > 0)
		buf_printf(&line, " removed_results=%zu", findings->n_results_removed);
	add_key(&line, "action", str_of(verdict_action_text(input->verdict->action)));
	for (size_t i = 0; i < input->verdict->n_overrides; i++)
		add_key(&line, "override", str_of(override_type_text(input->verdict->overrides[i].type)));
	if (input->verdict->reply_code.n > 0)
		add_key(&line, "reply",
			arena_printf(arena, "%.*s %.*s", STR_ARG(input->verdict->reply_code),
				STR_ARG(input->verdict->enhanced_code)));
	if (input->reason.n > 0)
		add_key(&line, "reason", input->reason);
	return buf_str(&line);
}
