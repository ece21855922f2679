/*
 * A PostgreSQL whose connection ends right behind an answer: what was answered well stands, and the next question finds
 * a new connection. Between libpq and the server there is a proxy, which ends the connection behind the answer that it
 * is told to; and once libpq itself says that its connection is gone, for it need not wait for our next question to
 * learn.
 */
#include "databases.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "db/libpq.h"

enum ending { STAYS, IS_CLOSED, SAYS_GOODBYE };

static _Atomic enum ending ending; /* of the connection whose next answer comes; then it is STAYS again */
static atomic_uint n_ended;

/* ---- the proxy: one connection at a time ---- */

struct proxy {
	int listener;
	struct sockaddr_in server;
};

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* "Ready for query" is the last of an answer. */
static bool is_end_of_answer(const char *p, size_t n)
{
	static const char ready[] = {'Z', 0, 0, 0, 5, 'I'};
	return n >= sizeof(ready) && memcmp(p + n - sizeof(ready), ready, sizeof(ready)) == 0;
}

static void end_connection(int client, enum ending how)
{
	static const char goodbye[] = "E\0\0\0\x2f"
				      "SFATAL\0"
				      "C57P01\0"
				      "Mterminating connection now\0";
	_Static_assert(sizeof(goodbye) == 1 + 0x2f, "length of the message");
	if (how == SAYS_GOODBYE)
		send_all(client, goodbye, sizeof(goodbye));
}

static bool pass_on(int from, int to, bool is_answer)
{
	char bytes[65536];
	enum ending how = STAYS;
	ssize_t n = recv(from, bytes, sizeof(bytes), 0);
	if (n <= 0)
		return false;
	/* Before it is sent: the next order may come as soon as it is. */
	if (is_answer && is_end_of_answer(bytes, (size_t)n))
		how = atomic_exchange(&ending, STAYS);
	n_ended += how != STAYS;
	if (!send_all(to, bytes, (size_t)n))
		return false;
	if (how != STAYS)
		end_connection(to, how);
	return how == STAYS;
}

static void *run_proxy(void *context)
{
	const struct proxy *proxy = context;
	for (int client; (client = accept(proxy->listener, NULL, NULL)) >= 0; close(client)) {
		int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct pollfd polled[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
		bool goes_on = connect(server, (const struct sockaddr *)&proxy->server, sizeof(proxy->server)) == 0;
		while (goes_on && poll(polled, 2, -1) > 0)
			goes_on = (polled[0].revents == 0 || pass_on(client, server, false)) &&
				  (polled[1].revents == 0 || pass_on(server, client, true));
		close(server);
	}
	return NULL;
}

/* The URL of the server with the proxy's port instead of its own; static. */
static const char *start_proxy(void)
{
	static struct proxy proxy;
	static char url[256];
	pthread_t thread;
	const char *host = "@127.0.0.1:", *server = databases_url(DB_POSTGRESQL), *port = strstr(server, host);
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);
	char *rest;
	assert_non_null(port);
	port += strlen(host);
	proxy.server = loopback((unsigned)strtoul(port, &rest, 10));
	proxy.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(proxy.listener, (const struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(proxy.listener, 8), 0);
	assert_int_equal(getsockname(proxy.listener, (struct sockaddr *)&address, &size), 0);
	snprintf(url, sizeof(url), "%.*s%u%s", (int)(port - server), server, ntohs(address.sin_port), rest);
	assert_int_equal(pthread_create(&thread, NULL, run_proxy, &proxy), 0);
	pthread_detach(thread);
	return url;
}

/* ---- libpq that knows of the end already ---- */

static bool is_known;
static struct libpq real;

static ConnStatusType status(const PGconn *connection)
{
	return is_known ? CONNECTION_BAD : real.PQstatus(connection);
}

bool __real_libpq_load(struct libpq *ret_libpq, char *error, size_t size);
bool __wrap_libpq_load(struct libpq *ret_libpq, char *error, size_t size);
bool __wrap_libpq_load(struct libpq *ret_libpq, char *error, size_t size)
{
	if (!__real_libpq_load(ret_libpq, error, size))
		return false;
	real = *ret_libpq;
	ret_libpq->PQstatus = status;
	return true;
}

/* ---- what is asked ---- */

static int64_t count_rows(struct db *db)
{
	int64_t n = 0;
	db_query(db, "SELECT generate_series(1, 3000)", DB_NO_VALUES);
	while (db_next(db))
		assert_int_equal(db_column_int(db, 0), ++n);
	return db_end(db) == ERR_OK ? n : -1;
}

static int64_t add_row(struct db *db)
{
	enum err err = db_run(db, "INSERT INTO t (n) VALUES ($1)", DB_VALUES(db_int(1)));
	return err == ERR_OK ? (int64_t)db_changed(db) : -1;
}

static const struct {
	const char *what;
	int64_t (*ask)(struct db *db);
	enum ending ending;
	bool is_known;
	int64_t wanted;
} rows[] = {
	{"rows, then the end", count_rows, IS_CLOSED, false, 3000},
	{"rows, then a goodbye", count_rows, SAYS_GOODBYE, false, 3000},
	{"rows, and libpq knows of the end", count_rows, STAYS, true, 3000},
	{"a row is added, then the end", add_row, IS_CLOSED, false, 1},
	{"a row is added, then a goodbye", add_row, SAYS_GOODBYE, false, 1},
	{"a row is added, and libpq knows of the end", add_row, STAYS, true, 1},
};

static void a_good_answer_stands(void **state)
{
	(void)state;
	char error[DB_ERROR_SIZE];
	struct db_setup setup = databases_setup(DB_POSTGRESQL);
	setup.url = str_of(start_proxy());
	setup.answer_ms = 20000;
	databases_empty(DB_POSTGRESQL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct db *db;
		if (db_open(&setup, &db, error) != ERR_OK)
			fail_msg("%s: %s", rows[i].what, error);
		/* Prepared beforehand, so that the next answer is that of the statement. */
		assert_int_equal(db_script(db, "CREATE TABLE IF NOT EXISTS t (n BIGINT)"), ERR_OK);
		assert_int_equal(rows[i].ask(db), rows[i].wanted);
		unsigned before = atomic_load(&n_ended);
		atomic_store(&ending, rows[i].ending);
		is_known = rows[i].is_known;
		int64_t got = rows[i].ask(db);
		is_known = false;
		if (got != rows[i].wanted)
			fail_msg("%s: %s", rows[i].what, db_error(db));
		assert_int_equal(atomic_load(&n_ended) - before, rows[i].ending != STAYS);
		/* The next question finds another connection, or tells that it had none and the one after it finds it.
		 */
		if (rows[i].ask(db) != rows[i].wanted)
			check_int(rows[i].what, (int)rows[i].ask(db), (int)rows[i].wanted);
		db_close(db);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_good_answer_stands, databases_finish),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
