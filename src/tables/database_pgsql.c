/* PostgreSQL: one SELECT, and no waiting without end. */
#include <errno.h>
#include <poll.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/clock.h"
#include "tables/database.h"

/* For the whole answer; and for each address of the server, in seconds, as libpq wants it. */
#define ANSWER_MS 60000
#define CONNECT_SECONDS "10"

/* In the arena, so that it is released too when memory runs out between two rows. */
struct handle {
	PGconn *connection;
	PGresult *result;
};

static void release(void *object)
{
	struct handle *handle = object;
	PQclear(handle->result);
	PQfinish(handle->connection);
	*handle = (struct handle){NULL, NULL};
}

static PGconn *connect_to(struct arena *arena, const struct database *database)
{
	const struct {
		const char *name, *value;
	} known[] = {
		{"application_name", "trimilter"},
		{"client_encoding", "UTF8"},
		{"connect_timeout", CONNECT_SECONDS},
		{"host", database->host.p},
		{"port", database->port.p},
		{"user", database->user.p},
		{"password", database->password.p},
		{"dbname", database->name.p},
	};
	size_t room = sizeof(known) / sizeof(*known) + database->n_parameters + 1, n = 0;
	const char **names = ARENA_ARRAY(arena, room, const char *);
	const char **texts = ARENA_ARRAY(arena, room, const char *);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (known[i].value == NULL || known[i].value[0] == '\0')
			continue;
		names[n] = known[i].name;
		texts[n++] = known[i].value;
	}
	/* Of the same name the last counts. */
	for (size_t i = 0; i < database->n_parameters; i++) {
		names[n] = database->parameters[i].name.p;
		texts[n++] = database->parameters[i].value.p;
	}
	return PQconnectdbParams(names, texts, 0);
}

/* A server that is gone without a word must not keep the thread. */
static bool await_result(struct database_rows *rows, PGconn *connection)
{
	int64_t deadline = clock_monotonic_ms() + ANSWER_MS;
	while (PQisBusy(connection)) {
		struct pollfd polled = {.fd = PQsocket(connection), .events = POLLIN};
		int64_t left = deadline - clock_monotonic_ms();
		int ready = left > 0 ? poll(&polled, 1, (int)left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready == 0) {
			database_fail(rows, "no answer within %d s", ANSWER_MS / 1000);
			return false;
		}
		if (ready < 0 || !PQconsumeInput(connection)) {
			database_fail(rows, "%s", PQerrorMessage(connection));
			return false;
		}
	}
	return true;
}

static struct str column(const PGresult *result, int row, int i)
{
	return str_from(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i));
}

static struct str values(struct arena *arena, const PGresult *result, int row)
{
	int n = PQnfields(result);
	struct buf out = buf_in(arena);
	while (n > 1 && PQgetisnull(result, row, n - 1))
		n--;
	if (n == 2)
		return column(result, row, 1);
	for (int i = 1; i < n; i++) {
		if (i > 1)
			buf_add_char(&out, ':');
		buf_add(&out, column(result, row, i));
	}
	return buf_str(&out);
}

static void read_rows(struct database_rows *rows, struct handle *handle)
{
	const char *query = database_query(rows->arena, rows->database);
	handle->connection = connect_to(rows->arena, rows->database);
	if (PQstatus(handle->connection) != CONNECTION_OK ||
		!PQsendQueryParams(handle->connection, query, 0, NULL, NULL, NULL, NULL, 0)) {
		database_fail(rows, "%s", PQerrorMessage(handle->connection));
		return;
	}
	if (!await_result(rows, handle->connection))
		return;
	handle->result = PQgetResult(handle->connection);
	if (PQresultStatus(handle->result) != PGRES_TUPLES_OK) {
		database_fail(rows, "%s", PQerrorMessage(handle->connection));
		return;
	}
	for (int i = 0; i < PQntuples(handle->result); i++)
		if (!database_add(rows, column(handle->result, i, 0), values(rows->arena, handle->result, i)))
			return;
}

void database_read_pgsql(struct database_rows *rows)
{
	struct handle *handle = ARENA_NEW(rows->arena, struct handle);
	arena_on_reset(rows->arena, release, handle);
	read_rows(rows, handle);
	release(handle);
}
