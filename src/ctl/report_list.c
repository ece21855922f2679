/*
 * trimilterctl report list: finished reports, who gets them, and what became of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/report_common.h"
#include "ctl/verbs.h"

#define LIMIT 100

enum { OPTION_LIMIT = CTL_OPTION_OWN, OPTION_STATE };

static const char usage[] =
	"Usage: trimilterctl report list [-c FILE]... [OPTION]... [DOMAIN]\n"
	"List the deliveries of reports, newest first: period, domain, to whom, what became of it. With a DOMAIN only\n"
	"reports about it, also those that nobody gets.\n\n"
	"  --state STATE            only these: pending, sent, refused, or expired\n"
	"  --limit N                at most so many; 100 by default\n"
	"  --json                   one JSON object instead of text\n"
	"  -c FILE                  read this configuration; may be repeated\n";

static const struct option options[] = {
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"state", required_argument, NULL, OPTION_STATE},
	{"json", no_argument, NULL, CTL_OPTION_JSON},
	{"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct listing {
	struct ctl_report report; /* the first member: take() gets a pointer to it */
	uint64_t limit;
	int state;
};

static int take(struct ctl_report *report, int option, const char *argument)
{
	struct listing *listing = (struct listing *)report;
	if (option == OPTION_LIMIT) {
		listing->limit = ctl_report_number(report, "--limit", argument);
		return listing->limit > 0 ? EX_OK : EX_USAGE;
	}
	for (int state = STORE_PENDING; state <= STORE_EXPIRED; state++) {
		const struct store_delivery delivery = {.state = (enum store_delivery_state)state};
		if (strcmp(ctl_report_state(&delivery), argument) == 0) {
			listing->state = state;
			return EX_OK;
		}
	}
	return ctl_usage_error(report->verb, "--state: \"%s\" is none of pending, sent, refused and expired", argument);
}

static bool is_failure_report(const struct store_report *report)
{
	return report->batch == 0;
}

/* ---- text ---- */

static void text_listing(struct buf *out, const struct store_listing *listing)
{
	const struct store_report *report = &listing->report;
	const struct store_delivery *delivery = &listing->delivery;
	struct str begin = ctl_report_time(out->arena, is_failure_report(report) ? report->built : report->begin);
	buf_printf(out, "%.*s  ", STR_ARG(begin));
	ctl_text_add(out, report->domain);
	if (is_failure_report(report))
		buf_add_cstr(out, ": failure report");
	else
		buf_printf(out, ": %" PRIu64 " message%s", report->messages, report->messages == 1 ? "" : "s");
	if (delivery->id == 0) {
		buf_add_cstr(out, "\n    nobody asks for a report\n");
		return;
	}
	buf_printf(out, "\n    %-8s ", ctl_report_state(delivery));
	ctl_text_add(out, delivery->address);
	if (delivery->state == STORE_PENDING)
		buf_printf(out, ", %s %.*s",
			delivery->attempts > 0 ? arena_printf(out->arena, "after %u attempt%s; again",
							 delivery->attempts, delivery->attempts == 1 ? "" : "s")
							 .p
					       : "from",
			STR_ARG(ctl_report_time(out->arena, delivery->next_attempt)));
	else
		buf_printf(out, ", %.*s", STR_ARG(ctl_report_time(out->arena, delivery->changed)));
	if (delivery->note.n > 0) {
		buf_add_cstr(out, " (");
		ctl_text_add(out, delivery->note);
		buf_add_char(out, ')');
	}
	buf_add_char(out, '\n');
}

/* ---- JSON ---- */

static void json_delivery(struct json *json, const struct store_delivery *delivery)
{
	bool is_there = delivery->id != 0;
	json_str(json, "address", is_there ? delivery->address : (struct str){NULL, 0});
	json_cstr(json, "state", is_there ? ctl_report_state(delivery) : NULL);
	json_int(json, "attempts", delivery->attempts);
	ctl_report_json_time(json, "next_attempt", delivery->state == STORE_PENDING ? delivery->next_attempt : 0);
	ctl_report_json_time(json, "changed", delivery->changed);
	json_str_or_null(json, "note", delivery->note);
}

static void json_listing(struct json *json, const struct store_listing *listing)
{
	const struct store_report *report = &listing->report;
	json_object_begin(json, NULL);
	json_cstr(json, "kind", is_failure_report(report) ? "failure" : "aggregate");
	json_str(json, "domain", report->domain);
	json_str(json, "report_id", report->report_id);
	json_int(json, "begin", report->begin);
	json_int(json, "end", report->end);
	json_int(json, "messages", (int64_t)report->messages);
	json_int(json, "rows", (int64_t)report->rows);
	json_int(json, "built", report->built);
	json_str_or_null(json, "file_name", report->file_name);
	json_delivery(json, &listing->delivery);
	json_object_end(json);
}

/* ---- */

static int run(struct ctl_report *report)
{
	const struct listing *listing = (const struct listing *)report;
	const struct store_listing *listings;
	struct arena *arena = report->ctl.arena;
	struct buf out = buf_in(arena);
	struct json json = json_to(&out);
	size_t n;
	/* One more tells whether there are more. */
	if (store_list(report->store, arena, report->domain, listing->state, listing->limit + 1, &listings, &n) !=
		ERR_OK)
		return ctl_report_failed(report);
	size_t shown = n <= listing->limit ? n : listing->limit;
	if (report->ctl.json) {
		json_object_begin(&json, NULL);
		json_array_begin(&json, "deliveries");
		for (size_t i = 0; i < shown; i++)
			json_listing(&json, &listings[i]);
		json_array_end(&json);
		json_bool(&json, "more", n > shown);
		json_object_end(&json);
		return ctl_print(&out), EX_OK;
	}
	for (size_t i = 0; i < shown; i++)
		text_listing(&out, &listings[i]);
	if (n == 0)
		buf_add_cstr(&out, "nothing to list; 'trimilterctl report stats' tells what is being counted\n");
	if (n > shown)
		buf_printf(&out, "There are more: --limit %zu\n", 10 * shown);
	fwrite(out.p, 1, out.n, stdout);
	return EX_OK;
}

int ctl_report_list(int argc, char **argv)
{
	struct listing listing = {
		.report = {.verb = "report list", .usage = usage, .options = options, .take = take},
		.limit = LIMIT,
		.state = STORE_ANY_STATE,
	};
	return ctl_report_run(&listing.report, argc, argv, run);
}
