/*
 * The store's tables: made once however many come at the same time, and taken from any version to the newest.
 */
#include "store_lab.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/schema.h"

static int64_t number(struct db *db, const char *sql)
{
	int64_t found = -1;
	db_query(db, sql, DB_NO_VALUES);
	while (db_next(db))
		found = db_column_int(db, 0);
	if (db_end(db) != ERR_OK)
		fail_msg("%s: %s", sql, db_error(db));
	return found;
}

static void migrate(struct db *db, const struct schema_version *versions, size_t n)
{
	if (schema_migrate(db, versions, n) != ERR_OK)
		fail_msg("%s", db_error(db));
}

/* What a later release might do: a column more, and its values. */
static const char *const later[] = {
	"ALTER TABLE batch_row ADD COLUMN weight BIGINT NOT NULL DEFAULT 0",
	"UPDATE batch_row SET weight = 10 * messages",
	"CREATE TABLE more (id {id}, bytes {bytes})",
};
static const char *const broken[] = {
	"CREATE TABLE half (id {id})",
	"INSERT INTO nowhere (x) VALUES (1)",
};

static void fill_version_1(enum db_kind kind)
{
	struct db *db = databases_open(kind);
	migrate(db, schema_versions, 1);
	assert_int_equal(number(db, "SELECT version FROM schema_version"), 1);
	db_close(db);
	struct store *store = lab_open(kind);
	for (int i = 0; i < 3; i++)
		lab_count(store, "a.example", "192.0.2.1");
	lab_count(store, "a.example", "192.0.2.2");
	store_close(store);
}

static void from_version_1_to_the_next(enum db_kind kind)
{
	struct schema_version versions[] = {schema_versions[0], {later, COUNT(later)}};
	fill_version_1(kind);
	struct db *db = databases_open(kind);
	migrate(db, versions, 2);
	assert_int_equal(number(db, "SELECT version FROM schema_version"), 2);
	assert_int_equal(number(db, "SELECT CAST(sum(weight) AS BIGINT) FROM batch_row"), 40);
	assert_int_equal(number(db, "SELECT count(*) FROM more"), 0);
	/* Once. */
	assert_int_equal(db_run(db, "UPDATE batch_row SET weight = 1", DB_NO_VALUES), ERR_OK);
	migrate(db, versions, 2);
	assert_int_equal(number(db, "SELECT CAST(sum(weight) AS BIGINT) FROM batch_row"), 2);
	db_close(db);
}

static void a_version_that_fails_changes_nothing(enum db_kind kind)
{
	struct schema_version versions[] = {schema_versions[0], {later, COUNT(later)}, {broken, COUNT(broken)}};
	fill_version_1(kind);
	struct db *db = databases_open(kind);
	assert_int_equal(schema_migrate(db, versions, 3), ERR_IO);
	assert_non_null(strstr(db_error(db), "nowhere"));
	assert_int_equal(number(db, "SELECT version FROM schema_version"), 1);
	assert_int_equal(db_run(db, "SELECT * FROM half", DB_NO_VALUES), ERR_IO);
	assert_int_equal(db_run(db, "SELECT weight FROM batch_row", DB_NO_VALUES), ERR_IO);
	db_close(db);
	struct store *store = lab_open(kind);
	lab_count(store, "a.example", "192.0.2.1");
	store_close(store);
}

static void tables_of_a_newer_release_are_refused(enum db_kind kind)
{
	struct schema_version versions[] = {schema_versions[0], {later, COUNT(later)}};
	struct db *db = databases_open(kind);
	struct store *store;
	char error[STORE_ERROR_SIZE];
	migrate(db, versions, 2);
	assert_int_equal(store_open(str_of(databases_url(kind)), &store, error), ERR_IO);
	assert_non_null(strstr(error, "version 2"));
	assert_non_null(strstr(error, "up to 1"));
	assert_null(store);
	assert_int_equal(number(db, "SELECT version FROM schema_version"), 2);
	/* And by who was there before. */
	databases_empty(kind);
	store = lab_open(kind);
	lab_count(store, "a.example", "192.0.2.1");
	migrate(db, versions, 2);
	assert_int_equal(store_begin(store), ERR_IO);
	assert_non_null(strstr(store_error(store), "version 2"));
	store_close(store);
	db_close(db);
}

/* Processes that all find nothing, or all find version 1. */
static void all_at_once(enum db_kind kind, const struct schema_version *versions, size_t n)
{
	pid_t children[6];
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	for (size_t i = 0; i < COUNT(children); i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] != 0)
			continue;
		struct db_setup setup = databases_setup(kind);
		char error[DB_ERROR_SIZE] = "", c;
		struct db *db;
		bool good = db_open(&setup, &db, error) == ERR_OK;
		/* The pipe's end is what they all wait for. */
		close(ready[1]);
		good = good && read(ready[0], &c, 1) == 0 && schema_migrate(db, versions, n) == ERR_OK;
		if (!good)
			fprintf(stderr, "%s%s\n", error, error[0] == '\0' ? db_error(db) : "");
		_exit(good ? 0 : 1);
	}
	/* Time for them to connect. */
	usleep(300000);
	close(ready[1]);
	for (size_t i = 0; i < COUNT(children); i++) {
		int status;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	close(ready[0]);
}

static void all_hosts_may_come_at_once(enum db_kind kind)
{
	struct schema_version versions[] = {schema_versions[0], {later, COUNT(later)}};
	all_at_once(kind, versions, 1);
	struct store *store = lab_open(kind);
	lab_count(store, "a.example", "192.0.2.1");
	store_close(store);
	all_at_once(kind, versions, 2);
	struct db *db = databases_open(kind);
	assert_int_equal(number(db, "SELECT count(*) FROM schema_version"), 1);
	assert_int_equal(number(db, "SELECT CAST(sum(weight) AS BIGINT) FROM batch_row"), 10);
	db_close(db);
}

ON_BOTH(from_version_1_to_the_next)
ON_BOTH(a_version_that_fails_changes_nothing)
ON_BOTH(tables_of_a_newer_release_are_refused)
ON_BOTH(all_hosts_may_come_at_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_from_version_1_to_the_next),
		cmocka_unit_test(both_a_version_that_fails_changes_nothing),
		cmocka_unit_test(both_tables_of_a_newer_release_are_refused),
		cmocka_unit_test(both_all_hosts_may_come_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, databases_finish);
}
