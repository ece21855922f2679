/*
 * What a loop, its connections and whoever accepts them know of each other. The
 * loop has the events and the queue, the connection what is said, accepting who
 * gets a place; none calls another's library. All of a loop is for its own thread
 * where nothing else is said.
 */
#ifndef TRIMILTER_MILTER_FRONT_NATIVE_CONNECTION_H
#define TRIMILTER_MILTER_FRONT_NATIVE_CONNECTION_H

#include "milter/front_native.h"
#include "milter/front_native_talk.h"

/* Several body chunks, or all of a small message; small enough to stay in the processor's cache while it is hashed. */
#define SCRATCH_READ_MAX ((size_t)128 * 1024)

/** What the connections of a loop share, one after the other. */
struct scratch {
	struct native *native;
	struct native_pool pool;
	struct wire_out out;
	char read[SCRATCH_READ_MAX];
};

enum connection_wait { CONNECTION_RUNNING, CONNECTION_PARKED, CONNECTION_WOKEN };

struct connection {
	struct loop *loop;
	struct native *native;
	struct scratch *scratch;
	int fd;
	atomic_int wait;    /* enum connection_wait */
	int64_t last_ms;    /* a command came, or a reply left: half a command says nothing */
	int64_t verdict_ms; /* the last verdict was given; at first: the begin */
	struct talk talk;
	struct native_bytes input;  /* not finished yet */
	struct native_bytes output; /* not sent yet */
};

/* ---- the connection's; but for the first two they may end in loop_close() ---- */

/** All zero before. */
void connection_init(struct connection *connection, struct loop *loop, struct scratch *scratch, int fd);
/** When it returns nobody wakes it up any more. */
void connection_finish(struct connection *connection);
void connection_start(struct connection *connection);
void connection_readable(struct connection *connection);
void connection_writable(struct connection *connection);
/** The time of loop_wait_until() has come, or its turn after loop_yield(). */
void connection_due(struct connection *connection);
/** It was in the queue: the verdict is worth another try. */
void connection_resume(struct connection *connection);

/* ---- the loop's ---- */

/** To be called when it can be read from, if @reading; and when it can be written to, if it has output. */
void loop_await(struct connection *connection, bool reading);
/** @deadline_ms  clock_monotonic_ms() */
void loop_wait_until(struct connection *connection, int64_t deadline_ms);
/** Call connection_due() when the others have had their turn. */
void loop_yield(struct connection *connection);
/** It has said something. */
void loop_heard(struct connection *connection);
/** Close the connection that holds most bytes, if that is another one. False: it is @connection. */
bool loop_close_largest(const struct connection *connection);
/** Have the loop call connection_resume(). Any thread. */
void loop_enqueue(struct connection *connection);
/** It is gone when this returns. */
void loop_close(struct connection *connection);

/**
 * The one of its connections that has been silent for longest, and for @silent_ms at least. NULL: there is none; whose
 * verdict is waited for does not count.
 */
struct connection *loop_longest_silent(const struct loop *loop, int64_t silent_ms);
/** Likewise, of those that go on talking: the one whose last verdict, or begin, is longest ago, if that is @slow_ms. */
struct connection *loop_longest_without_verdict(const struct loop *loop, int64_t slow_ms);

/** A new connection of @loop; to be called in the thread of the loop @from. False: out of memory, @fd stays open. */
bool loop_add(struct loop *loop, const struct loop *from, int fd);

/* ---- accepting: front_native_accept.c ---- */

enum accept_step {
	ACCEPT_MORE,
	ACCEPT_NONE, /* nobody waits */
	ACCEPT_PAUSE /* nobody can be taken just now; the log says why */
};

/** Take one connection off the listener, in @loop, which accepts: it goes to the loop that has the fewest. */
enum accept_step accept_one(struct native *native, struct loop *loop);

#endif
