/*
 * auth.h without any authentication: what a session does with it can be seen and
 * steered from outside. The header fields of the message give the orders:
 *
 *	X-Action: reject|tempfail|quarantine|discard|accept
 *	X-Wait: MS        auth_end() waits that long before it is done
 *	X-Eat: BYTES      allocate that much
 *	X-No-Body: 1      no one needs the body
 *	X-Crash: 1        abort() at the end of the message
 *	X-Record: BYTES   it is judged, fails, and has a header field of that size
 */
#include "fake_auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

struct auth_message {
	struct arena *arena;
	struct runtime *runtime;
	auth_wake *wake;
	void *wake_context;
	struct buf told;
	struct verdict verdict;
	int64_t wait_ms, done_at;
	bool no_body, crash, alarm_running, judged;
	struct headers headers; /* of X-Record */
	size_t n_body;
	pthread_t alarm;
};

static _Atomic(unsigned) n_live;

unsigned fake_auth_live(void)
{
	return n_live;
}

struct auth_message *auth_message_new(struct arena *arena, struct runtime *runtime, struct dns *dns, int64_t now,
	const struct auth_envelope *envelope, auth_wake *wake, void *wake_context)
{
	(void)dns;
	(void)now;
	char ip[IP_TEXT_SIZE];
	struct auth_message *message = ARENA_NEW(arena, struct auth_message);
	message->arena = arena;
	message->told = buf_in(arena);
	message->wake = wake;
	message->wake_context = wake_context;
	buf_printf(&message->told, "client=%s name=%.*s helo=%.*s from=%.*s auth=%.*s daemon=%.*s mta=%.*s",
		ip_text(&envelope->client, ip), STR_ARG(envelope->client_name), STR_ARG(envelope->helo),
		STR_ARG(envelope->mail_from), STR_ARG(envelope->auth_user), STR_ARG(envelope->daemon_name),
		STR_ARG(envelope->mta_name));
	message->runtime = runtime_ref(runtime);
	n_live++;
	return message;
}

void auth_rcpt(struct auth_message *message, struct str rcpt)
{
	buf_printf(&message->told, " rcpt=%.*s", STR_ARG(rcpt));
}

static void set_action(struct verdict *verdict, struct str action)
{
	if (str_eq(action, STR("reject"))) {
		verdict->action = VERDICT_REJECT;
		verdict->reply_code = STR("550");
		verdict->enhanced_code = STR("5.7.1");
		verdict->reply_text = STR("100% refused");
	} else if (str_eq(action, STR("tempfail"))) {
		verdict->action = VERDICT_TEMPFAIL;
		verdict->reply_code = STR("451");
		verdict->enhanced_code = STR("4.7.1");
		verdict->reply_text = STR("not now");
	} else if (str_eq(action, STR("quarantine"))) {
		verdict->action = VERDICT_QUARANTINE;
		verdict->quarantine_reason = STR("held");
	} else if (str_eq(action, STR("discard"))) {
		verdict->action = VERDICT_DISCARD;
	}
}

static void set_judged(struct auth_message *message, size_t n)
{
	char *text = arena_alloc(message->arena, n);
	memset(text, 'x', n);
	message->judged = true;
	headers_init(&message->headers, message->arena, 10, 1000000);
	headers_add(&message->headers, STR("X-Long"), str_from(text, n));
}

void auth_header(struct auth_message *message, struct str name, struct str value)
{
	uint64_t number = 0;
	struct str trimmed = str_trim(value);
	str_to_u64(trimmed, UINT32_MAX, &number);
	if (str_eq(name, STR("X-Action")))
		set_action(&message->verdict, trimmed);
	else if (str_eq(name, STR("X-Copy")))
		message->verdict.copy_to = arena_dup(message->arena, trimmed);
	else if (str_eq(name, STR("X-Wait")))
		message->wait_ms = (int64_t)number;
	else if (str_eq(name, STR("X-Eat")))
		arena_alloc(message->arena, (size_t)number);
	else if (str_eq(name, STR("X-No-Body")))
		message->no_body = true;
	else if (str_eq(name, STR("X-Crash")))
		message->crash = true;
	else if (str_eq(name, STR("X-Record")))
		set_judged(message, (size_t)number);
	buf_printf(&message->told, " [%.*s:%.*s]", STR_ARG(name), STR_ARG(value));
}

