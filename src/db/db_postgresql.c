/* PostgreSQL, over libpq: no call waits for ever, and nothing is asked twice. */
#include "db/driver.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "db/libpq.h"

/* Of pg_type.dat; they never change. */
#define TYPE_BYTEA 17
#define TYPE_INT8 20
#define TYPE_TEXT 25

/* Seconds, for each address of the server. */
#define CONNECT_SECONDS "5"
/* The server stops what takes too long; this is for one that does not even do that. */
#define GRACE_MS 1000
/* The first with IDENTITY columns. */
#define OLDEST_SERVER 100000
/* Nobody else's number, let us hope: "trimilte" in ASCII. */
#define LOCK "SELECT pg_advisory_xact_lock(8390043723208025189)"

struct postgresql {
	struct libpq pq;
	PGconn *handle;
	struct arena *arena;
	struct db_statement *statements;
	unsigned n_statements;
	PGresult *result; /* of the statement that is open */
	int row;
};

/* ---- waiting, and giving up ---- */

static void postgresql_disconnect(struct db *db)
{
	struct postgresql *postgresql = db->connection;
	if (postgresql == NULL)
		return;
	if (postgresql->handle != NULL)
		postgresql->pq.PQfinish(postgresql->handle);
	arena_free(postgresql->arena);
	free(postgresql);
	db->connection = NULL;
}

/* Nobody knows any more what the server is about: its connection goes. Returns false. */
static bool give_up(struct db *db, const char *why)
{
	struct postgresql *postgresql = db->connection;
	db_fail(db, "%s", why != NULL ? why : postgresql->pq.PQerrorMessage(postgresql->handle));
	postgresql_disconnect(db);
	return false;
}

static bool wait_for(struct db *db, short events, int64_t deadline)
{
	struct postgresql *postgresql = db->connection;
	struct pollfd polled = {.fd = postgresql->pq.PQsocket(postgresql->handle), .events = events};
	int64_t left = deadline - clock_monotonic_ms();
	int ready = left > 0 ? poll(&polled, 1, (int)left) : 0;
	if (ready == 0) {
		char why[64];
		snprintf(why, sizeof(why), "no answer within %u ms", db->setup.answer_ms);
		return give_up(db, why);
	}
	if (ready < 0 && errno != EINTR)
		return give_up(db, strerror(errno));
	if (ready > 0 && (polled.revents & ~POLLOUT) != 0 && !postgresql->pq.PQconsumeInput(postgresql->handle))
		return give_up(db, NULL);
	return true;
}

static bool flush(struct db *db, int64_t deadline)
{
	struct postgresql *postgresql = db->connection;
	int left;
	while ((left = postgresql->pq.PQflush(postgresql->handle)) > 0)
		/* The server may have something to say before it reads on. */
		if (!wait_for(db, POLLIN | POLLOUT, deadline))
			return false;
	return left == 0 || give_up(db, NULL);
}

/* States of which another connection is free. */
static bool is_of_connection(const char *sqlstate)
{
	static const char *const states[] = {
		"08",    /* connection exceptions */
		"57P",   /* the server is shut down, or not up yet */
		"25P03", /* idle in a transaction for too long */
		"26000", /* it has forgotten a prepared statement */
		"0A000", /* a table has changed under a prepared statement */
	};
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (strncmp(sqlstate, states[i], strlen(states[i])) == 0)
			return true;
	return false;
}

/* True where it is an error. *ret_of_connection stays or becomes true. */
static bool is_error(struct db *db, const PGresult *result, bool *ret_of_connection)
{
	struct postgresql *postgresql = db->connection;
	int status = (int)postgresql->pq.PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return false;
	const char *message = postgresql->pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = postgresql->pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
	db_fail(db, "%s", message != NULL ? message : postgresql->pq.PQerrorMessage(postgresql->handle));
	if (state == NULL || is_of_connection(state))
		*ret_of_connection = true;
	return true;
}

/**
 * Wait until all that was sent is answered.
 * @sent        what PQsend...() said
 * @ret_result  the last result, to be cleared; NULL: it is not wanted
 */
