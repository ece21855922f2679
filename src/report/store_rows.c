/* Batches, and the rows that were counted in them. */
#include "base/fault.h"
#include "report/store_internal.h"

/* Rows in memory at a time, of at most some 30 KB each. */
#define PAGE 256
#define HASH_SIZE 16

/*
 * What arrives from now on for a period that is over counts in a batch of its own, with a report of its own: it would
 * otherwise slip in between the reading of the rows and the end of the report.
 */
static enum err close_batches(struct store *store, int64_t before)
{
	bool own;
	enum err err = store_step_begin(store, &own);
	if (err == ERR_OK)
		err = store_lock(store);
	if (err == ERR_OK)
		err = store_run(store, "UPDATE batch SET hash = NULL WHERE hash IS NOT NULL AND period < $1",
			DB_VALUES(db_int(before)));
	return store_step_end(store, own, err);
}

static void read_batch(struct store *store, struct arena *arena, struct store_batch *batch)
{
	*batch = (struct store_batch){
		.id = store_int(store, 0),
		.policy.domain = store_text(store, arena, 1),
		.policy.record = store_text(store, arena, 2),
		.policy.discovery = store_text(store, arena, 3),
		.period = store_int(store, 4),
		.messages = (uint64_t)store_int(store, 5),
		.reported = store_int(store, 6),
		.rows = (uint64_t)store_int(store, 7),
	};
}

#define SELECT_BATCHES                                                                                                 \
	"SELECT id, domain, record, discovery, period, messages, reported,"                                            \
	" (SELECT count(*) FROM batch_row WHERE batch_row.batch = batch.id) FROM batch WHERE "

enum err store_batches(struct store *store, struct arena *arena, int64_t before, bool all, int64_t after, size_t limit,
	const struct store_batch **ret_batches, size_t *ret_n)
{
	struct store_batch *batches = NULL;
	size_t capacity = 0, n = 0;
	*ret_batches = NULL;
	*ret_n = 0;
	if (!all && close_batches(store, before) != ERR_OK)
		return ERR_IO;
	if (all)
		store_query(store, SELECT_BATCHES "id > $1 ORDER BY id LIMIT $2",
			DB_VALUES(db_int(after), db_int((int64_t)limit)));
	else
		store_query(store,
			SELECT_BATCHES "reported = 0 AND hash IS NULL AND period < $3 AND id > $1 ORDER BY id LIMIT $2",
			DB_VALUES(db_int(after), db_int((int64_t)limit), db_int(before)));
	while (store_next(store)) {
		STORE_GROW(arena, batches, capacity, n);
		read_batch(store, arena, &batches[n++]);
	}
	*ret_batches = batches;
	*ret_n = n;
	return store_end(store);
}

/* The rows by pages, so that no result is open while the caller's function runs: it may use the store. */
struct pages {
	struct arena *page, *row; /* of the present ones */
	struct str last;          /* hash of the last row read */
	struct str data[PAGE];
	uint64_t messages[PAGE];
	size_t n;
};

static enum err read_page(struct store *store, int64_t batch, struct pages *pages)
{
	char hash[HASH_SIZE];
	struct str last = str_head(pages->last, HASH_SIZE);
	memcpy(hash, last.p, last.n);
	arena_reset(pages->page);
	pages->n = 0;
	store_query(store,
		"SELECT hash, data, messages FROM batch_row WHERE batch = $1 AND hash > $2 ORDER BY hash LIMIT $3",
		DB_VALUES(db_int(batch), db_blob(str_from(hash, last.n)), db_int(PAGE)));
	while (pages->n < PAGE && store_next(store)) {
		pages->last = arena_dup(pages->page, db_column_blob(store->db, 0));
		pages->data[pages->n] = store_text(store, pages->page, 1);
		pages->messages[pages->n++] = (uint64_t)store_int(store, 2);
	}
	return store_end(store);
}

static bool visit_row(struct store *store, struct pages *pages, size_t i,
	bool (*visit)(void *context, const struct store_row *row), void *context)
{
	struct store_row row = {.count = pages->messages[i]};
	arena_reset(pages->row);
	const char *wrong = report_row_read(pages->row, pages->data[i], &row.row);
	if (wrong == NULL)
		return visit(context, &row);
	fault_log(LOG_LEVEL_ERROR, STR(""), "%.*s: a row of %llu messages is passed over: %s", STR_ARG(store->shown),
		(unsigned long long)row.count, wrong);
	return true;
}

enum err store_rows(
	struct store *store, int64_t batch, bool (*visit)(void *context, const struct store_row *row), void *context)
{
	struct pages pages = {.page = arena_new(0), .row = arena_new(0), .last = STR("")};
	enum err err = pages.page != NULL && pages.row != NULL ? ERR_OK : store_refuse(store, "out of memory");
	bool more = err == ERR_OK;
	while (more) {
		err = read_page(store, batch, &pages);
		more = err == ERR_OK && pages.n == PAGE;
		for (size_t i = 0; err == ERR_OK && i < pages.n; i++)
			if (!visit_row(store, &pages, i, visit, context)) {
				more = false;
				break;
			}
	}
	arena_free(pages.page);
	arena_free(pages.row);
	return err;
}
