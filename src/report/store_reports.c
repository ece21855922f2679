/* Finished reports, and their deliveries. */
#include "report/store_internal.h"

/* ---- keeping ---- */

/* *ret_id 0: it is there already. */
static enum err insert_report(struct store *store, const struct store_report *report, int64_t *ret_id)
{
	*ret_id = 0;
	store_query(store,
		"INSERT INTO report (batch, report_id, domain, first_second, last_second, messages, row_count, built,"
		" file_name, subject, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
		" ON CONFLICT (report_id) DO NOTHING RETURNING id",
		DB_VALUES(report->batch != 0 ? db_int(report->batch) : db_null(), db_text(report->report_id),
			db_text(report->domain), db_int(report->begin), db_int(report->end),
			db_int((int64_t)report->messages), db_int((int64_t)report->rows), db_int(report->built),
			db_text(report->file_name), db_text(report->subject), db_blob(report->data)));
	while (store_next(store))
		*ret_id = store_int(store, 0);
	return store_end(store);
}

static enum err insert_delivery(
	struct store *store, int64_t report, int64_t now, const struct store_destination *destination)
{
	bool refused = destination->refused != NULL;
	return store_run(store,
		"INSERT INTO delivery (report, address, state, attempts, next_attempt, claimed, created, changed, note)"
		" VALUES ($1, $2, $3, 0, $4, 0, $5, $5, $6)",
		DB_VALUES(db_int(report), db_text(destination->address),
			db_int(refused ? STORE_REFUSED : STORE_PENDING), db_int(destination->not_before), db_int(now),
			db_text(str_of(destination->refused))));
}

/* The row stays locked until the end of the transaction, so of two hosts one comes second. */
static enum err lock_unreported(struct store *store, int64_t batch, bool *ret_is)
{
	*ret_is = false;
	store_query(store, "UPDATE batch SET reported = 0 WHERE id = $1 AND reported = 0 RETURNING id",
		DB_VALUES(db_int(batch)));
	while (store_next(store))
		*ret_is = true;
	return store_end(store);
}

static enum err mark_reported(struct store *store, int64_t batch, int64_t now)
{
	return store_run(store, "UPDATE batch SET reported = $2, hash = NULL WHERE id = $1",
		DB_VALUES(db_int(batch), db_int(now)));
}

static enum err add_report(struct store *store, const struct store_report *report,
	const struct store_destination *destinations, size_t n_destinations, bool last_of_batch)
{
	bool unreported = true;
	int64_t id = 0;
	enum err err = report->batch != 0 ? lock_unreported(store, report->batch, &unreported) : ERR_OK;
	if (err != ERR_OK || !unreported)
		return err;
	err = insert_report(store, report, &id);
	for (size_t i = 0; err == ERR_OK && id != 0 && i < n_destinations; i++)
		err = insert_delivery(store, id, report->built, &destinations[i]);
	if (err == ERR_OK && last_of_batch && report->batch != 0)
		err = mark_reported(store, report->batch, report->built);
	return err;
}

enum err store_add_report(struct store *store, const struct store_report *report,
	const struct store_destination *destinations, size_t n_destinations, bool last_of_batch)
{
	bool own;
	enum err err = store_step_begin(store, &own);
	if (err == ERR_OK)
		err = add_report(store, report, destinations, n_destinations, last_of_batch);
	return store_step_end(store, own, err);
}

/* ---- reading: the columns that SELECT and RETURNING name ---- */

void store_read_report(struct store *store, struct arena *arena, size_t at, struct store_report *ret_report)
{
	*ret_report = (struct store_report){
		.id = store_int(store, at),
		.batch = store_int(store, at + 1),
		.report_id = store_text(store, arena, at + 2),
		.domain = store_text(store, arena, at + 3),
		.begin = store_int(store, at + 4),
		.end = store_int(store, at + 5),
		.messages = (uint64_t)store_int(store, at + 6),
		.rows = (uint64_t)store_int(store, at + 7),
		.built = store_int(store, at + 8),
		.file_name = store_text(store, arena, at + 9),
		.subject = store_text(store, arena, at + 10),
	};
}

void store_read_delivery(struct store *store, struct arena *arena, size_t at, struct store_delivery *ret_delivery)
{
	*ret_delivery = (struct store_delivery){
		.id = store_int(store, at),
		.report = store_int(store, at + 1),
		.address = store_text(store, arena, at + 2),
		.state = (enum store_delivery_state)store_int(store, at + 3),
		.attempts = (unsigned)store_int(store, at + 4),
		.next_attempt = store_int(store, at + 5),
		.created = store_int(store, at + 6),
		.changed = store_int(store, at + 7),
		.note = store_text(store, arena, at + 8),
	};
}

enum err store_report_get(struct store *store, struct arena *arena, int64_t report, struct store_report *ret_report)
{
	*ret_report = (struct store_report){0};
	store_query(store, "SELECT " STORE_REPORT_COLUMNS ", report.data FROM report WHERE id = $1",
		DB_VALUES(db_int(report)));
	while (store_next(store)) {
		store_read_report(store, arena, 0, ret_report);
		ret_report->data = arena_dup(arena, db_column_blob(store->db, STORE_REPORT_N_COLUMNS));
	}
	return store_end(store);
}

/* ---- delivering ---- */

enum err store_due(struct store *store, struct arena *arena, int64_t due, int64_t now, struct str domain,
	unsigned claim_seconds, size_t limit, const struct store_delivery **ret_deliveries, size_t *ret_n)
{
	struct store_delivery *deliveries = NULL;
	size_t capacity = 0, n = 0;
	/* The conditions stand here twice: of two hosts that have found the same rows, the second finds them changed.
	 */
	store_query(store,
		"UPDATE delivery SET claimed = $2 WHERE state = 0 AND claimed <= $1 AND id IN (SELECT id FROM delivery"
		" WHERE state = 0 AND next_attempt <= $5 AND claimed <= $1 AND ($4 = '' OR report IN"
		" (SELECT id FROM report WHERE domain = $4)) ORDER BY next_attempt, id LIMIT $3)"
		" RETURNING " STORE_DELIVERY_COLUMNS,
		DB_VALUES(db_int(now), db_int(now + claim_seconds), db_int((int64_t)limit),
			db_text(arena_dup_lower(arena, domain)), db_int(due)));
	while (store_next(store)) {
		STORE_GROW(arena, deliveries, capacity, n);
		store_read_delivery(store, arena, 0, &deliveries[n++]);
	}
	*ret_deliveries = deliveries;
	*ret_n = n;
	return store_end(store);
}

enum err store_delivery_done(struct store *store, int64_t delivery, enum store_delivery_state state, int64_t now,
	int64_t next_attempt, struct str note)
{
	return store_run(store,
		"UPDATE delivery SET state = $2, attempts = attempts + 1, next_attempt = $3, claimed = 0, changed = $4,"
		" note = $5 WHERE id = $1 AND state = 0",
		DB_VALUES(db_int(delivery), db_int(state), db_int(next_attempt), db_int(now), db_text(note)));
}
