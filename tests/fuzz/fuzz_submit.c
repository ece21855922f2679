/*
 * A mail server that says anything: the input is all that it says, at once, and then no more. The client comes to an
 * outcome, with a note that fits a log line.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "report/submit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct server {
	int listener;
	struct str says;
};

static struct server server;
static char name[32];

static void listen_once(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	if (name[0] != '\0')
		return;
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&address, size) != 0 || listen(server.listener, 1) != 0 ||
		getsockname(server.listener, (struct sockaddr *)&address, &size) != 0)
		abort();
	snprintf(name, sizeof(name), "127.0.0.1:%u", ntohs(address.sin_port));
}

/* Takes what the client sends until it closes: closed with bytes unread, the kernel would take back what was said. */
static void *serve(void *unused)
{
	char bytes[4096];
	int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
	for (struct str rest = server.says; rest.n > 0;) {
		ssize_t n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		rest = str_skip(rest, (size_t)n);
	}
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	close(fd);
	return unused;
}

static void check_note(struct str note)
{
	if (note.n == 0 || note.n > SUBMIT_NOTE_MAX + sizeof(name) + 64)
		abort();
	for (size_t i = 0; i < note.n; i++)
		if (note.p[i] < ' ' || note.p[i] > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mail mail = {
		.to = STR_INIT("rua@example.org"),
		.sender = STR_INIT("reports@example.com"),
		.helo = STR_INIT("host.example.com"),
	};
	struct arena *arena = arena_new(0);
	struct str note;
	pthread_t thread;
	listen_once();
	server.says = str_from((const char *)data, size);
	if (arena == NULL || pthread_create(&thread, NULL, serve, NULL) != 0)
		abort();
	enum mail_outcome outcome =
		submit_smtp(arena, str_of(name), &mail, STR(".a\r\n.\r\nb\r\n"), clock_monotonic_ms() + 60000, &note);
	check_note(note);
	/* Nobody takes a message over without 220, 2xx, 2xx, 2xx, 354, 2xx. */
	if (outcome == MAIL_ACCEPTED && memmem(data, size, "354", 3) == NULL)
		abort();
	pthread_join(thread, NULL);
	arena_free(arena);
	return 0;
}
