/*
 * Failures that were recorded become failure reports in the queue of deliveries: to the author domain's ruf and the
 * operator (RFC 9991), and to signers that ask for them (RFC 6651).
 */
#include "report/courier_work.h"

#include <errno.h>

#include "auth/addresses.h"
#include "base/fault.h"
#include "report/failure.h"

/* As long as its look-ups may take, and a kill. */
#define CLAIM_SECONDS 600
#define LOOKUP_ROUNDS_MAX 4
/* Of a turn: failures that come faster than they are handled, as in a flood, must not hold up all other reports. */
#define FAILURES_SECONDS 30

/* One record and the reports about it. */
struct work {
	struct courier *courier;
	struct arena *arena;
	const struct store_failure *failure;
	struct failure_context context;
	bool retry; /* the DNS did not tell whether anybody wants one */
};

/* Who gets a report, each once. */
struct addressees {
	struct str *addresses;
	size_t n, capacity;
};

static void add_addressee(struct work *work, struct addressees *to, struct str address)
{
	for (size_t i = 0; i < to->n; i++)
		if (str_ieq(to->addresses[i], address))
			return;
	to->addresses = arena_grow(work->arena, to->addresses, &to->capacity, to->n + 1, sizeof(*to->addresses));
	to->addresses[to->n++] = address;
}

static struct str redaction_key(struct courier *courier, struct arena *arena)
{
	if (!courier->runtime->report.redact)
		return STR("");
	if (!courier->own.has_redaction_key &&
		!redaction_key_load(arena, courier->runtime->report.spool, courier->own.redaction_key))
		log_warning("addresses are redacted anew after a restart: %.*s/redaction.key: %s",
			STR_ARG(courier->runtime->report.spool), strerror(errno));
	courier->own.has_redaction_key = true;
	return str_from(courier->own.redaction_key, sizeof(courier->own.redaction_key));
}

/* ---- into the queue ---- */

typedef void write_report(struct work *work, struct str to, const void *argument, struct mail *ret_mail);

static enum err add_report(struct work *work, struct str domain, struct mail *mail)
{
	struct courier *courier = work->courier;
	const struct report_record *record = &work->failure->record;
	struct buf text = buf_in(work->arena);
	enum err err = courier_write(courier, work->arena, mail, &text);
	if (err != ERR_OK)
		return err;
	const struct store_report report = {
		.report_id = mail->message_id,
		.domain = domain,
		.begin = record->time,
		.end = record->time,
		.messages = 1,
		.built = courier_time(courier),
		.file_name = STR(""),
		.subject = mail->subject,
		.data = buf_str(&text),
	};
	const struct store_destination destination = {.address = mail->to, .not_before = courier_time(courier)};
	return store_add_report(courier->store, &report, &destination, 1, false);
}

/* To each of @to, if the hour's quota of @domain allows one more. */
static enum err add_reports(struct work *work, struct str quota, struct str domain, const struct addressees *to,
	write_report *write, const void *argument, struct courier_result *result)
{
	struct courier *courier = work->courier;
	bool allowed = false;
	if (to->n == 0)
		return ERR_OK;
	enum err err = store_failure_quota(courier->store, quota, courier_time(courier),
		courier->runtime->report.failures_per_hour, &allowed, &work->context.incidents);
	for (size_t i = 0; err == ERR_OK && allowed && i < to->n; i++) {
		struct mail mail = {0};
		/* The operator may have written anything there. */
		if (!mail_address_usable(to->addresses[i]))
			continue;
		write(work, to->addresses[i], argument, &mail);
		err = add_report(work, domain, &mail);
		result->failures += err == ERR_OK;
	}
	return err;
}

/* ---- DMARC ---- */

static void write_dmarc(struct work *work, struct str to, const void *unused, struct mail *ret_mail)
{
	(void)unused;
	failure_write(work->arena, &work->context, &work->failure->record, to, ret_mail);
}

/* Mail to the addresses that reports come from, or go to here, makes no report: those would be about each other. */
static bool is_to_us(const struct report_options *options, struct str rcpt)
{
	bool ours = str_ieq(rcpt, options->address) || str_ieq(rcpt, options->failure_from);
	for (size_t i = 0; i < options->n_failure_to; i++)
		ours = ours || str_ieq(rcpt, options->failure_to[i]);
	for (size_t i = 0; i < options->n_bcc; i++)
		ours = ours || str_ieq(rcpt, options->bcc[i]);
	return ours;
}

static struct addressees dmarc_addressees(struct work *work)
{
	struct addressees to = {0};
	struct courier *courier = work->courier;
	const struct report_options *options = &courier->runtime->report;
	const struct report_record *record = &work->failure->record;
	struct courier_recipients recipients;
	if (record->policy.domain.n == 0 || !failure_due(work->arena, options, record))
		return to;
	courier_verify(courier, work->arena, &record->policy, 1, true, &recipients);
	work->retry |= recipients.retry;
	for (size_t i = 0; i < recipients.n; i++)
		if (recipients.destinations[i].refused == NULL)
			add_addressee(work, &to, recipients.destinations[i].address);
	for (size_t i = 0; i < options->n_failure_to; i++)
		add_addressee(work, &to, options->failure_to[i]);
	return to;
}

