/*
 * trimilterctl check: what would become of this message? The daemon's own way through src/auth, with a file in the
 * place of the MTA.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/common.h"
#include "ctl/verbs.h"

/* A message is read whole here; the daemon never does that. */
#define MESSAGE_MAX ((size_t)256 * 1024 * 1024)
#define RCPTS_MAX 64

static const char usage[] =
	"Usage: trimilterctl check [OPTION]... MESSAGE|-\n"
	"Verify DKIM, SPF and DMARC of a stored message and say what would become of it.\n\n"
	"  --client-ip IP           address of the client that brought it; without it SPF is not evaluated\n"
	"  --client-name NAME       its verified name\n"
	"  --helo NAME              what it said in HELO or EHLO\n"
	"  --mail-from ADDR         what it said in MAIL FROM\n"
	"  --rcpt ADDR              a recipient; may be repeated\n"
	"  --auth USER              the client has authenticated as USER\n" CTL_COMMON_USAGE;

enum {
	OPTION_CLIENT_IP = CTL_OPTION_OWN,
	OPTION_CLIENT_NAME,
	OPTION_HELO,
	OPTION_MAIL_FROM,
	OPTION_RCPT,
	OPTION_AUTH,
	OPTION_HELP
};

static const struct option options[] = {
	{"client-ip", required_argument, NULL, OPTION_CLIENT_IP},
	{"client-name", required_argument, NULL, OPTION_CLIENT_NAME},
	{"helo", required_argument, NULL, OPTION_HELO},
	{"mail-from", required_argument, NULL, OPTION_MAIL_FROM},
	{"rcpt", required_argument, NULL, OPTION_RCPT},
	{"auth", required_argument, NULL, OPTION_AUTH},
	{"help", no_argument, NULL, OPTION_HELP},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct request {
	struct ctl ctl;
	struct auth_envelope envelope;
	struct str rcpts[RCPTS_MAX];
	size_t n_rcpts;
	struct str text; /* of the message */
};

/* ---- the message ---- */

/* Text with LF is a message whose line ends were stored in this system's way. */
static struct str with_crlf(struct arena *arena, struct str text)
{
	struct buf out = buf_in(arena);
	if (memmem(text.p, text.n, "\r\n", 2) != NULL)
		return text;
	for (struct str rest = text, line; rest.n > 0 && str_cut(&rest, '\n', &line);) {
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

/* ---- showing ---- */

static void json_dkim(struct json *json, const struct auth_findings *findings)
{
	json_array_begin(json, "dkim");
	for (size_t i = 0; i < findings->n_dkim; i++) {
		const struct dkim_result *result = &findings->dkim[i];
		json_object_begin(json, NULL);
		json_cstr(json, "result", dkim_status_text(result->status));
		json_str(json, "domain", result->domain.n > 0 ? result->domain : (struct str){NULL, 0});
		json_str(json, "selector", result->selector.n > 0 ? result->selector : (struct str){NULL, 0});
		json_str(json, "identity", result->identity.n > 0 ? result->identity : (struct str){NULL, 0});
		json_str(json, "algorithm", result->algorithm.n > 0 ? result->algorithm : (struct str){NULL, 0});
		if (result->key_bits > 0)
			json_int(json, "key_bits", result->key_bits);
		else
			json_cstr(json, "key_bits", NULL);
		if (result->key_security == DNS_SECURITY_UNKNOWN)
			json_cstr(json, "secure", NULL);
		else
			json_bool(json, "secure", result->key_security == DNS_SECURE);
		json_cstr(json, "reason", result->reason);
		json_object_end(json);
	}
	json_array_end(json);
}

static struct dmarc_input author_input(const struct author *author)
{
	return (struct dmarc_input){
		.author = author->outcome, .author_domains = author->domains, .n_author_domains = author->n_domains};
}

static struct str reply_of(struct arena *arena, const struct verdict *verdict)
{
	if (verdict->reply_code.n == 0)
		return (struct str){NULL, 0};
	return arena_printf(arena, "%.*s %.*s %.*s", STR_ARG(verdict->reply_code), STR_ARG(verdict->enhanced_code),
		STR_ARG(verdict->reply_text));
}

static void show_json(
	struct ctl *ctl, struct buf *out, const struct auth_findings *findings, const struct verdict *verdict)
{
	struct json json = json_to(out);
	struct dmarc_input input = author_input(&findings->author);
	json_object_begin(&json, NULL);
	json_str(&json, "authserv_id", ctl->runtime->auth.authserv_id);
	if (findings->spf_evaluated) {
		ctl_json_spf(&json, "spf", &findings->spf);
		ctl_json_spf(&json, "spf_helo", &findings->spf_helo);
	} else {
		json_cstr(&json, "spf", NULL);
		json_cstr(&json, "spf_helo", NULL);
	}
	json_dkim(&json, findings);
	if (findings->dmarc_evaluated)
		ctl_json_dmarc(&json, "dmarc", &ctl->runtime->dmarc, &input, &findings->dmarc);
	else
		json_cstr(&json, "dmarc", NULL);
	json_object_begin(&json, "verdict");
	json_cstr(&json, "action", verdict_action_text(verdict->action));
	json_str(&json, "reply", reply_of(ctl->arena, verdict));
	json_object_end(&json);
	json_int(&json, "removed_headers", (int64_t)verdict->n_deletions);
	json_str(&json, "authentication_results",
		findings->results_value.n > 0 ? str_trim(findings->results_value) : (struct str){NULL, 0});
	json_object_end(&json);
}

static void text_dkim(struct buf *out, const struct dkim_result *result)
{
	buf_printf(out, "DKIM: %s\n", dkim_status_text(result->status));
	ctl_text_row(out, "domain", result->domain);
	ctl_text_row(out, "selector", result->selector);
	ctl_text_row(out, "identity", result->identity);
	ctl_text_row(out, "algorithm", result->algorithm);
	if (result->key_bits > 0)
		ctl_text_row(out, "key",
			arena_printf(out->arena, "%u bits%s", result->key_bits,
				result->key_testing ? ", in test mode" : ""));
	ctl_text_row(out, "reason", str_of(result->reason));
}

static void show_text(
	struct ctl *ctl, struct buf *out, const struct auth_findings *findings, const struct verdict *verdict)
{
	struct dmarc_input input = author_input(&findings->author);
	if (findings->origin == AUTH_AUTHENTICATED)
		buf_add_cstr(out, "The client is authenticated: SPF and DMARC are not for its mail.\n");
	else if (!findings->judged)
		buf_add_cstr(out, "The client is one of ours: SPF and DMARC are not for its mail.\n");
	if (findings->author.reason != NULL)
		buf_printf(out, "From: %s\n", findings->author.reason);
	if (findings->spf_evaluated) {
		ctl_text_spf(out, findings->spf.identity == SPF_MAILFROM ? "SPF (mailfrom)" : "SPF", &findings->spf);
		ctl_text_spf(out, "SPF (helo)", &findings->spf_helo);
	}
	for (size_t i = 0; i < findings->n_dkim; i++)
		text_dkim(out, &findings->dkim[i]);
	if (findings->dkim_verified && findings->n_dkim == 0)
		buf_add_cstr(out, "DKIM: none\n");
	if (findings->dmarc_evaluated)
		ctl_text_dmarc(out, &ctl->runtime->dmarc, &input, &findings->dmarc);
	buf_printf(out, "Verdict: %s\n", verdict_action_text(verdict->action));
	ctl_text_row(out, "reply", reply_of(ctl->arena, verdict));
	ctl_text_row(out, "quarantine", verdict->quarantine_reason);
	ctl_text_row(out, "copy to", verdict->copy_to);
	for (size_t i = 0; i < verdict->n_overrides; i++)
		ctl_text_row(out, "override",
			arena_printf(ctl->arena, "%s (%.*s)", override_type_text(verdict->overrides[i].type),
				STR_ARG(verdict->overrides[i].comment)));
	if (verdict->n_deletions > 0)
		buf_printf(
			out, "  removed      %zu Authentication-Results that claim to be ours\n", verdict->n_deletions);
	if (findings->results_value.n > 0) {
		buf_add_cstr(out, "\nAuthentication-Results:");
		buf_add(out, findings->results_value);
		buf_add_char(out, '\n');
	}
	out->n--;
}

/* ---- the way through ---- */

static const struct verdict *pass_through(struct request *request, struct auth_message *message, struct waiter *waiter)
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
	auth_body(message, with_crlf(request->ctl.arena, body));
	while (auth_end(message, STR("check"), &verdict) == AUTH_WAITING)
		wait_until(waiter, auth_deadline(message));
	return verdict;
}

static int evaluate(struct request *request)
{
	struct ctl *ctl = &request->ctl;
	struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	int status = ctl_open(ctl);
	if (status != EX_OK)
		return status;
	struct auth_options *auth = &ctl->runtime->auth;
	auth->mode_sign = false;
	auth->mode_verify = auth->verify_authenticated = true;
	/* Without --client-ip the message is from outside, whatever InternalHosts says of local submission. */
	if (request->envelope.client.family == IP_NONE)
		auth->internal_hosts = auth->ignore_hosts = NULL;
	struct auth_message *message =
		auth_message_new(ctl->arena, ctl->runtime, ctl->dns, ctl->now, &request->envelope, wake, &waiter);
	const struct verdict *verdict = pass_through(request, message, &waiter);
	struct buf out = buf_in(ctl->arena);
	if (ctl->json)
		show_json(ctl, &out, auth_findings(message), verdict);
	else
		show_text(ctl, &out, auth_findings(message), verdict);
	ctl_print(&out);
	auth_message_drop(message);
	return EX_OK;
}

static int read_own_option(struct request *request, int option)
{
	struct auth_envelope *envelope = &request->envelope;
	switch (option) {
	case OPTION_CLIENT_IP:
		if (ip_parse(str_of(optarg), &envelope->client))
			return EX_OK;
		fprintf(stderr, "trimilterctl check: --client-ip: \"%s\" is not an IPv4 or IPv6 address\n", optarg);
		return EX_DATAERR;
	case OPTION_CLIENT_NAME:
		envelope->client_name = str_of(optarg);
		return EX_OK;
	case OPTION_HELO:
		envelope->helo = str_of(optarg);
		return EX_OK;
	case OPTION_MAIL_FROM:
		envelope->mail_from = str_of(optarg);
		return EX_OK;
	case OPTION_RCPT:
		if (request->n_rcpts == RCPTS_MAX)
			return ctl_usage_error("check", "--rcpt: more than %d", RCPTS_MAX);
		request->rcpts[request->n_rcpts++] = str_of(optarg);
		return EX_OK;
	case OPTION_AUTH:
		envelope->auth_user = str_of(optarg);
		return EX_OK;
	default:
		return ctl_usage_error("check", "unknown or incomplete option");
	}
}

int ctl_check(int argc, char **argv)
{
	struct request request = {0};
	int status = EX_OK;
	ctl_init(&request.ctl);
	for (int option; status == EX_OK && (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (option == OPTION_HELP || option == 'h')
			return fputs(usage, stdout), ctl_close(&request.ctl, EX_OK);
		status = ctl_option(&request.ctl, option, optarg);
		if (status < 0)
			status = read_own_option(&request, option);
	}
	if (status == EX_OK && optind + 1 != argc)
		status = ctl_usage_error("check", "exactly one MESSAGE is needed, a file or -");
	if (status == EX_OK)
		status = ctl_read_file(request.ctl.arena, "check", argv[optind], MESSAGE_MAX, &request.text);
	if (status == EX_OK)
		status = evaluate(&request);
	return ctl_close(&request.ctl, status);
}
