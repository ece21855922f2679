/*
 * Databases as data sets: how they are named, that no password is shown, and their rows.
 */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>
#include <sqlite3.h>

#include "tables/database.h"

static struct diag_place nowhere = {"test.conf", 7};

/* ---- names ---- */

#define ASKED "?table=t&keycol=k&datacol=v"

static const struct {
	const char *what, *spec;
	const char *read; /* "type path|user|password|host|port|name|table|keys|values|filter|more" */
	const char *shown;
} specs[] = {
	{"lmdb:", "lmdb:/etc/keys", "0 /etc/keys||||||||||", "lmdb:/etc/keys"},
	{"mdb: is the same", "mdb:/etc/keys", "0 /etc/keys||||||||||", "mdb:/etc/keys"},
	{"sqlite:", "sqlite:/k.db" ASKED, "1 /k.db||||||t|k|v||", "sqlite:/k.db" ASKED},
	{"'?' between pairs as with OpenDKIM", "sqlite:/k.db?table=t?keycol=k?datacol=a,b", "1 /k.db||||||t|k|a,b||",
		NULL},
	{"a URL", "sqlite:///k.db" ASKED, "1 /k.db||||||t|k|v||", NULL},
	{"without values", "sqlite:/k.db?table=t&keycol=k", "1 /k.db||||||t|k|||", NULL},
	{"a filter", "sqlite:/k%3f.db" ASKED "&filter=a%20%26%201=1", "1 /k?.db||||||t|k|v|a & 1=1|", NULL},
	{"names of pairs in any case", "sqlite:/k?TABLE=t&KeyCol=k", "1 /k||||||t|k|||", NULL},
	{"PostgreSQL with all", "pgsql://joe:secret@db.example:5433/mail" ASKED,
		"2 |joe|secret|db.example|5433|mail|t|k|v||", "pgsql://joe:***@db.example:5433/mail" ASKED},
	{"the other name", "postgresql://db.example/mail" ASKED, "2 |||db.example||mail|t|k|v||", NULL},
	{"an encoded password", "pgsql://joe:a%40b%2Fc%3a@h/mail" ASKED, "2 |joe|a@b/c:|h||mail|t|k|v||",
		"pgsql://joe:***@h/mail" ASKED},
	{"IPv6", "pgsql://[2001:db8::1]:5433/mail" ASKED, "2 |||2001:db8::1|5433|mail|t|k|v||", NULL},
	{"IPv6 without a port", "pgsql://[2001:db8::1]/mail" ASKED, "2 |||2001:db8::1||mail|t|k|v||", NULL},
	{"the socket of this host", "pgsql:///mail" ASKED, "2 |||||mail|t|k|v||", NULL},
	{"parameters of libpq", "pgsql:?dbname=mail&host=/run/pg&table=t&keycol=k",
		"2 ||||||t|k|||dbname=mail,host=/run/pg,", NULL},
	{"a password as a parameter", "pgsql:///mail?password=secret&table=t&keycol=k",
		"2 |||||mail|t|k|||password=secret,", "pgsql:///mail?password=***&table=t&keycol=k"},
	{"dsn: as opendkim(8) has it", "dsn:pgsql://joe:secret@5433+db/mail/table=t?keycol=k?datacol=a,b",
		"2 |joe|secret|db|5433|mail|t|k|a,b||",
		"dsn:pgsql://joe:***@5433+db/mail/table=t?keycol=k?datacol=a,b"},
	{"dsn: without user and port", "dsn:pgsql://db/mail/table=t?keycol=k", "2 |||db||mail|t|k|||", NULL},
	{"dsn: quoted-printable", "dsn:pgsql://joe:a=40b=2f@db/mail/table=t?keycol=k?filter=id=20>=201",
		"2 |joe|a@b/|db||mail|t|k||id > 1|", "dsn:pgsql://joe:***@db/mail/table=t?keycol=k?filter=id=20>=201"},
	{"a '/' in a password", "pgsql://joe:se/cret@db/mail" ASKED, "2 |joe|se/cret|db||mail|t|k|v||",
		"pgsql://joe:***@db/mail" ASKED},
	{"dsn: SQLite, a directory and a file", "dsn:sqlite3://=2Fetc=2F/k.db/table=t?keycol=k",
		"1 /etc//k.db||||||t|k|||", NULL},
	{"dsn: SQLite, a path", "dsn:sqlite3:///etc/k.db/table=t?keycol=k", "1 /etc/k.db||||||t|k|||", NULL},
};

