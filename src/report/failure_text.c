#include "report/failure_text.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "message/headers.h"
#include "report/redact.h"

/* Of the original subject in ours. */
#define SUBJECT_MAX 200

struct report {
	struct arena *arena;
	const struct failure_context *context;
	const struct report_record *record;
	enum failure_kind kind;
	const struct report_failed_signature *signature; /* NULL: none */
	struct buf out;
};

/* ---- values ---- */

/* Where the operator asked for it, without the local parts of its addresses. */
static struct str redacted(const struct report *report, struct str text)
{
	const struct failure_context *context = report->context;
	return context->options->redact ? redact_addresses(report->arena, context->redaction_key, text) : text;
}

/* One word of printable US-ASCII, without what structures a path, a comment or a list. */
static struct str word(const struct report *report, struct str text)
{
	struct buf out = buf_in(report->arena);
	struct str source = redacted(report, text);
	for (size_t i = 0; i < source.n; i++) {
		char c = source.p[i];
		buf_add_char(&out, c > ' ' && c <= '~' && strchr("<>(),;\"\\", c) == NULL ? c : '?');
	}
	return buf_str(&out);
}

/* A path with its brackets, which the MTA may have left on it or not. */
static struct str path(const struct report *report, struct str address)
{
	if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
		address = str_from(address.p + 1, address.n - 2);
	return arena_printf(report->arena, "<%.*s>", STR_ARG(word(report, address)));
}

/* On one line; mail_field_write() folds it anew. */
static struct str unfolded(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.n + 1);
	for (size_t i = 0; i < text.n; i++)
		copy[i] = str_is_space(text.p[i]) ? ' ' : text.p[i];
	return str_trim(str_from(copy, text.n));
}

static void add_field(struct report *report, const char *name, struct str value)
{
	if (value.n > 0)
		mail_field_write(&report->out, name, value);
}

static void add_word(struct report *report, const char *name, struct str value)
{
	add_field(report, name, word(report, value));
}

static struct str date_of(struct arena *arena, int64_t time)
{
	struct buf out = buf_in(arena);
	mail_date_write(&out, time);
	return buf_str(&out);
}

/* ---- message/feedback-report, RFC 5965 section 3, RFC 6591 section 3, RFC 9991 section 4 ---- */

static struct str auth_failure(const struct report *report)
{
	switch (report->kind) {
	case FAILURE_NONE:
	case FAILURE_DMARC:
		return STR("dmarc");
	case FAILURE_SPF:
		return STR("spf");
	case FAILURE_DKIM:
		break;
	}
	if (report->signature != NULL && str_eq(report->signature->reason, STR(DKIM_REASON_BODY_HASH)))
		return STR("bodyhash");
	if (report->signature != NULL && str_eq(report->signature->reason, STR(DKIM_REASON_REVOKED)))
		return STR("revoked");
	return STR("signature");
}

/* Any other word would be an extension that nobody has registered. */
static struct str delivery_result(struct str result)
{
	static const struct str words[] = {
		STR_INIT("delivered"), STR_INIT("spam"), STR_INIT("policy"), STR_INIT("reject")};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (str_eq(result, words[i]))
			return result;
	return STR("other");
}

/* There must be one: RFC 6591 section 3.1. */
static struct str authentication_results(const struct report *report)
{
	struct str results = report->record->failure->authentication_results;
	struct str value = unfolded(report->arena, redacted(report, results));
	return value.n > 0
		       ? value
		       : arena_printf(report->arena, "%.*s; none", STR_ARG(word(report, report->context->reporter)));
}

static struct str identity_alignment(const struct report_row *row)
{
	if (row->dkim_aligned)
		return row->spf_aligned ? STR("none") : STR("spf");
	return row->spf_aligned ? STR("dkim") : STR("dkim, spf");
}

