#include "db/driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"

/* ---- errors ---- */

static void hide_secret(struct str secret, char *text)
{
	if (secret.n == 0)
		return;
	for (char *at; (at = strstr(text, secret.p)) != NULL;) {
		*at = '*';
		memmove(at + 1, at + secret.n, strlen(at + secret.n) + 1);
		/* A password of stars would be found for ever. */
		if (str_eq(secret, STR("*")))
			return;
	}
}

/* Libraries like several lines. */
static void make_one_line(char *text)
{
	size_t n = 0;
	for (const char *p = text; *p != '\0'; p++) {
		char c = str_is_space(*p) ? ' ' : *p;
		if (c != ' ' || (n > 0 && text[n - 1] != ' '))
			text[n++] = c;
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
}

__attribute__((format(printf, 2, 0))) static void fail(struct db *db, const char *format, va_list args)
{
	/* Larger than what is kept, so that no half of a password stands at its end. */
	char text[4 * DB_ERROR_SIZE];
	db->failed = true;
	if (db->in_transaction && db->lost)
		return;
	db->lost = db->in_transaction;
	vsnprintf(text, sizeof(text), format, args);
	hide_secret(db->secret, text);
	make_one_line(text);
	snprintf(db->error, sizeof(db->error), "%.*s", DB_ERROR_SIZE - 1, text);
}

void db_fail(struct db *db, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail(db, format, args);
	va_end(args);
}

enum err db_refuse(struct db *db, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail(db, format, args);
	va_end(args);
	return ERR_IO;
}

const char *db_error(const struct db *db)
{
	return db->error;
}

/* ---- connection ---- */

static struct str copy(struct arena *arena, struct str s)
{
	return s.p != NULL ? arena_dup(arena, s) : s;
}

static void copy_setup(struct arena *arena, const struct db_setup *setup, struct db_setup *ret_setup)
{
	*ret_setup = *setup;
	ret_setup->path = copy(arena, setup->path);
	ret_setup->url = copy(arena, setup->url);
	struct db_parameter *parameters = ARENA_ARRAY(arena, setup->n_parameters, struct db_parameter);
	for (size_t i = 0; i < setup->n_parameters; i++)
		parameters[i] = (struct db_parameter){
			arena_dup(arena, setup->parameters[i].name), arena_dup(arena, setup->parameters[i].value)};
	ret_setup->parameters = parameters;
}

static const struct db_driver *driver_of(enum db_kind kind)
{
	switch (kind) {
	case DB_SQLITE:
		return &db_sqlite;
	case DB_POSTGRESQL:
		return &db_postgresql;
	}
	return NULL;
}

static bool connect_now(struct db *db)
{
	if (db->driver->connect(db))
		return true;
	db->driver->disconnect(db);
	return false;
}

static bool connect_if_gone(struct db *db)
{
	if (db->connection != NULL && db->driver->is_alive(db))
		return true;
	db->driver->disconnect(db);
	return connect_now(db);
}

enum err db_open(const struct db_setup *setup, struct db **ret_db, char error[DB_ERROR_SIZE])
{
	struct db *db = calloc(1, sizeof(*db));
	*ret_db = NULL;
	error[0] = '\0';
	if (db != NULL) {
		db->arena = arena_new(0);
		db->scratch = arena_new(0);
	}
	if (db == NULL || db->arena == NULL || db->scratch == NULL) {
		db_close(db);
		return ERR_NOMEM;
	}
	db->driver = driver_of(setup->kind);
	copy_setup(db->arena, setup, &db->setup);
	if (!connect_now(db)) {
		memcpy(error, db->error, DB_ERROR_SIZE);
		db_close(db);
		return ERR_IO;
	}
	*ret_db = db;
	return ERR_OK;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	if (db->open)
		db_end(db);
	if (db->driver != NULL)
		db->driver->disconnect(db);
	arena_free(db->scratch);
	arena_free(db->arena);
	free(db);
}

enum db_kind db_kind(const struct db *db)
{
	return db->setup.kind;
}

/* Within a transaction there is no second chance. */
static bool may_go_on(struct db *db)
{
	if (db->open) {
		db_fail(db, "the result before has not been ended");
		return false;
	}
	db->failed = false;
	if (!db->in_transaction)
		return connect_if_gone(db);
	if (!db->lost && db->connection == NULL)
		db_fail(db, "the connection was lost");
	return !db->lost;
}

enum err db_ready(struct db *db)
{
	return may_go_on(db) ? ERR_OK : ERR_IO;
}

/* ---- transactions ---- */

enum err db_script(struct db *db, const char *sql)
{
	return may_go_on(db) && db->driver->script(db, sql) ? ERR_OK : ERR_IO;
}

enum err db_begin(struct db *db)
{
	if (db->in_transaction) {
		db_fail(db, "transactions do not nest");
		return ERR_IO;
	}
	if (db_script(db, db->driver->begin) != ERR_OK)
		return ERR_IO;
	db->in_transaction = true;
	db->lost = false;
	return ERR_OK;
}

enum err db_commit(struct db *db)
{
	if (!db->in_transaction) {
		db_fail(db, "no transaction is open");
		return ERR_IO;
	}
	if (db_script(db, "COMMIT") != ERR_OK) {
		db_rollback(db);
		return ERR_IO;
	}
	db->in_transaction = false;
	return ERR_OK;
}

void db_rollback(struct db *db)
{
	if (!db->in_transaction)
		return;
	char first[DB_ERROR_SIZE];
	memcpy(first, db->error, sizeof(first));
	db->in_transaction = false;
	/* A connection that cannot go back is of no use: without it there is no transaction either. */
	if (db->connection != NULL && !db->driver->rollback(db))
		db->driver->disconnect(db);
	memcpy(db->error, first, sizeof(first));
}

bool db_in_transaction(const struct db *db)
{
	return db->in_transaction;
}

enum err db_lock(struct db *db)
{
	return may_go_on(db) && db->driver->lock(db) ? ERR_OK : ERR_IO;
}

/* ---- statements ---- */

struct db_statement *db_statement_find(struct db_statement **list, const char *sql)
{
	for (struct db_statement **link = list; *link != NULL; link = &(*link)->next) {
		struct db_statement *statement = *link;
		if (strcmp(statement->sql, sql) != 0)
			continue;
		*link = statement->next;
		statement->next = *list;
		*list = statement;
		return statement;
	}
	return NULL;
}

struct db_statement *db_statement_add(struct arena *arena, struct db_statement **list, const char *sql)
{
	struct db_statement *statement = ARENA_NEW(arena, struct db_statement);
	size_t n = strlen(sql);
	statement->sql = arena_alloc(arena, n + 1);
	memcpy(statement->sql, sql, n);
	statement->next = *list;
	*list = statement;
	return statement;
}

static bool is_plain(struct str text)
{
	return utf8_is_valid(text) && (text.n == 0 || memchr(text.p, '\0', text.n) == NULL);
}

static struct str make_plain(struct arena *arena, struct str text)
{
	struct buf out = buf_in(arena);
	while (text.n > 0) {
		size_t n = utf8_length(text);
		unsigned char c = (unsigned char)text.p[0];
		if (c == '\0')
			buf_add_cstr(&out, "\xef\xbf\xbd");
		else if (n > 0)
			buf_add(&out, str_head(text, n));
		else
			buf_printf(&out, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
		text = str_skip(text, n == 0 ? 1 : n);
	}
	return buf_str(&out);
}

/* The values themselves, or a copy with the texts made plain. */
static const struct db_value *plain_values(struct db *db, const struct db_value *values, size_t n)
{
	struct db_value *plain = NULL;
	for (size_t i = 0; i < n; i++) {
		if (values[i].type != DB_TEXT || is_plain(values[i].bytes))
			continue;
		if (plain == NULL) {
			plain = ARENA_ARRAY(db->scratch, n, struct db_value);
			memcpy(plain, values, n * sizeof(*values));
		}
		plain[i].bytes = make_plain(db->scratch, values[i].bytes);
	}
	return plain != NULL ? plain : values;
}

void db_query(struct db *db, const char *sql, const struct db_value *values, size_t n)
{
	bool go_on = may_go_on(db);
	db->open = true;
	db->changed = 0;
	if (!go_on) {
		db->failed = true;
		return;
	}
	arena_reset(db->scratch);
	db->driver->query(db, sql, plain_values(db, values, n), n);
}

bool db_next(struct db *db)
{
	return db->open && !db->failed && db->driver->next(db);
}

enum err db_end(struct db *db)
{
	db->open = false;
	if (db->connection != NULL)
		db->driver->end(db);
	return db->failed ? ERR_IO : ERR_OK;
}

enum err db_run(struct db *db, const char *sql, const struct db_value *values, size_t n)
{
	db_query(db, sql, values, n);
	return db_end(db);
}

uint64_t db_changed(const struct db *db)
{
	return db->changed;
}

size_t db_columns(const struct db *db)
{
	return db->driver->columns(db);
}

bool db_column_is_null(struct db *db, size_t column)
{
	return db->driver->is_null(db, (int)column);
}

int64_t db_column_int(struct db *db, size_t column)
{
	return db->driver->integer(db, (int)column);
}

struct str db_column_text(struct db *db, size_t column)
{
	return db->driver->text(db, (int)column);
}

struct str db_column_blob(struct db *db, size_t column)
{
	return db->driver->blob(db, (int)column);
}
