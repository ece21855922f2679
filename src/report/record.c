#include "report/record.h"

#include <stdlib.h>

#include "auth/addresses.h"
#include "base/domain.h"
#include "dmarc/record.h"

struct maker {
	struct arena *arena;
	const struct auth_facts *facts;
	const struct auth_findings *findings;
	const struct report_options *options;
};

/* ---- the row ---- */

static bool is_aligned(const struct dmarc_result *dmarc, struct str domain)
{
	struct str organization = dmarc->organizational_domain;
	return str_eq(domain, dmarc->author_domain) || (organization.n > 0 && domain_is_within(domain, organization));
}

/* RFC 9990 section 3.1.3: what is worth most comes first. */
static int rank(const struct dmarc_result *dmarc, const struct dkim_result *result)
{
	if (result->status != DKIM_PASS)
		return 3;
	return str_eq(result->domain, dmarc->author_domain) ? 0 : is_aligned(dmarc, result->domain) ? 1 : 2;
}

struct ranked {
	int rank;
	struct report_dkim dkim;
};

/* All of it counts, so that the same signatures in another order make the same row. */
static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int order = x->rank - y->rank;
	if (order == 0)
		order = str_cmp(x->dkim.domain, y->dkim.domain);
	if (order == 0)
		order = str_cmp(x->dkim.selector, y->dkim.selector);
	if (order == 0)
		order = str_cmp(x->dkim.result, y->dkim.result);
	return order != 0 ? order : str_cmp(x->dkim.human_result, y->dkim.human_result);
}

static void make_dkim(const struct maker *maker, struct report_row *row)
{
	const struct auth_findings *findings = maker->findings;
	struct ranked *ranked = ARENA_ARRAY(maker->arena, findings->n_dkim + 1, struct ranked);
	size_t n = 0;
	for (size_t i = 0; i < findings->n_dkim; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		/* Nobody's signature is no use to anybody, and the report demands a domain. */
		if (result->domain.n == 0)
			continue;
		ranked[n++] = (struct ranked){
			rank(&findings->dmarc, result),
			{
				.domain = result->domain,
				.selector = result->selector,
				.result = str_of(dkim_status_text(result->status)),
				.human_result = result->status != DKIM_PASS ? str_of(result->reason) : STR(""),
			},
		};
	}
	qsort(ranked, n, sizeof(*ranked), compare_ranked);
	row->n_dkim = n < REPORT_MAX_DKIM ? n : REPORT_MAX_DKIM;
	struct report_dkim *dkim = ARENA_ARRAY(maker->arena, row->n_dkim + 1, struct report_dkim);
	for (size_t i = 0; i < row->n_dkim; i++)
		dkim[i] = ranked[i].dkim;
	row->dkim = dkim;
}

/* The domain that all recipients have, or none. */
static struct str envelope_to(const struct maker *maker)
{
	struct str domain = STR("");
	for (size_t i = 0; i < maker->facts->n_rcpts; i++) {
		struct address address;
		if (!address_parse_path(maker->arena, maker->facts->rcpts[i], &address) ||
			(i > 0 && !str_eq(address.domain, domain)))
			return STR("");
		domain = address.domain;
	}
	return domain;
}

static struct str envelope_from(const struct maker *maker)
{
	struct address address;
	struct str path = maker->facts->envelope->mail_from;
	if (path.n == 0)
		return STR("");
	if (address_parse_path(maker->arena, path, &address))
		return address.domain;
	return maker->findings->spf.domain.p != NULL ? maker->findings->spf.domain : STR("");
}

static struct str disposition(const struct maker *maker)
{
	if (maker->findings->dmarc.status == DMARC_PASS)
		return STR("pass");
	return str_of(dmarc_policy_text(maker->facts->verdict->disposition));
}

static void make_reasons(const struct maker *maker, struct report_row *row)
{
	const struct verdict *verdict = maker->facts->verdict;
	const struct dmarc_result *dmarc = &maker->findings->dmarc;
	struct report_reason *reasons = ARENA_ARRAY(maker->arena, verdict->n_overrides + 1, struct report_reason);
	for (size_t i = 0; i < verdict->n_overrides; i++)
		reasons[i] = (struct report_reason){
			str_of(override_type_text(verdict->overrides[i].type)), verdict->overrides[i].comment};
	row->reasons = reasons;
	row->n_reasons = verdict->n_overrides;
	/* It was refused before DMARC had its turn. RFC 9990 section 3.1.1.9 demands a reason all the same. */
	if (row->n_reasons == 0 && dmarc->status == DMARC_FAIL && dmarc->published != verdict->disposition)
		reasons[row->n_reasons++] = (struct report_reason){STR("other"), STR("the policy was not applied")};
}

