/*
 * The front that speaks the milter protocol itself, on event loops.
 *
 * libmilter blocks a thread for every message that waits for DNS, and its pool
 * starves the others meanwhile; here a waiting message is a parked connection, and
 * nothing waits for it. The replies are libmilter's, byte for byte.
 */
#include "milter/front_native.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/log.h"
#include "milter/front.h"

#define MAX_LOOPS 4
/* As libmilter has it: longer than any MTA's own limit between two commands. */
#define IDLE_MS ((int64_t)7210 * 1000)
/* One that says nothing for so long loses its place to another, where all are taken: an MTA hardly pauses within a
 * message. */
#define SILENT_MS 1000
#define SLOW_MS 2000
/* Of all loops: unfinished packets, for an MTA sends its fields in one go, and they are a tenth of the largest packet.
 */
#define BUFFER_BYTES ((size_t)64 * 1024 * 1024)

/* More than any MTA opens; and descriptors for them beside what the DNS may have open (a socket to each question). */
#define CONNECTIONS_MAX 4000
#define OTHERS_DESCRIPTORS 4400
#define WANTED_DESCRIPTORS (CONNECTIONS_MAX + OTHERS_DESCRIPTORS)

/* The functions of struct front take no context; set once, before the threads exist. */
static struct native *native;

static size_t connections_max(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 512;
	if (limit.rlim_cur < WANTED_DESCRIPTORS && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < WANTED_DESCRIPTORS ? limit.rlim_max : WANTED_DESCRIPTORS;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
			return 512;
	}
	return limit.rlim_cur / 2 < CONNECTIONS_MAX ? limit.rlim_cur / 2 : CONNECTIONS_MAX;
}

static size_t n_processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return n < 1 ? 1 : n > MAX_LOOPS ? MAX_LOOPS : (size_t)n;
}

static bool listens_on_tcp(int listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	return getsockname(listener, (struct sockaddr *)&address, &size) == 0 && address.ss_family != AF_UNIX;
}

static enum err native_prepare(struct service *service, int listener)
{
	native = calloc(1, sizeof(*native));
	if (native == NULL)
		return ERR_NOMEM;
	native->service = service;
	native->listener = listener;
	native->is_tcp = listens_on_tcp(listener);
	size_t n = n_processors();
	native->limits = (struct native_limits){connections_max(), BUFFER_BYTES / n, IDLE_MS, SILENT_MS, SLOW_MS};
	native->loops = calloc(MAX_LOOPS, sizeof(*native->loops));
	if (native->loops == NULL)
		return ERR_NOMEM;
	for (; native->n_loops < n; native->n_loops++) {
		native->loops[native->n_loops] = loop_new(native);
		if (native->loops[native->n_loops] == NULL)
			return ERR_LIBRARY;
	}
	return loop_accept(native->loops[0]);
}

static void *run_loop(void *context)
{
	loop_run(context);
	log_error("an event loop has ended");
	return NULL;
}

static enum err native_run(void)
{
	for (size_t i = 1; i < native->n_loops; i++) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, run_loop, native->loops[i]);
		if (error != 0) {
			errno = error;
			return ERR_IO;
		}
		pthread_detach(thread);
	}
	loop_run(native->loops[0]);
	return ERR_LIBRARY;
}

static enum err native_stop_accepting(void)
{
	atomic_store(&native->stopping, true);
	loop_wake(native->loops[0]);
	return ERR_OK;
}

const struct front front_native = {"the native front", native_prepare, native_run, native_stop_accepting};
