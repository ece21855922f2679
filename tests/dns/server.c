#include "server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 65535
#define UDP_MAX 1232
#define CONNECTIONS_MAX 32
#define HEADER_SIZE 12

struct reply {
	struct reply *next;
	int64_t due_ms;
	int connection; /* -1: UDP */
	struct sockaddr_in to;
	size_t n;
	uint8_t packet[];
};

struct query {
	uint8_t name[256];
	size_t n;
	int64_t came_ms;
};

struct server {
	int udp, tcp, stop;
	int connections[CONNECTIONS_MAX];
	char address[32];
	pthread_t thread;
	struct reply *replies;
	pthread_mutex_t mutex; /* what follows */
	const struct server_rule *rules;
	struct query *queries;
	size_t n_queries, n_tcp;
};

struct writer {
	uint8_t *p;
	size_t n;
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put_u8(struct writer *w, unsigned value)
{
	if (w->n < PACKET_MAX)
		w->p[w->n++] = (uint8_t)value;
}

static void put_u16(struct writer *w, unsigned value)
{
	put_u8(w, value >> 8);
	put_u8(w, value & 0xff);
}

static void put_u32(struct writer *w, uint32_t value)
{
	put_u16(w, value >> 16);
	put_u16(w, value & 0xffff);
}

static unsigned char take_char(const char **text)
{
	unsigned value = (unsigned char)*(*text)++;
	if (value == '\\' && isdigit((unsigned char)**text)) {
		value = (unsigned)((*text)[0] - '0') * 100 + (unsigned)((*text)[1] - '0') * 10 +
			(unsigned)((*text)[2] - '0');
		*text += 3;
	}
	return (unsigned char)value;
}

static void put_name(struct writer *w, const char *text)
{
	while (*text != '\0' && strcmp(text, ".") != 0) {
		size_t start = w->n;
		put_u8(w, 0);
		while (*text != '\0' && *text != '.')
			put_u8(w, take_char(&text));
		w->p[start] = (uint8_t)(w->n - start - 1);
		if (*text == '.')
			text++;
	}
	put_u8(w, 0);
}

static void put_value(struct writer *w, unsigned type, const char *value)
{
	struct in6_addr address;
	char *end;
	size_t n = strlen(value);
	switch (type) {
	case 1:
	case 28:
		inet_pton(type == 1 ? AF_INET : AF_INET6, value, &address);
		for (size_t i = 0; i < (type == 1 ? 4 : 16); i++)
			put_u8(w, ((const uint8_t *)&address)[i]);
		break;
	case 15:
		put_u16(w, (unsigned)strtoul(value, &end, 10));
		put_name(w, end + strspn(end, " "));
		break;
	case 5:
	case 12:
		put_name(w, value);
		break;
	case 16:
		do {
			size_t part = n < 255 ? n : 255;
			put_u8(w, (unsigned)part);
			for (size_t i = 0; i < part; i++)
				put_u8(w, (unsigned char)value[i]);
			value += part;
			n -= part;
		} while (n > 0);
		break;
	default:
		for (unsigned byte; n >= 2 && sscanf(value, "%2x", &byte) == 1; value += 2, n -= 2)
			put_u8(w, byte);
	}
}

static void put_record(struct writer *w, const struct server_record *record)
{
	if (record->owner != NULL)
		put_name(w, record->owner);
	else
		put_u16(w, 0xc000 | HEADER_SIZE);
	put_u16(w, record->type);
	put_u16(w, 1);
	put_u32(w, record->ttl);
	size_t length = w->n;
	put_u16(w, 0);
	put_value(w, record->type, record->value);
	w->p[length] = (uint8_t)((w->n - length - 2) >> 8);
	w->p[length + 1] = (uint8_t)(w->n - length - 2);
}

static void put_soa(struct writer *w, const struct server_rule *rule)
{
	put_name(w, "example");
	put_u16(w, 6);
	put_u16(w, 1);
	put_u32(w, rule->soa_ttl);
	put_u16(w, 4 + 20);
	put_u16(w, 0x0161);
	put_u8(w, 0);
	put_u8(w, 0);
	for (int i = 0; i < 4; i++)
		put_u32(w, 3600);
	put_u32(w, rule->soa_minimum);
}

/* Lower-cases the name in place; 0: no question that this server understands. */
static size_t question_end(uint8_t *packet, size_t n)
{
	size_t i = HEADER_SIZE;
	while (i < n && packet[i] != 0 && packet[i] < 64) {
		for (size_t k = 1; k <= packet[i] && i + k < n; k++)
			packet[i + k] = (uint8_t)tolower(packet[i + k]);
		i += packet[i] + 1u;
	}
	return n >= HEADER_SIZE && i + 5 <= n && packet[i] == 0 ? i + 5 : 0;
}

static bool name_matches(const char *rule, const uint8_t *name, size_t n)
{
	uint8_t wire[PACKET_MAX];
	struct writer w = {wire, 0};
	bool wild = rule[0] == '*' && rule[1] == '.';
	put_name(&w, wild ? rule + 2 : rule);
	if (wild)
		return n > w.n && memcmp(name + n - w.n, wire, w.n) == 0;
	return n == w.n && memcmp(name, wire, n) == 0;
}

static const struct server_rule *find_rule(
	const struct server_rule *rules, const uint8_t *name, size_t n, unsigned type)
{
	for (const struct server_rule *rule = rules; rule->name != NULL; rule++)
		if ((rule->type == 0 || rule->type == type) && name_matches(rule->name, name, n))
			return rule;
	return NULL;
}

static void put_sections(struct writer *w, const struct server_rule *rule, size_t head)
{
	unsigned n_answers = 0;
	bool has_soa = rule->soa_ttl > 0 || rule->soa_minimum > 0;
	for (; n_answers < SERVER_RECORDS_MAX && rule->records[n_answers].type != 0; n_answers++)
		put_record(w, &rule->records[n_answers]);
	if (has_soa)
		put_soa(w, rule);
	w->p[head + 7] = (uint8_t)n_answers;
	w->p[head + 9] = has_soa;
}

static void put_opt(struct writer *w)
{
	put_u8(w, 0);
	put_u16(w, 41);
	put_u16(w, UDP_MAX);
	put_u32(w, 0x8000);
	put_u16(w, 0);
	w->p[11] = 1;
}

/* The whole reply to the query; its length, 0 for none. */
static size_t make_reply(const struct server_rule *rule, const uint8_t *query, size_t end, bool over_tcp, uint8_t *to)
{
	enum server_way way = rule != NULL ? rule->way : SERVER_REFUSED;
	struct writer w = {to, end};
	memcpy(to, query, end);
	memset(to + 6, 0, 6);
	to[2] = 0x81;
	to[3] = 0x80;
	switch (way) {
	case SERVER_DROP:
		return 0;
	case SERVER_GARBAGE:
		memset(to, 0xff, 64);
		memcpy(to, query, 2);
		return 64;
	case SERVER_WRONG_ID:
		to[0] ^= 0x5a;
		break;
	case SERVER_SERVFAIL:
		to[3] |= 2;
		break;
	case SERVER_REFUSED:
		to[3] |= 5;
		break;
	case SERVER_NXDOMAIN:
		to[3] |= 3;
		break;
	case SERVER_TRUNCATE:
	case SERVER_ANSWER:
	case SERVER_NODATA:
		break;
	}
	if (rule != NULL)
		put_sections(&w, rule, 0);
	if (!over_tcp && (way == SERVER_TRUNCATE || w.n > UDP_MAX)) {
		w.n = end;
		memset(to + 6, 0, 6);
		to[2] |= 2;
	}
	put_opt(&w);
	return w.n;
}

/* A resolver that is at work on a name does not start again for a repeated question, and has the answer at once later.
 */
static int64_t first_came(const struct server *server, const struct query *query)
{
	const struct query *first = server->queries;
	while (first->n != query->n || memcmp(first->name, query->name, first->n) != 0)
		first++;
	return first->came_ms;
}

static void answer(struct server *server, uint8_t *query, size_t n, int connection, const struct sockaddr_in *from)
{
	uint8_t packet[PACKET_MAX + 64];
	size_t end = question_end(query, n);
	if (end == 0)
		return;
	size_t n_name = end - 4 - HEADER_SIZE;
	unsigned type = (unsigned)query[end - 4] << 8 | query[end - 3];
	pthread_mutex_lock(&server->mutex);
	server->queries = realloc(server->queries, (server->n_queries + 1) * sizeof(*server->queries));
	struct query *seen = &server->queries[server->n_queries++];
	memcpy(seen->name, query + HEADER_SIZE, n_name);
	seen->n = n_name;
	seen->came_ms = now_ms();
	int64_t first_ms = first_came(server, seen);
	server->n_tcp += connection >= 0;
	const struct server_rule *rule = find_rule(server->rules, query + HEADER_SIZE, n_name, type);
	pthread_mutex_unlock(&server->mutex);
	size_t n_packet = make_reply(rule, query, end, connection >= 0, packet);
	if (n_packet == 0)
		return;
	struct reply *reply = calloc(1, sizeof(*reply) + n_packet);
	*reply = (struct reply){
		server->replies, first_ms + (rule != NULL ? rule->delay_ms : 0), connection, *from, n_packet};
	memcpy(reply->packet, packet, n_packet);
	server->replies = reply;
}

static void send_due(struct server *server)
{
	for (struct reply **place = &server->replies; *place != NULL;) {
		struct reply *reply = *place;
		if (reply->due_ms > now_ms()) {
			place = &reply->next;
			continue;
		}
		*place = reply->next;
		if (reply->connection >= 0) {
			uint8_t length[2] = {(uint8_t)(reply->n >> 8), (uint8_t)reply->n};
			send(reply->connection, length, 2, MSG_NOSIGNAL | MSG_MORE);
			send(reply->connection, reply->packet, reply->n, MSG_NOSIGNAL);
		} else {
			sendto(server->udp, reply->packet, reply->n, 0, (struct sockaddr *)&reply->to,
				sizeof(reply->to));
		}
		free(reply);
	}
}

static void on_connection(struct server *server, int *connection)
{
	uint8_t length[2], query[PACKET_MAX];
	struct sockaddr_in nobody = {0};
	if (recv(*connection, length, 2, MSG_WAITALL) == 2) {
		size_t n = (size_t)length[0] << 8 | length[1];
		if (recv(*connection, query, n, MSG_WAITALL) == (ssize_t)n) {
			answer(server, query, n, *connection, &nobody);
			return;
		}
	}
	close(*connection);
	for (struct reply **place = &server->replies; *place != NULL;) {
		struct reply *reply = *place;
		if (reply->connection != *connection) {
			place = &reply->next;
			continue;
		}
		*place = reply->next;
		free(reply);
	}
	*connection = -1;
}

static void on_accept(struct server *server)
{
	int fd = accept(server->tcp, NULL, NULL);
	for (size_t i = 0; i < CONNECTIONS_MAX && fd >= 0; i++)
		if (server->connections[i] < 0) {
			server->connections[i] = fd;
			return;
		}
	close(fd);
}

static void on_datagram(struct server *server)
{
	uint8_t query[PACKET_MAX];
	struct sockaddr_in from;
	socklen_t n_from = sizeof(from);
	ssize_t n = recvfrom(server->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &n_from);
	if (n > 0)
		answer(server, query, (size_t)n, -1, &from);
}

static void *run(void *arg)
{
	struct server *server = arg;
	for (;;) {
		struct pollfd fds[3 + CONNECTIONS_MAX] = {
			{server->stop, POLLIN, 0}, {server->udp, POLLIN, 0}, {server->tcp, POLLIN, 0}};
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			fds[3 + i] = (struct pollfd){server->connections[i], POLLIN, 0};
		poll(fds, 3 + CONNECTIONS_MAX, server->replies != NULL ? 1 : -1);
		if (fds[0].revents != 0)
			return NULL;
		if (fds[1].revents != 0)
			on_datagram(server);
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			if (fds[3 + i].revents != 0)
				on_connection(server, &server->connections[i]);
		if (fds[2].revents != 0)
			on_accept(server);
		send_due(server);
	}
}

struct server *server_start(const struct server_rule *rules)
{
	struct server *server = calloc(1, sizeof(*server));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(address);
	server->rules = rules;
	pthread_mutex_init(&server->mutex, NULL);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		server->connections[i] = -1;
	/* The UDP port that the kernel gives may be taken for TCP: then another. */
	for (int tries = 0; tries < 50; tries++) {
		address.sin_port = 0;
		server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bind(server->udp, (struct sockaddr *)&address, sizeof(address));
		getsockname(server->udp, (struct sockaddr *)&address, &n);
		if (bind(server->tcp, (struct sockaddr *)&address, sizeof(address)) == 0)
			break;
		close(server->udp);
		close(server->tcp);
	}
	listen(server->tcp, CONNECTIONS_MAX);
	server->stop = eventfd(0, EFD_CLOEXEC);
	snprintf(server->address, sizeof(server->address), "127.0.0.1@%u", (unsigned)ntohs(address.sin_port));
	pthread_create(&server->thread, NULL, run, server);
	return server;
}

void server_stop(struct server *server)
{
	eventfd_write(server->stop, 1);
	pthread_join(server->thread, NULL);
	for (struct reply *next; server->replies != NULL; server->replies = next) {
		next = server->replies->next;
		free(server->replies);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i] >= 0)
			close(server->connections[i]);
	close(server->udp);
	close(server->tcp);
	close(server->stop);
	pthread_mutex_destroy(&server->mutex);
	free(server->queries);
	free(server);
}

void server_set_rules(struct server *server, const struct server_rule *rules)
{
	pthread_mutex_lock(&server->mutex);
	server->rules = rules;
	pthread_mutex_unlock(&server->mutex);
}

const char *server_address(const struct server *server)
{
	return server->address;
}

size_t server_count(struct server *server, const char *name)
{
	size_t n = 0;
	pthread_mutex_lock(&server->mutex);
	for (size_t i = 0; i < server->n_queries; i++)
		n += name == NULL || name_matches(name, server->queries[i].name, server->queries[i].n);
	pthread_mutex_unlock(&server->mutex);
	return n;
}

size_t server_count_tcp(struct server *server)
{
	pthread_mutex_lock(&server->mutex);
	size_t n = server->n_tcp;
	pthread_mutex_unlock(&server->mutex);
	return n;
}
