/*
 * Plays recorded conversations with a milter over and over, and holds each reply against the one that is recorded.
 *
 *	replay [-c CONNECTIONS] [-n MESSAGES] [-s SEED] [-o COLD] [-a ABORTED] [-k] [-v SIGNED] RECORDINGS SOCKET-PATH
 *
 * RECORDINGS is written by recordings.py: the packets of the negotiation; then for each message its weight, its packets
 * before and from MAIL on, the replies to MAIL and to the end of the message, and others that are as good (empty:
 *none). Messages are drawn by weight. A connection stays with one client for some of them; then it reconnects or, with
 *-k, goes on to another client (QUIT_NC). One message in ABORTED (50) is given up: between two packets with an ABORT,
 *within one or before the verdict is read by closing the connection.
 *
 * What may differ from what was recorded: in a message marked SIGNED the time and the bytes of the signature; in one
 * marked COLD eight digits, which are another number for each message, from COLD on, so that it names a domain never
 *seen before.
 *
 * Standard output: "wrong NAME ..." with both replies in hexadecimal, at most 20 times; one signature in SIGNED (1000)
 * as "signed NAME HEX"; at the end one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SIGNED = 1, COLD = 2, FLAGS_KNOWN = 3 };
#define COLD_TEXT "c00000000."
#define IN_A_ROW 8 /* messages of one client, in the mean */
#define REPLY_MAX ((size_t)1 << 16)
#define WRONG_SHOWN 20

struct bytes {
	const uint8_t *at;
	size_t n;
};

struct recording {
	uint32_t weight, flags;
	struct bytes name, head, message, reply, other;
	uint64_t below;    /* the weights of all before it */
	size_t first, end; /* recordings of the same client: [first, end) */
};

struct connection {
	pthread_t thread;
	int fd;
	const struct recording *client; /* whose head was sent; NULL: none */
	uint64_t random;
	uint8_t reply[REPLY_MAX];
	size_t n_reply;
	struct {
		uint8_t bytes[65536];
		size_t start, end;
	} in;
	unsigned long n_judged, n_aborted, n_wrong, n_broken, n_connects, n_clients;
};

static struct bytes negotiation;
static struct recording *recordings;
static size_t n_recordings, n_connections = 16, n_messages = 100000, cold_first, aborted_one_in = 50,
			    signed_one_in = 1000;
static uint64_t weight_sum, seed = 1;
static bool quit_nc;
static const char *socket_path;
static atomic_size_t next_message, next_cold, n_wrong_shown;

static void die(const char *what)
{
	fprintf(stderr, "replay: fatal: %s: %s\n", what, strerror(errno));
	exit(74);
}

static void *need(void *memory)
{
	if (memory == NULL)
		die("memory");
	return memory;
}

static uint32_t get_be32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, 4);
	return ntohl(value);
}

/* xorshift64* */
static uint64_t draw(struct connection *connection, uint64_t below)
{
	uint64_t x = connection->random;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	connection->random = x;
	return (x * 2685821657736338717U >> 11) % below;
}

/* ---- the recordings ---- */

static uint32_t take_number(struct bytes *rest)
{
	if (rest->n < 4)
		die("the recordings end too early");
	uint32_t value = get_be32(rest->at);
	rest->at += 4;
	rest->n -= 4;
	return value;
}

static struct bytes take_bytes(struct bytes *rest)
{
	size_t n = take_number(rest);
	if (rest->n < n)
		die("the recordings end too early");
	struct bytes taken = {rest->at, n};
	rest->at += n;
	rest->n -= n;
	return taken;
}

static bool equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && memcmp(a.at, b.at, a.n) == 0;
}

static void recordings_read(const char *path)
{
	struct stat stat;
	FILE *file = fopen(path, "rb");
	if (file == NULL || fstat(fileno(file), &stat) != 0)
		die(path);
	uint8_t *data = need(malloc((size_t)stat.st_size));
	struct bytes rest = {data, fread(data, 1, (size_t)stat.st_size, file)};
	fclose(file);
	negotiation = take_bytes(&rest);
	n_recordings = take_number(&rest);
	recordings = need(calloc(n_recordings, sizeof(*recordings)));
	for (size_t i = 0; i < n_recordings; i++) {
		struct recording *one = &recordings[i];
		one->weight = take_number(&rest);
		one->flags = take_number(&rest);
		if (one->weight == 0 || (one->flags & ~(uint32_t)FLAGS_KNOWN) != 0)
			die("a recording with a weight or flags that make no sense");
		one->name = take_bytes(&rest);
		one->head = take_bytes(&rest);
		one->message = take_bytes(&rest);
		one->reply = take_bytes(&rest);
		one->other = take_bytes(&rest);
		one->below = weight_sum;
		weight_sum += one->weight;
		one->first = i > 0 && equal(one->head, recordings[i - 1].head) ? recordings[i - 1].first : i;
	}
	for (size_t i = n_recordings; i-- > 0;)
		recordings[i].end = i + 1 < n_recordings && recordings[i + 1].first == recordings[i].first
					    ? recordings[i + 1].end
					    : i + 1;
}

