/*
 * trimilterctl spf: what would SPF say of this client and sender?
 */
#include <stdio.h>
#include <sysexits.h>

#include "ctl/common.h"
#include "ctl/verbs.h"
#include "message/address.h"

/* Depth of includes and redirects is bounded by the look-up limit; this only stops a resolver gone mad. */
#define ROUNDS_MAX 64

static const char usage[] = "Usage: trimilterctl spf --client-ip IP --helo NAME --mail-from ADDR [OPTION]...\n"
			    "Evaluate SPF (RFC 7208) for the MAIL FROM identity; an empty ADDR is the null sender.\n\n"
			    "  --client-ip IP           address of the connecting client\n"
			    "  --helo NAME              what it said in HELO or EHLO\n"
			    "  --mail-from ADDR         what it said in MAIL FROM\n" CTL_COMMON_USAGE;

enum { OPTION_CLIENT_IP = CTL_OPTION_OWN, OPTION_HELO, OPTION_MAIL_FROM, OPTION_HELP };

static const struct option options[] = {
	{"client-ip", required_argument, NULL, OPTION_CLIENT_IP},
	{"helo", required_argument, NULL, OPTION_HELO},
	{"mail-from", required_argument, NULL, OPTION_MAIL_FROM},
	{"help", no_argument, NULL, OPTION_HELP},
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

int ctl_spf(int argc, char **argv)
{
	struct ctl ctl;
	struct spf_query query = {.identity = SPF_MAILFROM};
	const char *client_ip = NULL, *helo = NULL, *mail_from = NULL;
	ctl_init(&ctl);
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		int taken = ctl_option(&ctl, option, optarg);
		if (taken > EX_OK)
			return ctl_close(&ctl, taken);
		if (option == OPTION_CLIENT_IP)
			client_ip = optarg;
		else if (option == OPTION_HELO)
			helo = optarg;
		else if (option == OPTION_MAIL_FROM)
			mail_from = optarg;
		else if (option == OPTION_HELP || option == 'h')
			return fputs(usage, stdout), ctl_close(&ctl, EX_OK);
		else if (taken < 0)
			return ctl_close(&ctl, ctl_usage_error("spf", "unknown or incomplete option"));
	}
	if (client_ip == NULL || helo == NULL || mail_from == NULL || optind != argc)
		return ctl_close(
			&ctl, ctl_usage_error("spf", "--client-ip, --helo and --mail-from are needed, nothing else"));
	if (!ip_parse(str_of(client_ip), &query.client)) {
		fprintf(stderr, "trimilterctl spf: --client-ip: \"%s\" is not an IPv4 or IPv6 address\n", client_ip);
		return ctl_close(&ctl, EX_DATAERR);
	}
	query.helo = str_of(helo);
	query.mail_from = address_without_brackets(str_of(mail_from));
	query.now = ctl.now;
	return ctl_close(&ctl, evaluate(&ctl, &query));
}
