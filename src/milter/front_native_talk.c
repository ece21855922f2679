#include "milter/front_native_talk.h"

#include <stdio.h>

#include "base/fault.h"
#include "milter/effects.h"

/* effects_apply() gives no longer text of a reply. */
#define REPLY_TEXT_MAX 980

/* ---- what the session asks of its connection ---- */

static struct str talk_macro(void *context, const char *name)
{
	const struct talk *talk = context;
	return wire_macros_get(&talk->macros, name);
}

static void talk_wake(void *context)
{
	const struct talk *talk = context;
	talk->wake(talk->wake_context);
}

/* ---- begin and end ---- */

void talk_init(struct talk *talk, struct service *service, void (*wake)(void *context), void *wake_context)
{
	*talk = (struct talk){.service = service, .wake = wake, .wake_context = wake_context, .state = TALK_NEW};
}

void talk_finish(struct talk *talk)
{
	session_free(talk->session);
	talk->session = NULL;
	wire_macros_finish(&talk->macros);
}

static enum talk_step end_because(struct talk *talk, const char *why)
{
	talk->violation = why;
	return TALK_ENDS;
}

/* ---- the end of the message ---- */

struct ending {
	struct wire_out *out;
	uint32_t actions;                /* negotiated */
	char reply[16 + REPLY_TEXT_MAX]; /* "550 5.7.1 text"; empty: the MTA's own words */
};

static bool port_delete_field(void *context, const char *name, unsigned ordinal)
{
	const struct ending *ending = context;
	return wire_put_field(ending->out, REPLY_CHANGE, ordinal, name, "");
}

static bool port_insert_field(void *context, const char *name, const char *value)
{
	const struct ending *ending = context;
	return wire_put_field(ending->out, REPLY_INSERT, 0, name, value);
}

static bool port_add_recipient(void *context, const char *address)
{
	const struct ending *ending = context;
	return (ending->actions & WIRE_ADD_RECIPIENT) != 0 && wire_put_text(ending->out, REPLY_ADD_RECIPIENT, address);
}

static bool port_quarantine(void *context, const char *reason)
{
	const struct ending *ending = context;
	return wire_put_text(ending->out, REPLY_QUARANTINE, reason);
}

static bool port_set_reply(void *context, const char *code, const char *enhanced_code, const char *text)
{
	struct ending *ending = context;
	snprintf(ending->reply, sizeof(ending->reply), "%s %s %s", code, enhanced_code, text);
	return true;
}

/* In the MTA's own words where there are none of ours. */
static void put_refusal(const struct ending *ending, enum wire_reply reply)
{
	if (!wire_put_text(ending->out, REPLY_TEXT, ending->reply))
		wire_put(ending->out, reply);
}

static void put_action(const struct ending *ending, enum verdict_action action)
{
	switch (action) {
	case VERDICT_REJECT:
		put_refusal(ending, REPLY_REJECT);
		break;
	case VERDICT_TEMPFAIL:
		put_refusal(ending, REPLY_TEMPFAIL);
		break;
	case VERDICT_DISCARD:
		wire_put(ending->out, REPLY_DISCARD);
		break;
	case VERDICT_ACCEPT:
	case VERDICT_QUARANTINE:
		wire_put(ending->out, REPLY_CONTINUE);
		break;
	}
}

enum talk_step talk_resume(struct talk *talk, struct wire_out *out)
{
	const struct verdict *verdict;
	struct ending ending = {.out = out, .actions = talk->terms.actions, .reply = ""};
	struct effects_port port = {port_delete_field, port_insert_field, port_add_recipient, port_quarantine,
		port_set_reply, &ending, (talk->terms.protocol & WIRE_LEADING_SPACE) != 0};
	talk->state = TALK_ENDING;
	if (session_end(talk->session, &verdict) == SESSION_WAITING)
		return TALK_WAITS;
	bool applied = effects_apply(&port, verdict);
	if (!applied) {
		verdict = session_internal_error(talk->session);
		effects_apply(&port, verdict);
	}
	put_action(&ending, verdict->action);
	session_finish(talk->session, applied);
	talk->has_verdict = true;
	talk->state = TALK_OPEN;
	return TALK_GOES_ON;
}

int64_t talk_deadline(const struct talk *talk)
{
	return session_deadline(talk->session);
}

/* ---- commands ---- */

static bool may_come(enum talk_state state, enum wire_code code)
{
	switch (code) {
	case WIRE_NEGOTIATE:
		return state == TALK_NEW;
	case WIRE_CONNECT:
		return state == TALK_NEGOTIATED;
	case WIRE_HELO:
	case WIRE_MAIL:
	case WIRE_UNKNOWN:
		return state != TALK_NEW;
	case WIRE_RCPT:
		return state == TALK_MAIL || state == TALK_RCPT;
	case WIRE_DATA:
		return state == TALK_RCPT;
	case WIRE_HEADER:
	case WIRE_EOH:
		return state == TALK_RCPT || state == TALK_DATA || state == TALK_HEADER;
	case WIRE_BODY:
	case WIRE_END:
		return state == TALK_RCPT || state == TALK_EOH || state == TALK_BODY;
	case WIRE_MACROS:
	case WIRE_ABORT:
	case WIRE_QUIT:
	case WIRE_QUIT_NC:
		return true;
	}
	return false;
}

