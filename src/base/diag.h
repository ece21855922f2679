/*
 * What is wrong with the administrator's input, said so that it can be mended:
 * where (file, line), which word, and what would be right.
 *
 * Readers of configuration, tables and keys report here and go on, so that one
 * run shows every mistake.
 */
#ifndef TRIMILTER_BASE_DIAG_H
#define TRIMILTER_BASE_DIAG_H

#include "base/arena.h"
#include "base/str.h"

/** Where something was written; file is NULL for the command line and for defaults. */
struct diag_place {
	const char *file;
	unsigned line; /* 0: the file as a whole */
};

enum diag_severity { DIAG_WARNING, DIAG_ERROR };

struct diag_entry {
	enum diag_severity severity;
	struct str text; /* "FILE:LINE: what: remedy", without severity and program name */
};

struct diag {
	struct arena *arena;
	struct diag_entry *entries;
	size_t n, capacity;
	size_t n_errors;
};

static inline struct diag diag_in(struct arena *arena)
{
	return (struct diag){.arena = arena};
}

void diag_error(struct diag *diag, struct diag_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void diag_warning(struct diag *diag, struct diag_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Every entry to the log (base/log.h), in order. */
void diag_log(const struct diag *diag);

#endif
