/*
 * SQL databases behind one narrow header: SQLite and PostgreSQL.
 *
 * Statements are SQL that both understand, their parameters $1, $2 ...; each is
 * prepared once and kept. A connection has one result at a time:
 *
 *	db_query(db, "SELECT id, name FROM t WHERE n > $1", DB_VALUES(db_int(7)));
 *	while (db_next(db))
 *		use(db_column_int(db, 0), db_column_text(db, 1));
 *	return db_end(db);
 *
 * A connection that breaks is made anew by the next call, but never within a
 * transaction: after any failure there everything fails until db_rollback(). No
 * call waits for a server longer than the setup says.
 *
 * A connection belongs to one thread. For want of memory the arena's way is taken
 * (base/arena.h): no boundary is set, so the program ends.
 */
#ifndef TRIMILTER_DB_DB_H
#define TRIMILTER_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum db_kind { DB_SQLITE, DB_POSTGRESQL };

struct db_parameter {
	struct str name, value; /* as libpq knows them: "host", "dbname", "password" ... */
};

struct db_setup {
	enum db_kind kind;
	bool read_only; /* whatever is there, and nothing is created or changed */
	/* SQLite. Where it is not there the file is created, readable by its owner alone. */
	struct str path;
	/* PostgreSQL: a URL, or parameters. To write, version 10 or later and an encoding that has all characters. */
	struct str url;
	const struct db_parameter *parameters;
	size_t n_parameters;
	/*
	 * Milliseconds that a statement may take. SQLite: how long it waits for another's lock. PostgreSQL: for the
	 * whole answer; a second more, should the server itself not stop it, and the connection is given up.
	 * Connecting takes at most 5 s for each address of the server, unless the URL's connect_timeout says otherwise.
	 */
	unsigned answer_ms;
};

struct db;

#define DB_ERROR_SIZE 512

/**
 * Connect; @setup is copied. ERR_IO: what the database said is in @error, without any password.
 * libpq is loaded when the first PostgreSQL database is opened: who has none need not have the library.
 */
enum err db_open(const struct db_setup *setup, struct db **ret_db, char error[DB_ERROR_SIZE]);
void db_close(struct db *db); /* accepts NULL; an open transaction is rolled back */

enum db_kind db_kind(const struct db *db);
/** Of the last call that failed; one line, without any password. */
const char *db_error(const struct db *db);
/** ERR_IO, with an error of the caller's: what the database holds will not do. A transaction then fails, as above. */
enum err db_refuse(struct db *db, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Connect now if the connection is gone, or if the SQLite file is no longer the one of that name. */
enum err db_ready(struct db *db);

/** Transactions do not nest. SQLite's keep other writers out from their begin on. */
enum err db_begin(struct db *db);
/** ERR_IO: rolled back; or, where the server was lost at this very moment, perhaps committed. */
enum err db_commit(struct db *db);
/** Nothing where no transaction is open. */
void db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);
/** Keep out all others that call this, until the end of the transaction. */
enum err db_lock(struct db *db);

/* ---- statements ---- */

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };

struct db_value {
	enum db_type type;
	int64_t integer;
	struct str bytes;
};

static inline struct db_value db_null(void)
{
	return (struct db_value){.type = DB_NULL};
}
static inline struct db_value db_int(int64_t integer)
{
	return (struct db_value){.type = DB_INT, .integer = integer};
}
/**
 * Whatever is no UTF-8 is made UTF-8, so that no database refuses it: its bytes become U+0080..U+00FF, as in JSON;
 * NUL, which PostgreSQL does not take, becomes U+FFFD.
 */
static inline struct db_value db_text(struct str text)
{
	return (struct db_value){.type = DB_TEXT, .bytes = text};
}
static inline struct db_value db_blob(struct str bytes)
{
	return (struct db_value){.type = DB_BLOB, .bytes = bytes};
}

/** The last two arguments of db_query() and db_run(). */
#define DB_VALUES(...)                                                                                                 \
	(const struct db_value[]){__VA_ARGS__}, sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_VALUES NULL, 0

/** Statements without parameters or rows, apart by ';'. Outside of a transaction each is one by itself. */
enum err db_script(struct db *db, const char *sql);

/** Execute. Values are borrowed until db_end(). Of the same number all calls with this SQL give values of one type. */
void db_query(struct db *db, const char *sql, const struct db_value *values, size_t n);
/** The next row. False: there is none, or something failed. */
bool db_next(struct db *db);
/** ERR_IO where anything since db_query() failed. Always to be called; rows that were not asked for are dropped. */
enum err db_end(struct db *db);
/** db_query() and db_end(), for what has no rows. */
enum err db_run(struct db *db, const char *sql, const struct db_value *values, size_t n);
/** Rows that the last statement inserted, updated or deleted; after db_end(). */
uint64_t db_changed(const struct db *db);

/* Columns of the present row, from 0; valid until the next db_next() or db_end(). NULL reads as 0 or empty. */
size_t db_columns(const struct db *db);
bool db_column_is_null(struct db *db, size_t column);
int64_t db_column_int(struct db *db, size_t column);
struct str db_column_text(struct db *db, size_t column); /* of any type, as the database writes it */
struct str db_column_blob(struct db *db, size_t column);

#endif