static struct str more_text(struct arena *arena, const struct database *database)
{
	struct str text = STR("");
	for (size_t i = 0; i < database->n_parameters; i++)
		text = arena_printf(arena, "%.*s%s=%s,", STR_ARG(text), database->parameters[i].name.p,
			database->parameters[i].value.p);
	return text;
}

static void names_are_read(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(specs); i++) {
		struct diag diag = diag_in(arena);
		struct database d;
		check_int(specs[i].what, database_parse(arena, str_of(specs[i].spec), nowhere, &diag, &d), true);
		check_int(specs[i].what, (long long)diag.n, 0);
		struct str read = arena_printf(arena, "%d %.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
			d.type, STR_ARG(d.path), STR_ARG(d.user), STR_ARG(d.password), STR_ARG(d.host), STR_ARG(d.port),
			STR_ARG(d.name), STR_ARG(d.table), STR_ARG(d.keys), STR_ARG(d.values), STR_ARG(d.filter),
			STR_ARG(more_text(arena, &d)));
		check_str(specs[i].what, read, specs[i].read);
		check_str(specs[i].what, d.shown, specs[i].shown != NULL ? specs[i].shown : specs[i].spec);
	}
	arena_free(arena);
}

static const struct {
	const char *spec, *message;
} mistakes[] = {
	{"lmdb:", "lmdb:: names no directory"},
	{"sqlite:?table=t&keycol=k", "sqlite:?table=t&keycol=k: names no file"},
	{"sqlite:/k.db", "sqlite:/k.db: table= and keycol= are needed: write ...table=TABLE"},
	{"sqlite:/k.db?table=t", "table= and keycol= are needed"},
	{"sqlite:/k.db?tabel=t&keycol=k", "known are table=, keycol=, datacol= and filter="},
	{"pgsql:db/mail?table=t&keycol=k", "write pgsql://user@host/database?table=..."},
	{"pgsql://joe:secret/mail?table=t&keycol=k", "test.conf:7: the port of the database is no number"},
	{"pgsql://joe:a?secret@db/mail?table=t&keycol=k", "test.conf:7: the port of the database is no number"},
	{"dsn:mysql://joe:secret@db/mail/table=t?keycol=k", "dsn:mysql://joe:***@db/mail/table=t?keycol=k: databases "
							    "of type \"mysql\" are not supported: sqlite3 and pgsql"},
	{"dsn:pgsql:db/mail", "write dsn:BACKEND://"},
	{"dsn:pgsql://db", "write dsn:BACKEND://"},
};

static void mistakes_are_named_without_passwords(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag = diag_in(arena);
		struct database database;
		check_int(mistakes[i].spec, database_parse(arena, str_of(mistakes[i].spec), nowhere, &diag, &database),
			false);
		check_int(mistakes[i].spec, (long long)diag.n_errors, 1);
		if (strstr(diag.entries[0].text.p, mistakes[i].message) == NULL)
			check_str(mistakes[i].spec, diag.entries[0].text, mistakes[i].message);
		assert_null(strstr(diag.entries[0].text.p, "secret"));
	}
	arena_free(arena);
}

