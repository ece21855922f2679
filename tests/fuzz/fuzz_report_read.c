/*
 * Somebody's aggregate report: what is read is within its bounds, and when written as ours it is read as the same.
 */
#include <stdlib.h>

#include "report/aggregate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rows that are written again; more would only take time. */
#define WRITTEN_MAX 200

struct sums {
	uint64_t rows, messages, dkim_aligned, spf_aligned, dkim, reasons;
};

struct reading {
	struct aggregate_writer *writer; /* NULL: nothing is written */
	struct sums sums;
};

static bool visit(void *context, const struct store_row *row)
{
	struct reading *reading = context;
	struct sums *sums = &reading->sums;
	if (row->row.n_dkim > REPORT_MAX_DKIM)
		abort();
	sums->rows++;
	sums->messages += row->count;
	sums->dkim_aligned += row->row.dkim_aligned;
	sums->spf_aligned += row->row.spf_aligned;
	sums->dkim += row->row.n_dkim;
	sums->reasons += row->row.n_reasons;
	if (reading->writer != NULL && !aggregate_add(reading->writer, row))
		abort();
	return sums->rows < WRITTEN_MAX;
}

static void read_again(struct arena *arena, const struct reading *first)
{
	struct store_report report;
	struct aggregate_document document;
	struct reading again = {.writer = NULL};
	if (aggregate_end(first->writer, &report) != ERR_OK)
		abort();
	if (aggregate_read(arena, report.data, visit, &again, &document) != NULL)
		abort();
	if (memcmp(&again.sums, &first->sums, sizeof(again.sums)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 0;
	struct aggregate_document document;
	struct aggregate_header header = {.unique = STR("1")};
	struct reading reading = {.writer = aggregate_begin(arena, &header, SIZE_MAX)};
	const char *error = aggregate_read(arena, str_from((const char *)data, size), visit, &reading, &document);
	if (error != NULL && error[0] == '\0')
		abort();
	if (document.rows != reading.sums.rows || document.messages != reading.sums.messages)
		abort();
	read_again(arena, &reading);
	arena_free(arena);
	return 0;
}