static enum talk_step negotiate(struct talk *talk, const struct wire_offer *offer, struct wire_out *out)
{
	if (!wire_agree(offer, &talk->terms)) {
		fault_log(LOG_LEVEL_ERROR, STR(""),
			"the MTA does not let a milter insert and delete header fields and quarantine (version %u, "
			"actions offered: 0x%x)",
			offer->version, offer->actions);
		return TALK_ENDS;
	}
	wire_put_terms(out, &talk->terms);
	return TALK_GOES_ON;
}

static bool need_session(struct talk *talk)
{
	struct front_peer peer = {talk_macro, talk_wake, talk};
	if (talk->session == NULL)
		talk->session = session_new(talk->service, &peer, (talk->terms.protocol & WIRE_LEADING_SPACE) != 0);
	return talk->session != NULL;
}

static void abort_message(struct talk *talk)
{
	if (talk->state < TALK_MAIL)
		return;
	session_abort(talk->session);
	talk->state = TALK_OPEN;
}

/* What the MTA said at a stage holds until the stage comes again. */
static void forget_later_macros(struct talk *talk, enum wire_stage stage)
{
	wire_macros_clear(&talk->macros, stage + 1);
}

static enum talk_step quit(struct talk *talk, bool another_follows)
{
	if (!another_follows)
		return TALK_ENDS;
	session_free(talk->session);
	talk->session = NULL;
	wire_macros_clear(&talk->macros, STAGE_CONNECT);
	if (talk->state != TALK_NEW)
		talk->state = TALK_NEGOTIATED;
	return TALK_GOES_ON;
}

/* Of the commands that may come now, those that are answered by REPLY_CONTINUE, if at all. */
static void tell_session(struct talk *talk, const struct wire_command *command)
{
	switch (command->code) {
	case WIRE_CONNECT:
		forget_later_macros(talk, STAGE_CONNECT);
		session_connect(talk->session, &command->client, command->text);
		talk->state = TALK_OPEN;
		break;
	case WIRE_HELO:
		abort_message(talk);
		forget_later_macros(talk, STAGE_HELO);
		session_helo(talk->session, command->text);
		talk->state = TALK_OPEN;
		break;
	case WIRE_MAIL:
		forget_later_macros(talk, STAGE_MAIL);
		session_mail(talk->session, command->text);
		talk->state = TALK_MAIL;
		break;
	case WIRE_RCPT:
		forget_later_macros(talk, STAGE_RCPT);
		session_rcpt(talk->session, command->text);
		talk->state = TALK_RCPT;
		break;
	case WIRE_DATA:
		talk->state = TALK_DATA;
		break;
	case WIRE_HEADER:
		session_header(talk->session, command->text, command->value);
		talk->state = TALK_HEADER;
		break;
	case WIRE_EOH:
		session_eoh(talk->session);
		talk->state = TALK_EOH;
		break;
	case WIRE_BODY:
		session_body(talk->session, command->text);
		talk->state = TALK_BODY;
		break;
	case WIRE_UNKNOWN:
	case WIRE_NEGOTIATE:
	case WIRE_MACROS:
	case WIRE_ABORT:
	case WIRE_END:
	case WIRE_QUIT:
	case WIRE_QUIT_NC:
		break;
	}
}

static enum talk_step obey(struct talk *talk, const struct wire_command *command, struct wire_out *out)
{
	enum talk_step step = TALK_GOES_ON;
	const char *why;
	if (!may_come(talk->state, command->code))
		return end_because(talk, "a command that may not come now");
	switch (command->code) {
	case WIRE_ABORT:
		abort_message(talk);
		return TALK_GOES_ON;
	case WIRE_QUIT:
	case WIRE_QUIT_NC:
		return quit(talk, command->code == WIRE_QUIT_NC);
	case WIRE_MACROS:
		why = wire_macros_set(&talk->macros, command->stage, command->text);
		return why == NULL ? TALK_GOES_ON : end_because(talk, why);
	case WIRE_END:
		if (command->text.n > 0)
			session_body(talk->session, command->text);
		return talk_resume(talk, out);
	case WIRE_NEGOTIATE:
		step = negotiate(talk, &command->offer, out);
		if (step != TALK_GOES_ON)
			return step;
		wire_macros_clear(&talk->macros, STAGE_CONNECT);
		talk->state = TALK_NEGOTIATED;
		return need_session(talk) ? TALK_GOES_ON : end_because(talk, "out of memory");
	case WIRE_BODY:
	case WIRE_CONNECT:
	case WIRE_HELO:
	case WIRE_HEADER:
	case WIRE_MAIL:
	case WIRE_EOH:
	case WIRE_RCPT:
	case WIRE_DATA:
	case WIRE_UNKNOWN:
		break;
	}
	if (!need_session(talk))
		return end_because(talk, "out of memory");
	tell_session(talk, command);
	/* A chunk that came in pieces is one command. */
	if (talk->reader.body_left == 0 && !wire_is_silent(&talk->terms, command->code))
		wire_put(out, REPLY_CONTINUE);
	return TALK_GOES_ON;
}

enum talk_step talk_take(struct talk *talk, struct str *bytes, struct wire_out *out)
{
	struct wire_command command;
	while (out->n == 0) {
		const char *why = NULL;
		switch (wire_read(&talk->reader, bytes, &command, &why)) {
		case WIRE_INCOMPLETE:
			return TALK_READS;
		case WIRE_VIOLATION:
			return end_because(talk, why);
		case WIRE_COMPLETE:
			break;
		}
		enum talk_step step = obey(talk, &command, out);
		if (out->failed)
			return end_because(talk, "out of memory");
		/* The end of a message may wait, and then nothing may overtake it. */
		if (step != TALK_GOES_ON)
			return step;
	}
	return TALK_YIELDS;
}
