#include "report/failure.h"

#include "dmarc/record.h"
#include "message/headers.h"
#include "report/failure_text.h"
#include "spf/record.h"

static bool is_temporary(struct str result)
{
	return str_eq(result, STR("temperror"));
}

/* ---- what failed ---- */

/* The first that failed for good; of those that might have counted alone where @aligned. NULL: none. */
static const struct report_failed_signature *find_failed(const struct report_failure *failure, bool aligned)
{
	for (size_t i = 0; i < failure->n_signatures; i++) {
		const struct report_failed_signature *signature = &failure->signatures[i];
		if (!is_temporary(signature->result) && (signature->aligned || !aligned))
			return signature;
	}
	return NULL;
}

/* It would have aligned, had the DNS answered: neither a pass nor a failure. */
static bool is_dkim_uncertain(const struct report_record *record)
{
	const struct report_failure *failure = record->failure;
	for (size_t i = 0; i < failure->n_signatures; i++)
		if (failure->signatures[i].aligned && is_temporary(failure->signatures[i].result))
			return true;
	return false;
}

static bool is_spf_uncertain(const struct report_record *record)
{
	return is_temporary(record->row.spf_result) && domain_is_within(record->row.spf_domain, record->policy.domain);
}

static bool has_spf_failed(struct str result)
{
	return str_eq(result, STR("fail")) || str_eq(result, STR("softfail")) || str_eq(result, STR("permerror"));
}

/* Which report fo= asks for, the most telling one where it asks for several. */
static enum failure_kind find_kind(const struct report_record *record, const struct dmarc_record *policy)
{
	const struct report_row *row = &record->row;
	unsigned fo = dmarc_record_fo(policy);
	bool dkim_uncertain = is_dkim_uncertain(record), spf_uncertain = is_spf_uncertain(record);
	bool dkim_fails = !row->dkim_aligned && !dkim_uncertain, spf_fails = !row->spf_aligned && !spf_uncertain;
	if (((fo & DMARC_FO_ALL) != 0 && dkim_fails && spf_fails) ||
		((fo & DMARC_FO_ANY) != 0 && (dkim_fails || spf_fails)))
		return FAILURE_DMARC;
	if ((fo & DMARC_FO_DKIM) != 0 && find_failed(record->failure, false) != NULL)
		return FAILURE_DKIM;
	if ((fo & DMARC_FO_SPF) != 0 && has_spf_failed(row->spf_result))
		return FAILURE_SPF;
	return FAILURE_NONE;
}

/* ---- whether it is reported ---- */

bool failure_of_report(struct arena *arena, const struct report_failure *failure)
{
	struct headers headers;
	struct str body;
	headers_init(&headers, arena, 1000, failure->headers.n);
	headers_split(&headers, failure->headers, &body);
	const struct header_field *type = headers_find(&headers, STR("Content-Type"));
	return type != NULL && str_istarts(str_trim(type->value), STR("multipart/report"));
}

/* What the domain asks to be done with such mail, whether it tests that (t=y) or not; np as well, where it may apply.
 */
static bool asks_for_nothing(const struct report_record *record, const struct dmarc_record *policy)
{
	if (str_eq(record->row.header_from, record->policy.domain))
		return policy->p == DMARC_P_NONE;
	enum dmarc_policy below = policy->sp != DMARC_POLICY_UNSET ? policy->sp : policy->p;
	return below == DMARC_P_NONE && (policy->np == DMARC_POLICY_UNSET || policy->np == DMARC_P_NONE);
}

static bool read_policy(const struct report_record *record, struct dmarc_record *ret_policy)
{
	bool psl = str_eq(record->policy.discovery, STR("psl"));
	return dmarc_record_parse(psl ? DMARC_PSL : DMARC_TREE_WALK, record->policy.record, ret_policy);
}

bool failure_due(struct arena *arena, const struct report_options *options, const struct report_record *record)
{
	struct dmarc_record policy;
	if (!options->failure || record->failure == NULL || record->policy.domain.n == 0 ||
		!read_policy(record, &policy))
		return false;
	if (!options->failure_on_none && asks_for_nothing(record, &policy))
		return false;
	return find_kind(record, &policy) != FAILURE_NONE && !failure_of_report(arena, record->failure);
}

/* ---- SPF-DNS ---- */

bool failure_spf_record(const struct report_record *record, struct answers *answers, struct str *ret_spf_record)
{
	const struct report_row *row = &record->row;
	*ret_spf_record = STR("");
	if (row->spf_domain.n == 0 || str_eq(row->spf_result, STR("pass")))
		return true;
	const struct dns_answer *answer = answers_get(answers, DNS_TXT, row->spf_domain);
	if (answer == NULL)
		return false;
	struct str found;
	if (answer->status == DNS_DATA && spf_record_select(answer, &found) == 1)
		*ret_spf_record = found;
	return true;
}

/* ---- the messages ---- */

void failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	struct str to, struct mail *ret_mail)
{
	struct dmarc_record policy;
	enum failure_kind kind = read_policy(record, &policy) ? find_kind(record, &policy) : FAILURE_DMARC;
	failure_compose(arena, context, record, kind == FAILURE_NONE ? FAILURE_DMARC : kind,
		find_failed(record->failure, kind != FAILURE_DKIM), to, ret_mail);
}

void dkim_failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	const struct report_failed_signature *signature, struct str to, struct mail *ret_mail)
{
	failure_compose(arena, context, record, FAILURE_DKIM, signature, to, ret_mail);
}