static struct str source_ip(const struct maker *maker)
{
	const struct ip *for_spf = &maker->findings->spf_client;
	char text[IP_TEXT_SIZE];
	/* Behind a secondary MX of ours it is the one that came to that. */
	ip_text(for_spf->family != IP_NONE ? for_spf : &maker->facts->envelope->client, text);
	return arena_dup(maker->arena, str_of(text));
}

static void make_row(const struct maker *maker, struct report_row *row)
{
	const struct auth_findings *findings = maker->findings;
	*row = (struct report_row){
		.source_ip = source_ip(maker),
		.disposition = disposition(maker),
		.dkim_aligned = findings->dmarc.dkim_aligned,
		.spf_aligned = findings->dmarc.spf_aligned,
		.header_from = findings->dmarc.author_domain,
		.envelope_from = envelope_from(maker),
		.envelope_to = envelope_to(maker),
	};
	make_reasons(maker, row);
	make_dkim(maker, row);
	if (findings->spf_evaluated && findings->spf.domain.n > 0) {
		row->spf_domain = findings->spf.domain;
		row->spf_result = str_of(spf_status_text(findings->spf.status));
		row->spf_human_result = findings->spf.status != SPF_PASS ? str_of(findings->spf.reason) : STR("");
	}
}

/* ---- what failure reports need ---- */

static bool failed(const struct dkim_result *result)
{
	return result->status != DKIM_PASS;
}

static bool any_signature(const struct auth_findings *findings, bool requested_alone)
{
	for (size_t i = 0; i < findings->n_dkim; i++)
		if (failed(&findings->dkim[i]) && (!requested_alone || findings->dkim[i].report_requested))
			return true;
	return false;
}

/*
 * Might somebody want a failure report? The operator does where DMARC failed, the domain where fo= asks for more than
 * that. Who really gets one is decided when it is sent.
 */
static bool dmarc_failure_wanted(const struct maker *maker)
{
	const struct auth_findings *findings = maker->findings;
	const struct dmarc_result *dmarc = &findings->dmarc;
	struct dmarc_record record;
	if (!maker->options->failure || dmarc->policy_domain.n == 0 ||
		(dmarc->published == DMARC_P_NONE && !maker->options->failure_on_none))
		return false;
	if (dmarc->status == DMARC_FAIL || dmarc->status == DMARC_PERMERROR)
		return true;
	if (!dmarc_record_parse(maker->facts->runtime->dmarc.discovery, dmarc->record, &record))
		return false;
	unsigned fo = dmarc_record_fo(&record);
	return ((fo & DMARC_FO_ANY) != 0 && !(dmarc->dkim_aligned && dmarc->spf_aligned)) ||
	       ((fo & DMARC_FO_DKIM) != 0 && any_signature(findings, false)) ||
	       ((fo & DMARC_FO_SPF) != 0 && findings->spf_evaluated && findings->spf.status != SPF_PASS);
}

static bool failure_wanted(const struct maker *maker)
{
	return dmarc_failure_wanted(maker) || (maker->options->dkim_failure && any_signature(maker->findings, true));
}

static void make_signatures(const struct maker *maker, struct report_failure *failure)
{
	const struct auth_findings *findings = maker->findings;
	struct report_failed_signature *signatures =
		ARENA_ARRAY(maker->arena, findings->n_dkim + 1, struct report_failed_signature);
	for (size_t i = 0; i < findings->n_dkim && failure->n_signatures < REPORT_MAX_DKIM; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		if (failed(result))
			signatures[failure->n_signatures++] = (struct report_failed_signature){
				.domain = result->domain,
				.selector = result->selector,
				.identity = result->identity,
				.result = str_of(dkim_status_text(result->status)),
				.reason = str_of(result->reason),
				.aligned = is_aligned(&findings->dmarc, result->domain),
				.report_requested = result->report_requested,
			};
	}
	failure->signatures = signatures;
}

/* RFC 6591 section 3.2.2 */
static struct str delivery_result(enum verdict_action action)
{
	switch (action) {
	case VERDICT_ACCEPT:
		return STR("delivered");
	case VERDICT_REJECT:
		return STR("reject");
	case VERDICT_QUARANTINE:
	case VERDICT_DISCARD:
		return STR("policy");
	case VERDICT_TEMPFAIL:
		break;
	}
	return STR("other");
}

