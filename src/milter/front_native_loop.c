/*
 * One event loop in a thread of its own: who may go on, who is new, who has been
 * silent for too long. The one file of this folder that includes libevent's header.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/front_native_connection.h"

#define ACCEPTS_AT_A_TIME 64
#define ACCEPT_AGAIN_MS 100

/* A connection as the loop has it. */
struct member {
	struct connection connection;   /* first, so that one leads to the other */
	struct member *previous, *next; /* of the loop: the one that was heard last first */
	struct member *next_queued;     /* of the queue, under its lock */
	bool started, reading, writing;
	struct event readable, writable, deadline;
};

struct loop {
	struct event_base *base;
	struct member *members, *last;
	atomic_size_t n_members; /* handed over ones included */
	atomic_bool ending;
	int wake_fd;
	struct event woken, sweep, acceptable, accept_again;
	bool accepts;
	pthread_mutex_t lock;
	struct member *queue, **queue_end; /* under lock: woken, or new; first come, first served */
	struct scratch scratch;
};

static struct member *member_of(struct connection *connection)
{
	return (struct member *)connection;
}

static struct timeval timeval_of(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* ---- the queue: how other threads reach a loop ---- */

static void notify(struct loop *loop)
{
	uint64_t one = 1;
	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void enqueue(struct loop *loop, struct member *member)
{
	pthread_mutex_lock(&loop->lock);
	bool was_empty = loop->queue == NULL;
	member->next_queued = NULL;
	*loop->queue_end = member;
	loop->queue_end = &member->next_queued;
	pthread_mutex_unlock(&loop->lock);
	if (was_empty)
		notify(loop);
}

/* Under lock. @at points to what points to @member. */
static void unlink_queued(struct loop *loop, struct member **at, struct member *member)
{
	*at = member->next_queued;
	if (loop->queue_end == &member->next_queued)
		loop->queue_end = at;
}

static struct member *dequeue(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct member *member = loop->queue;
	if (member != NULL)
		unlink_queued(loop, &loop->queue, member);
	pthread_mutex_unlock(&loop->lock);
	return member;
}

static void leave_queue(struct loop *loop, struct member *member)
{
	pthread_mutex_lock(&loop->lock);
	struct member **at = &loop->queue;
	while (*at != NULL && *at != member)
		at = &(*at)->next_queued;
	if (*at != NULL)
		unlink_queued(loop, at, member);
	pthread_mutex_unlock(&loop->lock);
}

void loop_enqueue(struct connection *connection)
{
	enqueue(connection->loop, member_of(connection));
}

/* ---- what connections wait for ---- */

void loop_await(struct connection *connection, bool reading)
{
	struct member *member = member_of(connection);
	bool writing = connection->output.n > 0;
	if (writing && !member->writing)
		event_add(&member->writable, NULL);
	else if (!writing && member->writing)
		event_del(&member->writable);
	member->writing = writing;
	if (reading && !member->reading)
		event_add(&member->readable, NULL);
	else if (!reading && member->reading)
		event_del(&member->readable);
	member->reading = reading;
}

void loop_wait_until(struct connection *connection, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_monotonic_ms();
	struct timeval pause = timeval_of(left > 0 ? left : 0);
	event_add(&member_of(connection)->deadline, &pause);
}

void loop_yield(struct connection *connection)
{
	event_add(&member_of(connection)->deadline, &(struct timeval){0});
}

/* ---- the members, by when they were heard ---- */

static void put_first(struct loop *loop, struct member *member)
{
	member->previous = NULL;
	member->next = loop->members;
	*(member->next != NULL ? &member->next->previous : &loop->last) = member;
	loop->members = member;
	member->connection.last_ms = clock_monotonic_ms();
}

static void take_out(struct loop *loop, struct member *member)
{
	*(member->previous != NULL ? &member->previous->next : &loop->members) = member->next;
	*(member->next != NULL ? &member->next->previous : &loop->last) = member->previous;
}

void loop_heard(struct connection *connection)
{
	take_out(connection->loop, member_of(connection));
	put_first(connection->loop, member_of(connection));
}

/* ---- the end of a connection ---- */

static void leave_loop(struct loop *loop, struct member *member)
{
	event_del(&member->readable);
	event_del(&member->writable);
	event_del(&member->deadline);
	take_out(loop, member);
}

static void member_close(struct member *member)
{
	struct loop *loop = member->connection.loop;
	if (member->started)
		leave_loop(loop, member);
	connection_finish(&member->connection);
	/* From here on nobody wakes it up. */
	leave_queue(loop, member);
	free(member);
	atomic_fetch_sub(&loop->n_members, 1);
	atomic_fetch_sub(&loop->scratch.native->n_connections, 1);
}

void loop_close(struct connection *connection)
{
	member_close(member_of(connection));
}

bool loop_close_largest(const struct connection *connection)
{
	const struct connection *largest = connection;
	for (struct member *member = connection->loop->members; member != NULL; member = member->next) {
		const struct connection *other = &member->connection;
		if (other->input.capacity + other->output.capacity > largest->input.capacity + largest->output.capacity)
			largest = other;
	}
	if (largest == connection)
		return false;
	member_close(member_of((struct connection *)(uintptr_t)largest));
	return true;
}

/* A parked one has a deadline of its own. */
struct connection *loop_longest_silent(const struct loop *loop, int64_t silent_ms)
{
	int64_t oldest = clock_monotonic_ms() - silent_ms;
	for (struct member *member = loop->last; member != NULL && member->connection.last_ms <= oldest;
		member = member->previous)
		if (member->connection.talk.state != TALK_ENDING)
			return &member->connection;
	return NULL;
}

struct connection *loop_longest_without_verdict(const struct loop *loop, int64_t slow_ms)
{
	int64_t oldest = clock_monotonic_ms() - slow_ms;
	struct connection *found = NULL;
	for (struct member *member = loop->members; member != NULL; member = member->next) {
		struct connection *connection = &member->connection;
		if (connection->talk.state == TALK_ENDING || connection->verdict_ms > oldest)
			continue;
		oldest = connection->verdict_ms;
		found = connection;
	}
	return found;
}

/*
 * Who gives way where messages hold nearly all of MaximumMemory, so that nobody's large header is the reason why
 * others' are deferred: of those that hold much the one that has long been silent, the longest first. While all of them
 * go on sending, the one that has paused for longest may be any; then it is the one that holds most. NULL: none holds
 * much.
 */
static struct member *find_holder(const struct loop *loop)
{
	int64_t silent_since = clock_monotonic_ms() - loop->scratch.native->limits.silent_ms;
	struct member *largest = NULL;
	size_t most = ARENA_SMALL;
	for (struct member *member = loop->last; member != NULL; member = member->previous) {
		const struct talk *talk = &member->connection.talk;
		if (talk->state == TALK_ENDING || talk->session == NULL)
			continue;
		size_t held = session_memory(talk->session);
		if (held > ARENA_SMALL && member->connection.last_ms <= silent_since)
			return member;
		if (held > most) {
			most = held;
			largest = member;
		}
	}
	return largest;
}

static void relieve(struct loop *loop)
{
	const struct service *service = loop->scratch.native->service;
	while (service_memory_is_short(service)) {
		struct member *holder = find_holder(loop);
		if (holder == NULL)
			return;
		fault_log(LOG_LEVEL_ERROR, STR(""),
			"messages hold nearly all of MaximumMemory: closing connections that hold much and have long "
			"been silent, or hold most");
		member_close(holder);
	}
}

/* @happened may close the connection. */
static void tell(struct member *member, void happened(struct connection *connection))
{
	struct loop *loop = member->connection.loop;
	happened(&member->connection);
	relieve(loop);
}

static void on_readable(int fd, short what, void *member)
{
	(void)fd;
	(void)what;
	tell(member, connection_readable);
}

static void on_writable(int fd, short what, void *member)
{
	(void)fd;
	(void)what;
	tell(member, connection_writable);
}

static void on_deadline(int fd, short what, void *member)
{
	(void)fd;
	(void)what;
	tell(member, connection_due);
}

static void resume(struct member *member)
{
	event_del(&member->deadline);
	connection_resume(&member->connection);
}

/* ---- the begin of a connection ---- */

/* NULL: out of memory. The loop may be another thread's: it has the member once it has taken it off its queue. */
static struct member *member_new(struct loop *loop, int fd)
{
	struct member *member = calloc(1, sizeof(*member));
	if (member == NULL)
		return NULL;
	connection_init(&member->connection, loop, &loop->scratch, fd);
	atomic_fetch_add(&loop->n_members, 1);
	atomic_fetch_add(&loop->scratch.native->n_connections, 1);
	return member;
}

static void start(struct loop *loop, struct member *member)
{
	int fd = member->connection.fd;
	event_assign(&member->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable, member);
	event_assign(&member->writable, loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, member);
	event_assign(&member->deadline, loop->base, -1, 0, on_deadline, member);
	member->started = true;
	put_first(loop, member);
	member->connection.verdict_ms = member->connection.last_ms;
	connection_start(&member->connection);
}

bool loop_add(struct loop *loop, const struct loop *from, int fd)
{
	struct member *member = member_new(loop, fd);
	if (member == NULL)
		return false;
	if (loop == from)
		start(loop, member);
	else
		enqueue(loop, member);
	return true;
}

/* ---- accepting ---- */

static void on_acceptable(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct loop *loop = context;
	struct native *native = loop->scratch.native;
	struct timeval pause = timeval_of(ACCEPT_AGAIN_MS);
	enum accept_step step = ACCEPT_MORE;
	for (unsigned i = 0; i < ACCEPTS_AT_A_TIME && step == ACCEPT_MORE && !atomic_load(&native->stopping); i++)
		step = accept_one(native, loop);
	if (step != ACCEPT_PAUSE)
		return;
	event_del(&loop->acceptable);
	event_add(&loop->accept_again, &pause);
}

/* Closed, since whoever connected would wait for nothing: now it is refused at once, and the next start has the place.
 */
static void stop_accepting(struct loop *loop)
{
	event_del(&loop->acceptable);
	event_del(&loop->accept_again);
	close(loop->scratch.native->listener);
	loop->scratch.native->listener = -1;
	loop->accepts = false;
}

static void on_accept_again(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	struct loop *loop = context;
	if (!atomic_load(&loop->scratch.native->stopping))
		event_add(&loop->acceptable, NULL);
}

/* ---- the loop ---- */

static void on_woken(int fd, short what, void *context)
{
	(void)what;
	struct loop *loop = context;
	struct member *member;
	uint64_t count;
	/* First the count, so that what is queued from now on calls again. */
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		fault_log(LOG_LEVEL_ERROR, STR(""), "event loop: %s", strerror(errno));
	if (loop->accepts && atomic_load(&loop->scratch.native->stopping))
		stop_accepting(loop);
	while ((member = dequeue(loop)) != NULL) {
		if (member->started)
			resume(member);
		else
			start(loop, member);
	}
	if (atomic_load(&loop->ending))
		event_base_loopbreak(loop->base);
}

static void on_sweep(int fd, short what, void *context)
{
	(void)fd;
	(void)what;
	const struct loop *loop = context;
	struct connection *silent;
	while ((silent = loop_longest_silent(loop, loop->scratch.native->limits.idle_ms)) != NULL)
		loop_close(silent);
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
	struct timeval pause = timeval_of(native->limits.idle_ms / 8 + 1);
	loop->scratch.native = native;
	loop->scratch.pool.limit = native->limits.buffer_bytes;
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
	return atomic_load(&loop->n_members);
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
	struct member *member;
	if (loop == NULL)
		return;
	while (loop->members != NULL)
		member_close(loop->members);
	while ((member = dequeue(loop)) != NULL)
		member_close(member);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	wire_out_finish(&loop->scratch.out);
	free(loop);
}
