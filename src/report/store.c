#include "report/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "report/schema.h"
#include "report/store_internal.h"
#include "tables/dataset.h"

/* How long a statement may take, and how long it waits for another host's: nobody but the courier waits with it. */
#define ANSWER_MS 30000

/* ---- opening ---- */

static bool setup_of(struct str url, struct db_setup *ret_setup)
{
	*ret_setup = (struct db_setup){.answer_ms = ANSWER_MS, .url = url};
	if (str_istarts(url, STR("postgresql://")) || str_istarts(url, STR("postgres://"))) {
		ret_setup->kind = DB_POSTGRESQL;
		return true;
	}
	ret_setup->kind = DB_SQLITE;
	ret_setup->path = str_skip(url, 7);
	/* "sqlite:///path" is the same file. */
	if (str_starts(ret_setup->path, STR("///")))
		ret_setup->path = str_skip(ret_setup->path, 2);
	return str_istarts(url, STR("sqlite:")) && ret_setup->path.n > 0;
}

struct str store_file(struct arena *arena, struct str url)
{
	struct db_setup setup;
	if (!setup_of(url, &setup) || setup.kind != DB_SQLITE)
		return (struct str){NULL, 0};
	return arena_dup(arena, setup.path);
}

/* Of the call that fails now. */
static enum err note_error(struct store *store, enum err err)
{
	if (err != ERR_OK)
		snprintf(store->error, sizeof(store->error), "%.*s: %s", STR_ARG(store->shown), db_error(store->db));
	return err == ERR_OK ? ERR_OK : ERR_IO;
}

static enum err connect(struct store *store, struct str url)
{
	struct db_setup setup;
	char error[DB_ERROR_SIZE];
	if (!setup_of(url, &setup)) {
		snprintf(store->error, sizeof(store->error),
			"%.*s: write sqlite:/path/of/a/file or postgresql://user@host/database", STR_ARG(store->shown));
		return ERR_CONFIG;
	}
	enum err err = db_open(&setup, &store->db, error);
	if (err != ERR_OK) {
		snprintf(store->error, sizeof(store->error), "%.*s: %s", STR_ARG(store->shown),
			err == ERR_IO ? error : err_text(err));
		return err;
	}
	return note_error(store, schema_migrate(store->db, schema_versions, schema_n_versions));
}

enum err store_open(struct str url, struct store **ret_store, char error[STORE_ERROR_SIZE])
{
	struct store *store = calloc(1, sizeof(*store));
	*ret_store = NULL;
	snprintf(error, STORE_ERROR_SIZE, "%s", err_text(ERR_NOMEM));
	if (store != NULL) {
		store->arena = arena_new(0);
		store->scratch = arena_new(0);
		store->counts = counts_new();
	}
	if (store == NULL || store->arena == NULL || store->scratch == NULL || store->counts == NULL) {
		store_close(store);
		return ERR_NOMEM;
	}
	store->shown = dataset_shown(store->arena, url);
	enum err err = connect(store, url);
	if (err != ERR_OK) {
		memcpy(error, store->error, STORE_ERROR_SIZE);
		store_close(store);
		return err;
	}
	error[0] = '\0';
	*ret_store = store;
	return ERR_OK;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	db_close(store->db);
	counts_free(store->counts);
	arena_free(store->scratch);
	arena_free(store->arena);
	free(store);
}

const char *store_error(const struct store *store)
{
	return store->error;
}

/* ---- statements ---- */

/*
 * The tables may be others than a moment ago: the file was made anew, the server restored from a copy, or a newer
 * release on another host has changed them.
 */
static bool is_ready(struct store *store)
{
	return db_in_transaction(store->db) ||
	       (db_ready(store->db) == ERR_OK &&
		       schema_migrate(store->db, schema_versions, schema_n_versions) == ERR_OK);
}

void store_query(struct store *store, const char *sql, const struct db_value *values, size_t n)
{
	store->failed = !is_ready(store);
	if (!store->failed)
		db_query(store->db, sql, values, n);
}

