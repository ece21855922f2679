/* SQLite and PostgreSQL: one SELECT, over a connection that can only read. */
#include "base/buf.h"
#include "db/db.h"
#include "tables/database.h"

/* Who writes a SQLite table meanwhile has this long to finish; PostgreSQL has the other for the whole answer. */
#define BUSY_MS 5000
#define ANSWER_MS 60000

/* In the arena, so that it is released too when memory runs out between two rows. */
struct handle {
	struct db *db;
};

static void release(void *object)
{
	struct handle *handle = object;
	db_close(handle->db);
	handle->db = NULL;
}

static struct str values(struct arena *arena, struct db *db)
{
	size_t n = db_columns(db);
	struct buf out = buf_in(arena);
	while (n > 1 && db_column_is_null(db, n - 1))
		n--;
	if (n == 2)
		return db_column_text(db, 1);
	for (size_t i = 1; i < n; i++) {
		if (i > 1)
			buf_add_char(&out, ':');
		buf_add(&out, db_column_text(db, i));
	}
	return buf_str(&out);
}

static void read_rows(struct database_rows *rows, const struct db_setup *setup)
{
	char error[DB_ERROR_SIZE];
	struct handle *handle = ARENA_NEW(rows->arena, struct handle);
	arena_on_reset(rows->arena, release, handle);
	if (db_open(setup, &handle->db, error) != ERR_OK) {
		database_fail(rows, "%s", error);
		return;
	}
	db_query(handle->db, database_query(rows->arena, rows->database), DB_NO_VALUES);
	while (db_next(handle->db))
		if (!database_add(rows, db_column_text(handle->db, 0), values(rows->arena, handle->db)))
			break;
	if (db_end(handle->db) != ERR_OK)
		database_fail(rows, "%s", db_error(handle->db));
	release(handle);
}

void database_read_sqlite(struct database_rows *rows)
{
	read_rows(rows,
		&(struct db_setup){
			.kind = DB_SQLITE, .path = rows->database->path, .read_only = true, .answer_ms = BUSY_MS});
}

void database_read_pgsql(struct database_rows *rows)
{
	const struct database *database = rows->database;
	const struct db_parameter known[] = {
		{STR("host"), database->host},
		{STR("port"), database->port},
		{STR("user"), database->user},
		{STR("password"), database->password},
		{STR("dbname"), database->name},
	};
	size_t n = sizeof(known) / sizeof(*known);
	struct db_parameter *parameters = ARENA_ARRAY(rows->arena, n + database->n_parameters, struct db_parameter);
	memcpy(parameters, known, sizeof(known));
	for (size_t i = 0; i < database->n_parameters; i++)
		parameters[n++] = (struct db_parameter){database->parameters[i].name, database->parameters[i].value};
	read_rows(rows, &(struct db_setup){.kind = DB_POSTGRESQL,
				.read_only = true,
				.parameters = parameters,
				.n_parameters = n,
				.answer_ms = ANSWER_MS});
}
