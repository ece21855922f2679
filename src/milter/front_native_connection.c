/*
 * One connection of the MTA: reads what comes, has the conversation, sends the
 * replies, and says to its loop what it waits for.
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
#include "milter/front_native_connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"

/* Of an unfinished packet: up to here it is copied in front of what is read next, beyond it is completed in place. */
#define COPY_MAX ((size_t)8 * 1024)
/* What a connection may send ahead while its verdict is waited for. */
#define AHEAD_MAX ((size_t)64 * 1024)

/* ---- begin and end ---- */

/* Any thread, as session.h has it; the connection outlives the call, for the session's end waits for it. */
static void connection_wake(void *context)
{
	struct connection *connection = context;
	if (atomic_exchange(&connection->wait, CONNECTION_WOKEN) == CONNECTION_PARKED)
		loop_enqueue(connection);
}

void connection_init(struct connection *connection, struct loop *loop, struct scratch *scratch, int fd)
{
	connection->loop = loop;
	connection->native = scratch->native;
	connection->scratch = scratch;
	connection->fd = fd;
	talk_init(&connection->talk, connection->native->service, connection_wake, connection);
}

void connection_finish(struct connection *connection)
{
	if (connection->talk.violation != NULL)
		fault_log(LOG_LEVEL_WARNING, STR(""), "milter protocol: %s: connection closed",
			connection->talk.violation);
	if (connection->talk.has_verdict || connection->talk.state == TALK_ENDING)
		service_count_event(connection->native->service, SERVICE_REPLY_LOST);
	talk_finish(&connection->talk);
	native_bytes_free(&connection->scratch->pool, &connection->input);
	native_bytes_free(&connection->scratch->pool, &connection->output);
	close(connection->fd);
}

/* ---- bytes that are kept ---- */

/*
 * False: there is no room, the connection is to be closed. Whoever holds most gives way: else a few that hold all there
 * is would close those of the others that need a little.
 */
static bool reserve(struct connection *connection, struct native_bytes *bytes, size_t capacity)
{
	struct native_pool *pool = &connection->scratch->pool;
	while (!native_bytes_reserve(pool, bytes, capacity)) {
		fault_log(LOG_LEVEL_ERROR, STR(""),
			"connections of the MTA hold %zu bytes of unfinished packets: closing one that holds most",
			pool->held);
		if (!loop_close_largest(connection))
			return false;
	}
	return true;
}

/* False, here and below: as reserve() has it. */
static bool add(struct connection *connection, struct native_bytes *bytes, struct str more)
{
	if (!reserve(connection, bytes, bytes->n + more.n))
		return false;
	memcpy(bytes->p + bytes->n, more.p, more.n);
	bytes->n += more.n;
	return true;
}

/* @rest, perhaps a part of it, becomes all of it. */
static bool keep(struct connection *connection, struct native_bytes *bytes, struct str rest)
{
	if (rest.n == 0) {
		native_bytes_free(&connection->scratch->pool, bytes);
		return true;
	}
	if (!reserve(connection, bytes, rest.n))
		return false;
	memmove(bytes->p, rest.p, rest.n);
	bytes->n = rest.n;
	return true;
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
	struct wire_out *out = &connection->scratch->out;
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
	if (rest.n > 0)
		return add(connection, &connection->output, rest);
	connection->talk.has_verdict = false;
	return true;
}

/* ---- serving ---- */

/* False: woken up meanwhile, so it is worth trying again at once. */
static bool park(struct connection *connection)
{
	int expected = CONNECTION_RUNNING;
	if (!atomic_compare_exchange_strong(&connection->wait, &expected, CONNECTION_PARKED)) {
		atomic_store(&connection->wait, CONNECTION_RUNNING);
		return false;
	}
	loop_wait_until(connection, talk_deadline(&connection->talk));
	return true;
}

/*
 * From @step on do whatever can be done in this turn with *@bytes; what is left of them stays. Never TALK_GOES_ON.
 */
