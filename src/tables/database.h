/*
 * Databases as data sets: which database a specification names, and its rows, all of them at once.
 *
 *	lmdb:/path, mdb:/path    a directory or a file of LMDB
 *	sqlite:/path?table=T&keycol=K&datacol=A,B&filter=SQL
 *	pgsql://user:password@host:port/database?table=T&keycol=K&datacol=A,B&filter=SQL
 *	dsn:BACKEND://...        the same two as OpenDKIM writes them, opendkim(8), DATA SETS
 *
 * A snapshot is taken and the database is left: nothing here is called while a
 * message waits. database_lmdb.c is LMDB's adapter, database_sql.c asks db/.
 */
#ifndef TRIMILTER_TABLES_DATABASE_H
#define TRIMILTER_TABLES_DATABASE_H

#include "tables/dataset.h"

enum database_type { DATABASE_LMDB, DATABASE_SQLITE, DATABASE_PGSQL };

struct database_parameter {
	struct str name, value; /* NUL-terminated */
};

/** What a specification says. Strings are NUL-terminated; empty where nothing was said. */
struct database {
	enum database_type type;
	struct str shown;                       /* the specification without its password */
	struct str path;                        /* LMDB, SQLite */
	struct str host, port, user, password;  /* PostgreSQL; empty: as libpq does without */
	struct str name;                        /* of the database; likewise */
	struct str table, keys, values, filter; /* keycol, datacol; SQL as it stands */
	struct database_parameter *parameters;  /* others, for libpq */
	size_t n_parameters;
};

/** Of a specification that begins with one of the words above; others are false without a word in @diag. */
bool database_parse(struct arena *arena, struct str spec, struct diag_place place, struct diag *diag,
	struct database *ret_database);

/** Does @spec begin with one of these words? */
bool database_is_meant(struct str spec);

/** The SELECT that reads all rows: key, then values, in an order that does not change from one time to the next. */
const char *database_query(struct arena *arena, const struct database *database);

/**
 * Where an adapter puts what it reads. Values of several columns are joined with ':', as opendkim.conf(5) separates
 * them in files.
 */
struct database_rows {
	struct arena *arena;
	const struct database *database;
	struct dataset *dataset;
	const char *error; /* the first, in words; NULL: none */
};

/** False: enough, rows->error says why. @key, @value are copied. */
bool database_add(struct database_rows *rows, struct str key, struct str value);
/** rows->error, by printf. */
void database_fail(struct database_rows *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The adapters: every row of it, or rows->error. Each may take as long as the library does; PostgreSQL a minute. */
void database_read_lmdb(struct database_rows *rows);
void database_read_sqlite(struct database_rows *rows);
void database_read_pgsql(struct database_rows *rows);

#endif
