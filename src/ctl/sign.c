/*
 * trimilterctl sign, also testmsg: a message as the milter would hand it on once it has signed it.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "auth/signers.h"
#include "ctl/message.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl sign -c FILE [--auth USER] [--rcpt ADDR]... MESSAGE|-\n"
	"       trimilterctl sign -d DOMAIN -s SELECTOR -k KEYFILE [-c FILE] MESSAGE|-\n"
	"Print a stored message as the milter would hand it on: signed as one of ours.\n\n"
	"  -d, --domain DOMAIN      sign for this domain, with the key given, whatever the configuration's tables say\n"
	"  -s, --selector SELECTOR  name of that key\n"
	"  -k, --key KEYFILE        its private half\n"
	"  --auth USER              the client has authenticated as USER (UserDomains)\n"
	"  --rcpt ADDR              a recipient (DontSignMailTo, ResignMailTo); may be repeated\n" CTL_COMMON_USAGE;

enum { OPTION_AUTH = CTL_OPTION_OWN, OPTION_RCPT };

static const struct option options[] = {
	{"domain", required_argument, NULL, 'd'},
	{"selector", required_argument, NULL, 's'},
	{"key", required_argument, NULL, 'k'},
	{"auth", required_argument, NULL, OPTION_AUTH},
	{"rcpt", required_argument, NULL, OPTION_RCPT},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct signer_request {
	struct message_request message;
	struct str domain, selector, key_file; /* all or none empty */
};

static int use_key(struct signer_request *request)
{
	struct ctl *ctl = &request->message.ctl;
	struct diag diag = diag_in(ctl->arena);
	struct signers *signers;
	const struct signers_source source = {
		.domains = &request->domain,
		.n_domains = 1,
		.selector = request->selector,
		.key_file = request->key_file,
		.subdomains = true,
	};
	enum err err = signers_build(ctl->runtime->arena, &source, &diag, &signers);
	ctl_print_diag(&diag);
	ctl->runtime->auth.signers = signers;
	return err_exit_status(err);
}

/* A field's folds are "\n\t"; the message may end its lines in CRLF. */
static void add_field(struct buf *out, const struct verdict_insertion *insertion, const char *line_end)
{
	buf_printf(out, "%.*s:", STR_ARG(insertion->name));
	for (struct str rest = insertion->value, line; str_cut(&rest, '\n', &line);) {
		buf_add(out, line);
		buf_add_cstr(out, line_end);
	}
}

static struct str without_envelope_line(struct str text)
{
	const char *end = str_starts(text, STR("From ")) ? memchr(text.p, '\n', text.n) : NULL;
	return end != NULL ? str_skip(text, (size_t)(end + 1 - text.p)) : text;
}

/* Fields that the configuration has removed stay: what is shown is what is added. */
static void show_message(struct message_request *request, const struct verdict *verdict)
{
	struct str text = without_envelope_line(request->text);
	const char *line_end = memmem(text.p, text.n, "\r\n", 2) != NULL ? "\r\n" : "\n";
	struct buf out = buf_in(request->ctl.arena);
	for (size_t i = verdict->n_insertions; i-- > 0;)
		add_field(&out, &verdict->insertions[i], line_end);
	fwrite(out.p, 1, out.n, stdout);
	fwrite(text.p, 1, text.n, stdout);
}

static void show_json(struct message_request *request, const struct verdict *verdict, size_t n_signatures)
{
	struct buf out = buf_in(request->ctl.arena);
	struct json json = json_to(&out);
	json_object_begin(&json, NULL);
	json_int(&json, "signatures", (int64_t)n_signatures);
	json_array_begin(&json, "fields");
	for (size_t i = verdict->n_insertions; i-- > 0;) {
		json_object_begin(&json, NULL);
		json_str(&json, "name", verdict->insertions[i].name);
		json_str(&json, "value", verdict->insertions[i].value);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	ctl_print(&out);
}

static int sign(struct signer_request *request)
{
	struct message_request *through = &request->message;
	struct auth_message *message = NULL;
	struct auth_options *auth = &through->ctl.runtime->auth;
	auth->mode_sign = auth->log_why = true;
	auth->mode_verify = false;
	if (request->domain.n > 0) {
		int status = use_key(request);
		if (status != EX_OK)
			return status;
	}
	const struct verdict *verdict = message_pass(through, &message);
	size_t n = auth_findings(message)->n_signatures_added;
	if (through->ctl.json)
		show_json(through, verdict, n);
	else if (n > 0)
		show_message(through, verdict);
	/* The log's line has the reason. */
	if (n == 0)
		fprintf(stderr, "trimilterctl sign: it would not be signed: %.*s\n", STR_ARG(verdict->log_line));
	auth_message_drop(message);
	return n > 0 ? EX_OK : EX_DATAERR;
}

static int take_option(void *context, int option, const char *argument)
{
	struct signer_request *request = context;
	struct message_request *message = &request->message;
	switch (option) {
	case 'd':
		return ctl_take_domain(message->ctl.arena, "sign", argument, &request->domain);
	case 's':
		return ctl_take_selector("sign", argument, &request->selector);
	case 'k':
		request->key_file = str_of(argument);
		return EX_OK;
	case OPTION_AUTH:
		message->envelope.auth_user = str_of(argument);
		return EX_OK;
	case OPTION_RCPT:
		if (message->n_rcpts == MESSAGE_RCPTS_MAX)
			return ctl_usage_error("sign", "--rcpt: more than %d", MESSAGE_RCPTS_MAX);
		message->rcpts[message->n_rcpts++] = str_of(argument);
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"sign", usage, "c:d:s:k:h", options, take_option};

int ctl_sign(int argc, char **argv)
{
	struct signer_request request = {0};
	struct ctl *ctl = &request.message.ctl;
	ctl_init(ctl);
	int status = ctl_options(ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(ctl, status);
	int given = (request.domain.n > 0) + (request.selector.n > 0) + (request.key_file.n > 0);
	if (given != 3 && (given != 0 || ctl->n_config_paths == 0))
		status = ctl_usage_error("sign", "-c FILE is needed, or all of -d DOMAIN, -s SELECTOR and -k KEYFILE");
	else if (optind + 1 != argc)
		status = ctl_usage_error("sign", "exactly one MESSAGE is needed, a file or -");
	else
		status = ctl_read_file(ctl->arena, "sign", argv[optind], MESSAGE_MAX, &request.message.text);
	if (status == EX_OK)
		status = ctl_open(ctl);
	return ctl_close(ctl, status == EX_OK ? sign(&request) : status);
}
