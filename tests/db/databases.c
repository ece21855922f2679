#include "databases.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[64];

const char *databases_directory(void)
{
	if (directory[0] == '\0') {
		strcpy(directory, "/tmp/trimilter-test-XXXXXX");
		assert_non_null(mkdtemp(directory));
	}
	return directory;
}

static void remove_files(void)
{
	DIR *dir = opendir(databases_directory());
	char path[512];
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	closedir(dir);
}

int databases_finish(void **state)
{
	(void)state;
	if (directory[0] != '\0') {
		remove_files();
		rmdir(directory);
	}
	return 0;
}

const char *databases_url(enum db_kind kind)
{
	static char sqlite[128];
	if (kind == DB_SQLITE) {
		snprintf(sqlite, sizeof(sqlite), "sqlite:%s/test.db", databases_directory());
		return sqlite;
	}
	const char *url = getenv("TEST_POSTGRESQL");
	if (url == NULL)
		fail_msg("run this by tests/lab/postgres.py, which names the server in TEST_POSTGRESQL");
	return url;
}

struct db_setup databases_setup(enum db_kind kind)
{
	struct str url = str_of(databases_url(kind));
	struct db_setup setup = {.kind = kind, .answer_ms = 10000};
	if (kind == DB_SQLITE)
		setup.path = str_skip(url, 7);
	else
		setup.url = url;
	return setup;
}

struct db *databases_open(enum db_kind kind)
{
	struct db_setup setup = databases_setup(kind);
	char error[DB_ERROR_SIZE];
	struct db *db;
	if (db_open(&setup, &db, error) != ERR_OK)
		fail_msg("%s", error);
	return db;
}

void databases_empty(enum db_kind kind)
{
	if (kind == DB_SQLITE) {
		remove_files();
		return;
	}
	struct db *db = databases_open(kind);
	if (db_script(db, "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public") != ERR_OK)
		fail_msg("%s", db_error(db));
	db_close(db);
}

void databases_each(void (*test)(enum db_kind kind))
{
	static const char *const names[] = {[DB_SQLITE] = "SQLite", [DB_POSTGRESQL] = "PostgreSQL"};
	for (enum db_kind kind = DB_SQLITE; kind <= DB_POSTGRESQL; kind++) {
		print_message("           on %s\n", names[kind]);
		databases_empty(kind);
		test(kind);
	}
}