void auth_headers_done(struct auth_message *message)
{
	buf_add_cstr(&message->told, " eoh");
}

bool auth_body(struct auth_message *message, struct str chunk)
{
	message->n_body += chunk.n;
	return !message->no_body;
}

static void *ring(void *context)
{
	struct auth_message *message = context;
	struct timespec pause = {message->wait_ms / 1000, message->wait_ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
	message->wake(message->wake_context);
	return NULL;
}

enum auth_step auth_end(struct auth_message *message, struct str queue_id, const struct verdict **ret_verdict)
{
	static const struct verdict_deletion deletions[] = {{STR_INIT("X-Forged"), 2}, {STR_INIT("X-Forged"), 1}};
	struct verdict_insertion *insertion = ARENA_NEW(message->arena, struct verdict_insertion);
	if (message->wait_ms > 0 && !message->alarm_running) {
		message->done_at = clock_monotonic_ms() + message->wait_ms;
		message->alarm_running = true;
		pthread_create(&message->alarm, NULL, ring, message);
	}
	if (message->alarm_running && clock_monotonic_ms() < message->done_at)
		return AUTH_WAITING;
	if (message->crash)
		abort();
	buf_printf(&message->told, " body=%zu", message->n_body);
	insertion->name = STR("X-Told");
	insertion->value = arena_printf(message->arena, " %.*s mark=%.*s", STR_ARG(buf_str(&message->told)),
		STR_ARG(message->runtime->auth.authserv_id));
	message->verdict.insertions = insertion;
	message->verdict.n_insertions = 1;
	if (str_index(buf_str(&message->told), '[') >= 0 && strstr(buf_cstr(&message->told), "[X-Forged") != NULL) {
		message->verdict.deletions = deletions;
		message->verdict.n_deletions = 2;
	}
	message->verdict.log_line = arena_printf(
		message->arena, "%.*s: action=%s", STR_ARG(queue_id), verdict_action_text(message->verdict.action));
	*ret_verdict = &message->verdict;
	return AUTH_DONE;
}

int64_t auth_deadline(const struct auth_message *message)
{
	return message->done_at + 10000;
}

void auth_message_drop(struct auth_message *message)
{
	if (message == NULL)
		return;
	if (message->alarm_running)
		pthread_join(message->alarm, NULL);
	runtime_unref(message->runtime);
	n_live--;
}

struct runtime *runtime_ref(struct runtime *runtime)
{
	atomic_fetch_add(&runtime->references, 1);
	return runtime;
}

void runtime_unref(struct runtime *runtime)
{
	if (runtime != NULL && atomic_fetch_sub(&runtime->references, 1) == 1)
		arena_free(runtime->arena);
}

struct runtime *runtime_new(void)
{
	struct arena *arena = arena_new(0);
	struct runtime *runtime = ARENA_NEW(arena, struct runtime);
	runtime->arena = arena;
	atomic_store(&runtime->references, 1);
	runtime->auth.maximum_message_memory = (size_t)1024 * 1024;
	return runtime;
}

struct auth_facts auth_facts(const struct auth_message *message)
{
	static const struct auth_envelope outside = {.client = {.family = IP_V4}};
	static const struct auth_findings none; /* not judged: nothing is recorded */
	static const struct auth_findings judged = {
		.judged = true,
		.dmarc_evaluated = true,
		.dmarc = {.status = DMARC_FAIL,
			.published = DMARC_P_REJECT,
			.policy_domain = STR_INIT("example.org"),
			.record = STR_INIT("v=DMARC1; p=reject")},
	};
	return (struct auth_facts){.runtime = message->runtime,
		.envelope = &outside,
		.headers = &message->headers,
		.findings = message->judged ? &judged : &none,
		.verdict = &message->verdict};
}
