/*
 * trimilterctl spf: what would SPF say of this client and sender?
 */
#include <stdio.h>
#include <sysexits.h>

#include "ctl/command_line.h"
#include "ctl/verbs.h"
#include "message/address.h"

/* Depth of includes and redirects is bounded by the look-up limit; this only stops a resolver gone mad. */
#define ROUNDS_MAX 64

static const char usage[] = "Usage: trimilterctl spf --client-ip IP --helo NAME --mail-from ADDR [OPTION]...\n"
			    "Evaluate SPF (RFC 7208) for the MAIL FROM identity; an empty ADDR is the null sender.\n\n"
			    "  --client-ip IP           address of the connecting client\n"
			    "  --helo NAME              what it said in HELO or EHLO\n"
			    "  --mail-from ADDR         what it said in MAIL FROM\n" CTL_COMMON_USAGE;

enum { OPTION_CLIENT_IP = CTL_OPTION_OWN, OPTION_HELO, OPTION_MAIL_FROM };

static const struct option options[] = {
	{"client-ip", required_argument, NULL, OPTION_CLIENT_IP},
	{"helo", required_argument, NULL, OPTION_HELO},
	{"mail-from", required_argument, NULL, OPTION_MAIL_FROM},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

static void show(struct ctl *ctl, const struct spf_query *query, const struct spf_result *result)
{
	struct buf out = buf_in(ctl->arena);
	if (ctl->json) {
		struct json json = json_to(&out);
		ctl_json_spf(&json, NULL, result);
	} else {
		char ip[IP_TEXT_SIZE];
		ctl_text_spf(&out, "SPF", result);
		ctl_text_row(&out, "client", str_of(ip_text(&query->client, ip)));
		out.n--;
	}
	ctl_print(&out);
}

static int evaluate(struct ctl *ctl, const struct spf_query *query)
{
	struct spf_result result = {0};
	struct answers *answers = answers_new(ctl->arena);
	int status = ctl_open(ctl);
	if (status != EX_OK)
		return status;
	for (int round = 0; !spf_evaluate(ctl->arena, &ctl->runtime->spf, query, answers, &result); round++) {
		if (round == ROUNDS_MAX)
			answers_give_up(answers);
		dns_fetch(ctl->dns, answers, ctl->dns_timeout_ms);
	}
	show(ctl, query, &result);
	return EX_OK;
}

struct request {
	const char *client_ip, *helo, *mail_from; /* NULL: not given */
};

static int take_option(void *context, int option, const char *argument)
{
	struct request *request = context;
	switch (option) {
	case OPTION_CLIENT_IP:
		request->client_ip = argument;
		return EX_OK;
	case OPTION_HELO:
		request->helo = argument;
		return EX_OK;
	case OPTION_MAIL_FROM:
		request->mail_from = argument;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"spf", usage, "c:h", options, take_option};

int ctl_spf(int argc, char **argv)
{
	struct ctl ctl;
	struct request request = {NULL, NULL, NULL};
	struct spf_query query = {.identity = SPF_MAILFROM};
	ctl_init(&ctl);
	int status = ctl_options(&ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	if (request.client_ip == NULL || request.helo == NULL || request.mail_from == NULL || optind != argc)
		return ctl_close(
			&ctl, ctl_usage_error("spf", "--client-ip, --helo and --mail-from are needed, nothing else"));
	if (!ip_parse(str_of(request.client_ip), &query.client)) {
		fprintf(stderr, "trimilterctl spf: --client-ip: \"%s\" is not an IPv4 or IPv6 address\n",
			request.client_ip);
		return ctl_close(&ctl, EX_DATAERR);
	}
	query.helo = str_of(request.helo);
	query.mail_from = address_without_brackets(str_of(request.mail_from));
	query.now = ctl.now;
	return ctl_close(&ctl, evaluate(&ctl, &query));
}