static void add_dkim(struct report *report)
{
	const struct report_failed_signature *signature = report->signature;
	if (signature == NULL || report->kind == FAILURE_SPF)
		return;
	add_word(report, "DKIM-Domain", signature->domain);
	add_word(report, "DKIM-Identity", signature->identity);
	add_word(report, "DKIM-Selector", signature->selector);
}

static void add_spf(struct report *report)
{
	struct str record = report->context->spf_record;
	if (record.n == 0 || report->kind == FAILURE_DKIM)
		return;
	struct buf value = buf_in(report->arena);
	buf_printf(&value, "txt : %.*s : \"", STR_ARG(word(report, report->record->row.spf_domain)));
	for (size_t i = 0; i < record.n; i++) {
		if (record.p[i] == '"' || record.p[i] == '\\')
			buf_add_char(&value, '\\');
		buf_add_char(&value, record.p[i]);
	}
	buf_add_char(&value, '"');
	add_field(report, "SPF-DNS", unfolded(report->arena, buf_str(&value)));
}

/* That this one stands for others too. RFC 5965 section 3.2: 32 bits */
static void add_incidents(struct report *report)
{
	uint64_t incidents = report->context->incidents;
	if (incidents == 0)
		return;
	uint64_t all = incidents < UINT32_MAX ? incidents + 1 : UINT32_MAX;
	add_field(report, "Incidents", arena_printf(report->arena, "%llu", (unsigned long long)all));
}

static struct str feedback(struct report *report)
{
	const struct report_record *record = report->record;
	const struct report_failure *failure = record->failure;
	struct str reporter = word(report, report->context->reporter);
	report->out = buf_in(report->arena);
	add_field(report, "Feedback-Type", STR("auth-failure"));
	add_field(report, "User-Agent", STR("Trimilter/" TRIMILTER_VERSION));
	add_field(report, "Version", STR("1"));
	add_field(report, "Auth-Failure", auth_failure(report));
	add_field(report, "Delivery-Result", delivery_result(failure->delivery_result));
	if (report->kind == FAILURE_DMARC)
		add_field(report, "Identity-Alignment", identity_alignment(&record->row));
	add_field(report, "Authentication-Results", authentication_results(report));
	add_dkim(report);
	add_spf(report);
	add_word(report, "Original-Envelope-Id", record->queue_id);
	add_field(report, "Original-Mail-From", path(report, failure->mail_from));
	if (failure->rcpt.n > 0)
		add_field(report, "Original-Rcpt-To", path(report, failure->rcpt));
	add_field(report, "Arrival-Date", date_of(report->arena, record->time));
	add_field(report, "Reporting-MTA", arena_printf(report->arena, "dns; %.*s", STR_ARG(reporter)));
	add_word(report, "Source-IP", record->row.source_ip);
	add_incidents(report);
	add_word(report, "Reported-Domain",
		report->kind == FAILURE_DKIM && report->signature != NULL ? report->signature->domain
									  : record->row.header_from);
	return buf_str(&report->out);
}

/* ---- for people ---- */

static void add_result(struct report *report, const char *mechanism, struct str result, struct str domain, bool aligned)
{
	struct buf *out = &report->out;
	buf_printf(out, "  %s ", mechanism);
	if (aligned) {
		buf_add_cstr(out, "an aligned pass\r\n");
		return;
	}
	buf_add(out, result.n > 0 ? word(report, result) : STR("none"));
	if (domain.n > 0)
		buf_printf(out, " for %.*s", STR_ARG(word(report, domain)));
	buf_add_cstr(out, "; no aligned pass\r\n");
}