/* By weight among those from @first to before @end. */
static const struct recording *choose(struct connection *connection, size_t first, size_t end)
{
	uint64_t low = recordings[first].below, high = recordings[end - 1].below + recordings[end - 1].weight;
	uint64_t at = low + draw(connection, high - low);
	while (end - first > 1) {
		size_t middle = first + (end - first) / 2;
		if (recordings[middle].below <= at)
			first = middle;
		else
			end = middle;
	}
	return &recordings[first];
}

/* ---- the wire ---- */

static bool send_all(int fd, const uint8_t *at, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
	}
	return true;
}

/* One packet behind those that are in connection->reply; its command, 0 when the connection is gone. */
static char receive(struct connection *connection)
{
	for (;;) {
		size_t have = connection->in.end - connection->in.start;
		const uint8_t *at = connection->in.bytes + connection->in.start;
		size_t n = have >= 4 ? get_be32(at) : 0;
		if (n > sizeof(connection->in.bytes) - 4 || connection->n_reply + n + 4 > REPLY_MAX)
			return 0;
		if (n > 0 && have >= n + 4) {
			memcpy(connection->reply + connection->n_reply, at, n + 4);
			connection->n_reply += n + 4;
			connection->in.start += n + 4;
			return (char)at[4];
		}
		memmove(connection->in.bytes, at, have);
		connection->in.start = 0;
		connection->in.end = have;
		ssize_t got = recv(connection->fd, connection->in.bytes + have, sizeof(connection->in.bytes) - have, 0);
		if (got == 0 || (got < 0 && errno != EINTR))
			return 0;
		if (got > 0)
			connection->in.end += (size_t)got;
	}
}

static void disconnect(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->client = NULL;
	connection->in.start = connection->in.end = 0;
}

static bool connect_to(struct connection *connection)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct timespec pause = {.tv_nsec = 5000000};
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", socket_path);
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A full backlog is no fault; nobody there for ten seconds is one. */
	for (int tries = 0; connect(connection->fd, (struct sockaddr *)&name, sizeof(name)) != 0; tries++) {
		if (errno != EAGAIN || tries == 2000)
			return false;
		nanosleep(&pause, NULL);
	}
	connection->n_connects++;
	connection->n_reply = 0;
	return send_all(connection->fd, negotiation.at, negotiation.n) && receive(connection) == 'O';
}

static bool is_of(const struct connection *connection, const struct recording *recording)
{
	return connection->client != NULL && connection->client->first == recording->first;
}

/* The client of @recording is announced, on this connection or on another. */
static bool introduce(struct connection *connection, const struct recording *recording)
{
	if (is_of(connection, recording))
		return true;
	if (connection->client != NULL && quit_nc && draw(connection, 2) == 0) {
		if (!send_all(connection->fd, (const uint8_t *)"\0\0\0\1K", 5))
			return false;
	} else if (connection->fd >= 0) {
		send_all(connection->fd, (const uint8_t *)"\0\0\0\1Q", 5);
		disconnect(connection);
	}
	if (connection->fd < 0 && !connect_to(connection))
		return false;
	connection->n_clients++;
	connection->client = recording;
	return send_all(connection->fd, recording->head.at, recording->head.n);
}

/* ---- judging ---- */