static void a_password_that_all_may_read_is_a_warning(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		mode_t mode;
		size_t warnings;
	} rows[] = {
		{"pgsql://joe:secret@db/mail" ASKED, 0644, 1},
		{"pgsql://joe:secret@db/mail" ASKED, 0640, 0},
		{"pgsql://joe@db/mail" ASKED, 0644, 0},
		{"dsn:pgsql://joe:secret@db/mail/table=t?keycol=k", 0644, 1},
	};
	char path[] = "/tmp/trimilter-database-XXXXXX";
	close(mkstemp(path));
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct diag diag = diag_in(arena);
		struct database database;
		chmod(path, rows[i].mode);
		database_parse(arena, str_of(rows[i].spec), (struct diag_place){path, 3}, &diag, &database);
		check_int(rows[i].spec, (long long)diag.n, (long long)rows[i].warnings);
		if (diag.n > 0)
			assert_non_null(strstr(diag.entries[0].text.p, "joe:***@db/mail"));
	}
	unlink(path);
	arena_free(arena);
}

/* ---- rows ---- */

struct fixture {
	char directory[64];
	struct arena *arena;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->directory, "/tmp/trimilter-database-XXXXXX");
	fixture->arena = arena_new(0);
	*state = fixture;
	return mkdtemp(fixture->directory) == NULL || chdir(fixture->directory) != 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = chdir("/") + system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

static enum err read_rows(struct arena *arena, const char *spec, struct diag *diag, struct str *ret_text)
{
	struct dataset dataset;
	*diag = diag_in(arena);
	*ret_text = STR("");
	enum err err = dataset_read(arena, str_of(spec), nowhere, diag, &dataset);
	for (size_t i = 0; err == ERR_OK && i < dataset.n; i++)
		*ret_text = arena_printf(arena, "%.*s%s%.*s>%.*s", STR_ARG(*ret_text), i > 0 ? "|" : "",
			STR_ARG(dataset.rows[i].key), STR_ARG(dataset.rows[i].value));
	if (err == ERR_OK)
		check_int(spec, dataset.kind, DATASET_DATABASE);
	return err;
}

static void check_rows(struct arena *arena, const char *spec, const char *wanted)
{
	struct diag diag;
	struct str text;
	enum err err = read_rows(arena, spec, &diag, &text);
	if (err != ERR_OK)
		check_str(spec, diag.entries[0].text, "");
	check_str(spec, text, wanted);
}

static void check_mistake(struct arena *arena, const char *spec, const char *part)
{
	struct diag diag;
	struct str text;
	check_int(spec, read_rows(arena, spec, &diag, &text), ERR_CONFIG);
	check_int(spec, (long long)diag.n_errors, 1);
	if (strstr(diag.entries[0].text.p, part) == NULL)
		check_str(spec, diag.entries[0].text, part);
	assert_null(strchr(diag.entries[0].text.p, '\n'));
}

