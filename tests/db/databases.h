/*
 * The databases that the same tests run on: SQLite in a directory of its own, and the PostgreSQL that
 * tests/lab/postgres.py names in TEST_POSTGRESQL. What both need is here: an empty database, and another connection to
 * it.
 */
#ifndef TRIMILTER_TESTS_DB_DATABASES_H
#define TRIMILTER_TESTS_DB_DATABASES_H

#include "test.h"

#include "db/db.h"

/** A directory for this test program; removed by databases_finish() with what is in it. */
const char *databases_directory(void);
/** The teardown of its tests. */
int databases_finish(void **state);

/** How to open it: answer_ms is 300 for short tests of what takes too long. Strings are static. */
struct db_setup databases_setup(enum db_kind kind);
/** The URL as store_open() takes it; static. */
const char *databases_url(enum db_kind kind);
/** Everything in it goes. */
void databases_empty(enum db_kind kind);

/** Connect or fail the test. */
struct db *databases_open(enum db_kind kind);

/** Run @test on both; its message says on which it failed. */
void databases_each(void (*test)(enum db_kind kind));
/** Makes of test(kind) the cmocka test both_test. */
#define ON_BOTH(test)                                                                                                  \
	static void both_##test(void **state)                                                                          \
	{                                                                                                              \
		(void)state;                                                                                           \
		databases_each(test);                                                                                  \
	}

#endif
