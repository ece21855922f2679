#include "dns/reach.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_SIZE (12 + DOMAIN_MAX + 2 + 4)

struct target {
	int fd; /* -1: there is not even a way to it */
	bool refused;
};

struct reach {
	size_t n;
	struct target targets[NAMESERVERS_MAX];
};

static int open_connected(const char *server)
{
	char host[NAMESERVER_SIZE];
	struct str port = str_of(server), address;
	str_cut(&port, '@', &address);
	memcpy(host, address.p, address.n);
	host[address.n] = '\0';
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *found;
	if (getaddrinfo(host, port.p, &hints, &found) != 0)
		return -1;
	int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

struct reach *reach_new(const struct nameservers *servers)
{
	struct reach *reach = calloc(1, sizeof(*reach));
	if (reach == NULL)
		return NULL;
	reach->n = servers->n;
	for (size_t i = 0; i < servers->n; i++)
		reach->targets[i] = (struct target){open_connected(servers->text[i]), false};
	return reach;
}

void reach_free(struct reach *reach)
{
	if (reach == NULL)
		return;
	for (size_t i = 0; i < reach->n; i++)
		if (reach->targets[i].fd >= 0)
			close(reach->targets[i].fd);
	free(reach);
}

/* A plain query with recursion desired (RFC 1035 section 4.1). */
static size_t write_query(const struct dns_question *question, uint8_t packet[PACKET_SIZE])
{
	size_t n = 12;
	memset(packet, 0, n);
	if (getrandom(packet, 2, GRND_NONBLOCK) != 2)
		packet[0] = 1;
	packet[2] = 1;
	packet[5] = 1;
	for (struct str rest = question->name, label; str_cut(&rest, '.', &label);) {
		packet[n++] = (uint8_t)label.n;
		memcpy(packet + n, label.p, label.n);
		n += label.n;
	}
	const uint8_t end[] = {0, (uint8_t)((unsigned)question->type >> 8), (uint8_t)question->type, 0, 1};
	memcpy(packet + n, end, sizeof(end));
	return n + sizeof(end);
}

static bool says_unreachable(int number)
{
	/* EPERM, EACCES: a packet filter that rejects. */
	return number == ECONNREFUSED || number == EHOSTUNREACH || number == ENETUNREACH || number == EPERM ||
	       number == EACCES;
}

void reach_send(struct reach *reach, const struct dns_question *question)
{
	uint8_t packet[PACKET_SIZE];
	if (reach == NULL)
		return;
	size_t n = write_query(question, packet);
	for (size_t i = 0; i < reach->n; i++) {
		struct target *target = &reach->targets[i];
		/* The first call may only fetch the error of the packet before. */
		bool sent = target->fd >= 0 && (send(target->fd, packet, n, MSG_NOSIGNAL) >= 0 ||
						       send(target->fd, packet, n, MSG_NOSIGNAL) >= 0);
		target->refused = target->fd < 0 || (!sent && says_unreachable(errno));
	}
}

bool reach_is_refused(struct reach *reach)
{
	if (reach == NULL)
		return false;
	bool all = true;
	for (size_t i = 0; i < reach->n; i++) {
		struct target *target = &reach->targets[i];
		uint8_t byte;
		for (;;) {
			ssize_t got = recv(target->fd, &byte, 1, 0);
			if (got < 0 && !says_unreachable(errno))
				break;
			target->refused = got < 0;
		}
		all = all && target->refused;
	}
	return all && reach->n > 0;
}
