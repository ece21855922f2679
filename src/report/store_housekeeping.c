/* For people: lists, figures, another try; and forgetting. */
#include "report/store_internal.h"

/* Batches to a transaction: who waits for the database waits for these. */
#define FORGET_AT_ONCE 50
/* What is remembered of bounces, beyond the time that nothing is sent for. */
#define BOUNCE_MEMORY ((int64_t)32 * 86400)

enum err store_list(struct store *store, struct arena *arena, struct str domain, int state, size_t limit,
	const struct store_listing **ret_listings, size_t *ret_n)
{
	struct store_listing *listings = NULL;
	size_t capacity = 0, n = 0;
	store_query(store,
		"SELECT " STORE_REPORT_COLUMNS ", " STORE_DELIVERY_COLUMNS " FROM report LEFT JOIN delivery"
		" ON delivery.report = report.id WHERE (($1 = '' AND delivery.id IS NOT NULL) OR report.domain = $1)"
		" AND ($2 < 0 OR delivery.state = $2) ORDER BY report.id DESC, delivery.id LIMIT $3",
		DB_VALUES(db_text(arena_dup_lower(arena, domain)), db_int(state), db_int((int64_t)limit)));
	while (store_next(store)) {
		STORE_GROW(arena, listings, capacity, n);
		store_read_report(store, arena, 0, &listings[n].report);
		store_read_delivery(store, arena, STORE_REPORT_N_COLUMNS, &listings[n].delivery);
		n++;
	}
	*ret_listings = listings;
	*ret_n = n;
	return store_end(store);
}

enum err store_retry(struct store *store, struct str domain, int64_t now, uint64_t *ret_n)
{
	arena_reset(store->scratch);
	enum err err = store_run(store,
		"UPDATE delivery SET state = 0, attempts = 0, next_attempt = $1, created = $1, changed = $1"
		" WHERE (state IN (0, 3) OR (state = 2 AND attempts > 0)) AND claimed <= $1 AND report IN"
		" (SELECT id FROM report WHERE length(data) > 0 AND ($2 = '' OR domain = $2))",
		DB_VALUES(db_int(now), db_text(arena_dup_lower(store->scratch, domain))));
	*ret_n = db_changed(store->db);
	return err;
}

/* ---- forgetting ---- */

/* Those that nothing waits for any more. */
static enum err find_forgettable(struct store *store, int64_t before, int64_t batches[FORGET_AT_ONCE], size_t *ret_n)
{
	*ret_n = 0;
	store_query(store,
		"SELECT id FROM batch WHERE reported > 0 AND reported < $1 AND NOT EXISTS (SELECT 1 FROM report"
		" JOIN delivery ON delivery.report = report.id WHERE report.batch = batch.id"
		" AND (delivery.state = 0 OR delivery.changed >= $1)) ORDER BY id LIMIT $2",
		DB_VALUES(db_int(before), db_int(FORGET_AT_ONCE)));
	while (*ret_n < FORGET_AT_ONCE && store_next(store))
		batches[(*ret_n)++] = store_int(store, 0);
	return store_end(store);
}

static enum err forget_some(struct store *store, int64_t before, uint64_t *forgotten, size_t *ret_n)
{
	int64_t batches[FORGET_AT_ONCE];
	bool own;
	enum err err = store_step_begin(store, &own);
	if (err == ERR_OK)
		err = find_forgettable(store, before, batches, ret_n);
	for (size_t i = 0; err == ERR_OK && i < *ret_n; i++) {
		err = store_run(store, "DELETE FROM report WHERE batch = $1", DB_VALUES(db_int(batches[i])));
		*forgotten += db_changed(store->db);
		if (err == ERR_OK)
			err = store_run(store, "DELETE FROM batch WHERE id = $1", DB_VALUES(db_int(batches[i])));
	}
	return store_step_end(store, own, err);
}

static enum err forget_failure_reports(struct store *store, int64_t before, uint64_t *forgotten)
{
	enum err err = store_run(store,
		"DELETE FROM report WHERE batch IS NULL AND built < $1 AND NOT EXISTS (SELECT 1 FROM delivery"
		" WHERE delivery.report = report.id AND (delivery.state = 0 OR delivery.changed >= $1))",
		DB_VALUES(db_int(before)));
	*forgotten += db_changed(store->db);
	return err;
}

enum err store_expire(struct store *store, int64_t before, uint64_t *ret_n)
{
	static const struct {
		const char *sql;
		int64_t memory;
	} others[] = {
		{"DELETE FROM source WHERE changed < $1", 0},
		{"DELETE FROM failure WHERE time < $1", 0},
		{"DELETE FROM quota WHERE hour < $1", 0},
		{"DELETE FROM lease WHERE expires < $1", 0},
		{"DELETE FROM bounce WHERE suppressed_until < $1", BOUNCE_MEMORY},
	};
	enum err err = ERR_OK;
	size_t n = FORGET_AT_ONCE;
	*ret_n = 0;
	while (err == ERR_OK && n == FORGET_AT_ONCE)
		err = forget_some(store, before, ret_n, &n);
	if (err == ERR_OK)
		err = forget_failure_reports(store, before, ret_n);
	for (size_t i = 0; err == ERR_OK && i < sizeof(others) / sizeof(*others); i++)
		err = store_run(store, others[i].sql, DB_VALUES(db_int(before - others[i].memory)));
	return err;
}

/* ---- figures ---- */

enum err store_statistics(struct store *store, int64_t now, struct store_statistics *ret_statistics)
{
	struct store_statistics *s = ret_statistics;
	*s = (struct store_statistics){0};
	store_query(store,
		"SELECT (SELECT CAST(COALESCE(sum(messages), 0) AS BIGINT) FROM batch), (SELECT count(*) FROM "
		"batch_row),"
		" (SELECT count(*) FROM batch WHERE reported = 0), (SELECT count(*) FROM report),"
		" (SELECT count(*) FROM delivery WHERE state = 0), (SELECT count(*) FROM delivery WHERE state = 1),"
		" (SELECT count(*) FROM delivery WHERE state = 2), (SELECT count(*) FROM delivery WHERE state = 3),"
		" (SELECT count(*) FROM failure), (SELECT count(*) FROM bounce WHERE suppressed_until > $1),"
		" (SELECT COALESCE(min(period), 0) FROM batch WHERE reported = 0)",
		DB_VALUES(db_int(now)));
	while (store_next(store)) {
		uint64_t *const figures[] = {&s->messages, &s->rows, &s->batches_open, &s->reports, &s->pending,
			&s->sent, &s->refused, &s->expired, &s->failures_waiting, &s->suppressed};
		size_t n = sizeof(figures) / sizeof(*figures);
		for (size_t i = 0; i < n; i++)
			*figures[i] = (uint64_t)store_int(store, i);
		s->oldest_open = store_int(store, n);
	}
	return store_end(store);
}
