/*
 * Reports for others to read: aggregate_tool variants DIRECTORY writes one of each kind and tells on standard output,
 * one JSON object to a line, what stands in each; aggregate_tool many N writes a report of N rows into the void and
 * tells how long that took and how much memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "aggregate_lab.h"
#include "base/clock.h"
#include "base/json.h"

#define MAX_PARTS 2000

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "aggregate_tool: fatal: %s\n", what);
	exit(EX_SOFTWARE);
}

static void tell(struct arena *arena, const struct aggregate_header *header, const struct store_report *report)
{
	struct buf out = buf_in(arena);
	struct json json = json_to(&out);
	json_object_begin(&json, NULL);
	json_str(&json, "file", report->file_name);
	json_cstr(&json, "format", header->format == REPORT_RFC7489 ? "rfc7489" : "rfc9990");
	json_str(&json, "report_id", report->report_id);
	json_str(&json, "domain", report->domain);
	json_str(&json, "subject", report->subject);
	json_int(&json, "begin", report->begin);
	json_int(&json, "end", report->end);
	json_int(&json, "messages", (int64_t)report->messages);
	json_int(&json, "rows", (int64_t)report->rows);
	json_object_end(&json);
	puts(buf_cstr(&out));
}

static void write_file(struct arena *arena, const char *directory, const struct store_report *report)
{
	FILE *file = fopen(arena_printf(arena, "%s/%.*s", directory, STR_ARG(report->file_name)).p, "wb");
	if (file == NULL || fwrite(report->data.p, 1, report->data.n, file) != report->data.n || fclose(file) != 0)
		die("cannot write");
}

/* In both formats, each under a name of its own. */
static void variant(const char *directory, const char *name, struct aggregate_header header,
	const struct store_row *rows, size_t n_rows, size_t maximum_bytes)
{
	static struct store_report reports[MAX_PARTS];
	for (header.format = REPORT_RFC9990; header.format <= REPORT_RFC7489; header.format++) {
		struct arena *arena = arena_new(0);
		header.unique = arena_printf(arena, "%s%s", name, header.format == REPORT_RFC7489 ? "old" : "");
		size_t parts = lab_write(arena, header, rows, n_rows, maximum_bytes, reports, MAX_PARTS);
		for (size_t i = 0; i < parts; i++) {
			write_file(arena, directory, &reports[i]);
			tell(arena, &header, &reports[i]);
		}
		arena_free(arena);
	}
}

/* ---- the variants ---- */

static struct store_row *random_rows(struct arena *arena, unsigned n)
{
	struct store_row *rows = ARENA_ARRAY(arena, n, struct store_row);
	for (unsigned i = 0; i < n; i++)
		rows[i] = lab_random_row(arena, i);
	return rows;
}

static void policies(struct arena *arena, const char *directory)
{
	static const struct report_policy policies[] = {
		{STR_INIT("example.com"), STR_INIT("v=DMARC1; p=none"), STR_INIT("treewalk")},
		{STR_INIT("example.com"), STR_INIT("v=DMARC1; p=reject; np=reject; psd=n; t=y"), STR_INIT("treewalk")},
		{STR_INIT("example.com"), STR_INIT("v=DMARC1; p=quarantine; sp=none; pct=0"), STR_INIT("psl")},
		{STR_INIT("example.com"), STR_INIT("v=DMARC1; p=x; sp=\xff<&; rua=mailto:a@example.com; fo=<"),
			STR_INIT("treewalk")},
		{STR_INIT("example.com"), STR_INIT("no record"), STR_INIT("")},
		{STR_INIT("b\xc3\xbc\x63her.example"), STR_INIT("v=DMARC1; p=none; adkim=s; aspf=s"), STR_INIT("psl")},
	};
	struct store_row row = lab_row(arena);
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		struct aggregate_header header = lab_header(REPORT_RFC9990);
		header.policy = policies[i];
		variant(directory, arena_printf(arena, "policy%zu", i).p, header, &row, 1, SIZE_MAX);
	}
}