static struct str annotation(struct report *report)
{
	const struct report_record *record = report->record;
	const struct report_failed_signature *signature = report->signature;
	struct str author = word(report, record->row.header_from);
	report->out = buf_in(report->arena);
	struct buf *out = &report->out;
	buf_printf(out,
		"This is an authentication failure report for an email message received from\r\nIP %.*s on "
		"%.*s.\r\n\r\n",
		STR_ARG(word(report, record->row.source_ip)), STR_ARG(date_of(report->arena, record->time)));
	buf_printf(out, "Its author's domain is %.*s.\r\n", STR_ARG(author));
	add_result(report, "DKIM:", signature != NULL ? signature->result : STR(""),
		signature != NULL ? signature->domain : STR(""), record->row.dkim_aligned);
	add_result(report, "SPF: ", record->row.spf_result, record->row.spf_domain, record->row.spf_aligned);
	buf_printf(out, "  Delivery: %.*s\r\n\r\n", STR_ARG(delivery_result(record->failure->delivery_result)));
	if (report->context->incidents > 0)
		buf_printf(out,
			"%llu further messages failed since the last report and were not reported one by one.\r\n\r\n",
			(unsigned long long)report->context->incidents);
	buf_add_cstr(out, "The header section of the message follows");
	buf_add_cstr(out, record->failure->headers_cut ? ", as far as it was kept; its body is not included.\r\n"
						       : "; its body is not included.\r\n");
	if (report->context->options->redact)
		buf_add_cstr(out, "Local parts of addresses are replaced as in RFC 6590.\r\n");
	return buf_str(out);
}

static struct str header_section(const struct report *report)
{
	const struct failure_context *context = report->context;
	struct str headers = report->record->failure->headers;
	return context->options->redact ? redact_headers(report->arena, context->redaction_key, headers) : headers;
}

/* ---- the message ---- */

/* The original one, forwarded: RFC 5965 section 2. */
static struct str subject(const struct report *report)
{
	struct headers headers;
	struct str section = report->record->failure->headers, body;
	headers_init(&headers, report->arena, 1000, section.n);
	headers_split(&headers, section, &body);
	const struct header_field *field = headers_find(&headers, STR("Subject"));
	struct str text = field != NULL ? unfolded(report->arena, redacted(report, field->value)) : STR("");
	if (text.n == 0)
		return arena_printf(report->arena, "Authentication failure report for %.*s",
			STR_ARG(word(report, report->record->row.header_from)));
	bool cut = text.n > SUBJECT_MAX;
	text = str_head(text, SUBJECT_MAX);
	/* No half of a character. */
	for (int i = 0; cut && i < 3 && !utf8_is_valid(text); i++)
		text.n--;
	struct buf out = buf_in(report->arena);
	buf_add_cstr(&out, "FW: ");
	buf_add(&out, text);
	return buf_str(&out);
}

/* The same at every attempt, another one for each that gets it. */
static struct str message_id(const struct report *report, struct str from, struct str to)
{
	static const struct hash_key any = {{0, 0}};
	struct str domain = str_skip(from, (size_t)(str_rindex(from, '@') + 1));
	return arena_printf(report->arena, "%.*s.%016llx@%.*s", STR_ARG(word(report, report->record->id)),
		(unsigned long long)hash_bytes(&any, report->kind, to), STR_ARG(domain));
}

void failure_compose(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	enum failure_kind kind, const struct report_failed_signature *signature, struct str to, struct mail *ret_mail)
{
	const struct report_options *options = context->options;
	struct report report = {
		.arena = arena, .context = context, .record = record, .kind = kind, .signature = signature};
	struct str from = options->failure_from.n > 0 ? options->failure_from : options->address;
	struct mail_part *parts = ARENA_ARRAY(arena, 3, struct mail_part);
	parts[0] = (struct mail_part){.type = STR("text/plain; charset=us-ascii"), .data = annotation(&report)};
	parts[1] = (struct mail_part){.type = STR("message/feedback-report"), .data = feedback(&report)};
	parts[2] = (struct mail_part){.type = STR("text/rfc822-headers"), .data = header_section(&report)};
	*ret_mail = (struct mail){
		.from = from,
		.to = to,
		.sender = options->verp ? mail_verp(arena, from, to) : STR(""),
		.subject = subject(&report),
		.message_id = message_id(&report, from, to),
		.multipart = STR("report; report-type=feedback-report"),
		.parts = parts,
		.n_parts = 3,
	};
}
