/* Failures that wait to be reported, how many a domain may get, and addresses that bounced. */
#include "base/fault.h"
#include "report/store_internal.h"

#define HOUR 3600
#define DAY ((int64_t)86400)
/* 32 days */
#define MAX_DOUBLINGS 5

enum err store_add_failure(struct store *store, const struct report_record *record)
{
	arena_reset(store->scratch);
	struct buf line = buf_in(store->scratch);
	report_record_write(record, &line);
	return store_run(store,
		"INSERT INTO failure (record_id, time, claimed, data) VALUES ($1, $2, 0, $3)"
		" ON CONFLICT (record_id) DO NOTHING",
		DB_VALUES(db_text(record->id), db_int(record->time), db_text(buf_str(&line))));
}

struct claimed {
	struct store_failure *failures;
	size_t n, capacity;
	int64_t *unreadable;
	size_t n_unreadable, unreadable_capacity;
};

static enum err claim_failures(struct store *store, struct arena *arena, int64_t now, unsigned claim_seconds,
	size_t limit, struct claimed *claimed)
{
	store_query(store,
		"UPDATE failure SET claimed = $2 WHERE claimed <= $1 AND id IN"
		" (SELECT id FROM failure WHERE claimed <= $1 ORDER BY id LIMIT $3) RETURNING id, data",
		DB_VALUES(db_int(now), db_int(now + claim_seconds), db_int((int64_t)limit)));
	while (store_next(store)) {
		struct store_failure failure = {.id = store_int(store, 0)};
		const char *wrong = report_record_read(arena, store_text(store, arena, 1), &failure.record);
		if (wrong == NULL) {
			STORE_GROW(arena, claimed->failures, claimed->capacity, claimed->n);
			claimed->failures[claimed->n++] = failure;
			continue;
		}
		fault_log(LOG_LEVEL_ERROR, STR(""), "%.*s: a failure cannot be reported: %s", STR_ARG(store->shown),
			wrong);
		STORE_GROW(arena, claimed->unreadable, claimed->unreadable_capacity, claimed->n_unreadable);
		claimed->unreadable[claimed->n_unreadable++] = failure.id;
	}
	return store_end(store);
}

enum err store_failures(struct store *store, struct arena *arena, int64_t now, unsigned claim_seconds, size_t limit,
	const struct store_failure **ret_failures, size_t *ret_n)
{
	struct claimed claimed = {0};
	enum err err;
	*ret_failures = NULL;
	*ret_n = 0;
	/* What cannot be read goes, so that it does not stand in the way of others. */
	do {
		claimed.n_unreadable = 0;
		err = claim_failures(store, arena, now, claim_seconds, limit, &claimed);
		for (size_t i = 0; err == ERR_OK && i < claimed.n_unreadable; i++)
			err = store_failure_done(store, claimed.unreadable[i]);
	} while (err == ERR_OK && claimed.n == 0 && claimed.n_unreadable > 0);
	if (err == ERR_OK) {
		*ret_failures = claimed.failures;
		*ret_n = claimed.n;
	}
	return err;
}

enum err store_failure_done(struct store *store, int64_t failure)
{
	return store_run(store, "DELETE FROM failure WHERE id = $1", DB_VALUES(db_int(failure)));
}

/* ---- how many a domain may get ---- */

/* What was sent in this hour, what was not since the last one that was. The row is ours until the end of the
 * transaction. */
static enum err quota_of(
	struct store *store, struct str domain, int64_t hour, uint64_t *ret_sent, uint64_t *ret_suppressed)
{
	store_query(store,
		"INSERT INTO quota (domain, hour, sent, suppressed) VALUES ($1, $2, 0, 0) ON CONFLICT (domain) DO "
		"UPDATE"
		" SET sent = CASE WHEN quota.hour = excluded.hour THEN quota.sent ELSE 0 END, hour = excluded.hour"
		" RETURNING sent, suppressed",
		DB_VALUES(db_text(domain), db_int(hour)));
	while (store_next(store)) {
		*ret_sent = (uint64_t)store_int(store, 0);
		*ret_suppressed = (uint64_t)store_int(store, 1);
	}
	return store_end(store);
}

enum err store_failure_quota(struct store *store, struct str domain, int64_t now, unsigned limit, bool *ret_allowed,
	uint64_t *ret_suppressed)
{
	uint64_t sent = 0, suppressed = 0;
	bool own, allowed = false;
	enum err err = store_step_begin(store, &own);
	if (err == ERR_OK)
		err = quota_of(store, domain, now - now % HOUR, &sent, &suppressed);
	if (err == ERR_OK) {
		allowed = sent < limit;
		err = store_run(store,
			allowed ? "UPDATE quota SET sent = sent + 1, suppressed = 0 WHERE domain = $1"
				: "UPDATE quota SET suppressed = suppressed + 1 WHERE domain = $1",
			DB_VALUES(db_text(domain)));
	}
	err = store_step_end(store, own, err);
	*ret_allowed = err == ERR_OK && allowed;
	*ret_suppressed = *ret_allowed ? suppressed : 0;
	return err;
}

/* ---- bounces ---- */

/* How many there were, this one included. */
static enum err count_bounce(struct store *store, struct str address, int64_t now, struct str note, int64_t *ret_n)
{
	*ret_n = 1;
	store_query(store,
		"INSERT INTO bounce (address, bounces, suppressed_until, note) VALUES ($1, 1, 0, $2)"
		" ON CONFLICT (address) DO UPDATE SET note = excluded.note,"
		" bounces = CASE WHEN bounce.suppressed_until > $3 THEN bounce.bounces + 1 ELSE 1 END RETURNING "
		"bounces",
		DB_VALUES(db_text(address), db_text(note), db_int(now - (DAY << MAX_DOUBLINGS))));
	while (store_next(store))
		*ret_n = store_int(store, 0);
	return store_end(store);
}

enum err store_bounced(struct store *store, struct str address, int64_t now, struct str note)
{
	bool own;
	int64_t n;
	arena_reset(store->scratch);
	struct str key = arena_dup_lower(store->scratch, address);
	enum err err = store_step_begin(store, &own);
	if (err == ERR_OK)
		err = count_bounce(store, key, now, note, &n);
	if (err == ERR_OK)
		err = store_run(store, "UPDATE bounce SET suppressed_until = $2 WHERE address = $1",
			DB_VALUES(db_text(key), db_int(now + (DAY << (n > MAX_DOUBLINGS ? MAX_DOUBLINGS : n - 1)))));
	return store_step_end(store, own, err);
}

enum err store_suppressed(struct store *store, struct str address, int64_t now, int64_t *ret_until)
{
	*ret_until = 0;
	arena_reset(store->scratch);
	store_query(store, "SELECT suppressed_until FROM bounce WHERE address = $1 AND suppressed_until > $2",
		DB_VALUES(db_text(arena_dup_lower(store->scratch, address)), db_int(now)));
	while (store_next(store))
		*ret_until = store_int(store, 0);
	return store_end(store);
}
