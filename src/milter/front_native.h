/*
 * What the parts of the native front share: limits, and the loops that serve.
 *
 * front_native.c       the front: limits, threads
 * front_native_loop.c  one event loop in a thread of its own
 * front_native_accept.c
 *                      who gets a place, and in which loop
 * front_native_connection.c
 *                      one connection's bytes, in and out
 * front_native_bytes.c memory of connections, and how often the log hears of them
 * front_native_talk.c  one connection's conversation, without sockets
 * wire.h               the protocol's bytes
 */
#ifndef TRIMILTER_MILTER_FRONT_NATIVE_H
#define TRIMILTER_MILTER_FRONT_NATIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct service;
struct loop;

struct native_limits {
	size_t connections;  /* more wait in the listener's backlog */
	size_t buffer_bytes; /* of unfinished packets and unsent replies of the connections of one loop */
	int64_t idle_ms;     /* a connection on which nothing is said for so long is closed */
	int64_t silent_ms;   /* the same where another one waits for its place; */
	int64_t slow_ms;     /* and one that talks has had no verdict for so long */
};

/** What all loops share. */
struct native {
	struct service *service;
	struct native_limits limits;
	int listener;
	bool is_tcp;
	size_t n_loops;
	struct loop **loops; /* the first one accepts */
	atomic_size_t n_connections;
	atomic_bool stopping;
};

/** What the connections of one loop hold together, in bytes; of the loop's thread. */
struct native_pool {
	size_t held, limit;
};

/** Bytes that could not be dealt with yet. Begins as {0}; counted in the pool. */
struct native_bytes {
	char *p;
	size_t n, capacity;
};

/** Room for @capacity bytes in all. False: out of memory, or over the limit. */
bool native_bytes_reserve(struct native_pool *pool, struct native_bytes *bytes, size_t capacity);
void native_bytes_free(struct native_pool *pool, struct native_bytes *bytes);

/** @native outlives the loop, and its loops[] is complete before the first runs. NULL: out of memory or descriptors. */
struct loop *loop_new(struct native *native);
/** Accept connections in this loop. Before it runs. */
enum err loop_accept(struct loop *loop);
/** Serve, in the calling thread; returns when the loop has been told to end, or cannot go on. */
void loop_run(struct loop *loop);
/** How many it serves, or will in a moment. Any thread. */
size_t loop_connections(const struct loop *loop);
/** Look at native->stopping. Any thread. */
void loop_wake(struct loop *loop);
/** loop_run() returns soon. Any thread; for tests, a daemon goes on to its end. */
void loop_end(struct loop *loop);
/** After it has returned; closes what is open. Accepts NULL. */
void loop_free(struct loop *loop);

#endif
