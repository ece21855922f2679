/* SQLite: one SELECT over a connection that can only read. */
#include <sqlite3.h>

#include "base/buf.h"
#include "tables/database.h"

/* Who writes the table meanwhile has this long to finish; milliseconds. */
#define BUSY_MS 5000

/* In the arena, so that it is released too when memory runs out between two rows. */
struct handle {
	sqlite3 *db;
	sqlite3_stmt *statement;
};

static void release(void *object)
{
	struct handle *handle = object;
	sqlite3_finalize(handle->statement);
	sqlite3_close(handle->db);
	*handle = (struct handle){NULL, NULL};
}

static void fail(struct database_rows *rows, const struct handle *handle)
{
	int code = sqlite3_errcode(handle->db);
	bool read_only = code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM;
	database_fail(rows, "%s%s", sqlite3_errmsg(handle->db),
		read_only ? " (it is read as UserID; with journal_mode=WAL its directory must be writable as well)"
			  : "");
}

static struct str column(const struct handle *handle, int i)
{
	const void *text = sqlite3_column_text(handle->statement, i);
	return str_from(text, text != NULL ? (size_t)sqlite3_column_bytes(handle->statement, i) : 0);
}

static struct str values(const struct database_rows *rows, const struct handle *handle)
{
	int n = sqlite3_column_count(handle->statement);
	struct buf out = buf_in(rows->arena);
	while (n > 1 && sqlite3_column_type(handle->statement, n - 1) == SQLITE_NULL)
		n--;
	if (n == 2)
		return column(handle, 1);
	for (int i = 1; i < n; i++) {
		if (i > 1)
			buf_add_char(&out, ':');
		buf_add(&out, column(handle, i));
	}
	return buf_str(&out);
}

static void read_rows(struct database_rows *rows, struct handle *handle)
{
	const char *query = database_query(rows->arena, rows->database);
	int status = sqlite3_open_v2(rows->database->path.p, &handle->db, SQLITE_OPEN_READONLY, NULL);
	if (status == SQLITE_OK)
		status = sqlite3_busy_timeout(handle->db, BUSY_MS);
	if (status == SQLITE_OK)
		status = sqlite3_prepare_v2(handle->db, query, -1, &handle->statement, NULL);
	if (status != SQLITE_OK) {
		fail(rows, handle);
		return;
	}
	while ((status = sqlite3_step(handle->statement)) == SQLITE_ROW)
		if (!database_add(rows, column(handle, 0), values(rows, handle)))
			return;
	if (status != SQLITE_DONE)
		fail(rows, handle);
}

void database_read_sqlite(struct database_rows *rows)
{
	struct handle *handle = ARENA_NEW(rows->arena, struct handle);
	arena_on_reset(rows->arena, release, handle);
	read_rows(rows, handle);
	release(handle);
}