/* The milter protocol has LF where the message has CRLF. */
static void add_field(struct buf *out, const struct header_field *field)
{
	buf_add(out, field->name);
	buf_add_char(out, ':');
	for (struct str rest = field->value, line; str_cut(&rest, '\n', &line);) {
		buf_add(out, str_ends(line, STR("\r")) ? str_head(line, line.n - 1) : line);
		buf_add_cstr(out, "\r\n");
	}
}

/* Whole fields, as many from the top as there is room for. */
static void make_headers(const struct maker *maker, struct report_failure *failure)
{
	const struct headers *headers = maker->facts->headers;
	struct buf out = buf_in(maker->arena);
	size_t fit = 0;
	for (size_t i = 0; i < headers->n && out.n <= maker->options->failure_header_bytes; i++) {
		fit = out.n;
		add_field(&out, &headers->fields[i]);
	}
	failure->headers_cut = out.n > maker->options->failure_header_bytes || headers->dropped > 0;
	failure->headers = str_head(buf_str(&out), out.n > maker->options->failure_header_bytes ? fit : out.n);
}

static struct str unfolded(struct arena *arena, struct str value)
{
	struct buf out = buf_in(arena);
	for (struct str rest = value, line; str_cut(&rest, '\n', &line);)
		buf_add(&out, line);
	return str_trim(buf_str(&out));
}

static const struct report_failure *make_failure(const struct maker *maker)
{
	const struct auth_facts *facts = maker->facts;
	struct report_failure *failure = ARENA_NEW(maker->arena, struct report_failure);
	*failure = (struct report_failure){
		.mail_from = facts->envelope->mail_from,
		.rcpt = facts->n_rcpts > 0 ? facts->rcpts[0] : STR(""),
		.client_name = facts->envelope->client_name,
		.helo = facts->envelope->helo,
		.delivery_result = delivery_result(facts->verdict->action),
		.authentication_results = unfolded(maker->arena, maker->findings->results_value),
	};
	make_headers(maker, failure);
	make_signatures(maker, failure);
	return failure;
}

/* ---- the record ---- */

static bool nobody_may_know(const struct maker *maker)
{
	const struct address_set *ignored = maker->options->ignore_mail_to;
	for (size_t i = 0; i < maker->facts->n_rcpts; i++) {
		struct address address;
		if (!address_parse_path(maker->arena, maker->facts->rcpts[i], &address) ||
			!address_set_has(ignored, maker->arena, &address))
			return false;
	}
	return ignored != NULL && maker->facts->n_rcpts > 0;
}

/*
 * A report of ours that came in again from outside, to our own rua: counted, it would make a report each day about the
 * day before's.
 */
static bool is_own_report(const struct maker *maker)
{
	const struct author *author = &maker->findings->author;
	for (size_t i = 0; i < author->n_addresses; i++) {
		const struct address *address = &author->addresses[i];
		struct str text =
			arena_printf(maker->arena, "%.*s@%.*s", STR_ARG(address->local_part), STR_ARG(address->domain));
		if (str_ieq(text, maker->options->address) || str_ieq(text, maker->options->failure_from))
			return true;
	}
	return false;
}

bool report_record_make(
	struct arena *arena, const struct auth_facts *facts, int64_t now, struct report_record *ret_record)
{
	const struct auth_findings *findings = facts->findings;
	const struct dmarc_result *dmarc = &findings->dmarc;
	const struct runtime *runtime = facts->runtime;
	const struct maker maker = {arena, facts, findings, &runtime->report};
	if (!findings->judged || !findings->dmarc_evaluated || facts->verdict->action == VERDICT_TEMPFAIL ||
		facts->envelope->client.family == IP_NONE)
		return false;
	bool counts = runtime->report.aggregate && dmarc->policy_domain.n > 0 && dmarc->record.n > 0;
	bool failure = failure_wanted(&maker);
	if ((!counts && !failure) || nobody_may_know(&maker) || is_own_report(&maker))
		return false;
	*ret_record = (struct report_record){
		.time = now,
		.reporter = runtime->auth.authserv_id,
		.queue_id = facts->queue_id,
		.policy = {.domain = dmarc->policy_domain,
			.record = dmarc->record,
			.discovery = runtime->dmarc.discovery == DMARC_PSL ? STR("psl") : STR("treewalk")},
	};
	make_row(&maker, &ret_record->row);
	if (failure)
		ret_record->failure = make_failure(&maker);
	return true;
}
