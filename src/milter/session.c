#include "milter/session.h"

#include <setjmp.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "message/address.h"
#include "report/spool.h"

/* What a client may say in HELO before we stop copying: twice the longest domain name, so that a cut name is no name.
 */
#define MAX_TEXT 512

struct session {
	struct service *service;
	struct front_peer peer;
	bool leading_space;

	/* The connection. */
	struct ip client;
	char *client_name;
	char *helo;
	bool out_of_memory; /* one of the above could not be kept */

	/* The message. */
	bool in_message;
	struct runtime *runtime;
	struct arena *arena;
	struct auth_message *message;
	const struct verdict *verdict;
	bool headers_done, body_done;
	const char *failure; /* why it was dropped; static */
	struct verdict internal_error;
};

/*
 * A client of whom the MTA knows no address comes from outside: were it taken for local submission, whoever hangs up at
 * the right moment would be signed for.
 */
static const struct ip unknown_client = {.family = IP_V4};

struct session *session_new(struct service *service, const struct front_peer *peer, bool leading_space)
{
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL)
		return NULL;
	session->service = service;
	session->peer = *peer;
	session->leading_space = leading_space;
	session->client = unknown_client;
	service_session_begin(service);
	return session;
}

/* ---- the message's memory ---- */

/* The look-ups of a message end before its arena does: they would wake up a session that has gone on. */
static void drop_message(struct session *session)
{
	auth_message_drop(session->message);
	session->message = NULL;
	session->verdict = NULL;
}

static void fail_message(struct session *session, const char *why)
{
	drop_message(session);
	/* Nothing is needed any more but the answer. */
	arena_reset(session->arena);
	session->failure = why;
}

static void end_message(struct session *session)
{
	if (!session->in_message)
		return;
	drop_message(session);
	service_message_end(session->service, session->runtime, session->arena);
	session->runtime = NULL;
	session->arena = NULL;
	session->failure = NULL;
	session->headers_done = session->body_done = false;
	session->in_message = false;
}

typedef void message_step(struct session *session, void *arguments);

/* The one place to which an allocation that fails comes back; the frames between hold nothing but the arena's. */
static void run_step(struct session *session, message_step *step, void *arguments)
{
	jmp_buf boundary;
	if (!session->in_message || session->failure != NULL)
		return;
	if (setjmp(boundary) != 0) {
		arena_set_boundary(session->arena, NULL);
		fail_message(session, "out of memory, or the message needs more than MaximumMessageMemory");
		return;
	}
	arena_set_boundary(session->arena, &boundary);
	step(session, arguments);
	arena_set_boundary(session->arena, NULL);
}

/* ---- the connection ---- */

void session_free(struct session *session)
{
	if (session == NULL)
		return;
	end_message(session);
	service_session_end(session->service);
	free(session->client_name);
	free(session->helo);
	free(session);
}

static void keep_text(struct session *session, char **slot, struct str text)
{
	free(*slot);
	text = str_head(text, MAX_TEXT);
	*slot = strndup(text.n > 0 ? text.p : "", text.n);
	session->out_of_memory |= *slot == NULL;
}

void session_connect(struct session *session, const struct ip *client, struct str name)
{
	/* What the MTA writes when it has no verified name. */
	bool is_unknown = str_ieq(name, STR("unknown"));
	if (is_unknown || str_starts(name, STR("[")))
		name = STR("");
	end_message(session);
	session->out_of_memory = false;
	session->client = is_unknown && client->family == IP_NONE ? unknown_client : *client;
	keep_text(session, &session->client_name, name);
	keep_text(session, &session->helo, STR(""));
}

void session_helo(struct session *session, struct str name)
{
	keep_text(session, &session->helo, name);
}

/* ---- the message ---- */

static struct str macro(const struct session *session, const char *name)
{
	struct str value = session->peer.macro(session->peer.context, name);
	return value.p != NULL ? value : STR("");
}

static void step_mail(struct session *session, void *arguments)
{
	const struct auth_envelope *envelope = arguments;
	session->message = auth_message_new(session->arena, session->runtime, service_dns(session->service),
		clock_unix(), envelope, session->peer.wake, session->peer.context);
}

void session_mail(struct session *session, struct str address)
{
	/* The MTA need not say that a message has ended: a new one says it. */
	end_message(session);
	session->in_message = true;
	service_message_begin(session->service, &session->runtime, &session->arena);
	if (session->out_of_memory || session->runtime == NULL || session->arena == NULL) {
		session->failure = "out of memory";
		return;
	}
	struct auth_envelope envelope = {
		.client = session->client,
		.client_name = str_of(session->client_name),
		.helo = str_of(session->helo),
		.mail_from = address_without_brackets(address),
		.auth_user = macro(session, "{auth_authen}"),
		.daemon_name = macro(session, "{daemon_name}"),
		.mta_name = macro(session, "j"),
	};
	run_step(session, step_mail, &envelope);
}

static void step_rcpt(struct session *session, void *arguments)
{
	auth_rcpt(session->message, *(struct str *)arguments);
}