static enum talk_step go_on(struct connection *connection, enum talk_step step, struct str *bytes)
{
	struct wire_out *out = &connection->scratch->out;
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
		case TALK_YIELDS:
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
	if (connection->native->is_tcp)
		setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* One turn: @step tells where to go on, @bytes are those at hand. The connection may be gone afterwards. */
static void serve(struct connection *connection, enum talk_step step, struct str bytes)
{
	struct wire_out *out = &connection->scratch->out;
	size_t n = bytes.n;
	step = go_on(connection, step, &bytes);
	if (connection->talk.has_verdict)
		connection->verdict_ms = clock_monotonic_ms();
	bool is_answered = out->n > 0;
	bool alive = !out->failed && flush(connection) && step != TALK_ENDS;
	out->n = 0;
	out->failed = false;
	if (!alive || !keep(connection, &connection->input, bytes)) {
		loop_close(connection);
		return;
	}
	/* Data takes the acknowledgement along. */
	if (!is_answered)
		acknowledge(connection);
	if (is_answered || bytes.n < n)
		loop_heard(connection);
	bool has_more = step == TALK_YIELDS && connection->input.n > 0, may_write = connection->output.n == 0;
	/* A parked connection is listened to, so that an MTA that gives up is noticed. */
	loop_await(connection, may_write && !has_more && (step != TALK_WAITS || connection->input.n < AHEAD_MAX));
	if (has_more && may_write)
		loop_yield(connection);
}

static struct str input_of(const struct connection *connection)
{
	return str_from(connection->input.p, connection->input.n);
}

void connection_resume(struct connection *connection)
{
	atomic_store(&connection->wait, CONNECTION_RUNNING);
	serve(connection, talk_resume(&connection->talk, &connection->scratch->out), input_of(connection));
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
	char *read = connection->scratch->read;
	ssize_t got = receive(connection, read, AHEAD_MAX);
	if (got < 0 && is_later(errno))
		return;
	if (got <= 0 || !add(connection, &connection->input, str_from(read, (size_t)got)))
		loop_close(connection);
	else if (connection->input.n >= AHEAD_MAX)
		loop_await(connection, false);
}

/* A short unfinished packet goes in front of what is read, into the loop's buffer. */
static ssize_t read_burst(struct connection *connection, struct str *ret_bytes)
{
	struct native_bytes *input = &connection->input;
	char *read = connection->scratch->read;
	if (input->n > 0)
		memcpy(read, input->p, input->n);
	ssize_t got = receive(connection, read + input->n, SCRATCH_READ_MAX - input->n);
	if (got > 0)
		*ret_bytes = str_from(read, input->n + (size_t)got);
	return got;
}

/* A long one is completed where it is, in room that grows with what comes: anybody can announce a long one. */
static ssize_t read_rest(struct connection *connection, struct str *ret_bytes)
{
	struct native_bytes *input = &connection->input;
	size_t size = wire_size(input_of(connection));
	if (size > 2 * input->n)
		size = 2 * input->n;
	if (size < input->n + COPY_MAX)
		size = input->n + COPY_MAX;
	if (!reserve(connection, input, size))
		return 0;
	ssize_t got = receive(connection, input->p + input->n, input->capacity - input->n);
	if (got > 0) {
		input->n += (size_t)got;
		*ret_bytes = input_of(connection);
	}
	return got;
}

void connection_readable(struct connection *connection)
{
	struct str bytes = STR("");
	if (connection->talk.state == TALK_ENDING) {
		read_ahead(connection);
		return;
	}
	ssize_t got = connection->input.n <= COPY_MAX ? read_burst(connection, &bytes) : read_rest(connection, &bytes);
	if (got > 0)
		serve(connection, TALK_GOES_ON, bytes);
	else if (got == 0 || !is_later(errno))
		loop_close(connection);
}

void connection_writable(struct connection *connection)
{
	struct native_bytes *output = &connection->output;
	ssize_t sent = send_some(connection, output->p, output->n);
	if (sent < 0 || !keep(connection, output, str_from(output->p + sent, output->n - (size_t)sent))) {
		loop_close(connection);
		return;
	}
	loop_heard(connection);
	if (output->n > 0)
		return;
	connection->talk.has_verdict = false;
	if (connection->talk.state == TALK_ENDING)
		loop_await(connection, connection->input.n < AHEAD_MAX);
	else
		serve(connection, TALK_GOES_ON, input_of(connection));
}

void connection_due(struct connection *connection)
{
	int expected = CONNECTION_PARKED;
	if (connection->talk.state != TALK_ENDING)
		serve(connection, TALK_GOES_ON, input_of(connection));
	/* Else it is in the queue, and has its turn. */
	else if (atomic_compare_exchange_strong(&connection->wait, &expected, CONNECTION_RUNNING))
		connection_resume(connection);
}

void connection_start(struct connection *connection)
{
	acknowledge(connection);
	loop_await(connection, true);
}
