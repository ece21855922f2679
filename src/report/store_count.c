/*
 * Counting messages. Those of a transaction are added up in memory, row by row, and
 * go to the database before the commit, many to a statement: a busy hour has the
 * same row many times, and a server across a network takes as long for one row as
 * for sixty.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "dkim/crypto.h"
#include "report/store_internal.h"

/* Bytes of a SHA-256 that name a batch or a row. Senders choose much of both: nobody may find two that are alike. */
#define HASH_SIZE 16
/* Rows to a statement. */
#define AT_ONCE 64
/* What is kept in memory; past either it goes to the database before the commit. */
#define MAX_ROWS 20000
#define MAX_BYTES ((size_t)16 * 1024 * 1024)

struct counted_batch {
	struct str hash;
	struct report_policy policy;
	int64_t period;
	uint64_t messages;
	int64_t id; /* in the database; while flushing */
};

struct counted_row {
	struct counted_batch *batch;
	struct str hash; /* of data */
	struct str data;
	uint64_t messages;
};

struct counts {
	struct arena *arena;
	struct sha256 *sha256;
	struct map *batch_map; /* by hash */
	struct map *row_map;   /* by both hashes */
	struct counted_batch **batches;
	struct counted_row **rows;
	size_t n_batches, batch_capacity, n_rows, row_capacity;
};

struct counts *counts_new(void)
{
	struct counts *counts = calloc(1, sizeof(*counts));
	if (counts != NULL)
		counts->arena = arena_new(0);
	if (counts == NULL || counts->arena == NULL) {
		free(counts);
		return NULL;
	}
	return counts;
}

void counts_free(struct counts *counts)
{
	if (counts == NULL)
		return;
	arena_free(counts->arena);
	free(counts);
}

void counts_forget(struct counts *counts)
{
	struct arena *arena = counts->arena;
	arena_reset(arena);
	*counts = (struct counts){.arena = arena};
}

static void begin_counting(struct counts *counts)
{
	if (counts->sha256 != NULL)
		return;
	counts->sha256 = sha256_new(counts->arena);
	counts->batch_map = map_new(counts->arena);
	counts->row_map = map_new(counts->arena);
}

/* ---- in memory ---- */

static bool hash_row(struct counts *counts, struct str data, uint8_t digest[SHA256_SIZE])
{
	sha256_restart(counts->sha256);
	sha256_add(counts->sha256, data);
	return sha256_end(counts->sha256, digest);
}

/* With the lengths first, so that it is clear where one text ends and the next begins, whatever they hold. */
static bool hash_batch(
	struct counts *counts, const struct report_policy *policy, int64_t period, uint8_t digest[SHA256_SIZE])
{
	char numbers[80];
	snprintf(numbers, sizeof(numbers), "%lld %zu %zu ", (long long)period, policy->domain.n, policy->record.n);
	sha256_restart(counts->sha256);
	sha256_add(counts->sha256, str_of(numbers));
	sha256_add(counts->sha256, policy->domain);
	sha256_add(counts->sha256, policy->record);
	sha256_add(counts->sha256, policy->discovery);
	return sha256_end(counts->sha256, digest);
}

static struct counted_batch *batch_of(
	struct counts *counts, const uint8_t digest[SHA256_SIZE], const struct report_policy *policy, int64_t period)
{
	struct str hash = str_from((const char *)digest, HASH_SIZE);
	struct counted_batch *batch = map_get(counts->batch_map, hash);
	if (batch != NULL)
		return batch;
	batch = ARENA_NEW(counts->arena, struct counted_batch);
	batch->hash = arena_dup(counts->arena, hash);
	batch->policy.domain = arena_dup(counts->arena, policy->domain);
	batch->policy.record = arena_dup(counts->arena, policy->record);
	batch->policy.discovery = arena_dup(counts->arena, policy->discovery);
	batch->period = period;
	map_put(counts->batch_map, hash, batch);
	STORE_GROW(counts->arena, counts->batches, counts->batch_capacity, counts->n_batches);
	counts->batches[counts->n_batches++] = batch;
	return batch;
}

static struct counted_row *row_of(
	struct counts *counts, const uint8_t digest[SHA256_SIZE], struct counted_batch *batch, struct str data)
{
	char key[2 * HASH_SIZE];
	memcpy(key, batch->hash.p, HASH_SIZE);
	memcpy(key + HASH_SIZE, digest, HASH_SIZE);
	struct counted_row *row = map_get(counts->row_map, str_from(key, sizeof(key)));
	if (row != NULL)
		return row;
	row = ARENA_NEW(counts->arena, struct counted_row);
	row->batch = batch;
	row->hash = arena_dup(counts->arena, str_from((const char *)digest, HASH_SIZE));
	row->data = arena_dup(counts->arena, data);
	map_put(counts->row_map, str_from(key, sizeof(key)), row);
	STORE_GROW(counts->arena, counts->rows, counts->row_capacity, counts->n_rows);
	counts->rows[counts->n_rows++] = row;
	return row;
}