/* The time and the signature of our own fields become question marks. */
static void hide_signature(uint8_t *reply, size_t n)
{
	static const char name[] = "DKIM-Signature";
	uint8_t *at = reply, *end = reply + n;
	while ((at = memmem(at, (size_t)(end - at), name, sizeof(name))) != NULL) {
		at += sizeof(name);
		uint8_t *last = memchr(at, '\0', (size_t)(end - at));
		for (bool in_signature = false; last != NULL && at + 2 < last; at++) {
			bool begins = at[-1] == ' ' || at[-1] == '\t' || at[-1] == ';';
			if (begins && memcmp(at, "t=", 2) == 0)
				for (uint8_t *digit = at + 2; digit < last && *digit >= '0' && *digit <= '9'; digit++)
					*digit = '?';
			in_signature |= begins && memcmp(at, "b=", 2) == 0;
			if (in_signature)
				memset(at + 2, '?', (size_t)(last - at) - 2);
			if (in_signature)
				break;
		}
	}
}

static void put_number(uint8_t *bytes, size_t n, size_t number)
{
	uint8_t *at = bytes;
	char digits[16];
	snprintf(digits, sizeof(digits), "%08zu", number % 100000000);
	while ((at = memmem(at, n - (size_t)(at - bytes), COLD_TEXT, strlen(COLD_TEXT))) != NULL) {
		memcpy(at + 1, digits, 8);
		at += strlen(COLD_TEXT);
	}
}

static void show(const char *what, const struct recording *recording, struct bytes bytes)
{
	printf("%s %.*s ", what, (int)recording->name.n, (const char *)recording->name.at);
	for (size_t i = 0; i < bytes.n; i++)
		printf("%02x", bytes.at[i]);
	putchar('\n');
}

static void show_signature(struct connection *connection, const struct recording *recording)
{
	if ((recording->flags & SIGNED) == 0 || draw(connection, signed_one_in) != 0)
		return;
	flockfile(stdout);
	show("signed", recording, (struct bytes){connection->reply, connection->n_reply});
	funlockfile(stdout);
}

static void judge(struct connection *connection, const struct recording *recording, size_t cold)
{
	uint8_t *wanted = need(malloc(recording->reply.n + 1));
	size_t n = recording->reply.n;
	memcpy(wanted, recording->reply.at, n);
	show_signature(connection, recording);
	if (recording->flags & COLD)
		put_number(wanted, n, cold);
	if (recording->flags & SIGNED) {
		hide_signature(wanted, n);
		hide_signature(connection->reply, connection->n_reply);
	}
	struct bytes got = {connection->reply, connection->n_reply}, right = {wanted, n};
	connection->n_judged++;
	if (!equal(got, right) && (recording->other.n == 0 || !equal(got, recording->other))) {
		connection->n_wrong++;
		if (atomic_fetch_add(&n_wrong_shown, 1) < WRONG_SHOWN) {
			flockfile(stdout);
			show("wrong", recording, got);
			show("wanted", recording, right);
			funlockfile(stdout);
		}
	}
	free(wanted);
}

/* ---- one message ---- */

static bool is_final(char reply)
{
	return reply == 0 || strchr("acdrtyfs4", reply) != NULL;
}

/* Bytes up to before the packet's end, or a part of the packet, that are sent before the message is given up. */
static size_t cut(struct connection *connection, struct bytes packets, bool *ret_within)
{
	size_t n_packets = 0, at = 0;
	for (; at < packets.n; at += 4 + get_be32(packets.at + at))
		n_packets++;
	size_t keep = draw(connection, n_packets);
	for (at = 0; keep > 0; keep--)
		at += 4 + get_be32(packets.at + at);
	*ret_within = draw(connection, 2) == 0;
	return *ret_within ? at + 1 + draw(connection, 3 + get_be32(packets.at + at)) : at;
}

/* MAIL and its macros, whose reply is waited for; then the rest. */
static size_t length_of_mail(struct bytes packets)
{
	size_t at = 0;
	char command = 0;
	while (command != 'M' && at < packets.n) {
		command = (char)packets.at[at + 4];
		at += 4 + get_be32(packets.at + at);
	}
	return at;
}

static bool give_up(struct connection *connection, struct bytes packets, size_t n_mail)
{
	bool within;
	size_t n = cut(connection, packets, &within);
	connection->n_aborted++;
	if (!send_all(connection->fd, packets.at, n < n_mail ? n : n_mail))
		return false;
	/* Before a connection is used again all replies must have been read. */
	if (n >= n_mail && (receive(connection) != 'c' || !send_all(connection->fd, packets.at + n_mail, n - n_mail)))
		return false;
	if (within)
		disconnect(connection);
	return within || send_all(connection->fd, (const uint8_t *)"\0\0\0\1A", 5);
}

