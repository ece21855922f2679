/*
 * trimilterctl report retry, expire: what is in the store gets another try, or is forgotten.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "ctl/report_common.h"
#include "ctl/verbs.h"

#define DAY_SECONDS 86400

enum { OPTION_DAYS = CTL_OPTION_OWN };

static const char retry_usage[] =
	"Usage: trimilterctl report retry [-c FILE]... [OPTION]... [DOMAIN]\n"
	"Make due again, as if it were new: reports that a server refused, that were given up, or that wait. With a\n"
	"DOMAIN only those about it. The courier sends them with its next turn, 'trimilterctl report send' now.\n"
	"Addresses that do not qualify for reports get none by this either.\n\n"
	"  --json                   one JSON object instead of text\n"
	"  --now UNIXTIME           the time to act for\n"
	"  -c FILE                  read this configuration; may be repeated\n";

static const char expire_usage[] =
	"Usage: trimilterctl report expire [-c FILE]... [OPTION]...\n"
	"Forget reports that were sent or given up some days ago, and what they were made of. The courier does so by\n"
	"itself, after ReportKeepDays. What waits to be sent stays.\n\n"
	"  --days N                 after so many days; ReportKeepDays by default\n"
	"  --json                   one JSON object instead of text\n"
	"  --now UNIXTIME           the time to act for\n"
	"  -c FILE                  read this configuration; may be repeated\n";

static const struct option retry_options[] = {
	{"json", no_argument, NULL, CTL_OPTION_JSON},
	{"now", required_argument, NULL, CTL_OPTION_NOW},
	{"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const struct option expire_options[] = {
	{"days", required_argument, NULL, OPTION_DAYS},
	{"json", no_argument, NULL, CTL_OPTION_JSON},
	{"now", required_argument, NULL, CTL_OPTION_NOW},
	{"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct keeping {
	struct ctl_report report; /* the first member: take() gets a pointer to it */
	uint64_t days;            /* 0: not said */
};

static int take(struct ctl_report *report, int option, const char *argument)
{
	struct keeping *keeping = (struct keeping *)report;
	(void)option;
	keeping->days = ctl_report_number(report, "--days", argument);
	return keeping->days > 0 ? EX_OK : EX_USAGE;
}

/* {"KEY": N}, or "N report(s) TEXT" */
static int tell(const struct ctl_report *report, const char *key, uint64_t n, const char *text)
{
	struct buf out = buf_in(report->ctl.arena);
	struct json json = json_to(&out);
	if (report->ctl.json) {
		json_object_begin(&json, NULL);
		json_int(&json, key, (int64_t)n);
		json_object_end(&json);
	} else {
		buf_printf(&out, "%" PRIu64 " %s", n, text);
	}
	ctl_print(&out);
	return EX_OK;
}

static int retry(struct ctl_report *report)
{
	uint64_t n;
	if (store_retry(report->store, report->domain, report->ctl.now, &n) != ERR_OK)
		return ctl_report_failed(report);
	return tell(report, "retried", n,
		n == 0 ? "deliveries: nothing waits, was refused by a server or given up"
		       : "made due; 'trimilterctl report send' sends now");
}

static int expire(struct ctl_report *report)
{
	const struct keeping *keeping = (const struct keeping *)report;
	uint64_t n, days = keeping->days > 0 ? keeping->days : report->report->keep_days;
	if (report->domain.n > 0)
		return ctl_usage_error(report->verb, "it takes no DOMAIN");
	if (store_expire(report->store, report->ctl.now - (int64_t)days * DAY_SECONDS, &n) != ERR_OK)
		return ctl_report_failed(report);
	return tell(report, "expired", n, n == 1 ? "report forgotten" : "reports forgotten");
}

int ctl_report_retry(int argc, char **argv)
{
	struct keeping keeping = {.report = {.verb = "report retry", .usage = retry_usage, .options = retry_options}};
	return ctl_report_run(&keeping.report, argc, argv, retry);
}

int ctl_report_expire(int argc, char **argv)
{
	struct keeping keeping = {
		.report = {.verb = "report expire", .usage = expire_usage, .options = expire_options, .take = take}};
	return ctl_report_run(&keeping.report, argc, argv, expire);
}
