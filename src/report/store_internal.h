/*
 * What the files store*.c share; nobody else includes this.
 *
 * Each public function ends with store_end() or store_finish(), which put into
 * store_error() what the database said.
 */
#ifndef TRIMILTER_REPORT_STORE_INTERNAL_H
#define TRIMILTER_REPORT_STORE_INTERNAL_H

#include "db/db.h"
#include "report/store.h"

struct counts;

struct store {
	struct db *db;
	struct arena *arena;   /* for good */
	struct arena *scratch; /* of one call */
	struct str shown;      /* the URL without its password */
	struct counts *counts;
	bool failed; /* since store_query(), before the database was asked */
	char error[STORE_ERROR_SIZE];
};

/* ---- statements: db_query(), db_next(), db_end() with the tables as they must be ---- */

void store_query(struct store *store, const char *sql, const struct db_value *values, size_t n);
bool store_next(struct store *store);
enum err store_end(struct store *store);
enum err store_run(struct store *store, const char *sql, const struct db_value *values, size_t n);

static inline int64_t store_int(struct store *store, size_t column)
{
	return db_column_int(store->db, column);
}
static inline struct str store_text(struct store *store, struct arena *arena, size_t column)
{
	return arena_dup(arena, db_column_text(store->db, column));
}

enum err store_lock(struct store *store);
/** ERR_IO: what is there will not do; the transaction fails. */
enum err store_refuse(struct store *store, const char *why);

/** Several statements in one transaction: the caller's, where one is open; else *ret_own, and all or nothing here. */
enum err store_step_begin(struct store *store, bool *ret_own);
enum err store_step_end(struct store *store, bool own, enum err err);

/* ---- columns of reports and deliveries ---- */

#define STORE_REPORT_COLUMNS                                                                                           \
	"report.id, report.batch, report.report_id, report.domain, report.first_second, report.last_second,"           \
	" report.messages, report.row_count, report.built, report.file_name, report.subject"
#define STORE_REPORT_N_COLUMNS 11
#define STORE_DELIVERY_COLUMNS                                                                                         \
	"delivery.id, delivery.report, delivery.address, delivery.state, delivery.attempts, delivery.next_attempt,"    \
	" delivery.created, delivery.changed, delivery.note"

/** @at  the first of them */
void store_read_report(struct store *store, struct arena *arena, size_t at, struct store_report *ret_report);
void store_read_delivery(struct store *store, struct arena *arena, size_t at, struct store_delivery *ret_delivery);

/* ---- messages counted since store_begin(): store_count.c ---- */

struct counts *counts_new(void);         /* NULL for want of memory */
void counts_free(struct counts *counts); /* accepts NULL */
enum err counts_flush(struct store *store);
void counts_forget(struct counts *counts);

/** A growing array in @arena: `array[n++]`. */
#define STORE_GROW(arena, array, capacity, n)                                                                          \
	((array) = arena_grow((arena), (array), &(capacity), (n) + 1, sizeof(*(array))))

#endif
