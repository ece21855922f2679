/*
 * One adapter, two databases, the same answers; and what each does when it breaks.
 */
#include "databases.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static const char *blob_word(enum db_kind kind)
{
	return kind == DB_SQLITE ? "BLOB" : "BYTEA";
}

static void ok(struct db *db, enum err err)
{
	if (err != ERR_OK)
		fail_msg("%s", db_error(db));
}

static void make_table(struct db *db, enum db_kind kind)
{
	char sql[128];
	snprintf(sql, sizeof(sql), "CREATE TABLE t (n BIGINT UNIQUE, text TEXT, bytes %s)", blob_word(kind));
	ok(db, db_script(db, sql));
}

static int64_t number(struct db *db, const char *sql, const struct db_value *values, size_t n)
{
	int64_t found = -1;
	db_query(db, sql, values, n);
	while (db_next(db))
		found = db_column_int(db, 0);
	ok(db, db_end(db));
	return found;
}

#define INSERT "INSERT INTO t (n, text, bytes) VALUES ($1, $2, $3)"

static void insert(struct db *db, int64_t n)
{
	ok(db, db_run(db, INSERT, DB_VALUES(db_int(n), db_text(STR("x")), db_null())));
}

/* ---- values ---- */

static const struct {
	const char *what;
	struct str text;
	const char *wanted;
} texts[] = {
	{"empty", STR_INIT(""), ""},
	{"no pointer", {NULL, 0}, ""},
	{"quotes are no syntax", STR_INIT("'; DROP TABLE t; --\\"), "'; DROP TABLE t; --\\"},
	{"UTF-8 stays", STR_INIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa7"),
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa7"},
	{"Latin-1 becomes what it means", STR_INIT("gr\xfc\xdf"), "gr\xc3\xbc\xc3\x9f"},
	{"a sequence cut off", STR_INIT("\xe2\x82"), "\xc3\xa2\xc2\x82"},
	{"overlong, a surrogate", STR_INIT("\xc0\xaf\xed\xa0\x80"), "\xc3\x80\xc2\xaf\xc3\xad\xc2\xa0\xc2\x80"},
	{"NUL", STR_INIT("a\0b"),
		"a\xef\xbf\xbd"
		"b"},
	{"control bytes stay", STR_INIT("\x01\x1f\x7f\r\n"), "\x01\x1f\x7f\r\n"},
};

static void values_come_back(enum db_kind kind)
{
	static const int64_t integers[] = {0, 1, -1, INT64_MAX, INT64_MIN, 4294967296};
	struct db *db = databases_open(kind);
	make_table(db, kind);
	for (size_t i = 0; i < COUNT(integers); i++) {
		ok(db, db_run(db, INSERT, DB_VALUES(db_int(integers[i]), db_null(), db_null())));
		assert_int_equal(db_changed(db), 1);
		assert_true(number(db, "SELECT n FROM t WHERE n = $1", DB_VALUES(db_int(integers[i]))) == integers[i]);
	}
	for (size_t i = 0; i < COUNT(texts); i++) {
		ok(db, db_run(db, "UPDATE t SET text = $2 WHERE n = $1", DB_VALUES(db_int(1), db_text(texts[i].text))));
		db_query(db, "SELECT text, bytes FROM t WHERE n = $1", DB_VALUES(db_int(1)));
		assert_true(db_next(db));
		assert_int_equal(db_columns(db), 2);
		check_str(texts[i].what, db_column_text(db, 0), texts[i].wanted);
		assert_false(db_column_is_null(db, 0));
		assert_true(db_column_is_null(db, 1));
		assert_int_equal(db_column_blob(db, 1).n, 0);
		assert_int_equal(db_column_int(db, 1), 0);
		assert_false(db_next(db));
		ok(db, db_end(db));
	}
	db_close(db);
}

static void bytes_are_bytes(enum db_kind kind)
{
	static const size_t sizes[] = {0, 1, 255, 256, 70000, 12000000};
	struct db *db = databases_open(kind);
	struct arena *arena = arena_new(0);
	make_table(db, kind);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *p = arena_alloc(arena, sizes[i] + 1);
		for (size_t j = 0; j < sizes[i]; j++)
			p[j] = (char)(j * 7 >> (j % 5));
		struct str bytes = str_from(p, sizes[i]);
		ok(db, db_run(db, INSERT, DB_VALUES(db_int((int64_t)i), db_null(), db_blob(bytes))));
		db_query(db, "SELECT bytes FROM t WHERE n = $1", DB_VALUES(db_int((int64_t)i)));
		assert_true(db_next(db));
		assert_false(db_column_is_null(db, 0));
		assert_true(str_eq(db_column_blob(db, 0), bytes));
		ok(db, db_end(db));
	}
	arena_free(arena);
	db_close(db);
}

