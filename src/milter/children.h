/*
 * The table of the master's children: started, told, heard, reaped.
 *
 * A child is the program's file run again with "-W ROLE", so that after an
 * upgrade a new worker is the new program, and a worker that crashed comes back
 * with another address space. It has two descriptors besides 0 to 2: control.h.
 */
#ifndef TRIMILTER_MILTER_CHILDREN_H
#define TRIMILTER_MILTER_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "milter/settings.h"

enum child_role { CHILD_WORKER, CHILD_COURIER, CHILD_ROLES };

const char *child_role_text(enum child_role role);
/** CHILD_ROLES: there is no such role. */
enum child_role child_role_parse(const char *text);

struct child {
	enum child_role role;
	pid_t pid; /* 0: the row is free */
	int control;
	int64_t started_ms;
	bool ready;
	bool leaving; /* told to drain or to stop */
};

/* Workers that drain for days, one for each upgrade, still fit. */
#define MAX_CHILDREN 32

struct children {
	struct child rows[MAX_CHILDREN];
	char *program; /* path of the program's file */
	const struct invocation *invocation;
};

/** Find the program's file; @argv0 where /proc is not mounted. False: out of memory. */
bool children_init(struct children *children, const struct invocation *invocation, const char *argv0);

/** @listener  -1: the role needs none. NULL: it could not be started, the log says why. */
struct child *children_start(struct children *children, enum child_role role, int listener);

/** Any child of that role, also one that is starting or leaving. */
bool children_has(const struct children *children, enum child_role role);

/** The ready child of that role that is not leaving, or with @ready false the one that is starting; NULL: none. */
struct child *children_find(struct children *children, enum child_role role, bool ready);

void child_tell(const struct child *child, char word);
/** The same word @times times; of more than 4096 no more than that. */
void child_tell_times(const struct child *child, char word, unsigned times);
/** The next word of the child, 0 when there is none at present. The end of the stream closes our side of it. */
char child_hear(struct child *child);

/**
 * The next child that has ended; its row is free again. False: none.
 * *ret_status as of waitpid(2)
 */
bool children_reap(struct children *children, struct child *ret_child, int *ret_status);

bool children_any(const struct children *children);

#endif
