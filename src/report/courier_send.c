/*
 * Deliveries that are due: to the MTA, and the outcome into the store.
 */
#include "report/courier_work.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fault.h"

/* RFC 5321 section 4.5.3.2.6 has ten minutes for the answer to a message; the MTA is ours. */
#define SUBMIT_SECONDS 300
/* No other courier takes a delivery while we are at it; after a kill it is due again then. */
#define CLAIM_SECONDS 600
#define BACKOFF_SECONDS 900
#define BACKOFF_MAX_SECONDS (6 * 3600)
/* In a row: then the server is out of order, and what is due waits for the next turn. */
#define UNREACHABLE_MAX 3

struct sending {
	struct courier *courier;
	struct arena *arena;
	const struct store_delivery *delivery;
	struct store_report report;
	struct courier_result *result;
};

/* ---- the message ---- */

/* In words, for whoever opens the message without a program. */
static struct str explain(struct sending *sending)
{
	const struct store_report *report = &sending->report;
	const struct report_options *options = &sending->courier->runtime->report;
	struct buf out = buf_in(sending->arena);
	buf_printf(&out, "This is a DMARC aggregate report about mail from %.*s, asked for by the rua= of its DMARC\n",
		STR_ARG(report->domain));
	buf_printf(&out, "record. It counts %" PRIu64 " message%s in %" PRIu64 " row%s.\n\nFrom  ", report->messages,
		report->messages == 1 ? "" : "s", report->rows, report->rows == 1 ? "" : "s");
	mail_date_write(&out, report->begin);
	buf_add_cstr(&out, "\nto    ");
	mail_date_write(&out, report->end);
	buf_printf(&out, "\nby    %.*s\n",
		STR_ARG(options->organization.n > 0 ? options->organization : courier_domain(options->address)));
	buf_printf(&out, "\nQuestions about it: %.*s\n", STR_ARG(options->address));
	if (options->extra_contact.n > 0)
		buf_printf(&out, "%.*s\n", STR_ARG(options->extra_contact));
	return buf_str(&out);
}

/* Each recipient's copy is a message of its own, and the same one at every attempt. */
static struct str message_id_of(struct sending *sending)
{
	struct str id = sending->report.report_id, domain = courier_domain(id);
	if (domain.n == 0)
		domain = courier_domain(sending->courier->runtime->report.address);
	else
		id = str_head(id, id.n - domain.n - 1);
	return arena_printf(
		sending->arena, "%.*s.%" PRId64 "@%.*s", STR_ARG(id), sending->delivery->id, STR_ARG(domain));
}

/* The text as it will be sent; what an aggregate report is attached to is made, and signed, now. */
static enum err write_text(struct sending *sending, const struct mail *envelope, struct buf *out)
{
	const struct store_report *report = &sending->report;
	if (report->batch == 0) {
		buf_add(out, report->data);
		return ERR_OK;
	}
	const struct mail_part parts[] = {
		{.type = STR("text/plain; charset=utf-8"), .data = explain(sending)},
		{.type = STR("application/gzip"), .file_name = report->file_name, .data = report->data},
	};
	struct mail mail = *envelope;
	mail.subject = report->subject;
	mail.message_id = message_id_of(sending);
	mail.multipart = STR("mixed");
	mail.parts = parts;
	mail.n_parts = sizeof(parts) / sizeof(*parts);
	return courier_write(sending->courier, sending->arena, &mail, out);
}

/* ---- what became of it ---- */

/* What the store does not take note of now it is told first next time: the mail has gone. */
static enum err note_delivery(struct courier *courier, int64_t delivery, enum store_delivery_state state,
	int64_t next_attempt, struct str note)
{
	enum err err = store_delivery_done(courier->store, delivery, state, courier_time(courier), next_attempt, note);
	if (err == ERR_OK)
		return ERR_OK;
	courier->own.unnoted.delivery = delivery;
	courier->own.unnoted.state = state;
	courier->own.unnoted.next_attempt = next_attempt;
	snprintf(courier->own.unnoted.note, sizeof(courier->own.unnoted.note), "%.*s", STR_ARG(note));
	return err;
}

static enum err note_unnoted(struct courier *courier)
{
	if (courier->own.unnoted.delivery == 0)
		return ERR_OK;
	enum err err = store_delivery_done(courier->store, courier->own.unnoted.delivery, courier->own.unnoted.state,
		courier_time(courier), courier->own.unnoted.next_attempt, str_of(courier->own.unnoted.note));
	if (err == ERR_OK)
		courier->own.unnoted.delivery = 0;
	return err;
}

/* "example.com to rua@example.com: 123 messages, 4 rows" */
static struct str describe(struct sending *sending)
{
	const struct store_report *report = &sending->report;
	struct str address = sending->delivery->address;
	if (report->batch == 0)
		return arena_printf(
			sending->arena, "%.*s to %.*s: failure report", STR_ARG(report->domain), STR_ARG(address));
	return arena_printf(sending->arena, "%.*s to %.*s: %" PRIu64 " message%s, %" PRIu64 " row%s",
		STR_ARG(report->domain), STR_ARG(address), report->messages, report->messages == 1 ? "" : "s",
		report->rows, report->rows == 1 ? "" : "s");
}

