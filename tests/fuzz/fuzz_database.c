/*
 * Specifications of databases, with whatever somebody writes into them: they are taken apart or refused, and no
 * message has more than one line of them.
 */
#include "base/arena.h"
#include "tables/database.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_terminated(struct str s)
{
	return s.p == NULL || s.p[s.n] == '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str spec = str_from((const char *)data, size);
	struct database database;
	struct diag diag = diag_in(arena);
	dataset_shown(arena, spec);
	if (!database_parse(arena, spec, (struct diag_place){NULL, 0}, &diag, &database)) {
		/* Refused with a reason, unless it is no database at all. */
		if (database_is_meant(spec) != (diag.n_errors == 1))
			__builtin_trap();
		arena_free(arena);
		return 0;
	}
	if (diag.n_errors > 0 || !is_terminated(database.path) || !is_terminated(database.host) ||
		!is_terminated(database.name) || !is_terminated(database.password))
		__builtin_trap();
	database_query(arena, &database);
	arena_free(arena);
	return 0;
}
