/*
 * trimilterctl report stats: what is counted, what waits, and how far behind the import is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "ctl/report_common.h"
#include "ctl/verbs.h"
#include "report/courier.h"

static const char usage[] = "Usage: trimilterctl report stats [-c FILE]... [OPTION]...\n"
			    "Show what is in the store of reports, and what waits in the spool.\n\n"
			    "  --json                   one JSON object instead of text\n"
			    "  --now UNIXTIME           the time to evaluate for\n"
			    "  -c FILE                  read this configuration; may be repeated\n";

static const struct option options[] = {
	{"json", no_argument, NULL, CTL_OPTION_JSON},
	{"now", required_argument, NULL, CTL_OPTION_NOW},
	{"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct figures {
	struct store_statistics store;
	struct spool_backlog spool;
	struct str holder; /* of the lease */
	int64_t until;
};

static void show_json(struct buf *out, const struct figures *figures)
{
	const struct store_statistics *store = &figures->store;
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_int(&json, "open", (int64_t)store->batches_open);
	ctl_report_json_time(&json, "oldest_open", store->oldest_open);
	json_int(&json, "messages", (int64_t)store->messages);
	json_int(&json, "rows", (int64_t)store->rows);
	json_int(&json, "reports", (int64_t)store->reports);
	json_int(&json, "pending", (int64_t)store->pending);
	json_int(&json, "sent", (int64_t)store->sent);
	json_int(&json, "refused", (int64_t)store->refused);
	json_int(&json, "expired", (int64_t)store->expired);
	json_int(&json, "failures_waiting", (int64_t)store->failures_waiting);
	json_int(&json, "suppressed", (int64_t)store->suppressed);
	json_object_begin(&json, "spool");
	json_int(&json, "files", (int64_t)figures->spool.files);
	json_int(&json, "bytes", (int64_t)figures->spool.bytes);
	ctl_report_json_time(&json, "oldest", figures->spool.oldest);
	json_object_end(&json);
	json_str_or_null(&json, "courier", figures->holder);
	json_object_end(&json);
}

static void number_row(struct buf *out, const char *label, uint64_t n, struct str more)
{
	buf_printf(out, "  %-22s %10" PRIu64, label, n);
	if (more.n > 0)
		buf_printf(out, "  %.*s", STR_ARG(more));
	buf_add_char(out, '\n');
}

/* "WORD YYYY-MM-DD HH:MM:SS"; empty where there is no such time. */
static struct str since(struct arena *arena, const char *word, int64_t time)
{
	return time > 0 ? arena_printf(arena, "%s %.*s", word, STR_ARG(ctl_report_time(arena, time))) : STR("");
}

static void show_text(struct buf *out, const struct ctl_report *report, const struct figures *figures)
{
	const struct store_statistics *store = &figures->store;
	struct arena *arena = out->arena;
	buf_add_cstr(out, "Counted (times are UTC)\n");
	number_row(out, "messages", store->messages, STR(""));
	number_row(out, "rows", store->rows, STR(""));
	number_row(out, "reports to be built", store->batches_open,
		since(arena, "the oldest period begins", store->oldest_open));
	number_row(out, "failures to be told", store->failures_waiting, STR(""));
	buf_add_cstr(out, "Reports built, and their deliveries\n");
	number_row(out, "reports", store->reports, STR(""));
	number_row(out, "pending", store->pending, STR(""));
	number_row(out, "sent", store->sent, STR(""));
	number_row(out, "refused", store->refused, STR(""));
	number_row(out, "expired", store->expired, STR(""));
	number_row(out, "addresses that bounced", store->suppressed, STR(""));
	buf_printf(out, "Spool %.*s\n", STR_ARG(report->report->spool));
	number_row(out, "files not yet imported", figures->spool.files,
		since(arena, "the oldest was begun at", figures->spool.oldest));
	number_row(out, "bytes in them", figures->spool.bytes, STR(""));
	if (figures->holder.n > 0)
		buf_printf(out, "%.*s builds and sends now.\n", STR_ARG(figures->holder));
}

static int run(struct ctl_report *report)
{
	struct figures figures;
	struct arena *arena = report->ctl.arena;
	struct buf out = buf_in(arena);
	if (report->domain.n > 0)
		return ctl_usage_error(report->verb, "it takes no DOMAIN");
	if (store_statistics(report->store, report->ctl.now, &figures.store) != ERR_OK ||
		store_lease_holder(
			report->store, arena, COURIER_LEASE, clock_unix(), &figures.holder, &figures.until) != ERR_OK)
		return ctl_report_failed(report);
	if (spool_backlog(report->report->spool, &figures.spool) != ERR_OK)
		fprintf(stderr, "trimilterctl %s: ReportSpool %.*s: %s\n", report->verb, STR_ARG(report->report->spool),
			strerror(errno));
	if (report->ctl.json)
		show_json(&out, &figures);
	else
		show_text(&out, report, &figures);
	if (report->ctl.json)
		buf_add_char(&out, '\n');
	fwrite(out.p, 1, out.n, stdout);
	return EX_OK;
}

int ctl_report_stats(int argc, char **argv)
{
	struct ctl_report report = {.verb = "report stats", .usage = usage, .options = options};
	return ctl_report_run(&report, argc, argv, run);
}
