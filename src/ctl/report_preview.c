/*
 * trimilterctl report preview: the reports about a domain as they would be sent now, and to whom; nothing is changed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/log.h"
#include "ctl/report_common.h"
#include "ctl/verbs.h"
#include "report/aggregate.h"
#include "report/courier.h"

/* Batches to a query. */
#define PAGE 500

static const char usage[] =
	"Usage: trimilterctl report preview [-c FILE]... [OPTION]... DOMAIN\n"
	"Print the aggregate reports about DOMAIN (the one that has the DMARC record) as they would be sent, also of "
	"the\n"
	"period that is not over, and to whom they would go. Nothing is sent and nothing changed.\n\n" CTL_COMMON_USAGE;

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct preview {
	struct ctl_report *report;
	struct courier courier;
	struct ctl_progress progress;
	struct buf out;
	struct json json;
	size_t n; /* shown so far */
};

static void flush_out(struct preview *preview)
{
	fwrite(preview->out.p, 1, preview->out.n, stdout);
	preview->out.n = 0;
}

/* ---- one report ---- */

struct shown {
	struct arena *arena;
	const struct store_batch *batch;
	const struct store_report *report; /* NULL: nobody gets one */
	const struct store_destination *destinations;
	size_t n_destinations;
	struct str xml;
};

static void text_destinations(struct buf *out, const struct shown *shown)
{
	for (size_t i = 0; i < shown->n_destinations; i++) {
		const struct store_destination *one = &shown->destinations[i];
		if (one->refused == NULL)
			ctl_text_row(out, "to", one->address);
		else
			ctl_text_row(out, "not to",
				arena_printf(shown->arena, "%.*s: %s", STR_ARG(one->address), one->refused));
	}
	if (shown->n_destinations == 0)
		ctl_text_row(out, "to", STR("nobody: the record names no rua"));
}

static void show_text(struct preview *preview, const struct shown *shown)
{
	struct buf *out = &preview->out;
	const struct store_batch *batch = shown->batch;
	buf_printf(out, "%sReport about %.*s\n", preview->n > 0 ? "\n" : "", STR_ARG(batch->policy.domain));
	ctl_text_row(out, "period",
		arena_printf(shown->arena, "%.*s to %.*s UTC", STR_ARG(ctl_report_time(shown->arena, batch->period)),
			STR_ARG(ctl_report_time(shown->arena, batch->period + preview->report->report->interval - 1))));
	ctl_text_row(out, "record", batch->policy.record);
	ctl_text_row(out, "counts",
		arena_printf(shown->arena, "%" PRIu64 " messages in %" PRIu64 " rows", batch->messages, batch->rows));
	text_destinations(out, shown);
	if (shown->report != NULL) {
		ctl_text_row(out, "subject", shown->report->subject);
		ctl_text_row(out, "file", shown->report->file_name);
		buf_printf(out, "\n%.*s", STR_ARG(shown->xml));
		if (shown->xml.n > 0 && shown->xml.p[shown->xml.n - 1] != '\n')
			buf_add_char(out, '\n');
	}
}

static void show_json(struct preview *preview, const struct shown *shown)
{
	struct json *json = &preview->json;
	const struct store_batch *batch = shown->batch;
	json_object_begin(json, NULL);
	json_str(json, "domain", batch->policy.domain);
	json_str(json, "record", batch->policy.record);
	json_int(json, "begin", batch->period);
	json_int(json, "end", batch->period + preview->report->report->interval - 1);
	json_int(json, "messages", (int64_t)batch->messages);
	json_int(json, "rows", (int64_t)batch->rows);
	json_array_begin(json, "destinations");
	for (size_t i = 0; i < shown->n_destinations; i++) {
		json_object_begin(json, NULL);
		json_str(json, "address", shown->destinations[i].address);
		json_cstr(json, "refused", shown->destinations[i].refused);
		json_object_end(json);
	}
	json_array_end(json);
	json_str(json, "report_id", shown->report != NULL ? shown->report->report_id : (struct str){NULL, 0});
	json_str(json, "subject", shown->report != NULL ? shown->report->subject : (struct str){NULL, 0});
	json_str(json, "file_name", shown->report != NULL ? shown->report->file_name : (struct str){NULL, 0});
	json_str(json, "xml", shown->report != NULL ? shown->xml : (struct str){NULL, 0});
	json_object_end(json);
}

