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

static void make_room(const struct native *native, struct connection *silent)
{
	fault_log(LOG_LEVEL_WARNING, STR(""),
		"%zu connections of the MTA are open: closing those that have been silent for longest",
		native->limits.connections);
	loop_close(silent);
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
	/* Whoever holds connections open and says nothing shall not keep others out. */
	struct connection *silent = is_full ? loop_longest_silent(loop, native->limits.silent_ms) : NULL;
	if (is_full && silent == NULL)
		return pause_because(native, "too many connections");
	int fd = accept4(native->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	/* What the peer has given up meanwhile says nothing of the next. */
	if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
		return ACCEPT_MORE;
	if (fd < 0 && errno == EAGAIN)
		return ACCEPT_NONE;
	if (fd < 0)
		return pause_because(native, strerror(errno));
	if (silent != NULL)
		make_room(native, silent);
	return give_place(native, loop, fd) ? ACCEPT_MORE : pause_because(native, "out of memory");
}
