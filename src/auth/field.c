#include "auth/field.h"

#include "message/results.h"

/*
 * One field must stay far below what receivers cut off, so of a hundred signatures not all are told.
 */
#define DKIM_RESULTS_MAX 30

/*
 * What a client says may hold all that structures this field. Quoted it would
 * be right, and a reader that looks for ';' alone would be misled all the same.
 */
static struct str harmless(struct arena *arena, struct str value)
{
	char *copy = arena_alloc(arena, value.n + 1);
	for (size_t i = 0; i < value.n; i++)
		copy[i] = (unsigned char)value.p[i] <= ' ' || value.p[i] == 0x7f ||
					  strchr(";,()<>\"\\", value.p[i]) != NULL
				  ? '?'
				  : value.p[i];
	return str_from(copy, value.n);
}

static void add_property(
	struct arena *arena, struct result *result, const char *ptype, const char *property, struct str value)
{
	if (value.n == 0)
		return;
	result->properties[result->n_properties++] = (struct result_property){ptype, property, harmless(arena, value)};
}

static struct result dkim_result_of(
	struct arena *arena, const struct auth_options *options, const struct dkim_result *found)
{
	struct result result = {
		.method = "dkim", .value = dkim_status_text(found->status), .reason = str_of(found->reason)};
	if (options->result_comments && found->key_bits > 0)
		result.comment =
			arena_printf(arena, "%u-bit key%s", found->key_bits, found->key_testing ? ", test mode" : "");
	add_property(arena, &result, "header", "d", found->domain);
	add_property(arena, &result, "header", "s", found->selector);
	add_property(arena, &result, "header", "a", found->algorithm);
	add_property(arena, &result, "header", "b", found->signature);
	add_property(arena, &result, "header", "i", found->identity);
	return result;
}

static struct result spf_result_of(
	struct arena *arena, const struct spf_result *found, const char *property, struct str value)
{
	struct result result = {.method = "spf", .value = spf_status_text(found->status)};
	if (found->status != SPF_PASS && found->reason != NULL)
		result.reason = str_of(found->reason);
	add_property(arena, &result, "smtp", property, value);
	return result;
}

static struct result dmarc_result_of(struct arena *arena, const struct auth_options *options,
	const struct dmarc_result *found, enum dmarc_policy disposition)
{
	struct result result = {.method = "dmarc", .value = dmarc_status_text(found->status)};
	const char *policy = dmarc_policy_text(found->policy);
	if (found->status != DMARC_PASS && found->reason != NULL)
		result.reason = str_of(found->reason);
	if (options->result_comments && policy != NULL)
		result.comment = arena_printf(arena, "p=%s dis=%s", policy, dmarc_policy_text(disposition));
	add_property(arena, &result, "header", "from", found->author_domain);
	add_property(arena, &result, "policy", "dmarc", str_of(policy));
	return result;
}

/* Where not all have room: what passed, then what was judged, then what says that it was not. */
static size_t rank(enum dkim_status status)
{
	return status == DKIM_PASS ? 0 : status == DKIM_POLICY ? 2 : 1;
}

static size_t add_dkim_results(struct arena *arena, const struct auth_options *options,
	const struct auth_findings *findings, struct result *results)
{
	size_t room[3] = {0}, left = DKIM_RESULTS_MAX, n = 0;
	for (size_t i = 0; i < findings->n_dkim; i++)
		room[rank(findings->dkim[i].status)]++;
	for (size_t i = 0; i < 3; i++) {
		room[i] = room[i] < left ? room[i] : left;
		left -= room[i];
	}
	for (size_t i = 0; i < findings->n_dkim; i++) {
		size_t *room_of_rank = &room[rank(findings->dkim[i].status)];
		if (*room_of_rank == 0)
			continue;
		--*room_of_rank;
		results[n++] = dkim_result_of(arena, options, &findings->dkim[i]);
	}
	return n;
}

struct str field_results(struct arena *arena, const struct auth_options *options, const struct auth_findings *findings,
	const struct auth_envelope *envelope, enum dmarc_policy disposition, struct str queue_id)
{
	size_t n_dkim = findings->n_dkim < DKIM_RESULTS_MAX ? findings->n_dkim : DKIM_RESULTS_MAX;
	struct result *results = ARENA_ARRAY(arena, n_dkim + 4, struct result);
	size_t n = add_dkim_results(arena, options, findings, results);
	if (findings->dkim_verified && findings->n_dkim == 0)
		results[n++] = (struct result){.method = "dkim", .value = "none"};
	if (findings->spf_evaluated && findings->spf.identity == SPF_MAILFROM && envelope->mail_from.n > 0)
		results[n++] = spf_result_of(arena, &findings->spf, "mailfrom", envelope->mail_from);
	if (findings->spf_evaluated)
		results[n++] = spf_result_of(arena, &findings->spf_helo, "helo", envelope->helo);
	if (findings->dmarc_evaluated)
		results[n++] = dmarc_result_of(arena, options, &findings->dmarc, disposition);
	struct buf value = buf_in(arena);
	buf_add_char(&value, ' ');
	struct str id = options->authserv_id;
	if (options->authserv_id_with_job_id && queue_id.n > 0)
		id = arena_printf(arena, "%.*s/%.*s", STR_ARG(id), STR_ARG(harmless(arena, queue_id)));
	results_write(&value, id, results, n, "\n");
	return buf_str(&value);
}

/* ---- Received-SPF ---- */

/* RFC 5322 section 3.2.3: what may stand without quotes. */
static bool is_dot_atom(struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (!str_is_alpha(c) && !str_is_digit(c) && strchr("!#$%&'*+-/=?^_`{|}~.", c) == NULL)
			return false;
	}
	return value.n > 0 && value.p[0] != '.' && value.p[value.n - 1] != '.';
}

static void add_pair(struct buf *out, const char *key, struct str value)
{
	if (value.n == 0 || value.n > 400)
		return;
	value = harmless(out->arena, value);
	const char *quote = is_dot_atom(value) ? "" : "\"";
	buf_printf(out, ";\n\t%s=%s%.*s%s", key, quote, STR_ARG(value), quote);
}

struct str field_received_spf(struct arena *arena, const struct auth_options *options,
	const struct auth_findings *findings, const struct auth_envelope *envelope)
{
	char ip[IP_TEXT_SIZE];
	struct buf value = buf_in(arena);
	const struct spf_result *spf = &findings->spf;
	bool errs = spf->status == SPF_PERMERROR || spf->status == SPF_TEMPERROR;
	buf_printf(&value, " %s", spf_status_text(spf->status));
	struct buf pairs = buf_in(arena);
	add_pair(&pairs, "receiver", options->authserv_id);
	add_pair(&pairs, "identity", spf->identity == SPF_MAILFROM ? STR("mailfrom") : STR("helo"));
	add_pair(&pairs, "client-ip", str_of(ip_text(&envelope->client, ip)));
	add_pair(&pairs, "helo", envelope->helo);
	add_pair(&pairs, "envelope-from", envelope->mail_from);
	add_pair(&pairs, "mechanism", spf->mechanism);
	add_pair(&pairs, "problem", errs ? str_of(spf->reason) : STR(""));
	/* The pairs stand behind a blank, not behind a semicolon: the result is none of them. */
	buf_add(&value, str_skip(buf_str(&pairs), 1));
	return buf_str(&value);
}