static bool finish(struct db *db, int sent, PGresult **ret_result)
{
	struct postgresql *postgresql = db->connection;
	void (*clear)(PGresult * result) = postgresql->pq.PQclear;
	int64_t deadline = clock_monotonic_ms() + db->setup.answer_ms + GRACE_MS;
	PGresult *last = NULL;
	bool good = true, of_connection = false;
	if (!sent)
		return give_up(db, NULL);
	if (!flush(db, deadline))
		return false;
	for (;;) {
		while (postgresql->pq.PQisBusy(postgresql->handle))
			if (!wait_for(db, POLLIN, deadline)) {
				clear(last);
				return false;
			}
		PGresult *result = postgresql->pq.PQgetResult(postgresql->handle);
		if (result == NULL)
			break;
		clear(last);
		last = result;
		if (good && is_error(db, result, &of_connection))
			good = false;
	}
	if (good && ret_result != NULL)
		*ret_result = last;
	else
		clear(last);
	/* What was answered well stands, whatever became of the connection behind it: the next question finds that out.
	 */
	if (!good && (of_connection || postgresql->pq.PQstatus(postgresql->handle) != CONNECTION_OK))
		postgresql_disconnect(db);
	return good;
}

static bool postgresql_script(struct db *db, const char *sql)
{
	struct postgresql *postgresql = db->connection;
	return finish(db, postgresql->pq.PQsendQuery(postgresql->handle, sql), NULL);
}

/* ---- connecting ---- */

struct parameters {
	struct arena *arena;
	const char **names, **values;
	size_t n, capacity;
};

static void add_parameter(struct parameters *parameters, const char *name, const char *value)
{
	size_t names = parameters->capacity, values = parameters->capacity;
	/* One more, for the NULL at the end. */
	parameters->names =
		arena_grow(parameters->arena, parameters->names, &names, parameters->n + 2, sizeof(*parameters->names));
	parameters->values = arena_grow(
		parameters->arena, parameters->values, &values, parameters->n + 2, sizeof(*parameters->values));
	parameters->capacity = names;
	parameters->names[parameters->n] = name;
	parameters->values[parameters->n++] = value;
}

/* Of the same name the last one counts. */
static void add_setting(struct db *db, struct parameters *parameters, struct str name, struct str value)
{
	if (value.n == 0)
		return;
	struct str kept = arena_dup(parameters->arena, value);
	add_parameter(parameters, arena_dup(parameters->arena, name).p, kept.p);
	/* Once, however often the connection is made anew. */
	if (str_eq(name, STR("password")) && !str_eq(db->secret, value))
		db->secret = arena_dup(db->arena, value);
}

/* Where a password has a '/' in it, libpq takes its beginning for a port, and says so. */
static bool has_at_in_path(struct str url)
{
	const char *slashes = memmem(url.p, url.n, "//", 2);
	struct str rest = slashes != NULL ? str_skip(url, (size_t)(slashes - url.p) + 2) : STR(""), path;
	str_cut(&rest, '/', &path);
	str_cut(&rest, '?', &path);
	return str_index(path, '@') >= 0;
}

static bool add_url(struct db *db, struct parameters *parameters)
{
	struct postgresql *postgresql = db->connection;
	char *error = NULL;
	PQconninfoOption *options = NULL;
	if (!has_at_in_path(db->setup.url))
		options = postgresql->pq.PQconninfoParse(db->setup.url.p, &error);
	/* libpq's words have the URL in them, and with it the password. */
	postgresql->pq.PQfreemem(error);
	if (options == NULL) {
		db_fail(db, "not a URL that libpq understands: postgresql://user@host:port/database; is there a '/', "
			    "'@', ':' or '%%' in the password that is not written as %%2F, %%40, %%3A, %%25?");
		return false;
	}
	for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
		add_setting(db, parameters, str_of(option->keyword), str_of(option->val));
	postgresql->pq.PQconninfoFree(options);
	return true;
}

static void ignore_notice(void *context, const char *message)
{
	(void)context;
	(void)message;
}

static bool check_server(struct db *db)
{
	struct postgresql *postgresql = db->connection;
	const char *encoding = postgresql->pq.PQparameterStatus(postgresql->handle, "server_encoding");
	if (db->setup.read_only)
		return true;
	if (postgresql->pq.PQserverVersion(postgresql->handle) < OLDEST_SERVER) {
		db_fail(db, "the server is older than PostgreSQL 10");
		return false;
	}
	/* Others have no place for every character, and would refuse what has one of those. */
	if (encoding != NULL && strcmp(encoding, "UTF8") != 0 && strcmp(encoding, "SQL_ASCII") != 0) {
		db_fail(db,
			"the database's encoding is %s: make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE "
			"template0",
			encoding);
		return false;
	}
	return true;
}

