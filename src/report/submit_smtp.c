/*
 * A client of SMTP for one message. Debian's libesmtp would be the library for it, but it writes the header fields that
 * it knows anew, behind our signature, connects without a limit of time and bounds each read instead of the whole, so
 * that a server that sends a byte a minute holds it for ever.
 */
#include "report/submit.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* RFC 5321 section 4.5.3.1.5 has 512 for a line; servers that say more are still understood. */
#define REPLY_LINE_MAX 2048
/* Lines of one reply: EHLO names some tens of extensions. */
#define REPLY_LINES_MAX 100
/* What we wait for the answer to QUIT, when all that matters is done. */
#define QUIT_MS 1000

struct client {
	struct arena *arena;
	int fd;
	int64_t deadline_ms;
	char input[REPLY_LINE_MAX];
	size_t n_input;
	int code;         /* of the last reply; 0: there was none */
	struct buf reply; /* its text, lines joined by LF, codes not repeated */
	const char *lost; /* why there was none; static */
};

/* ---- bytes ---- */

static bool wait_for(struct client *client, short events)
{
	for (;;) {
		struct pollfd polled = {.fd = client->fd, .events = events};
		int64_t left = client->deadline_ms - clock_monotonic_ms();
		int n = left > 0 ? poll(&polled, 1, left < 60000 ? (int)left : 60000) : 0;
		if (n > 0)
			return true;
		if (left <= 0) {
			client->lost = "no answer in time";
			return false;
		}
		if (n < 0 && errno != EINTR) {
			client->lost = strerror(errno);
			return false;
		}
	}
}

static bool send_bytes(struct client *client, struct str bytes)
{
	client->code = 0;
	while (bytes.n > 0) {
		ssize_t n = send(client->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
		if (n > 0) {
			bytes = str_skip(bytes, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			client->lost = "the connection was closed";
			return false;
		}
		if (!wait_for(client, POLLOUT))
			return false;
	}
	return true;
}

/* The next line without its end, in *ret_line until the next call. */
static bool read_line(struct client *client, char ret_line[REPLY_LINE_MAX], size_t *ret_n)
{
	for (;;) {
		char *end = memchr(client->input, '\n', client->n_input);
		if (end != NULL) {
			size_t n = (size_t)(end - client->input);
			memcpy(ret_line, client->input, n);
			*ret_n = n > 0 && ret_line[n - 1] == '\r' ? n - 1 : n;
			client->n_input -= n + 1;
			memmove(client->input, end + 1, client->n_input);
			return true;
		}
		if (client->n_input == sizeof(client->input)) {
			client->lost = "an answer that is no SMTP: a line is too long";
			return false;
		}
		if (!wait_for(client, POLLIN))
			return false;
		ssize_t n =
			recv(client->fd, client->input + client->n_input, sizeof(client->input) - client->n_input, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client->lost = "the connection was closed";
			return false;
		}
		client->n_input += n > 0 ? (size_t)n : 0;
	}
}

/* ---- commands and replies, RFC 5321 section 4.2 ---- */

static bool is_reply_line(const char *line, size_t n)
{
	return n >= 3 && line[0] >= '2' && line[0] <= '5' && str_is_digit(line[1]) && str_is_digit(line[2]) &&
	       (n == 3 || line[3] == ' ' || line[3] == '-');
}

static int read_reply(struct client *client)
{
	char line[REPLY_LINE_MAX];
	size_t n;
	client->code = 0;
	client->reply = buf_in(client->arena);
	for (unsigned i = 0; i < REPLY_LINES_MAX; i++) {
		if (!read_line(client, line, &n))
			return 0;
		if (!is_reply_line(line, n))
			break;
		int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
		if (i > 0)
			buf_add_char(&client->reply, '\n');
		buf_add(&client->reply, str_skip(str_from(line, n), 4));
		if (n == 3 || line[3] == ' ')
			return client->code = code;
	}
	client->lost = "an answer that is no SMTP";
	return 0;
}

__attribute__((format(printf, 2, 3))) static int command(struct client *client, const char *format, ...)
{
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(line)) {
		client->lost = "a command would be too long";
		return client->code = 0;
	}
	return send_bytes(client, str_from(line, (size_t)n)) ? read_reply(client) : 0;
}

/* A line that begins with a dot gets another one; the text ends in CRLF. RFC 5321 section 4.5.2 */
static bool send_text(struct client *client, struct str text)
{
	if (str_starts(text, STR(".")) && !send_bytes(client, STR(".")))
		return false;
	while (text.n > 0) {
		const char *end = memmem(text.p, text.n, "\n.", 2);
		struct str run = end != NULL ? str_head(text, (size_t)(end + 1 - text.p)) : text;
		if (!send_bytes(client, run) || (end != NULL && !send_bytes(client, STR("."))))
			return false;
		text = str_skip(text, run.n);
	}
	return send_bytes(client, STR(".\r\n"));
}

/* ---- the connection ---- */

/* "HOST:PORT", "[ADDRESS]:PORT" */
static void split_server(struct arena *arena, struct str server, struct str *ret_host, struct str *ret_port)
{
	ptrdiff_t colon = str_rindex(server, ':');
	struct str host = colon >= 0 ? str_head(server, (size_t)colon) : server;
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_from(host.p + 1, host.n - 2);
	*ret_host = arena_dup(arena, host);
	*ret_port = arena_dup(arena, colon >= 0 ? str_skip(server, (size_t)colon + 1) : STR("25"));
}

static bool connect_to(struct client *client, const struct addrinfo *address)
{
	int error = 0, yes = 1;
	socklen_t size = sizeof(error);
	client->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0) {
		client->lost = strerror(errno);
		return false;
	}
	/* The final dot would wait for the server's delayed acknowledgement of what stands before it. */
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(client->fd, address->ai_addr, address->ai_addrlen) == 0)
		return true;
	error = errno;
	if (error == EINPROGRESS && wait_for(client, POLLOUT) &&
		getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
		return true;
	if (error != EINPROGRESS)
		client->lost = strerror(error);
	close(client->fd);
	client->fd = -1;
	return false;
}