bool store_next(struct store *store)
{
	return !store->failed && db_next(store->db);
}

enum err store_end(struct store *store)
{
	return note_error(store, store->failed ? ERR_IO : db_end(store->db));
}

enum err store_run(struct store *store, const char *sql, const struct db_value *values, size_t n)
{
	store_query(store, sql, values, n);
	return store_end(store);
}

/* ---- transactions ---- */

enum err store_lock(struct store *store)
{
	return note_error(store, db_lock(store->db));
}

enum err store_refuse(struct store *store, const char *why)
{
	return note_error(store, db_refuse(store->db, "%s", why));
}

enum err store_begin(struct store *store)
{
	return note_error(store, is_ready(store) && db_begin(store->db) == ERR_OK ? ERR_OK : ERR_IO);
}

enum err store_commit(struct store *store)
{
	enum err err = counts_flush(store);
	counts_forget(store->counts);
	if (err == ERR_OK)
		return note_error(store, db_commit(store->db));
	db_rollback(store->db);
	return err;
}

void store_rollback(struct store *store)
{
	counts_forget(store->counts);
	db_rollback(store->db);
}

enum err store_step_begin(struct store *store, bool *ret_own)
{
	*ret_own = !db_in_transaction(store->db);
	return *ret_own ? store_begin(store) : ERR_OK;
}

enum err store_step_end(struct store *store, bool own, enum err err)
{
	if (own && err == ERR_OK)
		return store_commit(store);
	if (own)
		store_rollback(store);
	return err;
}

/* ---- leases ---- */

enum err store_lease(
	struct store *store, struct str name, struct str holder, int64_t now, unsigned seconds, bool *ret_mine)
{
	*ret_mine = false;
	store_query(store,
		"INSERT INTO lease (name, holder, expires) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
		" SET holder = excluded.holder, expires = excluded.expires"
		" WHERE lease.holder = excluded.holder OR lease.expires <= $4 RETURNING name",
		DB_VALUES(db_text(name), db_text(holder), db_int(now + seconds), db_int(now)));
	while (store_next(store))
		*ret_mine = true;
	enum err err = store_end(store);
	if (err != ERR_OK)
		*ret_mine = false;
	return err;
}

enum err store_lease_release(struct store *store, struct str name, struct str holder)
{
	return store_run(
		store, "DELETE FROM lease WHERE name = $1 AND holder = $2", DB_VALUES(db_text(name), db_text(holder)));
}

enum err store_lease_holder(struct store *store, struct arena *arena, struct str name, int64_t now,
	struct str *ret_holder, int64_t *ret_until)
{
	*ret_holder = STR("");
	*ret_until = 0;
	store_query(store, "SELECT holder, expires FROM lease WHERE name = $1 AND expires > $2",
		DB_VALUES(db_text(name), db_int(now)));
	while (store_next(store)) {
		*ret_holder = store_text(store, arena, 0);
		*ret_until = store_int(store, 1);
	}
	return store_end(store);
}

/* ---- sources ---- */

enum err store_source_position(struct store *store, struct str source, uint64_t *ret_position)
{
	*ret_position = 0;
	/* Changes nothing, and keeps the row ours until the end of the transaction. */
	store_query(store,
		"INSERT INTO source (name, position, changed) VALUES ($1, 0, 0) ON CONFLICT (name) DO UPDATE"
		" SET position = source.position RETURNING position",
		DB_VALUES(db_text(source)));
	while (store_next(store))
		*ret_position = (uint64_t)store_int(store, 0);
	return store_end(store);
}

enum err store_source_set(struct store *store, struct str source, uint64_t position, int64_t now)
{
	return store_run(store,
		"INSERT INTO source (name, position, changed) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
		" SET position = excluded.position, changed = excluded.changed",
		DB_VALUES(db_text(source), db_int((int64_t)position), db_int(now)));
}
