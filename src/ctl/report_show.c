/*
 * trimilterctl report show: what an aggregate report says, ours or another's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/map.h"
#include "ctl/command_line.h"
#include "ctl/report_common.h"
#include "ctl/verbs.h"
#include "report/aggregate.h"

#define FILE_MAX ((size_t)256 * 1024 * 1024)
/* Sources that are told apart: nobody reads more, and a hostile report could have any number. */
#define SOURCES_MAX 1000000
/* Width of what reporters write as an address and is none. */
#define SOURCE_WIDTH 45
#define ROWS_BETWEEN_PROGRESS 4096
#define OUT_MAX ((size_t)64 * 1024)

static const char usage[] =
	"Usage: trimilterctl report show [--json] FILE|-\n"
	"Show what a DMARC aggregate report says, source by source, those with the most messages first: an XML file,\n"
	"also in gzip or zip, or a mail message that has one attached; ours or another's.\n\n"
	"  --json                   one JSON object instead of text\n";

static const struct option options[] = {
	{"json", no_argument, NULL, CTL_OPTION_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct counts {
	uint64_t messages, passed, dkim_aligned, spf_aligned, quarantined, rejected;
};

struct source {
	struct str ip;
	struct counts counts;
};

struct showing {
	struct arena *arena;
	struct map *by_ip;
	struct source **sources;
	size_t n, capacity;
	struct counts all;
	uint64_t rows;
	struct ctl_progress progress;
};

/* ---- reading ---- */

static struct source *source_of(struct showing *showing, struct str ip)
{
	if (ip.n == 0)
		ip = STR("unknown");
	struct source *source = map_get(showing->by_ip, ip);
	if (source == NULL && showing->n >= SOURCES_MAX) {
		ip = STR("others");
		source = map_get(showing->by_ip, ip);
	}
	if (source != NULL)
		return source;
	source = ARENA_NEW(showing->arena, struct source);
	source->ip = arena_dup(showing->arena, ip);
	map_put(showing->by_ip, ip, source);
	showing->sources = arena_grow(
		showing->arena, showing->sources, &showing->capacity, showing->n + 1, sizeof(*showing->sources));
	return showing->sources[showing->n++] = source;
}

static void count(struct counts *counts, const struct store_row *row)
{
	uint64_t n = row->count;
	counts->messages += n;
	counts->passed += row->row.dkim_aligned || row->row.spf_aligned ? n : 0;
	counts->dkim_aligned += row->row.dkim_aligned ? n : 0;
	counts->spf_aligned += row->row.spf_aligned ? n : 0;
	counts->quarantined += str_eq(row->row.disposition, STR("quarantine")) ? n : 0;
	counts->rejected += str_eq(row->row.disposition, STR("reject")) ? n : 0;
}

static bool take_row(void *context, const struct store_row *row)
{
	struct showing *showing = context;
	count(&source_of(showing, row->row.source_ip)->counts, row);
	count(&showing->all, row);
	if (++showing->rows % ROWS_BETWEEN_PROGRESS == 0)
		ctl_progress(&showing->progress, "%" PRIu64 " records, %zu sources", showing->rows, showing->n);
	return true;
}

static int compare_sources(const void *a, const void *b)
{
	const struct source *left = *(struct source *const *)a, *right = *(struct source *const *)b;
	if (left->counts.messages != right->counts.messages)
		return left->counts.messages < right->counts.messages ? 1 : -1;
	return str_cmp(left->ip, right->ip);
}

/* What is built goes out now and then: a report may have a million sources. */
static void flush_out(struct buf *out, size_t from)
{
	if (out->n <= from)
		return;
	fwrite(out->p, 1, out->n, stdout);
	out->n = 0;
}

/* ---- text ---- */

static void add_policy(struct buf *out, const char *name, struct str value)
{
	if (value.n > 0)
		buf_printf(out, "%s%s=%.*s", out->n > 0 ? " " : "", name, STR_ARG(value));
}

static struct str policy_of(struct arena *arena, const struct aggregate_document *document)
{
	struct buf out = buf_in(arena);
	add_policy(&out, "p", document->p);
	add_policy(&out, "sp", document->sp);
	add_policy(&out, "np", document->np);
	add_policy(&out, "adkim", document->adkim);
	add_policy(&out, "aspf", document->aspf);
	add_policy(&out, "fo", document->fo);
	add_policy(&out, "pct", document->pct);
	add_policy(&out, "testing", document->testing);
	return buf_str(&out);
}

static void text_head(struct buf *out, const struct aggregate_document *document)
{
	struct arena *arena = out->arena;
	buf_add_cstr(out, "DMARC report on ");
	ctl_text_add(out, document->domain.n > 0 ? document->domain : STR("an unnamed domain"));
	buf_add_char(out, '\n');
	ctl_text_row(out, "from", document->organization);
	ctl_text_row(out, "address", document->address);
	ctl_text_row(out, "contact", document->extra_contact);
	ctl_text_row(out, "report id", document->report_id);
	if (document->begin > 0 || document->end > 0)
		ctl_text_row(out, "period",
			arena_printf(arena, "%.*s to %.*s UTC", STR_ARG(ctl_report_time(arena, document->begin)),
				STR_ARG(ctl_report_time(arena, document->end))));
	ctl_text_row(out, "policy", policy_of(arena, document));
	ctl_text_row(out, "discovery", document->discovery);
	ctl_text_row(out, "generator", document->generator);
	ctl_text_row(out, "error", document->error);
}

static void add_padding(struct buf *out, size_t from, size_t width)
{
	while (out->n - from < width)
		buf_add_char(out, ' ');
}

static void text_counts(struct buf *out, struct str name, size_t width, const struct counts *counts)
{
	size_t from = out->n;
	ctl_text_add(out, str_head(name, SOURCE_WIDTH));
	add_padding(out, from, width);
	double all = counts->messages > 0 ? (double)counts->messages : 1;
	uint64_t failed = counts->messages - counts->passed;
	buf_printf(out, " %10" PRIu64 " %10" PRIu64 " %5.1f%% %10" PRIu64 " %5.1f%%", counts->messages, counts->passed,
		100 * (double)counts->passed / all, failed, 100 * (double)failed / all);
	buf_printf(out, " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n", counts->dkim_aligned,
		counts->spf_aligned, counts->quarantined, counts->rejected);
}

static void text_table(struct buf *out, const struct showing *showing)
{
	struct str total = arena_printf(out->arena, "%s%zu source%s", showing->n > SOURCES_MAX ? "over " : "",
		showing->n, showing->n == 1 ? "" : "s");
	size_t width = total.n;
	for (size_t i = 0; i < showing->n; i++) {
		size_t n = showing->sources[i]->ip.n < SOURCE_WIDTH ? showing->sources[i]->ip.n : SOURCE_WIDTH;
		width = n > width ? n : width;
	}
	size_t from = out->n + 1;
	buf_add_cstr(out, "\nsource");
	add_padding(out, from, width);
	buf_printf(out, " %10s %10s %6s %10s %6s %10s %10s %10s %10s\n", "messages", "pass", "", "fail", "", "by DKIM",
		"by SPF", "quarantine", "reject");
	for (size_t i = 0; i < showing->n; i++) {
		text_counts(out, showing->sources[i]->ip, width, &showing->sources[i]->counts);
		flush_out(out, OUT_MAX);
	}
	text_counts(out, total, width, &showing->all);
}

static void show_text(const struct showing *showing, const struct aggregate_document *document)
{
	struct buf out = buf_in(showing->arena);
	text_head(&out, document);
	text_table(&out, showing);
	flush_out(&out, 0);
}

/* ---- JSON ---- */

static void json_counts(struct json *json, const struct counts *counts)
{
	json_int(json, "messages", (int64_t)counts->messages);
	json_int(json, "pass", (int64_t)counts->passed);
	json_int(json, "fail", (int64_t)(counts->messages - counts->passed));
	json_int(json, "dkim_aligned", (int64_t)counts->dkim_aligned);
	json_int(json, "spf_aligned", (int64_t)counts->spf_aligned);
	json_int(json, "quarantine", (int64_t)counts->quarantined);
	json_int(json, "reject", (int64_t)counts->rejected);
}

static void json_policy(struct json *json, const struct aggregate_document *document)
{
	json_object_begin(json, "policy_published");
	json_str_or_null(json, "domain", document->domain);
	json_str_or_null(json, "p", document->p);
	json_str_or_null(json, "sp", document->sp);
	json_str_or_null(json, "np", document->np);
	json_str_or_null(json, "adkim", document->adkim);
	json_str_or_null(json, "aspf", document->aspf);
	json_str_or_null(json, "fo", document->fo);
	json_str_or_null(json, "pct", document->pct);
	json_str_or_null(json, "testing", document->testing);
	json_str_or_null(json, "discovery_method", document->discovery);
	json_object_end(json);
}

static void show_json(const struct showing *showing, const struct aggregate_document *document)
{
	struct buf out = buf_in(showing->arena);
	struct json json = json_to(&out);
	json_object_begin(&json, NULL);
	json_str_or_null(&json, "org_name", document->organization);
	json_str_or_null(&json, "email", document->address);
	json_str_or_null(&json, "extra_contact_info", document->extra_contact);
	json_str_or_null(&json, "report_id", document->report_id);
	ctl_report_json_time(&json, "begin", document->begin);
	ctl_report_json_time(&json, "end", document->end);
	json_str_or_null(&json, "error", document->error);
	json_str_or_null(&json, "generator", document->generator);
	json_policy(&json, document);
	json_int(&json, "records", (int64_t)document->rows);
	json_counts(&json, &showing->all);
	json_array_begin(&json, "sources");
	for (size_t i = 0; i < showing->n; i++) {
		json_object_begin(&json, NULL);
		json_str(&json, "source_ip", showing->sources[i]->ip);
		json_counts(&json, &showing->sources[i]->counts);
		json_object_end(&json);
		flush_out(&out, OUT_MAX);
	}
	json_array_end(&json);
	json_object_end(&json);
	ctl_print(&out);
}

/* ---- */

static int show(struct ctl *ctl, const char *path)
{
	struct str data;
	struct aggregate_document document;
	struct showing showing = {.arena = ctl->arena, .by_ip = map_new(ctl->arena)};
	int status = ctl_read_file(ctl->arena, "report show", path, FILE_MAX, &data);
	if (status != EX_OK)
		return status;
	const char *error = aggregate_read(ctl->arena, data, take_row, &showing, &document);
	ctl_progress_end(&showing.progress);
	if (error != NULL) {
		struct buf text = buf_in(ctl->arena);
		ctl_text_add(&text, str_of(error));
		fprintf(stderr, "trimilterctl report show: %s: %s\n", path, buf_cstr(&text));
		return EX_DATAERR;
	}
	if (showing.n > 0)
		qsort(showing.sources, showing.n, sizeof(*showing.sources), compare_sources);
	if (ctl->json)
		show_json(&showing, &document);
	else
		show_text(&showing, &document);
	return EX_OK;
}

static const struct ctl_command command = {"report show", usage, "h", options, NULL};

int ctl_report_show(int argc, char **argv)
{
	struct ctl ctl;
	ctl_init(&ctl);
	int status = ctl_options(&ctl, &command, argc, argv, NULL);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	if (optind + 1 != argc)
		return ctl_close(&ctl, ctl_usage_error("report show", "exactly one FILE is needed, or -"));
	return ctl_close(&ctl, show(&ctl, argv[optind]));
}