void session_rcpt(struct session *session, struct str address)
{
	address = address_without_brackets(address);
	run_step(session, step_rcpt, &address);
}

struct field {
	struct str name, value;
};

static void step_header(struct session *session, void *arguments)
{
	const struct field *field = arguments;
	struct str value = field->value;
	/* Before protocol version 6 the MTA strips the space behind the colon; nearly all mail has just the one. */
	if (!session->leading_space) {
		struct buf spaced = buf_in(session->arena);
		buf_add_char(&spaced, ' ');
		buf_add(&spaced, value);
		value = buf_str(&spaced);
	}
	auth_header(session->message, field->name, value);
}

void session_header(struct session *session, struct str name, struct str value)
{
	struct field field = {name, value};
	run_step(session, step_header, &field);
}

static void step_eoh(struct session *session, void *arguments)
{
	(void)arguments;
	if (session->headers_done)
		return;
	session->headers_done = true;
	auth_headers_done(session->message);
}

void session_eoh(struct session *session)
{
	run_step(session, step_eoh, NULL);
}

static void step_body(struct session *session, void *arguments)
{
	step_eoh(session, NULL);
	if (!session->body_done)
		session->body_done = !auth_body(session->message, *(struct str *)arguments);
}

bool session_body(struct session *session, struct str chunk)
{
	run_step(session, step_body, &chunk);
	return session->in_message && session->failure == NULL && !session->body_done;
}

static void record(struct session *session, struct spool *spool)
{
	struct auth_facts facts = auth_facts(session->message);
	struct report_record record;
	if (report_record_make(session->arena, &facts, clock_unix(), &record))
		spool_append(spool, session->arena, &record);
}

/*
 * Before the MTA gets its answer, so that no message whose verdict was given goes unrecorded. The verdict stands
 * whatever becomes of that.
 */
static void try_record(struct session *session)
{
	struct spool *spool = service_spool(session->service);
	jmp_buf boundary;
	if (spool == NULL)
		return;
	if (setjmp(boundary) != 0) {
		spool_drop(spool);
	} else {
		arena_set_boundary(session->arena, &boundary);
		record(session, spool);
	}
	arena_set_boundary(session->arena, NULL);
}

static void step_end(struct session *session, void *arguments)
{
	enum auth_step *step = arguments;
	step_eoh(session, NULL);
	*step = auth_end(session->message, macro(session, "i"), &session->verdict);
}

enum session_step session_end(struct session *session, const struct verdict **ret_verdict)
{
	enum auth_step step = AUTH_DONE;
	run_step(session, step_end, &step);
	if (step == AUTH_WAITING && session->failure == NULL)
		return SESSION_WAITING;
	if (session->verdict != NULL)
		try_record(session);
	*ret_verdict = session->verdict != NULL ? session->verdict : session_internal_error(session);
	return SESSION_DONE;
}

int64_t session_deadline(const struct session *session)
{
	return session->message != NULL ? auth_deadline(session->message) : clock_monotonic_ms();
}

const struct verdict *session_internal_error(struct session *session)
{
	bool accept = session->runtime != NULL && session->runtime->auth.on_internal_error == AUTH_ON_ERROR_ACCEPT;
	struct verdict *verdict = &session->internal_error;
	*verdict = (struct verdict){.action = VERDICT_ACCEPT};
	if (accept)
		return verdict;
	*verdict = (struct verdict){
		.action = VERDICT_TEMPFAIL,
		.reply_code = STR("451"),
		.enhanced_code = STR("4.3.0"),
		.reply_text = STR("Message authentication is not possible at present, please try again later"),
	};
	return verdict;
}

void session_finish(struct session *session, bool applied)
{
	const struct verdict *verdict = session->verdict;
	bool judged = verdict != NULL && session->failure == NULL;
	if (!applied && session->failure == NULL)
		session->failure = "the MTA did not take the changes";
	if (!judged || !applied) {
		struct str queue_id = macro(session, "i");
		const char *why = session->failure != NULL ? session->failure : "end of a message that never began";
		verdict = session_internal_error(session);
		service_count(session->service, verdict->action, true);
		log_info("%.*s: action=%s reason=\"%s\"", STR_ARG(queue_id.n > 0 ? queue_id : STR("-")),
			verdict_action_text(verdict->action), why);
		/* Mostly it has gone away before its answer came. */
		if (judged)
			fault_log(LOG_LEVEL_WARNING, STR(""), "the MTA did not take the changes to a message");
		else
			fault_log(LOG_LEVEL_ERROR, str_of(why), "messages can be neither judged nor signed: %s", why);
	} else {
		service_count(session->service, verdict->action, false);
		if (verdict->action != VERDICT_ACCEPT || service_logs_accepted(session->service))
			log_info("%.*s", STR_ARG(verdict->log_line));
	}
	end_message(session);
}

void session_abort(struct session *session)
{
	end_message(session);
}

size_t session_memory(const struct session *session)
{
	return session->arena != NULL ? arena_held(session->arena) : 0;
}