/* A server that acknowledges commits before they are safe is asked for its own disk at least. */
static bool set_session(struct db *db)
{
	char sql[512];
	snprintf(sql, sizeof(sql), "SET bytea_output = hex; SET statement_timeout = %u; %s", db->setup.answer_ms,
		db->setup.read_only ? "SET default_transaction_read_only = on"
				    : "SET idle_in_transaction_session_timeout = 600000;"
				      "SELECT set_config('synchronous_commit', 'local', false)"
				      " WHERE current_setting('synchronous_commit') = 'off'");
	return postgresql_script(db, sql);
}

static bool postgresql_connect(struct db *db)
{
	struct postgresql *postgresql = calloc(1, sizeof(*postgresql));
	struct arena *arena = arena_new(0);
	if (postgresql == NULL || arena == NULL) {
		free(postgresql);
		arena_free(arena);
		db_fail(db, "out of memory");
		return false;
	}
	postgresql->arena = arena;
	db->connection = postgresql;
	char error[DB_ERROR_SIZE], patience[16];
	if (!libpq_load(&postgresql->pq, error, sizeof(error))) {
		db_fail(db, "%s", error);
		return false;
	}
	struct parameters parameters = {.arena = arena};
	snprintf(patience, sizeof(patience), "%u", db->setup.answer_ms);
	add_parameter(&parameters, "application_name", "trimilter");
	add_parameter(&parameters, "connect_timeout", CONNECT_SECONDS);
	add_parameter(&parameters, "tcp_user_timeout", patience);
	if (db->setup.url.n > 0 && !add_url(db, &parameters))
		return false;
	for (size_t i = 0; i < db->setup.n_parameters; i++)
		add_setting(db, &parameters, db->setup.parameters[i].name, db->setup.parameters[i].value);
	add_parameter(&parameters, "client_encoding", "UTF8");
	postgresql->handle = postgresql->pq.PQconnectdbParams(parameters.names, parameters.values, 0);
	if (postgresql->pq.PQstatus(postgresql->handle) != CONNECTION_OK ||
		postgresql->pq.PQsetnonblocking(postgresql->handle, 1) != 0)
		return give_up(db, NULL);
	postgresql->pq.PQsetNoticeProcessor(postgresql->handle, ignore_notice, NULL);
	return check_server(db) && set_session(db);
}

/* A server says nothing to who asks nothing, unless it takes its leave. */
static bool postgresql_is_alive(struct db *db)
{
	struct postgresql *postgresql = db->connection;
	struct pollfd polled = {.fd = postgresql->pq.PQsocket(postgresql->handle), .events = POLLIN};
	return poll(&polled, 1, 0) == 0;
}

static bool postgresql_rollback(struct db *db)
{
	return postgresql_script(db, "ROLLBACK");
}

static bool postgresql_lock(struct db *db)
{
	return postgresql_script(db, LOCK);
}

/* ---- statements ---- */

/* Parameters as libpq wants them: binary, so that a text may hold any byte and none need be escaped. */
struct arguments {
	Oid *types;
	const char **values;
	int *lengths, *formats;
	int64_t *integers;
};

static struct arguments arguments_of(struct arena *arena, const struct db_value *values, size_t n)
{
	struct arguments arguments = {
		.types = ARENA_ARRAY(arena, n, Oid),
		.values = ARENA_ARRAY(arena, n, const char *),
		.lengths = ARENA_ARRAY(arena, n, int),
		.formats = ARENA_ARRAY(arena, n, int),
		.integers = ARENA_ARRAY(arena, n, int64_t),
	};
	for (size_t i = 0; i < n; i++) {
		arguments.formats[i] = 1;
		arguments.lengths[i] = (int)values[i].bytes.n;
		switch (values[i].type) {
		case DB_NULL:
			continue;
		case DB_INT:
			arguments.integers[i] = (int64_t)htobe64((uint64_t)values[i].integer);
			arguments.values[i] = (const char *)&arguments.integers[i];
			arguments.lengths[i] = (int)sizeof(int64_t);
			arguments.types[i] = TYPE_INT8;
			continue;
		case DB_TEXT:
			arguments.types[i] = TYPE_TEXT;
			break;
		case DB_BLOB:
			arguments.types[i] = TYPE_BYTEA;
			break;
		}
		arguments.values[i] = values[i].bytes.p != NULL ? values[i].bytes.p : "";
	}
	return arguments;
}