static enum err finish(struct sending *sending, enum store_delivery_state state, struct str note)
{
	struct str what = describe(sending);
	switch (state) {
	case STORE_PENDING:
		break;
	case STORE_SENT:
		log_info("report: %.*s, sent (%.*s)", STR_ARG(what), STR_ARG(note));
		sending->result->sent++;
		break;
	case STORE_REFUSED:
		log_warning("report: %.*s, refused (%.*s)", STR_ARG(what), STR_ARG(note));
		sending->result->refused++;
		break;
	case STORE_EXPIRED:
		log_warning("report: %.*s, given up (%.*s)", STR_ARG(what), STR_ARG(note));
		sending->result->expired++;
		break;
	}
	return note_delivery(sending->courier, sending->delivery->id, state, 0, note);
}

static int64_t expires_at(const struct sending *sending)
{
	return sending->delivery->created + (int64_t)sending->courier->runtime->report.expire_hours * 3600;
}

static enum err defer(struct sending *sending, int64_t until, struct str note)
{
	struct str what = describe(sending);
	fault_log(LOG_LEVEL_WARNING, note, "report: %.*s, deferred (%.*s)", STR_ARG(what), STR_ARG(note));
	sending->result->deferred++;
	return note_delivery(sending->courier, sending->delivery->id, STORE_PENDING, until, note);
}

/* 15 minutes, doubled with each attempt, at most six hours. */
static enum err back_off(struct sending *sending, struct str note)
{
	int64_t pause = BACKOFF_SECONDS;
	for (unsigned i = 0; i < sending->delivery->attempts && pause < BACKOFF_MAX_SECONDS; i++)
		pause *= 2;
	if (pause > BACKOFF_MAX_SECONDS)
		pause = BACKOFF_MAX_SECONDS;
	return defer(sending, courier_time(sending->courier) + pause, note);
}

/* ---- one delivery ---- */

static enum err submit(struct sending *sending, bool *ret_unreachable)
{
	struct courier *courier = sending->courier;
	const struct report_options *options = &courier->runtime->report;
	struct buf text = buf_in(sending->arena);
	struct str note = STR("");
	bool failure = sending->report.batch == 0;
	struct mail mail = {
		.from = failure ? options->failure_from : options->address,
		.to = sending->delivery->address,
		.sender = STR(""),
		.helo = courier->runtime->auth.authserv_id,
	};
	if (options->verp)
		mail.sender = mail_verp(sending->arena, options->address, mail.to);
	if (!mail_address_usable(mail.to))
		return finish(sending, STORE_REFUSED, STR("not an address that mail could be sent to"));
	enum err err = write_text(sending, &mail, &text);
	if (err != ERR_OK)
		return back_off(
			sending, arena_printf(sending->arena, "it could not be written or signed: %s", err_text(err)));
	switch (mail_submit(sending->arena, options, &mail, buf_str(&text), SUBMIT_SECONDS, &note)) {
	case MAIL_ACCEPTED:
		return finish(sending, STORE_SENT, note);
	case MAIL_REFUSED:
		return finish(sending, STORE_REFUSED, note);
	case MAIL_UNREACHABLE:
		*ret_unreachable = true;
		break;
	case MAIL_LATER:
		break;
	}
	return back_off(sending, note);
}

static enum err deliver(struct sending *sending, bool *ret_unreachable)
{
	struct courier *courier = sending->courier;
	const struct store_delivery *delivery = sending->delivery;
	int64_t now = courier_time(courier), suppressed_until = 0;
	enum err err = store_report_get(courier->store, sending->arena, delivery->report, &sending->report);
	if (err == ERR_OK)
		err = store_suppressed(courier->store, delivery->address, now, &suppressed_until);
	if (err != ERR_OK)
		return err;
	if (sending->report.data.n == 0)
		return finish(sending, STORE_REFUSED, STR("there was nobody whom it could be written for"));
	if (now >= expires_at(sending))
		return finish(sending, STORE_EXPIRED, delivery->note.n > 0 ? delivery->note : STR("too old"));
	if (suppressed_until > now)
		return defer(sending, suppressed_until < expires_at(sending) ? suppressed_until : expires_at(sending),
			STR("mail to this address came back: it gets none for a while"));
	return submit(sending, ret_unreachable);
}

enum err courier_send(struct courier *courier, int64_t now, struct courier_result *result)
{
	unsigned unreachable = 0;
	courier_begin(courier, now);
	enum err err = note_unnoted(courier);
	while (err == ERR_OK && unreachable < UNREACHABLE_MAX && courier_goes_on(courier)) {
		bool missed = false;
		size_t n = 0;
		struct arena *arena = arena_new(0);
		struct sending sending = {.courier = courier, .arena = arena, .result = result};
		if (arena == NULL)
			return ERR_NOMEM;
		err = store_due(courier->store, arena, courier_time(courier), courier_clock(courier), courier->only,
			CLAIM_SECONDS, 1, &sending.delivery, &n);
		if (err == ERR_OK && n > 0)
			err = deliver(&sending, &missed);
		arena_free(arena);
		if (n == 0)
			break;
		unreachable = missed ? unreachable + 1 : 0;
	}
	return err;
}
