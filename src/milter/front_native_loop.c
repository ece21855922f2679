/*
 * One event loop in a thread of its own, and the connections that it serves. The
 * one file of this folder that includes libevent's header.
 *
 * A burst of packets is read in one go into a buffer that all connections of the
 * loop share, and its replies leave in one go; a connection has memory of its own
 * only for what could not be finished. Nothing here blocks.
 *
 * A connection whose message waits for DNS is parked. session.h's wake() comes on
 * the DNS thread; connection.wait decides who acts: the loop goes from RUNNING to
 * PARKED, wake() from either to WOKEN, and who finds it PARKED puts it into the
 * loop's queue. So it is there at most once, and no wake-up is lost.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "milter/front_native.h"
#include "milter/front_native_talk.h"

/* Several body chunks, or all of a small message; small enough to stay in the processor's cache while it is hashed. */
#define READ_MAX ((size_t)128 * 1024)
/* Of an unfinished packet: up to here it is copied in front of what is read next, beyond it is completed in place. */
#define COPY_MAX ((size_t)8 * 1024)
/* What a connection may send ahead while its verdict is waited for. */
#define AHEAD_MAX ((size_t)64 * 1024)
#define ACCEPTS_AT_A_TIME 64
#define ACCEPT_AGAIN_MS 100

enum wait { RUNNING, PARKED, WOKEN };

struct connection {
	struct connection *previous, *next; /* of the loop */
	struct connection *next_queued;     /* of the queue, under its lock */
	struct loop *loop;
	int fd;
	bool started, writing;
	atomic_int wait; /* enum wait */
	int64_t last_ms; /* something came, or left */
	struct talk talk;
	struct native_bytes input;  /* not finished yet */
	struct native_bytes output; /* not sent yet */
	struct event readable, writable, deadline;
};

struct loop {
	struct native *native;
	struct event_base *base;
	struct connection *connections;
	atomic_size_t n_connections; /* handed over ones included */
	atomic_bool ending;
	int wake_fd;
	struct event woken, sweep, acceptable, accept_again;
	bool accepts;
	pthread_mutex_t lock;
	struct connection *queue, **queue_end; /* under lock: woken, or new; first come, first served */
	struct wire_out out;
	char read[READ_MAX];
};

/* ---- the queue: how other threads reach a loop ---- */

