/*
 * trimilterctl report bounce: report mail that came back; the address gets none for a while.
 */
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "ctl/command_line.h"
#include "ctl/report_common.h"
#include "ctl/verbs.h"
#include "report/bounce.h"

/* The status stands in front of the message that came back, which may be of any size. */
#define MESSAGE_MAX ((size_t)1 << 20)

enum { OPTION_SENDER = CTL_OPTION_OWN };

static const char usage[] =
	"Usage: trimilterctl report bounce [-c FILE]... [--sender ADDRESS] [OPTION]... < MESSAGE\n"
	"Take a bounce of report mail: the address that it is about gets no reports for a day, and for twice as long\n"
	"with each further bounce, up to 32 days. What only says that a report is delayed changes nothing.\n\n"
	"  --sender ADDRESS         the envelope sender that the bounce came back to, with the recipient in it\n"
	"                           (ReportVERP); without it Delivered-To, X-Original-To, Envelope-To, To, and the\n"
	"                           delivery status of the message are looked at. With it the message may be empty\n"
	"  --json                   one JSON object instead of text\n"
	"  --now UNIXTIME           the time to act for\n"
	"  -c FILE                  read this configuration; may be repeated\n";

static const struct option options[] = {
	{"sender", required_argument, NULL, OPTION_SENDER},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

/* The part of the message that matters; the rest is read and dropped, so that who writes it can. */
static struct str read_message(struct arena *arena)
{
	struct buf text = buf_in(arena);
	char chunk[65536];
	if (isatty(STDIN_FILENO))
		return STR("");
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), stdin)) > 0;)
		if (text.n < MESSAGE_MAX)
			buf_add(&text, str_from(chunk, n));
	return buf_str(&text);
}

static int data_error(const char *what)
{
	fprintf(stderr, "trimilterctl report bounce: %s\n", what);
	return EX_DATAERR;
}

static enum err suppress(const struct ctl *ctl, const struct bounce *bounce, struct str url, int64_t *ret_until)
{
	char error[STORE_ERROR_SIZE];
	struct store *store;
	enum err err = store_open(url, &store, error);
	if (err != ERR_OK) {
		fprintf(stderr, "trimilterctl report bounce: %s\n", error);
		return err;
	}
	err = store_bounced(store, bounce->recipient, ctl->now, bounce->note);
	if (err == ERR_OK)
		err = store_suppressed(store, bounce->recipient, ctl->now, ret_until);
	if (err != ERR_OK)
		fprintf(stderr, "trimilterctl report bounce: %s\n", store_error(store));
	store_close(store);
	return err;
}

static void show(const struct ctl *ctl, const struct bounce *bounce, int64_t until)
{
	struct buf out = buf_in(ctl->arena);
	struct json json = json_to(&out);
	if (ctl->json) {
		json_object_begin(&json, NULL);
		json_str(&json, "address", bounce->recipient);
		if (until != 0)
			json_int(&json, "suppressed_until", until);
		else
			json_cstr(&json, "suppressed_until", NULL);
		json_str_or_null(&json, "note", bounce->note);
		json_object_end(&json);
	} else if (until != 0) {
		buf_printf(&out, "%.*s gets no reports until %.*s UTC", STR_ARG(bounce->recipient),
			STR_ARG(ctl_report_time(ctl->arena, until)));
		if (bounce->note.n > 0)
			buf_printf(&out, " (%.*s)", STR_ARG(bounce->note));
	} else {
		buf_printf(&out, "%.*s: no delivery has failed, nothing is changed", STR_ARG(bounce->recipient));
	}
	ctl_print(&out);
}

static int run(struct ctl *ctl, struct str sender)
{
	struct diag diag = diag_in(ctl->arena);
	const struct config *config;
	struct bounce bounce;
	int64_t until = 0;
	/* Keys and tables are not needed, so whoever is called by the MTA need not be able to read them. */
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config);
	diag_log(&diag);
	if (err != ERR_OK)
		return err_exit_status(err);
	const struct report_options *report = config_report(config);
	struct str message = read_message(ctl->arena);
	bounce_read(ctl->arena, message, report->address, sender, &bounce);
	if (bounce.recipient.n == 0 && !bounce.failed)
		return data_error("this is not a bounce of report mail");
	if (bounce.recipient.n == 0)
		return data_error("the bounce does not tell which address it is about");
	if (bounce.failed)
		err = suppress(ctl, &bounce, report->store, &until);
	if (err != ERR_OK)
		return EX_TEMPFAIL;
	show(ctl, &bounce, until);
	return EX_OK;
}

static int take_option(void *context, int option, const char *argument)
{
	struct str *sender = context;
	if (option != OPTION_SENDER)
		return CTL_UNKNOWN_OPTION;
	*sender = str_of(argument);
	return EX_OK;
}

static const struct ctl_command command = {"report bounce", usage, "c:h", options, take_option};

int ctl_report_bounce(int argc, char **argv)
{
	struct ctl ctl;
	struct str sender = STR("");
	ctl_init(&ctl);
	int status = ctl_options(&ctl, &command, argc, argv, &sender);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	if (optind != argc)
		return ctl_close(&ctl, ctl_usage_error("report bounce", "\"%s\" is not understood", argv[optind]));
	return ctl_close(&ctl, run(&ctl, sender));
}