static void show(struct preview *preview, const struct shown *shown)
{
	ctl_progress_end(&preview->progress);
	if (preview->report->ctl.json)
		show_json(preview, shown);
	else
		show_text(preview, shown);
	preview->n++;
	flush_out(preview);
}

/* ---- one batch: one report, or several where it is too large for one ---- */

static enum err preview_batch(struct preview *preview, struct arena *arena, const struct store_batch *batch)
{
	struct courier *courier = &preview->courier;
	struct courier_recipients recipients;
	const struct store_report *reports, none = {.built = preview->report->ctl.now};
	struct shown shown = {.arena = arena, .batch = batch};
	size_t n;
	courier_verify(courier, arena, &batch->policy, 1, false, &recipients);
	if (recipients.n_good == 0) {
		shown.destinations = courier_destinations(courier, arena, &recipients, &none, &shown.n_destinations);
		show(preview, &shown);
		return ERR_OK;
	}
	enum err err = courier_documents(courier, arena, batch, &reports, &n);
	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		struct buf xml = buf_in(arena);
		shown.report = &reports[i];
		shown.destinations =
			courier_destinations(courier, arena, &recipients, &reports[i], &shown.n_destinations);
		err = aggregate_plain(arena, &reports[i], &xml);
		shown.xml = buf_str(&xml);
		if (err == ERR_OK)
			show(preview, &shown);
	}
	return err;
}

static enum err preview_page(struct preview *preview, const struct store_batch *batches, size_t n)
{
	enum err err = ERR_OK;
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		ctl_progress(&preview->progress, "looked at %" PRId64 " reports to be", batches[i].id);
		if (batches[i].reported != 0 || !str_ieq(batches[i].policy.domain, preview->report->domain))
			continue;
		arena_reset(arena);
		err = preview_batch(preview, arena, &batches[i]);
	}
	arena_free(arena);
	return err;
}

static enum err preview_all(struct preview *preview)
{
	int64_t after = 0;
	enum err err = ERR_OK;
	size_t n = PAGE;
	while (err == ERR_OK && n == PAGE) {
		const struct store_batch *batches;
		struct arena *arena = arena_new(0);
		if (arena == NULL)
			return ERR_NOMEM;
		err = store_batches(preview->report->store, arena, 0, true, after, PAGE, &batches, &n);
		if (err == ERR_OK && n > 0) {
			after = batches[n - 1].id;
			err = preview_page(preview, batches, n);
		}
		arena_free(arena);
	}
	ctl_progress_end(&preview->progress);
	return err;
}

/* ---- */

static void say_backlog(const struct preview *preview)
{
	struct spool_backlog backlog;
	if (spool_backlog(preview->report->report->spool, &backlog) == ERR_OK && backlog.bytes > 0)
		fprintf(stderr, "trimilterctl %s: %" PRIu64 " bytes of records in %.*s are not counted yet\n",
			preview->report->verb, backlog.bytes, STR_ARG(preview->report->report->spool));
}

static int run(struct ctl_report *report)
{
	struct preview preview = {.report = report, .out = buf_in(report->ctl.arena)};
	int status = ctl_load(&report->ctl, report->config);
	if (status != EX_OK)
		return status;
	preview.json = json_to(&preview.out);
	preview.courier = (struct courier){
		.store = report->store, .runtime = report->ctl.runtime, .dns = report->ctl.dns, .holder = STR("")};
	if (report->ctl.json) {
		json_object_begin(&preview.json, NULL);
		json_array_begin(&preview.json, "reports");
	}
	enum err err = preview_all(&preview);
	if (report->ctl.json) {
		json_array_end(&preview.json);
		json_object_end(&preview.json);
		buf_add_char(&preview.out, '\n');
		flush_out(&preview);
	} else if (err == ERR_OK && preview.n == 0) {
		printf("There is nothing to report about %.*s yet: 'trimilterctl report list %.*s' shows what was\n",
			STR_ARG(report->domain), STR_ARG(report->domain));
	}
	say_backlog(&preview);
	if (err == ERR_IO)
		return ctl_report_failed(report);
	return err_exit_status(err);
}

int ctl_report_preview(int argc, char **argv)
{
	struct ctl_report report = {.verb = "report preview", .usage = usage, .options = options, .needs_domain = true};
	return ctl_report_run(&report, argc, argv, run);
}
