/*
 * For test programs whose every test wants an arena of its own: `arena` is it, made before the test and freed behind
 * it.
 */
#ifndef TRIMILTER_TESTS_ARENA_TEST_H
#define TRIMILTER_TESTS_ARENA_TEST_H

#include "base/arena.h"

static struct arena *arena;

static inline int arena_set_up(void **state)
{
	(void)state;
	arena = arena_new(0);
	return arena != NULL ? 0 : -1;
}

static inline int arena_tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/** A row of the table of tests. */
#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_set_up, arena_tear_down)

#endif
