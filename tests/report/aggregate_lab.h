/*
 * Aggregate reports for tests: rows of every kind, written as the courier writes them.
 */
#ifndef TRIMILTER_TESTS_AGGREGATE_LAB_H
#define TRIMILTER_TESTS_AGGREGATE_LAB_H

#include "report/aggregate.h"

/** A header that says something of everything. */
struct aggregate_header lab_header(enum report_format format);
/** A row that says something of everything: a message that was forwarded. */
struct store_row lab_row(struct arena *arena);
/** One of endlessly many rows; the same for the same number. */
struct store_row lab_random_row(struct arena *arena, unsigned number);
/** A row with this text in every place that has room for text. */
struct store_row lab_text_row(struct arena *arena, struct str text);

/**
 * Write @rows, one part behind the other, as long as there are any; at most @capacity parts.
 * Returns the number of parts.
 */
size_t lab_write(struct arena *arena, struct aggregate_header header, const struct store_row *rows, size_t n_rows,
	size_t maximum_bytes, struct store_report *reports, size_t capacity);
/** One part, as plain XML. */
struct str lab_plain(struct arena *arena, struct aggregate_header header, const struct store_row *rows, size_t n_rows);

#endif
