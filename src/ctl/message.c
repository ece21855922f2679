#include "ctl/message.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "message/address.h"

enum { OPTION_CLIENT_IP = CTL_OPTION_OWN, OPTION_CLIENT_NAME, OPTION_HELO, OPTION_MAIL_FROM, OPTION_RCPT, OPTION_AUTH };

static const struct option options[] = {
	{"client-ip", required_argument, NULL, OPTION_CLIENT_IP},
	{"client-name", required_argument, NULL, OPTION_CLIENT_NAME},
	{"helo", required_argument, NULL, OPTION_HELO},
	{"mail-from", required_argument, NULL, OPTION_MAIL_FROM},
	{"rcpt", required_argument, NULL, OPTION_RCPT},
	{"auth", required_argument, NULL, OPTION_AUTH},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* ---- the message ---- */

/*
 * The body, with CRLF where the message was stored in this system's way. The whole message tells that: a body of one
 * line may hold a bare LF and no CRLF.
 */
static struct str with_crlf(struct arena *arena, struct str message, struct str body)
{
	struct buf out = buf_in(arena);
	if (memmem(message.p, message.n, "\r\n", 2) != NULL)
		return body;
	for (struct str rest = body, line; rest.n > 0 && str_cut(&rest, '\n', &line);) {
		buf_add(&out, line);
		if (rest.p != NULL)
			buf_add_cstr(&out, "\r\n");
	}
	return buf_str(&out);
}

/* ---- waiting, as a front does ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken;
};

static void wake(void *context)
{
	struct waiter *waiter = context;
	pthread_mutex_lock(&waiter->lock);
	waiter->woken = true;
	pthread_cond_signal(&waiter->changed);
	pthread_mutex_unlock(&waiter->lock);
}

static void wait_until(struct waiter *waiter, int64_t deadline_ms)
{
	struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
	pthread_mutex_lock(&waiter->lock);
	while (!waiter->woken && clock_monotonic_ms() < deadline_ms)
		pthread_cond_clockwait(&waiter->changed, &waiter->lock, CLOCK_MONOTONIC, &until);
	waiter->woken = false;
	pthread_mutex_unlock(&waiter->lock);
}

/* ---- the way through ---- */

static const struct verdict *pass_through(
	struct message_request *request, struct auth_message *message, struct waiter *waiter)
{
	const struct verdict *verdict = NULL;
	struct headers headers;
	struct str body;
	/* What is too much is for the message to find, as it is in the daemon. */
	headers_init(&headers, request->ctl.arena, SIZE_MAX, SIZE_MAX);
	headers_split(&headers, request->text, &body);
	for (size_t i = 0; i < request->n_rcpts; i++)
		auth_rcpt(message, request->rcpts[i]);
	for (size_t i = 0; i < headers.n; i++)
		auth_header(message, headers.fields[i].name, headers.fields[i].value);
	auth_headers_done(message);
	auth_body(message, with_crlf(request->ctl.arena, request->text, body));
	while (auth_end(message, STR("check"), &verdict) == AUTH_WAITING)
		wait_until(waiter, auth_deadline(message));
	return verdict;
}

const struct verdict *message_pass(struct message_request *request, struct auth_message **ret_message)
{
	struct ctl *ctl = &request->ctl;
	/* wake() may come as long as the message lives. */
	struct waiter *waiter = ARENA_NEW(ctl->arena, struct waiter);
	pthread_mutex_init(&waiter->lock, NULL);
	pthread_cond_init(&waiter->changed, NULL);
	*ret_message = auth_message_new(ctl->arena, ctl->runtime, ctl->dns, ctl->now, &request->envelope, wake, waiter);
	return pass_through(request, *ret_message, waiter);
}

struct str message_reply(struct arena *arena, const struct verdict *verdict)
{
	if (verdict->reply_code.n == 0)
		return (struct str){NULL, 0};
	return arena_printf(arena, "%.*s %.*s %.*s", STR_ARG(verdict->reply_code), STR_ARG(verdict->enhanced_code),
		STR_ARG(verdict->reply_text));
}

/* ---- the command line of check and explain ---- */

static int take_option(void *context, int option, const char *argument)
{
	struct message_request *request = context;
	struct auth_envelope *envelope = &request->envelope;
	switch (option) {
	case OPTION_CLIENT_IP:
		if (ip_parse(str_of(argument), &envelope->client))
			return EX_OK;
		fprintf(stderr, "trimilterctl %s: --client-ip: \"%s\" is not an IPv4 or IPv6 address\n", request->verb,
			argument);
		return EX_DATAERR;
	case OPTION_CLIENT_NAME:
		envelope->client_name = str_of(argument);
		return EX_OK;
	case OPTION_HELO:
		envelope->helo = str_of(argument);
		return EX_OK;
	case OPTION_MAIL_FROM:
		envelope->mail_from = address_without_brackets(str_of(argument));
		return EX_OK;
	case OPTION_RCPT:
		if (request->n_rcpts == MESSAGE_RCPTS_MAX)
			return ctl_usage_error(request->verb, "--rcpt: more than %d", MESSAGE_RCPTS_MAX);
		request->rcpts[request->n_rcpts++] = address_without_brackets(str_of(argument));
		return EX_OK;
	case OPTION_AUTH:
		envelope->auth_user = str_of(argument);
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

/* Always as a verifier, and without --client-ip from outside, whatever InternalHosts says of local submission. */
static void verify_only(struct message_request *request)
{
	struct auth_options *auth = &request->ctl.runtime->auth;
	auth->mode_sign = false;
	auth->mode_verify = auth->verify_authenticated = true;
	if (request->envelope.client.family == IP_NONE)
		auth->internal_hosts = auth->ignore_hosts = NULL;
}

int message_verify(int argc, char **argv, const char *verb, const char *usage,
	void (*show)(struct message_request *request, struct buf *out, const struct auth_findings *findings,
		const struct verdict *verdict))
{
	const struct ctl_command command = {verb, usage, "c:h", options, take_option};
	struct message_request request = {.verb = verb};
	struct auth_message *message = NULL;
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	if (optind + 1 != argc)
		status = ctl_usage_error(verb, "exactly one MESSAGE is needed, a file or -");
	else
		status = ctl_read_file(request.ctl.arena, verb, argv[optind], MESSAGE_MAX, &request.text);
	if (status == EX_OK)
		status = ctl_open(&request.ctl);
	if (status != EX_OK)
		return ctl_close(&request.ctl, status);
	verify_only(&request);
	const struct verdict *verdict = message_pass(&request, &message);
	struct buf out = buf_in(request.ctl.arena);
	show(&request, &out, auth_findings(message), verdict);
	ctl_print(&out);
	auth_message_drop(message);
	return ctl_close(&request.ctl, EX_OK);
}