/* The statement's name on the server; NULL where it cannot be prepared. */
static const char *prepare(struct db *db, const char *sql, const struct arguments *arguments, size_t n)
{
	struct postgresql *postgresql = db->connection;
	struct db_statement *statement = db_statement_find(&postgresql->statements, sql);
	if (statement != NULL)
		return statement->prepared;
	char *name = arena_alloc(postgresql->arena, 16);
	snprintf(name, 16, "s%u", ++postgresql->n_statements);
	if (!finish(db, postgresql->pq.PQsendPrepare(postgresql->handle, name, sql, (int)n, arguments->types), NULL))
		return NULL;
	db_statement_add(postgresql->arena, &postgresql->statements, sql)->prepared = name;
	return name;
}

static bool postgresql_query(struct db *db, const char *sql, const struct db_value *values, size_t n)
{
	struct postgresql *postgresql = db->connection;
	postgresql->row = -1;
	/* In one go, so that it also works through a pooler that gives every transaction another connection. */
	if (n == 0)
		return finish(db,
			postgresql->pq.PQsendQueryParams(postgresql->handle, sql, 0, NULL, NULL, NULL, NULL, 0),
			&postgresql->result);
	struct arguments arguments = arguments_of(db->scratch, values, n);
	const char *name = prepare(db, sql, &arguments, n);
	return name != NULL && finish(db,
				       postgresql->pq.PQsendQueryPrepared(postgresql->handle, name, (int)n,
					       arguments.values, arguments.lengths, arguments.formats, 0),
				       &postgresql->result);
}

static bool postgresql_next(struct db *db)
{
	struct postgresql *postgresql = db->connection;
	return postgresql != NULL && ++postgresql->row < postgresql->pq.PQntuples(postgresql->result);
}

static void postgresql_end(struct db *db)
{
	struct postgresql *postgresql = db->connection;
	if (postgresql->result == NULL)
		return;
	uint64_t changed = 0;
	if (str_to_u64(str_of(postgresql->pq.PQcmdTuples(postgresql->result)), UINT64_MAX, &changed))
		db->changed = changed;
	postgresql->pq.PQclear(postgresql->result);
	postgresql->result = NULL;
}

/* ---- columns: as text, whatever their type is ---- */

static size_t postgresql_columns(const struct db *db)
{
	const struct postgresql *postgresql = db->connection;
	return (size_t)postgresql->pq.PQnfields(postgresql->result);
}

static bool postgresql_is_null(struct db *db, int column)
{
	const struct postgresql *postgresql = db->connection;
	return postgresql->pq.PQgetisnull(postgresql->result, postgresql->row, column) != 0;
}

static struct str postgresql_text(struct db *db, int column)
{
	const struct postgresql *postgresql = db->connection;
	return str_from(postgresql->pq.PQgetvalue(postgresql->result, postgresql->row, column),
		(size_t)postgresql->pq.PQgetlength(postgresql->result, postgresql->row, column));
}

static int64_t postgresql_integer(struct db *db, int column)
{
	return strtoll(postgresql_text(db, column).p, NULL, 10);
}

static struct str postgresql_blob(struct db *db, int column)
{
	struct str hex = str_skip(postgresql_text(db, column), 2); /* behind "\x" */
	char *bytes = arena_alloc(db->scratch, hex.n / 2 + 1);
	for (size_t i = 0; i < hex.n / 2; i++)
		bytes[i] = (char)(str_hex_digit(hex.p[2 * i]) << 4 | str_hex_digit(hex.p[2 * i + 1]));
	return str_from(bytes, hex.n / 2);
}

const struct db_driver db_postgresql = {
	.connect = postgresql_connect,
	.disconnect = postgresql_disconnect,
	.is_alive = postgresql_is_alive,
	.script = postgresql_script,
	.lock = postgresql_lock,
	.rollback = postgresql_rollback,
	.begin = "BEGIN ISOLATION LEVEL READ COMMITTED",
	.query = postgresql_query,
	.next = postgresql_next,
	.end = postgresql_end,
	.columns = postgresql_columns,
	.is_null = postgresql_is_null,
	.integer = postgresql_integer,
	.text = postgresql_text,
	.blob = postgresql_blob,
};
