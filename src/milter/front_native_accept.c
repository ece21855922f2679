/*
 * Who of those that connect gets a place, and in which loop. Knows sockets, and
 * of a loop no more than front_native_connection.h tells.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "milter/front_native_connection.h"

/* The one with the fewest connections, so that each gets its share however long they last. */
static struct loop *least_loaded(const struct native *native)
{
	struct loop *best = native->loops[0];
	for (size_t i = 1; i < native->n_loops; i++)
		if (loop_connections(native->loops[i]) < loop_connections(best))
			best = native->loops[i];
	return best;
}

static enum accept_step pause_because(const struct native *native, const char *why)
{
	fault_log(LOG_LEVEL_WARNING, str_of(why), "%s: further connections of the MTA wait (%zu are open)", why,
		atomic_load(&native->n_connections));
	return ACCEPT_PAUSE;
}

/*
 * Whoever holds connections open and brings no message shall not keep others out. First those that say nothing, then
 * those whose talk leads to nothing: nothing tells a hostile one from a slow sender, but between two verdicts an MTA
 * says what it has to say in less time, or waits for its client and is silent. NULL: all have reason to stay.
 */
static struct connection *who_gives_way(const struct native *native, const struct loop *loop)
{
	struct connection *silent = loop_longest_silent(loop, native->limits.silent_ms);
	return silent != NULL ? silent : loop_longest_without_verdict(loop, native->limits.slow_ms);
}

static void make_room(const struct native *native, struct connection *leaver)
{
	fault_log(LOG_LEVEL_WARNING, STR(""),
		"%zu connections of the MTA are open: closing those that have been silent, or brought no message, for "
		"longest",
		native->limits.connections);
	loop_close(leaver);
}

/* Takes over @fd. */
static bool give_place(struct native *native, struct loop *from, int fd)
{
	const int on = 1;
	if (native->is_tcp)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (loop_add(least_loaded(native), from, fd))
		return true;
	close(fd);
	return false;
}

enum accept_step accept_one(struct native *native, struct loop *loop)
{
	bool is_full = atomic_load(&native->n_connections) >= native->limits.connections;
	struct connection *leaver = is_full ? who_gives_way(native, loop) : NULL;
	if (is_full && leaver == NULL)
		return pause_because(native, "too many connections");
	int fd = accept4(native->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	/* What the peer has given up meanwhile says nothing of the next. */
	if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
		return ACCEPT_MORE;
	if (fd < 0 && errno == EAGAIN)
		return ACCEPT_NONE;
	if (fd < 0)
		return pause_because(native, strerror(errno));
	if (leaver != NULL)
		make_room(native, leaver);
	return give_place(native, loop, fd) ? ACCEPT_MORE : pause_because(native, "out of memory");
}
