/*
 * What db.c shares with its two drivers, db_sqlite.c and db_postgresql.c; nobody
 * else includes this.
 */
#ifndef TRIMILTER_DB_DRIVER_H
#define TRIMILTER_DB_DRIVER_H

#include "db/db.h"

/** Functions that return false have called db_fail(). */
struct db_driver {
	bool (*connect)(struct db *db);
	void (*disconnect)(struct db *db); /* nothing where there is no connection */
	/** Outside of a transaction: is the connection as good as it looks? Says nothing. */
	bool (*is_alive)(struct db *db);
	bool (*script)(struct db *db, const char *sql);
	bool (*lock)(struct db *db);
	bool (*rollback)(struct db *db);
	const char *begin; /* SQL */

	bool (*query)(struct db *db, const char *sql, const struct db_value *values, size_t n);
	bool (*next)(struct db *db); /* false at the end too */
	void (*end)(struct db *db);  /* sets changed */

	size_t (*columns)(const struct db *db);
	bool (*is_null)(struct db *db, int column);
	int64_t (*integer)(struct db *db, int column);
	struct str (*text)(struct db *db, int column);
	struct str (*blob)(struct db *db, int column);
};

extern const struct db_driver db_sqlite, db_postgresql;

struct db {
	const struct db_driver *driver;
	struct arena *arena;   /* setup; for good */
	struct arena *scratch; /* the present statement's */
	struct db_setup setup;
	void *connection; /* the driver's; NULL: there is none */
	bool in_transaction;
	bool lost;   /* ... of which nothing more can come */
	bool open;   /* between db_query() and db_end() */
	bool failed; /* since db_query() */
	uint64_t changed;
	struct str secret; /* the password, never to be shown */
	char error[DB_ERROR_SIZE];
};

/** Note what is wrong, in one line. Within a transaction the first error stays, for the others follow from it. */
void db_fail(struct db *db, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- prepared statements: most recently used first ---- */

struct db_statement {
	struct db_statement *next;
	char *sql;
	void *prepared; /* the driver's */
};

/** NULL: not there. Moves it to the front. */
struct db_statement *db_statement_find(struct db_statement **list, const char *sql);
/** At the front. */
struct db_statement *db_statement_add(struct arena *arena, struct db_statement **list, const char *sql);

#endif