static void notify(struct loop *loop)
{
	uint64_t one = 1;
	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void enqueue(struct loop *loop, struct connection *connection)
{
	pthread_mutex_lock(&loop->lock);
	bool was_empty = loop->queue == NULL;
	connection->next_queued = NULL;
	*loop->queue_end = connection;
	loop->queue_end = &connection->next_queued;
	pthread_mutex_unlock(&loop->lock);
	if (was_empty)
		notify(loop);
}

/* Under lock. @at points to what points to @connection. */
static void unlink_queued(struct loop *loop, struct connection **at, struct connection *connection)
{
	*at = connection->next_queued;
	if (loop->queue_end == &connection->next_queued)
		loop->queue_end = at;
}

static struct connection *dequeue(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct connection *connection = loop->queue;
	if (connection != NULL)
		unlink_queued(loop, &loop->queue, connection);
	pthread_mutex_unlock(&loop->lock);
	return connection;
}

static void leave_queue(struct loop *loop, struct connection *connection)
{
	pthread_mutex_lock(&loop->lock);
	struct connection **at = &loop->queue;
	while (*at != NULL && *at != connection)
		at = &(*at)->next_queued;
	if (*at != NULL)
		unlink_queued(loop, at, connection);
	pthread_mutex_unlock(&loop->lock);
}

/* Any thread, as session.h has it; the connection outlives the call, for the session's end waits for it. */
static void connection_wake(void *context)
{
	struct connection *connection = context;
	if (atomic_exchange(&connection->wait, WOKEN) == PARKED)
		enqueue(connection->loop, connection);
}

/* ---- begin and end of a connection ---- */

/* NULL: out of memory. The loop may be another thread's: it has the connection once it has taken it off its queue. */
static struct connection *connection_new(struct loop *loop, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return NULL;
	connection->loop = loop;
	connection->fd = fd;
	talk_init(&connection->talk, loop->native->service, connection_wake, connection);
	atomic_fetch_add(&loop->n_connections, 1);
	atomic_fetch_add(&loop->native->n_connections, 1);
	return connection;
}

static void connection_close(struct connection *connection)
{
	struct loop *loop = connection->loop;
	struct native *native = loop->native;
	if (connection->talk.violation != NULL && native_may_tell(&native->told_violation))
		log_warning("milter protocol: %s: connection closed", connection->talk.violation);
	talk_finish(&connection->talk);
	/* From here on nobody wakes it up. */
	leave_queue(loop, connection);
	if (connection->started) {
		event_del(&connection->readable);
		event_del(&connection->writable);
		event_del(&connection->deadline);
		if (connection->previous != NULL)
			connection->previous->next = connection->next;
		else
			loop->connections = connection->next;
		if (connection->next != NULL)
			connection->next->previous = connection->previous;
	}
	native_bytes_free(native, &connection->input);
	native_bytes_free(native, &connection->output);
	close(connection->fd);
	free(connection);
	atomic_fetch_sub(&loop->n_connections, 1);
	atomic_fetch_sub(&native->n_connections, 1);
}

/* ---- writing ---- */

static bool is_later(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

static ssize_t send_some(const struct connection *connection, const char *p, size_t n)
{
	ssize_t sent;
	do
		sent = send(connection->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 && is_later(errno) ? 0 : sent;
}

/* Send the loop's replies, and keep what the MTA does not take now. False: the connection is gone. */
static bool flush(struct connection *connection)
{
	struct wire_out *out = &connection->loop->out;
	struct str rest = str_from(out->p, out->n);
	out->n = 0;
	if (rest.n == 0)
		return true;
	if (connection->output.n == 0) {
		ssize_t sent = send_some(connection, rest.p, rest.n);
		if (sent < 0)
			return false;
		rest = str_skip(rest, (size_t)sent);
	}
	return rest.n == 0 || native_bytes_add(connection->loop->native, &connection->output, rest);
}

/* ---- serving ---- */

/* False: woken up meanwhile, so it is worth trying again at once. */
static bool park(struct connection *connection)
{
	int expected = RUNNING;
	int64_t left = talk_deadline(&connection->talk) - clock_monotonic_ms();
	struct timeval pause = {0};
	if (left > 0)
		pause = (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
	if (!atomic_compare_exchange_strong(&connection->wait, &expected, PARKED)) {
		atomic_store(&connection->wait, RUNNING);
		return false;
	}
	event_add(&connection->deadline, &pause);
	return true;
}

/*
 * From @step on do whatever can be done with *@bytes; what is left of them stays. TALK_READS, TALK_WAITS or TALK_ENDS,
 * or TALK_FULL when the MTA does not read its replies.
 */
static enum talk_step go_on(struct connection *connection, enum talk_step step, struct str *bytes)
{
	struct wire_out *out = &connection->loop->out;
	for (;;) {
		switch (step) {
		case TALK_GOES_ON:
			step = talk_take(&connection->talk, bytes, out);
			break;
		case TALK_WAITS:
			if (park(connection))
				return TALK_WAITS;
			step = talk_resume(&connection->talk, out);
			break;
		case TALK_FULL:
			if (!flush(connection))
				return TALK_ENDS;
			if (connection->output.n > 0)
				return TALK_FULL;
			step = TALK_GOES_ON;
			break;
		case TALK_READS:
		case TALK_ENDS:
			return step;
		}
	}
}

/*
 * Without it the kernel holds the acknowledgement back for 40 ms, and an MTA that does not set TCP_NODELAY its next
 * small packet until then. The kernel forgets the wish with every turn of the conversation.
 */
static void acknowledge(const struct connection *connection)
{
	const int on = 1;
	if (connection->loop->native->is_tcp)
		setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* Which events are awaited from now on. */
static void await(struct connection *connection, bool reading)
{
	bool writing = connection->output.n > 0;
	if (writing != connection->writing) {
		if (writing)
			event_add(&connection->writable, NULL);
		else
			event_del(&connection->writable);
		connection->writing = writing;
	}
	if (reading && !event_pending(&connection->readable, EV_READ, NULL))
		event_add(&connection->readable, NULL);
	else if (!reading)
		event_del(&connection->readable);
}

/* One turn: @step tells where to go on, @bytes are those at hand. The connection may be gone afterwards. */
static void serve(struct connection *connection, enum talk_step step, struct str bytes)
{
	struct native *native = connection->loop->native;
	struct wire_out *out = &connection->loop->out;
	step = go_on(connection, step, &bytes);
	bool is_answered = out->n > 0;
	bool alive = !out->failed && flush(connection) && step != TALK_ENDS;
	out->n = 0;
	out->failed = false;
	if (!alive || !native_bytes_keep(native, &connection->input, bytes)) {
		connection_close(connection);
		return;
	}
	/* Data takes the acknowledgement along. */
	if (!is_answered)
		acknowledge(connection);
	connection->last_ms = clock_monotonic_ms();
	/* A parked connection is listened to, so that an MTA that gives up is noticed. */
	await(connection, connection->output.n == 0 && (step == TALK_READS || connection->input.n < AHEAD_MAX));
}

static struct str input_of(const struct connection *connection)
{
	return str_from(connection->input.p, connection->input.n);
}

static void resume(struct connection *connection)
{
	event_del(&connection->deadline);
	atomic_store(&connection->wait, RUNNING);
	serve(connection, talk_resume(&connection->talk, &connection->loop->out), input_of(connection));
}

static ssize_t receive(const struct connection *connection, char *to, size_t n)
{
	ssize_t got;
	do
		got = recv(connection->fd, to, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got;
}

static void read_ahead(struct connection *connection)
{
	struct loop *loop = connection->loop;
	ssize_t got = receive(connection, loop->read, AHEAD_MAX);
	if (got < 0 && is_later(errno))
		return;
	if (got <= 0 || !native_bytes_add(loop->native, &connection->input, str_from(loop->read, (size_t)got)))
		connection_close(connection);
	else if (connection->input.n >= AHEAD_MAX)
		event_del(&connection->readable);
}

/* A short unfinished packet goes in front of what is read, into the loop's buffer. */
static ssize_t read_burst(struct connection *connection, struct str *ret_bytes)
{
	struct loop *loop = connection->loop;
	struct native_bytes *input = &connection->input;
	if (input->n > 0)
		memcpy(loop->read, input->p, input->n);
	ssize_t got = receive(connection, loop->read + input->n, READ_MAX - input->n);
	if (got > 0)
		*ret_bytes = str_from(loop->read, input->n + (size_t)got);
	return got;
}

/* A long one is completed where it is. */
static ssize_t read_rest(struct connection *connection, struct str *ret_bytes)
{
	struct native_bytes *input = &connection->input;
	size_t size = wire_size(input_of(connection));
	if (size < input->n + COPY_MAX)
		size = input->n + COPY_MAX;
	if (!native_bytes_reserve(connection->loop->native, input, size))
		return 0;
	ssize_t got = receive(connection, input->p + input->n, input->capacity - input->n);
	if (got > 0) {
		input->n += (size_t)got;
		*ret_bytes = input_of(connection);
	}
	return got;
}

static void on_readable(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct connection *connection = context;
	struct str bytes = STR("");
	if (connection->talk.state == TALK_ENDING) {
		read_ahead(connection);
		return;
	}
	ssize_t got = connection->input.n <= COPY_MAX ? read_burst(connection, &bytes) : read_rest(connection, &bytes);
	if (got > 0)
		serve(connection, TALK_GOES_ON, bytes);
	else if (got == 0 || !is_later(errno))
		connection_close(connection);
}

static void on_writable(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct connection *connection = context;
	struct native_bytes *output = &connection->output;
	ssize_t sent = send_some(connection, output->p, output->n);
	if (sent < 0 || !native_bytes_keep(connection->loop->native, output,
				str_from(output->p + sent, output->n - (size_t)sent))) {
		connection_close(connection);
		return;
	}
	connection->last_ms = clock_monotonic_ms();
	if (output->n > 0)
		return;
	if (connection->talk.state == TALK_ENDING)
		await(connection, connection->input.n < AHEAD_MAX);
	else
		serve(connection, TALK_GOES_ON, input_of(connection));
}

static void on_deadline(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct connection *connection = context;
	int expected = PARKED;
	/* Else it is in the queue, and has its turn. */
	if (atomic_compare_exchange_strong(&connection->wait, &expected, RUNNING))
		resume(connection);
}

static void start(struct connection *connection)
{
	struct loop *loop = connection->loop;
	event_assign(&connection->readable, loop->base, connection->fd, EV_READ | EV_PERSIST, on_readable, connection);
	event_assign(&connection->writable, loop->base, connection->fd, EV_WRITE | EV_PERSIST, on_writable, connection);
	event_assign(&connection->deadline, loop->base, -1, 0, on_deadline, connection);
	connection->started = true;
	connection->next = loop->connections;
	if (connection->next != NULL)
		connection->next->previous = connection;
	loop->connections = connection;
	connection->last_ms = clock_monotonic_ms();
	acknowledge(connection);
	await(connection, true);
}

/* ---- accepting ---- */

/* The one with the fewest connections, so that each gets its share however long they last. */
static struct loop *least_loaded(const struct native *native)
{
	struct loop *best = native->loops[0];
	for (size_t i = 1; i < native->n_loops; i++)
		if (loop_connections(native->loops[i]) < loop_connections(best))
			best = native->loops[i];
	return best;
}

static void pause_accepting(struct loop *loop, const char *why)
{
	struct timeval pause = {.tv_usec = ACCEPT_AGAIN_MS * 1000};
	if (native_may_tell(&loop->native->told_full))
		log_warning("%s: further connections of the MTA wait (%zu are open)", why,
			atomic_load(&loop->native->n_connections));
	event_del(&loop->acceptable);
	event_add(&loop->accept_again, &pause);
}

/* False: no more for now. */
static bool accept_one(struct loop *loop)
{
	struct native *native = loop->native;
	const int on = 1;
	if (atomic_load(&native->n_connections) >= native->limits.connections) {
		pause_accepting(loop, "too many connections");
		return false;
	}
	int fd = accept4(native->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* What the peer has given up meanwhile says nothing of the next. */
		if (errno == EINTR || errno == ECONNABORTED)
			return true;
		if (!is_later(errno))
			pause_accepting(loop, strerror(errno));
		return false;
	}
	if (native->is_tcp)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	struct loop *target = least_loaded(native);
	struct connection *connection = connection_new(target, fd);
	if (connection == NULL) {
		close(fd);
		pause_accepting(loop, "out of memory");
		return false;
	}
	if (target == loop)
		start(connection);
	else
		enqueue(target, connection);
	return true;
}

static void on_acceptable(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct loop *loop = context;
	for (unsigned i = 0; i < ACCEPTS_AT_A_TIME && !atomic_load(&loop->native->stopping) && accept_one(loop); i++)
		;
}

static void on_accept_again(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct loop *loop = context;
	if (!atomic_load(&loop->native->stopping))
		event_add(&loop->acceptable, NULL);
}

/* ---- the loop ---- */

static void on_woken(int fd, short what, void *context)
{
	(void)what;
	struct loop *loop = context;
	struct connection *connection;
	uint64_t count;
	/* First the count, so that what is queued from now on calls again. */
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		log_error("event loop: %s", strerror(errno));
	if (loop->accepts && atomic_load(&loop->native->stopping)) {
		event_del(&loop->acceptable);
		event_del(&loop->accept_again);
	}
	while ((connection = dequeue(loop)) != NULL) {
		if (connection->started)
			resume(connection);
		else
			start(connection);
	}
	if (atomic_load(&loop->ending))
		event_base_loopbreak(loop->base);
}

static void on_sweep(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	const struct loop *loop = context;
	int64_t oldest = clock_monotonic_ms() - loop->native->limits.idle_ms;
	for (struct connection *connection = loop->connections, *next; connection != NULL; connection = next) {
		next = connection->next;
		/* A parked one has a deadline of its own. */
		if (connection->last_ms < oldest && connection->talk.state != TALK_ENDING)
			connection_close(connection);
	}
}

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	if (config == NULL)
		return NULL;
	/* Others reach the loop through its queue alone. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *loop_new(struct native *native)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (loop == NULL)
		return NULL;
	int64_t pause_ms = native->limits.idle_ms / 8 + 1;
	struct timeval pause = {.tv_sec = pause_ms / 1000, .tv_usec = pause_ms % 1000 * 1000};
	loop->native = native;
	loop->queue_end = &loop->queue;
	loop->base = base_new();
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&loop->lock, NULL);
	if (loop->base == NULL || loop->wake_fd < 0) {
		loop_free(loop);
		return NULL;
	}
	event_assign(&loop->woken, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_woken, loop);
	event_assign(&loop->sweep, loop->base, -1, EV_PERSIST, on_sweep, loop);
	event_assign(&loop->acceptable, loop->base, native->listener, EV_READ | EV_PERSIST, on_acceptable, loop);
	event_assign(&loop->accept_again, loop->base, -1, 0, on_accept_again, loop);
	if (event_add(&loop->woken, NULL) != 0 || event_add(&loop->sweep, &pause) != 0) {
		loop_free(loop);
		return NULL;
	}
	return loop;
}

enum err loop_accept(struct loop *loop)
{
	loop->accepts = true;
	return event_add(&loop->acceptable, NULL) == 0 ? ERR_OK : ERR_LIBRARY;
}

void loop_run(struct loop *loop)
{
	event_base_dispatch(loop->base);
}

size_t loop_connections(const struct loop *loop)
{
	return atomic_load(&loop->n_connections);
}

void loop_wake(struct loop *loop)
{
	notify(loop);
}

void loop_end(struct loop *loop)
{
	atomic_store(&loop->ending, true);
	notify(loop);
}

void loop_free(struct loop *loop)
{
	struct connection *connection;
	if (loop == NULL)
		return;
	while (loop->connections != NULL)
		connection_close(loop->connections);
	while ((connection = dequeue(loop)) != NULL)
		connection_close(connection);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	wire_out_finish(&loop->out);
	free(loop);
}