static void parameters_go_by_number(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	make_table(db, kind);
	ok(db, db_run(db, "INSERT INTO t (text, n) VALUES ($2, $1)", DB_VALUES(db_int(7), db_text(STR("seven")))));
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE text = $2 AND (n = $1 OR n = $1)",
				 DB_VALUES(db_int(7), db_text(STR("seven")))),
		1);
	/* The same statement, other values; NULL leaves nothing of the former. */
	for (int64_t i = 0; i < 300; i++)
		insert(db, i + 100);
	ok(db, db_run(db, INSERT, DB_VALUES(db_int(8), db_null(), db_null())));
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE text IS NULL", DB_NO_VALUES), 1);
	ok(db, db_run(db, "DELETE FROM t WHERE n >= $1", DB_VALUES(db_int(100))));
	assert_int_equal(db_changed(db), 300);
	ok(db, db_run(db, "DELETE FROM t WHERE n >= $1", DB_VALUES(db_int(100))));
	assert_int_equal(db_changed(db), 0);
	db_close(db);
}

static void a_result_may_be_left(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	make_table(db, kind);
	for (int64_t i = 0; i < 10; i++)
		insert(db, i);
	for (int rows = 0; rows < 12; rows++) {
		db_query(db, "SELECT n FROM t ORDER BY n", DB_NO_VALUES);
		int got = 0;
		while (got < rows && db_next(db))
			assert_int_equal(db_column_int(db, 0), got++);
		assert_int_equal(got, rows < 10 ? rows : 10);
		ok(db, db_end(db));
	}
	db_query(db, "SELECT n FROM t", DB_NO_VALUES);
	assert_int_equal(db_run(db, "DELETE FROM t", DB_NO_VALUES), ERR_IO);
	assert_non_null(strstr(db_error(db), "has not been ended"));
	assert_int_equal(db_end(db), ERR_IO);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 10);
	db_close(db);
}

/* ---- transactions ---- */

static void nothing_of_a_failed_transaction_stays(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	make_table(db, kind);
	ok(db, db_begin(db));
	insert(db, 1);
	ok(db, db_commit(db));

	ok(db, db_begin(db));
	assert_true(db_in_transaction(db));
	insert(db, 2);
	assert_int_equal(db_run(db, INSERT, DB_VALUES(db_int(1), db_null(), db_null())), ERR_IO);
	char first[DB_ERROR_SIZE];
	snprintf(first, sizeof(first), "%s", db_error(db));
	/* As PostgreSQL does it, and SQLite does not. */
	assert_int_equal(db_run(db, INSERT, DB_VALUES(db_int(3), db_null(), db_null())), ERR_IO);
	assert_int_equal(db_commit(db), ERR_IO);
	assert_string_equal(db_error(db), first);
	assert_false(db_in_transaction(db));
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 1);

	ok(db, db_begin(db));
	insert(db, 4);
	assert_int_equal(db_begin(db), ERR_IO);
	assert_non_null(strstr(db_error(db), "do not nest"));
	db_rollback(db);
	db_rollback(db);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 1);
	assert_int_equal(db_commit(db), ERR_IO);
	db_close(db);
}

static void errors_say_what_is_wrong(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	assert_int_equal(db_run(db, "SELECT * FROM nowhere", DB_NO_VALUES), ERR_IO);
	assert_non_null(strstr(db_error(db), "nowhere"));
	assert_null(strchr(db_error(db), '\n'));
	db_query(db, "SELECT * FROM nowhere", DB_NO_VALUES);
	assert_false(db_next(db));
	assert_int_equal(db_end(db), ERR_IO);
	make_table(db, kind);
	insert(db, 1);
	assert_int_equal(db_run(db, INSERT, DB_VALUES(db_int(1), db_null(), db_null())), ERR_IO);
	assert_non_null(strcasestr(db_error(db), "unique"));
	/* Outside of a transaction one failure is one failure. */
	insert(db, 2);
	db_close(db);
}

