/*
 * trimilterctl report send: a turn of the courier, now.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "ctl/report_common.h"
#include "ctl/verbs.h"
#include "report/courier.h"

static const char usage[] =
	"Usage: trimilterctl report send [-c FILE]... [OPTION]... [DOMAIN]\n"
	"Do now what the courier does each minute: import what was recorded, build the reports of periods that are\n"
	"over, and send what is due. What it builds leaves without the delay of ReportJitter. With a DOMAIN only\n"
	"reports about it are built and sent; 'preview' shows what will be in one whose period is not over.\n"
	"While the daemon's courier, or another host's, is at work nothing is sent, and the exit status is 75.\n\n"
	"  --now UNIXTIME           the time to act for; in the future, reports of periods that are not over are "
	"built,\n"
	"                           and what is counted for them later gets a report of its own\n"
	"  --verbose                a line for each report that was handed over\n"
	"  --json                   one JSON object instead of text\n"
	"  --nameserver ADDR[@PORT] ask this server and no other; may be repeated\n"
	"  --dns-timeout SECONDS    how long to wait for one answer\n"
	"  -c FILE                  read this configuration; may be repeated\n";

enum { OPTION_VERBOSE = CTL_OPTION_OWN };

static const struct option options[] = {
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct sending {
	struct courier_result result;
	struct ctl_progress progress;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* Between two steps: the lease is given back, and nothing is left half done. */
static bool asked_to_stop(void *context)
{
	struct sending *sending = context;
	const struct courier_result *result = &sending->result;
	ctl_progress(&sending->progress, "%" PRIu64 " records imported, %" PRIu64 " reports built, %" PRIu64 " sent",
		result->imported.records, result->built, result->sent);
	return interrupted != 0;
}

static int take(struct ctl_report *report, int option, const char *argument)
{
	(void)report;
	(void)option;
	(void)argument;
	log_open("trimilterctl", false, 0, true, LOG_LEVEL_INFO);
	return EX_OK;
}

static void show_json(struct buf *out, const struct courier_result *result, const struct store_statistics *statistics)
{
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_int(&json, "records", (int64_t)result->imported.records);
	json_int(&json, "built", (int64_t)result->built);
	json_int(&json, "failures", (int64_t)result->failures);
	json_int(&json, "sent", (int64_t)result->sent);
	json_int(&json, "deferred", (int64_t)result->deferred);
	json_int(&json, "refused", (int64_t)result->refused);
	json_int(&json, "expired", (int64_t)result->expired);
	json_int(&json, "pending", (int64_t)statistics->pending);
	json_bool(&json, "elsewhere", result->elsewhere);
	json_object_end(&json);
}

static void show_text(struct buf *out, const struct courier_result *result, const struct store_statistics *statistics)
{
	buf_printf(out, "imported   %" PRIu64 " records\n", result->imported.records);
	buf_printf(out, "built      %" PRIu64 " aggregate reports, %" PRIu64 " failure reports\n", result->built,
		result->failures);
	buf_printf(out, "sent       %" PRIu64 ", deferred %" PRIu64 ", refused %" PRIu64 ", given up %" PRIu64,
		result->sent, result->deferred, result->refused, result->expired);
	if (statistics->pending > 0)
		buf_printf(out,
			"\npending    %" PRIu64
			"; 'trimilterctl report list --state pending' shows them, 'retry' makes "
			"them due",
			statistics->pending);
}

static int say_elsewhere(struct ctl_report *report)
{
	struct str holder;
	int64_t until;
	enum err err =
		store_lease_holder(report->store, report->ctl.arena, COURIER_LEASE, clock_unix(), &holder, &until);
	if (err != ERR_OK)
		return ctl_report_failed(report);
	fprintf(stderr,
		"trimilterctl %s: %.*s (host/process) builds and sends now; try again when it is done, at the "
		"latest at %.*s UTC\n",
		report->verb, STR_ARG(holder.n > 0 ? holder : STR("another courier")),
		STR_ARG(ctl_report_time(report->ctl.arena, until)));
	return EX_TEMPFAIL;
}

static int tell(struct ctl_report *report, const struct courier_result *result)
{
	struct store_statistics statistics;
	struct buf out = buf_in(report->ctl.arena);
	if (store_statistics(report->store, report->ctl.now, &statistics) != ERR_OK)
		return ctl_report_failed(report);
	if (report->ctl.json)
		show_json(&out, result, &statistics);
	else
		show_text(&out, result, &statistics);
	ctl_print(&out);
	if (result->elsewhere)
		return say_elsewhere(report);
	return interrupted ? EX_TEMPFAIL : EX_OK;
}

static int run(struct ctl_report *report)
{
	struct ctl *ctl = &report->ctl;
	struct sending sending = {0};
	int status = ctl_load(ctl, report->config);
	if (status != EX_OK)
		return status;
	/* It keeps a thousand hosts from sending at midnight; one that is asked to send now is none of them. */
	ctl->runtime->report.jitter_seconds = 0;
	struct courier courier = {
		.store = report->store,
		.runtime = ctl->runtime,
		.dns = ctl->dns,
		.holder = arena_printf(ctl->arena, "%.*s/%d", STR_ARG(runtime_host_name(ctl->arena)), (int)getpid()),
		.only = report->domain,
		.stop = asked_to_stop,
		.context = &sending,
	};
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	enum err err = courier_turn(&courier, ctl->now, &sending.result);
	courier_leave(&courier);
	ctl_progress_end(&sending.progress);
	if (err == ERR_IO)
		return ctl_report_failed(report);
	return err == ERR_OK ? tell(report, &sending.result) : err_exit_status(err);
}

int ctl_report_send(int argc, char **argv)
{
	struct ctl_report report = {
		.verb = "report send", .usage = usage, .options = options, .take = take, .may_create = true};
	return ctl_report_run(&report, argc, argv, run);
}