/* @pairs  "key=value;..."; @end  bytes of the NUL behind each to store as well */
static void make_lmdb(const char *path, unsigned flags, const char *pairs, size_t end)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_open(env, path, flags, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	for (struct str rest = str_of(pairs), pair, key; str_cut(&rest, ';', &pair);) {
		char k[100], v[100];
		str_cut(&pair, '=', &key);
		snprintf(k, sizeof(k), "%.*s", STR_ARG(key));
		snprintf(v, sizeof(v), "%.*s", STR_ARG(pair));
		MDB_val mdb_key = {key.n + end, k}, value = {pair.n + end, v};
		assert_int_equal(mdb_put(txn, dbi, &mdb_key, &value, 0), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void lmdb_is_read(void **state)
{
	struct fixture *fixture = *state;
	mkdir("odk", 0700);
	make_lmdb("odk", 0, "k=example.com:s:/etc/k;a=b", 0);
	make_lmdb("postfix.lmdb", MDB_NOSUBDIR, "k=v;only=", 1);
	check_rows(fixture->arena, "mdb:odk", "a>b|k>example.com:s:/etc/k");
	check_rows(fixture->arena, "lmdb:odk", "a>b|k>example.com:s:/etc/k");
	/* What postmap(1) makes: a file, named with and without its end, and a NUL behind keys and values. */
	check_rows(fixture->arena, "lmdb:postfix.lmdb", "k>v|only>");
	check_rows(fixture->arena, "lmdb:postfix", "k>v|only>");
	/* Rights to write are not needed, and nothing is left beside it. */
	unlink("odk/lock.mdb");
	chmod("odk/data.mdb", 0400);
	chmod("odk", 0500);
	check_rows(fixture->arena, "mdb:odk", "a>b|k>example.com:s:/etc/k");
	assert_int_equal(access("odk/lock.mdb", F_OK), -1);
	chmod("odk", 0700);
}

enum { ROWS = 5000, EVERY = 100, READS = 20, MOST_READS = 40 };

/* Every hundredth row gets the value @n in one transaction, so that pages change all over the file. */
static void change_lmdb(MDB_env *env, unsigned n, bool all)
{
	static char ballast[1500];
	MDB_txn *txn;
	MDB_dbi dbi;
	char key[16], value[16];
	memset(ballast, 'x', sizeof(ballast));
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	for (int i = 0; i < ROWS; i += all ? 1 : EVERY) {
		MDB_val k = {(size_t)snprintf(key, sizeof(key), "%05d", i), key};
		MDB_val v = {(size_t)snprintf(value, sizeof(value), "%u", n), value};
		if (i % EVERY != 0)
			v = (MDB_val){sizeof(ballast), ballast};
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static MDB_env *open_lmdb(const char *path)
{
	MDB_env *env;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_mapsize(env, (size_t)64 << 20), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSYNC, 0600), 0);
	return env;
}

/* Many transactions while one copy is made, and pauses in which one succeeds. */
static void keep_changing(const char *path)
{
	MDB_env *env = open_lmdb(path);
	for (unsigned n = 1;; n++) {
		change_lmdb(env, n, false);
		if (n % 200 == 0)
			usleep(200000);
	}
}

static void lmdb_is_read_while_it_changes(void **state)
{
	int read = 0;
	(void)state;
	mkdir("changing", 0700);
	MDB_env *env = open_lmdb("changing");
	change_lmdb(env, 0, true);
	mdb_env_close(env);
	pid_t writer = fork();
	assert_true(writer >= 0);
	if (writer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_changing("changing");
	}
	/* How often it is too busy is the machine's affair. */
	for (int n = 0; n < READS || (read == 0 && n < MOST_READS); n++) {
		struct arena *arena = arena_new(0);
		struct diag diag = diag_in(arena);
		struct dataset dataset;
		/* All of one transaction, or that it is too busy. */
		if (dataset_read(arena, STR("mdb:changing"), nowhere, &diag, &dataset) != ERR_OK) {
			assert_non_null(strstr(diag.entries[0].text.p, "resource busy"));
			dataset.n = 0;
		}
		check_int("all rows", (long long)dataset.n, dataset.n == 0 ? 0 : ROWS);
		for (size_t i = 0; i < dataset.n; i += EVERY)
			check_int("one transaction", str_eq(dataset.rows[i].value, dataset.rows[0].value), true);
		read += dataset.n > 0;
		arena_free(arena);
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	check_int("read at least once", read > 0, true);
}

static void write_text(const char *name, const char *text, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static void mistakes_with_lmdb_are_named(void **state)
{
	struct fixture *fixture = *state;
	mkdir("empty", 0700);
	write_text("text", "a b\n", 4);
	make_lmdb("short", MDB_NOSUBDIR, "a=b", 0);
	assert_int_equal(truncate("short", 8192), 0);
	make_lmdb("binary", MDB_NOSUBDIR, "a=b", 3);
	check_mistake(fixture->arena, "lmdb:nowhere", "cannot read lmdb:nowhere: No such file or directory");
	check_mistake(
		fixture->arena, "lmdb:empty", "cannot read lmdb:empty: No such file or directory (a directory must");
	check_mistake(fixture->arena, "lmdb:text", "cannot read lmdb:text: ");
	check_mistake(fixture->arena, "lmdb:short", "cannot read lmdb:short: ");
	check_mistake(fixture->arena, "lmdb:binary", "contains NUL bytes");
}

static void make_sqlite(const char *path, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void sqlite_is_read(void **state)
{
	struct fixture *fixture = *state;
	make_sqlite("k.db", "CREATE TABLE keys (id INTEGER, d TEXT, s TEXT, k TEXT);"
			    "INSERT INTO keys VALUES (2, 'b.example', 's', '/b'), (1, 'a.example', 's', 'x:y'),"
			    "(3, 'c.example', NULL, NULL), (NULL, 'd.example', 's', ''), (4, NULL, 's', NULL);");
	check_rows(fixture->arena, "sqlite:k.db?table=keys&keycol=id&datacol=d,s,k",
		"1>a.example:s:x:y|2>b.example:s:/b|3>c.example|4>:s");
	check_rows(fixture->arena, "sqlite:k.db?table=keys&keycol=d", "a.example>|b.example>|c.example>|d.example>");
	check_rows(fixture->arena, "sqlite:k.db?table=keys&keycol=d&datacol=id&filter=id%3C3 OR id=3",
		"a.example>1|b.example>2|c.example>3");
	check_rows(fixture->arena, "dsn:sqlite3://./k.db/table=keys?keycol=d?datacol=id?filter=id=3D2", "b.example>2");
	/* The same order every time, whatever the table's is. */
	make_sqlite(
		"two.db", "CREATE TABLE t (k TEXT, v TEXT); INSERT INTO t VALUES ('b', '3'), ('a', '2'), ('a', '1');");
	check_rows(fixture->arena, "sqlite:two.db?table=t&keycol=k&datacol=v", "a>1|a>2|b>3");
	/* Not only names: what SQL takes. */
	check_rows(fixture->arena, "sqlite:k.db?table=keys&keycol='*@'||d&datacol=id&filter=id=1", "*@a.example>1");
}

static void mistakes_with_sqlite_are_named(void **state)
{
	struct fixture *fixture = *state;
	write_text("text.db", "this is a text file, no database, and long enough", 48);
	make_sqlite("k.db", "CREATE TABLE IF NOT EXISTS keys (id INTEGER, d TEXT, s TEXT, k TEXT);");
	check_mistake(fixture->arena, "sqlite:no.db?table=t&keycol=k",
		"cannot read sqlite:no.db?table=t&keycol=k: unable to open");
	check_mistake(fixture->arena, "sqlite:text.db?table=t&keycol=k", "file is not a database");
	check_mistake(fixture->arena, "sqlite:k.db?table=t&keycol=k", "no such table: t");
	check_mistake(fixture->arena, "sqlite:k.db?table=keys&keycol=kay", "no such column: kay");
	check_mistake(fixture->arena, "sqlite:k.db?table=keys&keycol=d&filter=1;DROP TABLE keys", "syntax error");
	assert_int_equal(access("no.db", F_OK), -1);
}

static void postgresql_that_is_not_there_is_named(void **state)
{
	struct fixture *fixture = *state;
	check_mistake(fixture->arena, "pgsql://joe:secret@localhost/m?host=/nonexistent&table=t&keycol=k",
		"cannot read pgsql://joe:***@localhost/m?host=/nonexistent&table=t&keycol=k: ");
	check_mistake(fixture->arena, "pgsql:///m?tabel=t&table=t&keycol=k", "invalid connection option \"tabel\"");
}

static void a_change_is_seen(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	static const char *const lists[] = {"a=b", "a=c", "ab", "a=b,c", "a=b,c=d", "", "c=d,a=b"};
	uint64_t seen[COUNT(lists)];
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct dataset dataset = {.kind = DATASET_LIST};
		dataset_parse_list(arena, str_of(lists[i]), nowhere, &dataset);
		seen[i] = dataset_fingerprint(&dataset);
		check_int(lists[i], dataset_fingerprint(&dataset) == seen[i], true);
		for (size_t k = 0; k < i; k++)
			check_int(lists[i], seen[i] == seen[k], false);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(mistakes_are_named_without_passwords),
		cmocka_unit_test(a_password_that_all_may_read_is_a_warning),
		cmocka_unit_test_setup_teardown(lmdb_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lmdb_is_read_while_it_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes_with_lmdb_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sqlite_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes_with_sqlite_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(postgresql_that_is_not_there_is_named, set_up, tear_down),
		cmocka_unit_test(a_change_is_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