/* The lock is held by one; the other waits no longer than it was told to. */
static void two_connections_take_turns(enum db_kind kind)
{
	struct db *one = databases_open(kind), *two;
	struct db_setup hasty = databases_setup(kind);
	char error[DB_ERROR_SIZE];
	make_table(one, kind);
	hasty.answer_ms = 300;
	if (db_open(&hasty, &two, error) != ERR_OK)
		fail_msg("%s", error);
	ok(one, db_begin(one));
	ok(one, db_lock(one));
	insert(one, 1);
	assert_int_equal(number(two, "SELECT count(*) FROM t", DB_NO_VALUES), 0);
	int64_t begin = clock_monotonic_ms();
	assert_true(db_begin(two) != ERR_OK || db_lock(two) != ERR_OK);
	int64_t waited = clock_monotonic_ms() - begin;
	db_rollback(two);
	assert_in_range(waited, 250, 15000);
	ok(one, db_commit(one));
	ok(two, db_begin(two));
	ok(two, db_lock(two));
	assert_int_equal(number(two, "SELECT count(*) FROM t", DB_NO_VALUES), 1);
	ok(two, db_commit(two));
	db_close(one);
	db_close(two);
}

/* ---- what breaks ---- */

static void break_connection(struct db *db, enum db_kind kind)
{
	if (kind == DB_SQLITE) {
		struct db_setup setup = databases_setup(kind);
		unlink(setup.path.p);
		return;
	}
	int64_t pid = number(db, "SELECT pg_backend_pid()", DB_NO_VALUES);
	struct db *other = databases_open(kind);
	number(other, "SELECT pg_terminate_backend(CAST($1 AS INTEGER))", DB_VALUES(db_int(pid)));
	/* Until it is gone. */
	while (number(other, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", DB_VALUES(db_int(pid))) > 0)
		usleep(1000);
	db_close(other);
}

static void a_broken_connection_is_made_anew(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	make_table(db, kind);
	insert(db, 1);
	break_connection(db, kind);
	ok(db, db_ready(db));
	/* Its statements are not known to the new connection. */
	if (kind == DB_SQLITE)
		make_table(db, kind);
	insert(db, 2);
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE n = $1", DB_VALUES(db_int(2))), 1);
	db_close(db);
}

static void no_transaction_goes_on_on_another_connection(void **state)
{
	(void)state;
	databases_empty(DB_POSTGRESQL);
	struct db *db = databases_open(DB_POSTGRESQL);
	make_table(db, DB_POSTGRESQL);
	ok(db, db_begin(db));
	insert(db, 1);
	break_connection(db, DB_POSTGRESQL);
	assert_int_equal(db_run(db, INSERT, DB_VALUES(db_int(2), db_null(), db_null())), ERR_IO);
	assert_int_equal(db_run(db, INSERT, DB_VALUES(db_int(3), db_null(), db_null())), ERR_IO);
	assert_int_equal(db_commit(db), ERR_IO);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 0);
	/* Broken when nothing but the commit is left. */
	ok(db, db_begin(db));
	insert(db, 4);
	break_connection(db, DB_POSTGRESQL);
	assert_int_equal(db_commit(db), ERR_IO);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 0);
	db_close(db);
}

static void slow_servers_are_not_waited_for(void **state)
{
	(void)state;
	char url[256], error[DB_ERROR_SIZE];
	struct db *db;
	/* Without the kernel's help. */
	snprintf(url, sizeof(url), "%s?tcp_user_timeout=0", databases_url(DB_POSTGRESQL));
	struct db_setup setup = {.kind = DB_POSTGRESQL, .url = str_of(url), .answer_ms = 300};
	assert_int_equal(db_open(&setup, &db, error), ERR_OK);
	int64_t begin = clock_monotonic_ms();
	assert_int_equal(db_run(db, "SELECT pg_sleep(20)", DB_NO_VALUES), ERR_IO);
	assert_in_range(clock_monotonic_ms() - begin, 250, 15000);
	assert_non_null(strstr(db_error(db), "timeout"));

	/* One that stands still altogether: with a statement, and with more than its socket takes. */
	struct arena *arena = arena_new(0);
	struct str large = {arena_alloc(arena, 20000000), 20000000};
	for (int i = 0; i < 2; i++) {
		pid_t pid = (pid_t)number(db, "SELECT pg_backend_pid()", DB_NO_VALUES);
		ok(db, db_run(db, "SELECT length($1)", DB_VALUES(db_blob(STR("x")))));
		if (kill(pid, SIGSTOP) != 0)
			fail_msg("only root may stop the server's process");
		begin = clock_monotonic_ms();
		enum err err = db_run(db, "SELECT length($1)", DB_VALUES(db_blob(i == 0 ? STR("x") : large)));
		int64_t waited = clock_monotonic_ms() - begin;
		kill(pid, SIGCONT);
		assert_int_equal(err, ERR_IO);
		assert_string_equal(db_error(db), "no answer within 300 ms");
		assert_in_range(waited, 1000, 15000);
	}
	assert_int_equal(number(db, "SELECT 1", DB_NO_VALUES), 1);
	arena_free(arena);
	db_close(db);
}