static bool connect_any(struct client *client, struct str server)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	struct str host, port;
	bool connected = false;
	split_server(client->arena, server, &host, &port);
	int error = getaddrinfo(host.p, port.p, &hints, &found);
	if (error != 0) {
		client->lost = gai_strerror(error);
		return false;
	}
	for (const struct addrinfo *address = found; address != NULL && !connected; address = address->ai_next)
		connected = connect_to(client, address);
	freeaddrinfo(found);
	return connected;
}

/* ---- the conversation ---- */

static bool is_ok(int code)
{
	return code >= 200 && code < 300;
}

/* What the server allows, RFC 1870 section 3; 0: it does not say. */
static uint64_t size_limit(const struct client *client)
{
	uint64_t limit = 0;
	for (struct str rest = buf_str(&client->reply), line; str_cut(&rest, '\n', &line);)
		if (str_istarts(line, STR("SIZE ")))
			str_to_u64(str_trim(str_skip(line, 5)), UINT64_MAX, &limit);
	return limit;
}

static bool offers_size(const struct client *client)
{
	for (struct str rest = buf_str(&client->reply), line; str_cut(&rest, '\n', &line);)
		if (str_ieq(line, STR("SIZE")) || str_istarts(line, STR("SIZE ")))
			return true;
	return false;
}

/* Greeting and EHLO. *ret_size: whether MAIL may tell the size. */
static bool greet(struct client *client, struct str name, bool *ret_size, uint64_t *ret_limit)
{
	*ret_size = false;
	*ret_limit = 0;
	if (read_reply(client) != 220)
		return false;
	if (is_ok(command(client, "EHLO %.*s\r\n", STR_ARG(name)))) {
		*ret_size = offers_size(client);
		*ret_limit = size_limit(client);
		return true;
	}
	return client->code >= 500 && is_ok(command(client, "HELO %.*s\r\n", STR_ARG(name)));
}

/* What a step that failed means; @refusal: where 5xx is about this message or its recipient. */
static enum mail_outcome failed(const struct client *client, bool refusal)
{
	if (client->code == 0 || client->code == 421)
		return MAIL_UNREACHABLE;
	return refusal && client->code >= 500 ? MAIL_REFUSED : MAIL_LATER;
}

static enum mail_outcome converse(struct client *client, const struct mail *mail, struct str text)
{
	bool tell_size;
	uint64_t limit;
	if (!greet(client, mail->helo, &tell_size, &limit))
		return MAIL_UNREACHABLE;
	if (limit > 0 && text.n > limit) {
		client->code = 0;
		client->lost = "larger than the server takes (SIZE)";
		return MAIL_REFUSED;
	}
	struct str size = tell_size ? arena_printf(client->arena, " SIZE=%zu", text.n) : STR("");
	if (!is_ok(command(client, "MAIL FROM:<%.*s>%.*s\r\n", STR_ARG(mail->sender), STR_ARG(size))))
		return failed(client, client->code == 552);
	if (!is_ok(command(client, "RCPT TO:<%.*s>\r\n", STR_ARG(mail->to))))
		return failed(client, true);
	if (command(client, "DATA\r\n") != 354)
		return failed(client, true);
	if (!send_text(client, text))
		return MAIL_UNREACHABLE;
	if (is_ok(read_reply(client)))
		return MAIL_ACCEPTED;
	return client->code == 0 ? MAIL_LATER : failed(client, true);
}

static void say_goodbye(struct client *client)
{
	int64_t soon = clock_monotonic_ms() + QUIT_MS;
	if (client->deadline_ms > soon)
		client->deadline_ms = soon;
	command(client, "QUIT\r\n");
}

enum mail_outcome submit_smtp(struct arena *arena, struct str server, const struct mail *mail, struct str text,
	int64_t deadline_ms, struct str *ret_note)
{
	struct client client = {.arena = arena, .fd = -1, .deadline_ms = deadline_ms, .lost = ""};
	if (!connect_any(&client, server)) {
		*ret_note = arena_printf(arena, "%.*s: %s", STR_ARG(server), client.lost);
		return MAIL_UNREACHABLE;
	}
	enum mail_outcome outcome = converse(&client, mail, text);
	if (client.code != 0)
		*ret_note = submit_note(
			arena, arena_printf(arena, "%d %.*s", client.code, STR_ARG(buf_str(&client.reply))));
	else
		*ret_note = arena_printf(arena, "%.*s: %s", STR_ARG(server), client.lost);
	say_goodbye(&client);
	close(client.fd);
	return outcome;
}
