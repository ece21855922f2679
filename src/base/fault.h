/*
 * Faults in the log: what may come up with every message is told when it first
 * comes up, and from then on once a minute with how often it has.
 *
 * Faults are the same that have one format and one cause; the rest of the text may
 * differ each time (which name, how many). There is room for FAULT_CAUSES of them,
 * no memory is needed, and the process has one table, as it has one log. Any thread.
 */
#ifndef TRIMILTER_BASE_FAULT_H
#define TRIMILTER_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/str.h"

/**
 * @cause   why, where a place knows several causes ("SERVFAIL", errno's text); else empty. Not what any sender can
 *          choose: it would crowd out the others
 * @format  a literal
 */
void fault_log(enum log_level level, struct str cause, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** For a timer, and before the end: tell what has come up since it was last told, if that was a minute ago or @all. */
void fault_log_rest(bool all);

/* ---- the rule, for tests ---- */

#define FAULT_CAUSES 32
#define FAULT_TEXT_SIZE 384 /* bytes of a line; more is cut */
#define FAULT_AGAIN_MS 60000

struct fault {
	uint64_t cause;   /* 0: none */
	int64_t told_ms;  /* when the last line was written */
	uint64_t waiting; /* came up since */
	enum log_level level;
	char text[FAULT_TEXT_SIZE]; /* the latest */
};

struct faults {
	struct fault list[FAULT_CAUSES];
};

/** Called with each line that is due. @times  for how many it stands */
typedef void fault_tell(void *context, enum log_level level, const char *text, uint64_t times);

/** @cause, not 0, has come up at @now_ms (clock_monotonic_ms()). One caller at a time, as the next. */
void faults_add(struct faults *faults, int64_t now_ms, enum log_level level, uint64_t cause, const char *text,
	fault_tell *tell, void *context);
/** What waits and is due at @now_ms; INT64_MAX: all of it. */
void faults_rest(struct faults *faults, int64_t now_ms, fault_tell *tell, void *context);

#endif