/* It accepts, and that is all. */
static void silent_servers_are_not_waited_for(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	char url[128], error[DB_ERROR_SIZE];
	snprintf(url, sizeof(url), "postgresql://a:secret@127.0.0.1:%u/x?connect_timeout=2", ntohs(address.sin_port));
	struct db_setup setup = {.kind = DB_POSTGRESQL, .url = str_of(url), .answer_ms = 300};
	struct db *db;
	int64_t begin = clock_monotonic_ms();
	assert_int_equal(db_open(&setup, &db, error), ERR_IO);
	assert_in_range(clock_monotonic_ms() - begin, 1000, 15000);
	assert_non_null(strstr(error, "timeout"));
	assert_null(strstr(error, "secret"));
	close(fd);
}

static void passwords_are_never_shown(void **state)
{
	(void)state;
	static const char *const urls[] = {
		"postgresql://alice:hush-hush@127.0.0.1:1/x",
		"postgresql://alice:hush-hush@/x?host=/nowhere/hush-hush",
		"postgresql://alice@127.0.0.1:1/hush-hush?password=hush-hush",
		"postgresql://alice:hush-hush@127.0.0.1:port/x",
		"postgresql://alice:hush-hush/1@127.0.0.1/x",
		"postgresql://alice:hush-hush%zz@127.0.0.1/x",
		"postgresql://[alice:hush-hush@127.0.0.1/x",
		"postgresql://alice:hush-hush@127.0.0.1/x?unknown=hush-hush",
	};
	char error[DB_ERROR_SIZE];
	struct db *db;
	for (size_t i = 0; i < COUNT(urls); i++) {
		struct db_setup setup = {.kind = DB_POSTGRESQL, .url = str_of(urls[i]), .answer_ms = 1000};
		check_int(urls[i], db_open(&setup, &db, error), ERR_IO);
		assert_true(strlen(error) > 20);
		if (strstr(error, "hush") != NULL)
			fail_msg("%s", error);
	}
	/* Of the real server: a wrong one, and the right one in a statement that fails. */
	char url[256];
	const char *good = databases_url(DB_POSTGRESQL), *at = strrchr(good, '@');
	snprintf(url, sizeof(url), "postgresql://trimilter:wrong%%20one%s", at);
	struct db_setup setup = {.kind = DB_POSTGRESQL, .url = str_of(url), .answer_ms = 1000};
	assert_int_equal(db_open(&setup, &db, error), ERR_IO);
	assert_non_null(strstr(error, "password authentication failed"));
	assert_null(strstr(error, "wrong one"));
	db = databases_open(DB_POSTGRESQL);
	assert_int_equal(db_run(db, "SELECT CAST($1 AS BIGINT)", DB_VALUES(db_text(STR("<p@ss/w:rd%>")))), ERR_IO);
	assert_non_null(strstr(db_error(db), "<*>"));
	db_close(db);
}

static void parameters_instead_of_a_url(void **state)
{
	(void)state;
	const char *good = databases_url(DB_POSTGRESQL), *port = strrchr(good, ':') + 1;
	const struct db_parameter parameters[] = {
		{STR("host"), STR("127.0.0.1")},
		{STR("port"), str_from(port, (size_t)(strchr(port, '/') - port))},
		{STR("user"), STR("trimilter")},
		{STR("password"), STR("p@ss/w:rd%")},
		{STR("dbname"), STR("mail")},
		{STR("sslmode"), STR("")},
	};
	struct db_setup setup = {
		.kind = DB_POSTGRESQL, .parameters = parameters, .n_parameters = COUNT(parameters), .answer_ms = 1000};
	char error[DB_ERROR_SIZE];
	struct db *db;
	if (db_open(&setup, &db, error) != ERR_OK)
		fail_msg("%s", error);
	/* Values of any type read as text, for tables that are others'. */
	db_query(db, "SELECT 1.50::numeric, true, DATE '2026-01-31', ARRAY['a','b']", DB_NO_VALUES);
	assert_true(db_next(db));
	check_str("numeric", db_column_text(db, 0), "1.50");
	check_str("boolean", db_column_text(db, 1), "t");
	check_str("date", db_column_text(db, 2), "2026-01-31");
	check_str("array", db_column_text(db, 3), "{a,b}");
	ok(db, db_end(db));
	db_close(db);
}

