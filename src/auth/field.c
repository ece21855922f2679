#include "auth/field.h"

#include "message/results.h"

/* One field must stay far below what receivers cut off; the rest is in the log. */
#define DKIM_RESULTS_MAX 30

static void add_property(struct result *result, const char *ptype, const char *property, struct str value)
{
	if (value.n == 0)
		return;
	result->properties[result->n_properties++] = (struct result_property){ptype, property, value};
}

static struct result dkim_result_of(
	struct arena *arena, const struct auth_options *options, const struct dkim_result *found)
{
	struct result result = {
		.method = "dkim", .value = dkim_status_text(found->status), .reason = str_of(found->reason)};
	if (options->result_comments && found->key_bits > 0)
		result.comment =
			arena_printf(arena, "%u-bit key%s", found->key_bits, found->key_testing ? ", test mode" : "");
	add_property(&result, "header", "d", found->domain);
	add_property(&result, "header", "s", found->selector);
	add_property(&result, "header", "a", found->algorithm);
	add_property(&result, "header", "b", found->signature);
	add_property(&result, "header", "i", found->identity);
	return result;
}

static struct result spf_result_of(const struct spf_result *found, const char *property, struct str value)
{
	struct result result = {.method = "spf", .value = spf_status_text(found->status)};
	if (found->status != SPF_PASS && found->reason != NULL)
		result.reason = str_of(found->reason);
	add_property(&result, "smtp", property, value);
	return result;
}

static struct result dmarc_result_of(
	struct arena *arena, const struct auth_options *options, const struct dmarc_result *found)
{
	struct result result = {.method = "dmarc", .value = dmarc_status_text(found->status)};
	const char *policy = dmarc_policy_text(found->policy);
	if (found->status != DMARC_PASS && found->reason != NULL)
		result.reason = str_of(found->reason);
	if (options->result_comments && policy != NULL)
		result.comment = arena_printf(arena, "p=%s dis=%s", policy, dmarc_policy_text(found->disposition));
	add_property(&result, "header", "from", found->author_domain);
	add_property(&result, "policy", "dmarc", str_of(policy));
	return result;
}

struct str field_results(struct arena *arena, const struct auth_options *options, const struct auth_findings *findings,
	const struct auth_envelope *envelope)
{
	size_t n_dkim = findings->n_dkim < DKIM_RESULTS_MAX ? findings->n_dkim : DKIM_RESULTS_MAX, n = 0;
	struct result *results = ARENA_ARRAY(arena, n_dkim + 4, struct result);
	for (size_t i = 0; i < n_dkim; i++)
		results[n++] = dkim_result_of(arena, options, &findings->dkim[i]);
	if (findings->dkim_verified && n_dkim == 0)
		results[n++] = (struct result){.method = "dkim", .value = "none"};
	if (findings->spf_evaluated && findings->spf.identity == SPF_MAILFROM && envelope->mail_from.n > 0)
		results[n++] = spf_result_of(&findings->spf, "mailfrom", envelope->mail_from);
	if (findings->spf_evaluated)
		results[n++] = spf_result_of(&findings->spf_helo, "helo", envelope->helo);
	if (findings->dmarc_evaluated)
		results[n++] = dmarc_result_of(arena, options, &findings->dmarc);
	struct buf value = buf_in(arena);
	buf_add_char(&value, ' ');
	results_write(&value, options->authserv_id, results, n, "\n");
	return buf_str(&value);
}
