/*
 * Data sets: the lists and tables that opendkim.conf and opendmarc.conf name.
 *
 *	file:/path   one entry a line, key and value apart by white space, '#' comments
 *	refile:/path the same, keys may contain '*' (any run of bytes); first match in file order
 *	csl:a,b,c    entries in the option itself; "key=value" where values are wanted
 *	/path        a file:, as OpenDKIM takes it;  anything else: a csl:
 *	lmdb:, sqlite:, pgsql:, dsn:   a database (database.h)
 *
 * All of a set is read at once; immutable afterwards.
 */
#ifndef TRIMILTER_TABLES_DATASET_H
#define TRIMILTER_TABLES_DATASET_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/err.h"

enum dataset_kind { DATASET_FILE, DATASET_REFILE, DATASET_LIST, DATASET_DATABASE };

struct dataset_row {
	struct str key;
	struct str value; /* empty where the line has a key alone; else the rest of the line, trimmed */
	struct diag_place place;
};

struct dataset {
	enum dataset_kind kind;
	struct str name; /* the specification, for messages: without its password */
	struct dataset_row *rows;
	size_t n, capacity;
};

/**
 * @spec   as the option gives it; @place where that stands
 * @arena  holds the rows
 * ERR_CONFIG: what was wrong is in @diag. Reads files with the process's rights.
 */
enum err dataset_read(
	struct arena *arena, struct str spec, struct diag_place place, struct diag *diag, struct dataset *ret_dataset);

/** Does @spec name something that has to be opened, a file or a database? */
bool dataset_is_outside(struct str spec);

/** @spec as it may be shown: "***" in the place of a password. In @arena. */
struct str dataset_shown(struct arena *arena, struct str spec);

/** A number that is another one, as good as surely, when name or rows are: to see whether a database has changed. */
uint64_t dataset_fingerprint(const struct dataset *dataset);

/** Append @row, whose strings are borrowed. */
void dataset_add(struct arena *arena, struct dataset *dataset, const struct dataset_row *row);

/** The two readers below dataset_read(), for text at hand; they append to @dataset. @file is borrowed for good. Pure.
 */
void dataset_parse_lines(struct arena *arena, struct str text, const char *file, struct dataset *dataset);
void dataset_parse_list(struct arena *arena, struct str list, struct diag_place place, struct dataset *dataset);

/** All of a regular file, up to 256 MiB. ERR_IO: errno tells. Never blocks on a FIFO. */
enum err dataset_read_file(struct arena *arena, const char *path, struct str *ret_text);

/** Does @text match @pattern, in which '*' stands for any run of bytes? Case-insensitive. Linear in text times stars.
 */
bool dataset_pattern_matches(struct str pattern, struct str text);

#endif