static void encodings_that_lose_characters_are_refused(void **state)
{
	(void)state;
	struct db *db = databases_open(DB_POSTGRESQL);
	char url[256], error[DB_ERROR_SIZE];
	ok(db, db_script(db, "DROP DATABASE IF EXISTS latin"));
	ok(db, db_script(db, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
	snprintf(url, sizeof(url), "%s", databases_url(DB_POSTGRESQL));
	strcpy(strrchr(url, '/'), "/latin");
	struct db_setup setup = {.kind = DB_POSTGRESQL, .url = str_of(url), .answer_ms = 1000};
	struct db *latin;
	assert_int_equal(db_open(&setup, &latin, error), ERR_IO);
	assert_non_null(strstr(error, "encoding is LATIN1"));
	ok(db, db_script(db, "DROP DATABASE latin"));
	db_close(db);
}

static void sqlite_files(void **state)
{
	(void)state;
	char path[256], error[DB_ERROR_SIZE];
	struct stat st;
	struct db *db;
	databases_empty(DB_SQLITE);
	snprintf(path, sizeof(path), "%s/a.db", databases_directory());
	struct db_setup setup = {.kind = DB_SQLITE, .path = str_of(path), .read_only = true, .answer_ms = 300};
	assert_int_equal(db_open(&setup, &db, error), ERR_IO);
	assert_non_null(strstr(error, "No such file"));

	/* Whatever the umask is, mail is nobody else's business. */
	mode_t mask = umask(0);
	setup.read_only = false;
	assert_int_equal(db_open(&setup, &db, error), ERR_OK);
	make_table(db, DB_SQLITE);
	insert(db, 1);
	umask(mask);
	static const char *const endings[] = {"", "-wal", "-shm"};
	for (size_t i = 0; i < COUNT(endings); i++) {
		char name[300];
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	db_query(db, "PRAGMA journal_mode", DB_NO_VALUES);
	assert_true(db_next(db));
	check_str("journal", db_column_text(db, 0), "wal");
	ok(db, db_end(db));
	assert_int_equal(number(db, "PRAGMA synchronous", DB_NO_VALUES), 2);
	assert_int_equal(number(db, "PRAGMA foreign_keys", DB_NO_VALUES), 1);
	db_close(db);

	setup.read_only = true;
	assert_int_equal(db_open(&setup, &db, error), ERR_OK);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NO_VALUES), 1);
	assert_int_equal(db_run(db, "DELETE FROM t", DB_NO_VALUES), ERR_IO);
	db_close(db);

	setup = (struct db_setup){.kind = DB_SQLITE, .path = STR("/nowhere/at/all.db"), .answer_ms = 300};
	assert_int_equal(db_open(&setup, &db, error), ERR_IO);
	assert_string_equal(error, "cannot open or create it: No such file or directory");
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 4096; i++)
		fputs("no database\n", file);
	fclose(file);
	setup.path = str_of(path);
	assert_int_equal(db_open(&setup, &db, error), ERR_IO);
	assert_string_equal(error, "file is not a database");
}

ON_BOTH(values_come_back)
ON_BOTH(bytes_are_bytes)
ON_BOTH(parameters_go_by_number)
ON_BOTH(a_result_may_be_left)
ON_BOTH(nothing_of_a_failed_transaction_stays)
ON_BOTH(errors_say_what_is_wrong)
ON_BOTH(two_connections_take_turns)
ON_BOTH(a_broken_connection_is_made_anew)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_values_come_back),
		cmocka_unit_test(both_bytes_are_bytes),
		cmocka_unit_test(both_parameters_go_by_number),
		cmocka_unit_test(both_a_result_may_be_left),
		cmocka_unit_test(both_nothing_of_a_failed_transaction_stays),
		cmocka_unit_test(both_errors_say_what_is_wrong),
		cmocka_unit_test(both_two_connections_take_turns),
		cmocka_unit_test(both_a_broken_connection_is_made_anew),
		cmocka_unit_test(no_transaction_goes_on_on_another_connection),
		cmocka_unit_test(slow_servers_are_not_waited_for),
		cmocka_unit_test(silent_servers_are_not_waited_for),
		cmocka_unit_test(passwords_are_never_shown),
		cmocka_unit_test(parameters_instead_of_a_url),
		cmocka_unit_test(encodings_that_lose_characters_are_refused),
		cmocka_unit_test(sqlite_files),
	};
	return cmocka_run_group_tests(tests, NULL, databases_finish);
}
