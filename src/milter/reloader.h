/*
 * The worker's thread that puts another configuration in force: all of it when
 * the master orders that, and new rows when a database that holds data sets has
 * some.
 *
 * Reading takes as long as a database takes to answer or not to; neither
 * messages nor the master's other orders wait for it.
 */
#ifndef TRIMILTER_MILTER_RELOADER_H
#define TRIMILTER_MILTER_RELOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "milter/service.h"
#include "milter/settings.h"

struct reloader;

/**
 * All arguments are borrowed, for good.
 * @start      the settings that the worker runs with; what only a restart changes is held against them
 * @databases  of the runtime in force, runtime.h
 * @reloaded   told after each order, on the reloader's thread
 * NULL: out of memory.
 */
struct reloader *reloader_new(const struct invocation *invocation, struct service *service,
	const struct settings *start, uint64_t databases, void (*reloaded)(bool in_force));

/** The thread's function; @reloader is what it says. Never returns. */
void *reloader_run(void *reloader);

/** Read the configuration again. Any thread; returns at once. */
void reloader_order(struct reloader *reloader);

#endif