/* False: the connection is broken. */
static bool converse(
	struct connection *connection, const struct recording *recording, struct bytes packets, size_t cold)
{
	size_t n_mail = length_of_mail(packets);
	connection->n_reply = 0;
	uint64_t fate = draw(connection, aborted_one_in * 4);
	if (fate < 3)
		return give_up(connection, packets, n_mail);
	if (!send_all(connection->fd, packets.at, n_mail))
		return false;
	char reply = receive(connection);
	if (reply == 'c') {
		if (!send_all(connection->fd, packets.at + n_mail, packets.n - n_mail))
			return false;
		if (fate == 3) {
			connection->n_aborted++;
			disconnect(connection);
			return true;
		}
		while (!is_final(reply = receive(connection)))
			;
	}
	if (reply == 0)
		return false;
	judge(connection, recording, cold);
	return true;
}

static void one_message(struct connection *connection)
{
	const struct recording *recording =
		connection->client != NULL && draw(connection, IN_A_ROW) != 0
			? choose(connection, connection->client->first, connection->client->end)
			: choose(connection, 0, n_recordings);
	uint8_t *own = NULL;
	size_t cold = 0;
	struct bytes packets = recording->message;
	if (recording->flags & COLD) {
		cold = cold_first + atomic_fetch_add(&next_cold, 1);
		own = need(malloc(packets.n));
		memcpy(own, packets.at, packets.n);
		put_number(own, packets.n, cold);
		packets.at = own;
	}
	if (!introduce(connection, recording) || !converse(connection, recording, packets, cold)) {
		connection->n_broken++;
		disconnect(connection);
	}
	free(own);
}

static void *serve(void *context)
{
	struct connection *connection = context;
	while (atomic_fetch_add(&next_message, 1) < n_messages)
		one_message(connection);
	if (connection->fd >= 0)
		send_all(connection->fd, (const uint8_t *)"\0\0\0\1Q", 5);
	disconnect(connection);
	return NULL;
}

/* ---- the whole ---- */

static void report(const struct connection *connections, double seconds)
{
	struct connection *sum = need(calloc(1, sizeof(*sum)));
	for (size_t i = 0; i < n_connections; i++) {
		const struct connection *one = &connections[i];
		sum->n_judged += one->n_judged;
		sum->n_aborted += one->n_aborted;
		sum->n_wrong += one->n_wrong;
		sum->n_broken += one->n_broken;
		sum->n_connects += one->n_connects;
		sum->n_clients += one->n_clients;
	}
	printf("{\"judged\":%lu,\"aborted\":%lu,\"wrong\":%lu,\"broken\":%lu,\"connects\":%lu,\"clients\":%lu,"
	       "\"cold\":%zu,\"seconds\":%.1f}\n",
		sum->n_judged, sum->n_aborted, sum->n_wrong, sum->n_broken, sum->n_connects, sum->n_clients,
		atomic_load(&next_cold), seconds);
	free(sum);
}

static size_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*end != '\0' || value == 0) {
		fprintf(stderr, "replay: fatal: %s: not a positive number\n", text);
		exit(64);
	}
	return value;
}

static void options_read(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "c:n:s:o:a:v:k")) != -1)
		switch (option) {
		case 'c':
			n_connections = number(optarg);
			break;
		case 'n':
			n_messages = number(optarg);
			break;
		case 's':
			seed = number(optarg);
			break;
		case 'o':
			cold_first = number(optarg);
			break;
		case 'a':
			aborted_one_in = number(optarg);
			break;
		case 'v':
			signed_one_in = number(optarg);
			break;
		case 'k':
			quit_nc = true;
			break;
		default:
			exit(64);
		}
	if (argc - optind != 2) {
		fputs("usage: replay [options] RECORDINGS SOCKET-PATH\n", stderr);
		exit(64);
	}
}

int main(int argc, char **argv)
{
	struct timespec begin, end;
	options_read(argc, argv);
	recordings_read(argv[optind]);
	socket_path = argv[optind + 1];
	struct connection *connections = need(calloc(n_connections, sizeof(*connections)));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (size_t i = 0; i < n_connections; i++) {
		connections[i].fd = -1;
		connections[i].random = (seed + i) * 0x9E3779B97F4A7C15U;
		if (pthread_create(&connections[i].thread, NULL, serve, &connections[i]) != 0)
			die("thread");
	}
	for (size_t i = 0; i < n_connections; i++)
		pthread_join(connections[i].thread, NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	report(connections, (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	free(connections);
	return 0;
}