static struct str spf_record(struct work *work)
{
	struct str text = STR("");
	struct answers *answers = answers_new(work->arena);
	for (unsigned round = 1; !failure_spf_record(&work->failure->record, answers, &text); round++) {
		dns_fetch(work->courier->dns, answers, 0);
		if (round == LOOKUP_ROUNDS_MAX)
			answers_give_up(answers);
	}
	return text;
}

/* ---- DKIM ---- */

static void write_dkim(struct work *work, struct str to, const void *signature, struct mail *ret_mail)
{
	dkim_failure_write(work->arena, &work->context, &work->failure->record, signature, to, ret_mail);
}

static bool may_get_reports(struct work *work, struct str text)
{
	const struct report_options *options = &work->courier->runtime->report;
	struct address address;
	if (!address_parse_path(work->arena, text, &address))
		return false;
	if (address_set_has(options->no_reports, work->arena, &address))
		return false;
	return options->only_reports == NULL || address_set_has(options->only_reports, work->arena, &address);
}

static struct addressees dkim_addressees(struct work *work, const struct report_failed_signature *signature)
{
	struct addressees to = {0};
	const struct report_options *options = &work->courier->runtime->report;
	struct answers *answers = answers_new(work->arena);
	struct dkim_report_request request;
	bool found = false, retry = false;
	if (!options->dkim_failure || !signature->report_requested)
		return to;
	for (unsigned round = 1;
		!dkim_report_request_find(work->arena, signature->domain, answers, &found, &retry, &request); round++) {
		dns_fetch(work->courier->dns, answers, 0);
		if (round == LOOKUP_ROUNDS_MAX)
			answers_give_up(answers);
	}
	work->retry |= retry;
	if (!found || !dkim_report_wanted(work->arena, &request, signature, work->failure->record.id) ||
		!may_get_reports(work, request.address))
		return to;
	add_addressee(work, &to, request.address);
	for (size_t i = 0; i < options->n_bcc; i++)
		add_addressee(work, &to, options->bcc[i]);
	return to;
}

/* ---- records ---- */

/* Quotas, reports and the end of the record in one transaction: once, or not at all. */
static enum err keep(
	struct work *work, const struct addressees *dmarc, const struct addressees *dkim, struct courier_result *result)
{
	struct courier *courier = work->courier;
	const struct report_record *record = &work->failure->record;
	enum err err = store_begin(courier->store);
	if (err == ERR_OK)
		err = add_reports(work, record->policy.domain, record->policy.domain, dmarc, write_dmarc, NULL, result);
	for (size_t i = 0; err == ERR_OK && i < record->failure->n_signatures; i++) {
		const struct report_failed_signature *signature = &record->failure->signatures[i];
		struct str quota = arena_printf(work->arena, "_report._domainkey.%.*s", STR_ARG(signature->domain));
		err = add_reports(work, quota, signature->domain, &dkim[i], write_dkim, signature, result);
	}
	if (err == ERR_OK)
		err = store_failure_done(courier->store, work->failure->id);
	if (err == ERR_OK)
		err = store_commit(courier->store);
	if (err != ERR_OK)
		store_rollback(courier->store);
	return err;
}

static enum err report_one(struct courier *courier, struct arena *arena, const struct store_failure *failure,
	struct courier_result *result)
{
	const struct report_record *record = &failure->record;
	struct work work = {
		.courier = courier,
		.arena = arena,
		.failure = failure,
		.context =
			{
				.options = &courier->runtime->report,
				.now = courier_time(courier),
				.reporter = record->reporter,
				.redaction_key = redaction_key(courier, arena),
			},
	};
	struct addressees dmarc = {0};
	struct addressees *dkim = ARENA_ARRAY(arena, record->failure->n_signatures, struct addressees);
	if (!is_to_us(&courier->runtime->report, record->failure->rcpt) && !failure_of_report(arena, record->failure)) {
		dmarc = dmarc_addressees(&work);
		for (size_t i = 0; i < record->failure->n_signatures; i++)
			dkim[i] = dkim_addressees(&work, &record->failure->signatures[i]);
	}
	/* It stays claimed for a while, and is looked at again then. */
	if (work.retry && courier_time(courier) < record->time + COURIER_PATIENCE_SECONDS)
		return ERR_OK;
	if (dmarc.n > 0)
		work.context.spf_record = spf_record(&work);
	return keep(&work, &dmarc, dkim, result);
}

enum err courier_failures(struct courier *courier, int64_t now, struct courier_result *result)
{
	enum err err = ERR_OK;
	size_t n = 1;
	courier_begin(courier, now);
	while (err == ERR_OK && n > 0 && courier_time(courier) < now + FAILURES_SECONDS && courier_goes_on(courier)) {
		const struct store_failure *failures;
		struct courier_result made = {0};
		struct arena *arena = arena_new(0);
		if (arena == NULL)
			return ERR_NOMEM;
		err = store_failures(courier->store, arena, courier_clock(courier), CLAIM_SECONDS, 1, &failures, &n);
		if (err == ERR_OK && n > 0)
			err = report_one(courier, arena, &failures[0], &made);
		if (err == ERR_OK)
			result->failures += made.failures;
		/* One that cannot be signed waits with its claim, the others' turn comes. */
		if (err != ERR_OK && err != ERR_IO) {
			fault_log(LOG_LEVEL_WARNING, str_of(err_text(err)), "a failure report cannot be written: %s",
				err_text(err));
			err = ERR_OK;
		}
		arena_free(arena);
	}
	return err;
}
