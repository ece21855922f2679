/* SQLite: one file, WAL, and commits that survive the loss of power. */
#include "db/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

/* Numbers $1 .. $n of a statement, by SQLite's own, which go by first appearance. */
struct prepared {
	sqlite3_stmt *statement;
	size_t n;
	int *positions;
};

struct sqlite {
	sqlite3 *handle;
	struct arena *arena;
	struct db_statement *statements;
	sqlite3_stmt *current; /* NULL: no statement is being executed */
	bool has_row;          /* the first step was taken, and its row not yet asked for */
	bool done;
};

static void fail(struct db *db, const struct sqlite *sqlite)
{
	int code = sqlite3_errcode(sqlite->handle) & 0xff, system = sqlite3_system_errno(sqlite->handle);
	bool is_access = code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM;
	bool is_system = system != 0 && (is_access || code == SQLITE_IOERR);
	db_fail(db, "%s%s%s%s", sqlite3_errmsg(sqlite->handle), is_system ? ": " : "",
		is_system ? strerror(system) : "",
		is_access && db->setup.read_only ? " (with journal_mode=WAL its directory must be writable as well)"
						 : "");
}

static bool run(struct db *db, struct sqlite *sqlite, const char *sql)
{
	if (sqlite3_exec(sqlite->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	fail(db, sqlite);
	return false;
}

/* SQLite would create it as the umask says, but there is mail in it. Its -wal and -shm get the same mode. */
static bool create_file(struct db *db)
{
	int fd = open(db->setup.path.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0) {
		db_fail(db, "cannot open or create it: %s", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

/*
 * synchronous=FULL: in WAL mode NORMAL may lose the last commits with the power, and what was imported is gone from the
 * spool by then. Temporary tables in memory, so that nothing is written elsewhere.
 */
static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA foreign_keys = ON;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cache_size = -16384;"
			       "PRAGMA journal_size_limit = 67108864";

static bool sqlite_connect(struct db *db)
{
	struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
	struct arena *arena = arena_new(0);
	if (sqlite == NULL || arena == NULL) {
		free(sqlite);
		arena_free(arena);
		db_fail(db, "out of memory");
		return false;
	}
	sqlite->arena = arena;
	db->connection = sqlite;
	bool read_only = db->setup.read_only;
	if (!read_only && !create_file(db))
		return false;
	int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	if (sqlite3_open_v2(db->setup.path.p, &sqlite->handle, flags, NULL) != SQLITE_OK) {
		fail(db, sqlite);
		return false;
	}
	sqlite3_extended_result_codes(sqlite->handle, 1);
	sqlite3_busy_timeout(sqlite->handle, (int)db->setup.answer_ms);
	/* It is opened when it is first read. */
	return run(db, sqlite, read_only ? "PRAGMA schema_version" : settings);
}

static void sqlite_disconnect(struct db *db)
{
	struct sqlite *sqlite = db->connection;
	if (sqlite == NULL)
		return;
	for (struct db_statement *statement = sqlite->statements; statement != NULL; statement = statement->next) {
		struct prepared *prepared = statement->prepared;
		if (prepared != NULL)
			sqlite3_finalize(prepared->statement);
	}
	sqlite3_close(sqlite->handle);
	arena_free(sqlite->arena);
	free(sqlite);
	db->connection = NULL;
}

/* Who writes into a file that was removed loses it all. */
static bool sqlite_is_alive(struct db *db)
{
	struct sqlite *sqlite = db->connection;
	int moved = 0;
	return sqlite3_file_control(sqlite->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved;
}

static bool sqlite_script(struct db *db, const char *sql)
{
	return run(db, db->connection, sql);
}

static bool sqlite_rollback(struct db *db)
{
	struct sqlite *sqlite = db->connection;
	/* A full disk and the like have rolled back by themselves. */
	return sqlite3_get_autocommit(sqlite->handle) || run(db, sqlite, "ROLLBACK");
}

/* BEGIN IMMEDIATE has locked out all other writers. */
static bool sqlite_lock(struct db *db)
{
	(void)db;
	return true;
}

/* ---- statements ---- */

static struct prepared *prepare(struct db *db, struct sqlite *sqlite, const char *sql, size_t n)
{
	struct db_statement *statement = db_statement_find(&sqlite->statements, sql);
	if (statement != NULL)
		return statement->prepared;
	sqlite3_stmt *handle;
	if (sqlite3_prepare_v3(sqlite->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL) != SQLITE_OK) {
		fail(db, sqlite);
		return NULL;
	}
	struct prepared *prepared = ARENA_NEW(sqlite->arena, struct prepared);
	*prepared = (struct prepared){handle, n, ARENA_ARRAY(sqlite->arena, n, int)};
	for (size_t i = 0; i < n; i++) {
		char name[24];
		snprintf(name, sizeof(name), "$%zu", i + 1);
		prepared->positions[i] = sqlite3_bind_parameter_index(handle, name);
	}
	db_statement_add(sqlite->arena, &sqlite->statements, sql)->prepared = prepared;
	return prepared;
}

/* Values stay where they are until sqlite_end(). */
static int bind(sqlite3_stmt *statement, int position, const struct db_value *value)
{
	const char *p = value->bytes.p != NULL ? value->bytes.p : "";
	switch (value->type) {
	case DB_NULL:
		return sqlite3_bind_null(statement, position);
	case DB_INT:
		return sqlite3_bind_int64(statement, position, value->integer);
	case DB_TEXT:
		return sqlite3_bind_text64(statement, position, p, value->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
	case DB_BLOB:
		return sqlite3_bind_blob64(statement, position, p, value->bytes.n, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static bool step(struct db *db, struct sqlite *sqlite)
{
	int status = sqlite3_step(sqlite->current);
	sqlite->done = status != SQLITE_ROW;
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		fail(db, sqlite);
	return status == SQLITE_ROW;
}

static bool sqlite_query(struct db *db, const char *sql, const struct db_value *values, size_t n)
{
	struct sqlite *sqlite = db->connection;
	struct prepared *prepared = prepare(db, sqlite, sql, n);
	if (prepared == NULL)
		return false;
	sqlite->current = prepared->statement;
	for (size_t i = 0; i < prepared->n && i < n; i++)
		if (prepared->positions[i] != 0 &&
			bind(prepared->statement, prepared->positions[i], &values[i]) != SQLITE_OK) {
			fail(db, sqlite);
			return false;
		}
	/* PostgreSQL executes now, so this does. */
	sqlite->has_row = step(db, sqlite);
	return !db->failed;
}

static bool sqlite_next(struct db *db)
{
	struct sqlite *sqlite = db->connection;
	if (sqlite->has_row) {
		sqlite->has_row = false;
		return true;
	}
	return !sqlite->done && step(db, sqlite);
}

static void sqlite_end(struct db *db)
{
	struct sqlite *sqlite = db->connection;
	if (sqlite->current == NULL)
		return;
	if (!db->failed && !sqlite3_stmt_readonly(sqlite->current))
		db->changed = (uint64_t)sqlite3_changes64(sqlite->handle);
	sqlite3_reset(sqlite->current);
	sqlite3_clear_bindings(sqlite->current);
	sqlite->current = NULL;
	sqlite->has_row = false;
}

/* ---- columns ---- */

static sqlite3_stmt *current(const struct db *db)
{
	const struct sqlite *sqlite = db->connection;
	return sqlite->current;
}

static size_t sqlite_columns(const struct db *db)
{
	return (size_t)sqlite3_column_count(current(db));
}

static bool sqlite_is_null(struct db *db, int column)
{
	return sqlite3_column_type(current(db), column) == SQLITE_NULL;
}

static int64_t sqlite_integer(struct db *db, int column)
{
	return sqlite3_column_int64(current(db), column);
}

static struct str sqlite_text(struct db *db, int column)
{
	const void *text = sqlite3_column_text(current(db), column);
	return text != NULL ? str_from(text, (size_t)sqlite3_column_bytes(current(db), column)) : STR("");
}

static struct str sqlite_blob(struct db *db, int column)
{
	const void *bytes = sqlite3_column_blob(current(db), column);
	return bytes != NULL ? str_from(bytes, (size_t)sqlite3_column_bytes(current(db), column)) : STR("");
}

const struct db_driver db_sqlite = {
	.connect = sqlite_connect,
	.disconnect = sqlite_disconnect,
	.is_alive = sqlite_is_alive,
	.script = sqlite_script,
	.lock = sqlite_lock,
	.rollback = sqlite_rollback,
	.begin = "BEGIN IMMEDIATE",
	.query = sqlite_query,
	.next = sqlite_next,
	.end = sqlite_end,
	.columns = sqlite_columns,
	.is_null = sqlite_is_null,
	.integer = sqlite_integer,
	.text = sqlite_text,
	.blob = sqlite_blob,
};