static void texts(struct arena *arena, const char *directory)
{
	char all[512];
	for (unsigned i = 0; i < 256; i++) {
		all[2 * i] = (char)i;
		all[2 * i + 1] = (char)(255 - i);
	}
	char *high = memset(arena_alloc(arena, 100000), 0xff, 100000);
	const struct str texts[] = {str_from(all, sizeof(all)), str_from(high, 100000), STR(""), STR("]]><!--&lt;")};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct aggregate_header header = lab_header(REPORT_RFC9990);
		struct store_row row = lab_text_row(arena, texts[i]);
		header.organization = header.address = header.extra_contact = header.policy.record = texts[i];
		row.row.source_ip = STR("192.0.2.1");
		variant(directory, arena_printf(arena, "text%zu", i).p, header, &row, 1, SIZE_MAX);
	}
}

static void extremes(struct arena *arena, const char *directory)
{
	struct aggregate_header header = lab_header(REPORT_RFC9990);
	struct store_row row = lab_row(arena);
	struct report_dkim *dkim = ARENA_ARRAY(arena, 150, struct report_dkim);
	for (unsigned i = 0; i < 150; i++)
		dkim[i] = (struct report_dkim){STR("example.com"), arena_printf(arena, "s%u", i), STR("pass"), STR("")};
	row.row.dkim = dkim;
	row.row.n_dkim = 100;
	variant(directory, "hundred", header, &row, 1, SIZE_MAX);
	row.row.n_dkim = 150;
	variant(directory, "hundredfifty", header, &row, 1, SIZE_MAX);
	variant(directory, "thousand", header, random_rows(arena, 1000), 1000, SIZE_MAX);
	variant(directory, "split", header, random_rows(arena, 1000), 1000, 10000);
	variant(directory, "single", header, random_rows(arena, 50), 50, 1);
}

static void variants(const char *directory)
{
	struct arena *arena = arena_new(0);
	struct store_row row = lab_row(arena);
	variant(directory, "usual", lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX);
	policies(arena, directory);
	texts(arena, directory);
	extremes(arena, directory);
	for (unsigned i = 0; i < 100; i++) {
		row = lab_random_row(arena, i);
		variant(directory, arena_printf(arena, "random%u", i).p, lab_header(REPORT_RFC9990), &row, 1, SIZE_MAX);
	}
	arena_free(arena);
}

/* ---- a million rows ---- */

static void many(unsigned n, size_t maximum_bytes)
{
	struct arena *arena = arena_new(0), *scratch = arena_new(0);
	struct aggregate_header header = lab_header(REPORT_RFC9990);
	struct rusage usage;
	size_t bytes = 0, parts = 0;
	int64_t begin = clock_monotonic_ms();
	for (unsigned i = 0; i < n; parts++) {
		struct store_report report;
		struct aggregate_writer *writer = aggregate_begin(arena, &header, maximum_bytes);
		for (bool fits = true; fits && i < n; i += fits) {
			struct store_row row = lab_random_row(scratch, i);
			fits = aggregate_add(writer, &row);
			arena_reset(scratch);
		}
		if (aggregate_end(writer, &report) != ERR_OK)
			die("cannot end");
		bytes += report.data.n;
		arena_reset(arena);
		header.part++;
	}
	int64_t end = clock_monotonic_ms();
	getrusage(RUSAGE_SELF, &usage);
	printf("%u rows, %zu parts, %zu bytes: %lld ms, %ld KiB resident at most\n", n, parts, bytes,
		(long long)(end - begin), usage.ru_maxrss);
	arena_free(scratch);
	arena_free(arena);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "variants") == 0)
		variants(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "many") == 0)
		many((unsigned)atoi(argv[2]), (size_t)atoll(argv[3]));
	else
		return fputs("usage: aggregate_tool variants DIRECTORY | many ROWS MAXIMUM-BYTES\n", stderr), EX_USAGE;
	return EX_OK;
}
