/*
 * The store's tables, version by version, and the way from one to the next.
 */
#ifndef TRIMILTER_REPORT_SCHEMA_H
#define TRIMILTER_REPORT_SCHEMA_H

#include "db/db.h"

/** What makes of the version before, or of nothing, this one. */
struct schema_version {
	const char *const *statements; /* SQL; {id} and {bytes} stand for what the database calls them */
	size_t n;
};

extern const struct schema_version schema_versions[];
extern const size_t schema_n_versions;

/**
 * Bring the database to version @n, the last of @versions; in one transaction, and by one host alone where several
 * come at once. Nothing to do where it is there already. ERR_IO: db_error() says why, also where a newer program has
 * made tables that this one does not know.
 */
enum err schema_migrate(struct db *db, const struct schema_version *versions, size_t n);

#endif