static bool add(struct counts *counts, struct arena *scratch, const struct report_record *record, int64_t period)
{
	uint8_t batch_digest[SHA256_SIZE], row_digest[SHA256_SIZE];
	struct buf data = buf_in(scratch);
	begin_counting(counts);
	report_row_write(&record->row, &data);
	if (!hash_batch(counts, &record->policy, period, batch_digest) || !hash_row(counts, buf_str(&data), row_digest))
		return false;
	struct counted_batch *batch = batch_of(counts, batch_digest, &record->policy, period);
	batch->messages++;
	row_of(counts, row_digest, batch, buf_str(&data))->messages++;
	return true;
}

/* ---- to the database ---- */

/* "HEAD ($1, $2), ($3, $4) TAIL" */
static const char *values_sql(struct arena *arena, const char *head, size_t columns, size_t n, const char *tail)
{
	struct buf sql = buf_in(arena);
	buf_add_cstr(&sql, head);
	for (size_t i = 0; i < n * columns; i++)
		buf_printf(&sql, "%s$%zu%s",
			i == 0             ? " ("
			: i % columns == 0 ? ", ("
					   : ", ",
			i + 1, (i + 1) % columns == 0 ? ")" : "");
	buf_add_cstr(&sql, tail);
	return buf_cstr(&sql);
}

struct many {
	const char *head, *tail;
	size_t columns;
	void (*fill)(const struct counts *counts, size_t i, struct db_value *values);
	void (*row)(struct store *store); /* of each row that comes back; NULL: none does */
};

static enum err insert(struct store *store, const struct many *many, const char *sql, size_t first, size_t n)
{
	struct db_value values[AT_ONCE * 6];
	for (size_t i = 0; i < n; i++)
		many->fill(store->counts, first + i, values + i * many->columns);
	store_query(store, sql, values, n * many->columns);
	while (store_next(store))
		many->row(store);
	return store_end(store);
}

/* Two statements, so that both are prepared once: for many, and for each of those that remain. */
static enum err insert_all(struct store *store, const struct many *many, size_t n)
{
	struct arena *arena = store->counts->arena;
	const char *for_many = values_sql(arena, many->head, many->columns, AT_ONCE, many->tail);
	const char *for_one = values_sql(arena, many->head, many->columns, 1, many->tail);
	enum err err = ERR_OK;
	size_t i = 0;
	for (; err == ERR_OK && i + AT_ONCE <= n; i += AT_ONCE)
		err = insert(store, many, for_many, i, AT_ONCE);
	for (; err == ERR_OK && i < n; i++)
		err = insert(store, many, for_one, i, 1);
	return err;
}

static void fill_batch(const struct counts *counts, size_t i, struct db_value *values)
{
	const struct counted_batch *batch = counts->batches[i];
	values[0] = db_blob(batch->hash);
	values[1] = db_text(batch->policy.domain);
	values[2] = db_text(batch->policy.record);
	values[3] = db_text(batch->policy.discovery);
	values[4] = db_int(batch->period);
	values[5] = db_int((int64_t)batch->messages);
}

static void note_id(struct store *store)
{
	struct counted_batch *batch = map_get(store->counts->batch_map, db_column_blob(store->db, 1));
	if (batch != NULL)
		batch->id = store_int(store, 0);
}

static const struct many insert_batches = {
	"INSERT INTO batch (hash, domain, record, discovery, period, messages) VALUES",
	" ON CONFLICT (hash) DO UPDATE SET messages = batch.messages + excluded.messages RETURNING id, hash", 6,
	fill_batch, note_id};

static void fill_row(const struct counts *counts, size_t i, struct db_value *values)
{
	const struct counted_row *row = counts->rows[i];
	values[0] = db_int(row->batch->id);
	values[1] = db_blob(row->hash);
	values[2] = db_text(row->data);
	values[3] = db_int((int64_t)row->messages);
}

static const struct many insert_rows = {"INSERT INTO batch_row (batch, hash, data, messages) VALUES",
	" ON CONFLICT (batch, hash) DO UPDATE SET messages = batch_row.messages + excluded.messages", 4, fill_row,
	NULL};

/* Batch by batch, as the index has them. */
static int compare_rows(const void *a, const void *b)
{
	const struct counted_row *x = *(const struct counted_row *const *)a, *y = *(const struct counted_row *const *)b;
	if (x->batch->id != y->batch->id)
		return x->batch->id < y->batch->id ? -1 : 1;
	return str_cmp(x->hash, y->hash);
}

enum err counts_flush(struct store *store)
{
	struct counts *counts = store->counts;
	if (counts->n_rows == 0)
		return ERR_OK;
	/* One host at a time: two that update the same rows in another order would wait for each other. */
	enum err err = store_lock(store);
	if (err == ERR_OK)
		err = insert_all(store, &insert_batches, counts->n_batches);
	qsort(counts->rows, counts->n_rows, sizeof(struct counted_row *), compare_rows);
	if (err == ERR_OK)
		err = insert_all(store, &insert_rows, counts->n_rows);
	counts_forget(counts);
	return err;
}

enum err store_count(struct store *store, const struct report_record *record, int64_t period)
{
	struct counts *counts = store->counts;
	bool own;
	enum err err = store_step_begin(store, &own);
	if (err != ERR_OK)
		return err;
	arena_reset(store->scratch);
	if (!add(counts, store->scratch, record, period))
		err = store_refuse(store, "SHA-256 failed");
	else if (counts->n_rows >= MAX_ROWS || arena_used(counts->arena) >= MAX_BYTES)
		err = counts_flush(store);
	return store_step_end(store, own, err);
}
