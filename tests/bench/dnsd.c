/*
 * A small, fast nameserver for measurements: authoritative for everything, UDP alone, one thread.
 *
 *	dnsd [-d DELAY_MS] [-l LOG] ADDRESS PORT ZONE...
 *
 * ZONE has lines "NAME TYPE VALUE": TXT (the rest of the line, without quotes), A, AAAA, MX ("10 host"), and
 * SILENT, which leaves every question at or below NAME without an answer; FRESH, whose answers at or below NAME no
 * cache may keep. '#' begins a comment line. Every answer comes DELAY_MS after its question, however many are asked
 * at once. LOG gets "MICROSECONDS NAME TYPE" (monotonic) for each question as it arrives. SIGHUP empties the log.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	TYPE_A = 1,
	TYPE_SOA = 6,
	TYPE_MX = 15,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	TYPE_SILENT = 65280,
	TYPE_FRESH = 65281
};

#define N_BUCKETS ((size_t)1 << 18)
#define QUEUE_SIZE ((size_t)1 << 14)
#define TTL 3600

struct record {
	struct record *next;
	char *name; /* lower case, no trailing dot */
	unsigned type;
	size_t n;
	uint8_t data[]; /* as on the wire */
};

struct packet {
	int64_t due_us;
	struct sockaddr_storage to;
	socklen_t to_size;
	size_t n;
	uint8_t data[1232];
};

static struct record *buckets[N_BUCKETS];
static struct packet *queue;
static size_t queue_head, queue_tail;
static volatile sig_atomic_t log_to_be_emptied;

static int64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "dnsd: fatal: %s: %s\n", what, strerror(errno));
	exit(74);
}

/* ---- the zone ---- */

static size_t bucket_of(const char *name)
{
	uint64_t hash = 14695981039346656037U;
	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 1099511628211U;
	return (size_t)(hash % N_BUCKETS);
}

/* With @type 0 any record of the name. */
static const struct record *find(const char *name, unsigned type)
{
	const struct record *record = buckets[bucket_of(name)];
	while (record != NULL && (strcmp(record->name, name) != 0 || (type != 0 && record->type != type)))
		record = record->next;
	return record;
}

static void add(const char *name, unsigned type, const uint8_t *data, size_t n)
{
	struct record *record = malloc(sizeof(*record) + n);
	if (record == NULL || (record->name = strdup(name)) == NULL)
		die("memory");
	record->type = type;
	record->n = n;
	memcpy(record->data, data, n);
	struct record **bucket = &buckets[bucket_of(name)];
	record->next = *bucket;
	*bucket = record;
}

/* The names above exist without records, so that questions for them get NODATA, not NXDOMAIN. */
static void add_parents(const char *name)
{
	for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		if (find(dot + 1, 0) != NULL)
			return;
		add(dot + 1, 0, (const uint8_t *)"", 0);
	}
}

static size_t name_write(uint8_t *to, const char *name)
{
	uint8_t *start = to;
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		*to++ = (uint8_t)n;
		memcpy(to, name, n);
		to += n;
		name += n + (name[n] == '.');
	}
	*to++ = 0;
	return (size_t)(to - start);
}

static size_t text_write(uint8_t *to, const char *text)
{
	uint8_t *start = to;
	size_t left = strlen(text);
	do {
		size_t n = left < 255 ? left : 255;
		*to++ = (uint8_t)n;
		memcpy(to, text, n);
		to += n;
		text += n;
		left -= n;
	} while (left > 0);
	return (size_t)(to - start);
}

static bool add_line(const char *name, const char *type, const char *value)
{
	uint8_t data[4096];
	if (strcmp(type, "TXT") == 0) {
		add(name, TYPE_TXT, data, text_write(data, value));
	} else if (strcmp(type, "A") == 0 && inet_pton(AF_INET, value, data) == 1) {
		add(name, TYPE_A, data, 4);
	} else if (strcmp(type, "AAAA") == 0 && inet_pton(AF_INET6, value, data) == 1) {
		add(name, TYPE_AAAA, data, 16);
	} else if (strcmp(type, "MX") == 0) {
		char *host;
		unsigned long preference = strtoul(value, &host, 10);
		data[0] = (uint8_t)(preference >> 8);
		data[1] = (uint8_t)preference;
		add(name, TYPE_MX, data, 2 + name_write(data + 2, host + strspn(host, " ")));
	} else if (strcmp(type, "SILENT") == 0) {
		add(name, TYPE_SILENT, data, 0);
	} else if (strcmp(type, "FRESH") == 0) {
		add(name, TYPE_FRESH, data, 0);
	} else {
		return false;
	}
	add_parents(name);
	return true;
}

static void read_zone(const char *path)
{
	char line[4096];
	unsigned number = 0;
	FILE *file = fopen(path, "r");
	if (file == NULL)
		die(path);
	while (fgets(line, sizeof(line), file) != NULL) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		char *rest = line, *name = strsep(&rest, " "), *type = strsep(&rest, " ");
		if (type == NULL || !add_line(name, type, rest != NULL ? rest : "")) {
			fprintf(stderr, "dnsd: fatal: %s:%u: not understood\n", path, number);
			exit(65);
		}
	}
	fclose(file);
}

/* ---- questions ---- */

struct question {
	char name[256];
	unsigned type;
	size_t n; /* bytes of the question section */
	bool edns;
};

static bool question_parse(const uint8_t *packet, size_t n, struct question *ret_question)
{
	size_t at = 12, out = 0;
	if (n < 17 || (packet[2] & 0x80) != 0 || packet[4] != 0 || packet[5] != 1)
		return false;
	while (at < n && packet[at] != 0) {
		size_t label = packet[at++];
		if (label > 63 || at + label >= n || out + label + 1 >= sizeof(ret_question->name))
			return false;
		if (out > 0)
			ret_question->name[out++] = '.';
		for (size_t i = 0; i < label; i++)
			ret_question->name[out++] = (char)tolower(packet[at++]);
	}
	if (at + 5 > n)
		return false;
	ret_question->name[out] = '\0';
	ret_question->type = (unsigned)packet[at + 1] << 8 | packet[at + 2];
	ret_question->n = at + 5 - 12;
	ret_question->edns = packet[10] != 0 || packet[11] != 0;
	return true;
}

/* At or below a name that has such a record. */
static bool is_below(const char *name, unsigned type)
{
	for (const char *at = name; at != NULL; at = strchr(at, '.')) {
		at += *at == '.';
		if (find(at, type) != NULL)
			return true;
	}
	return false;
}

static uint8_t *put(uint8_t *to, unsigned value, size_t n)
{
	for (size_t i = n; i-- > 0; value >>= 8)
		to[i] = (uint8_t)value;
	return to + n;
}

static uint8_t *put_record(uint8_t *to, unsigned type, unsigned ttl, const uint8_t *data, size_t n)
{
	to = put(to, 0xC00C, 2);
	to = put(to, type, 2);
	to = put(to, 1, 2);
	to = put(to, ttl, 4);
	to = put(to, (unsigned)n, 2);
	memcpy(to, data, n);
	return to + n;
}

/* @reply holds the question already. */
static size_t reply_write(uint8_t *reply, const struct question *question)
{
	uint8_t *to = reply + 12 + question->n;
	const struct record *record = find(question->name, question->type);
	unsigned n_answers = 0, n_authority = 0, rcode = find(question->name, 0) == NULL ? 3 : 0;
	unsigned ttl = is_below(question->name, TYPE_FRESH) ? 0 : TTL;
	for (; record != NULL; record = record->next) {
		if (strcmp(record->name, question->name) != 0 || record->type != question->type)
			continue;
		if ((size_t)(to - reply) + record->n + 64 > sizeof(((struct packet *)0)->data))
			break;
		to = put_record(to, record->type, ttl, record->data, record->n);
		n_answers++;
	}
	if (n_answers == 0) {
		/* The root's SOA: how long the absence may be kept. */
		uint8_t soa[22] = {0};
		put(soa + 2, 1, 4);
		put(soa + 18, ttl, 4);
		*to++ = 0;
		uint8_t *start = to;
		to = put_record(to, TYPE_SOA, ttl, soa, sizeof(soa));
		memmove(start, start + 2, (size_t)(to - start) - 2);
		to -= 2;
		n_authority = 1;
	}
	if (question->edns) {
		*to++ = 0;
		to = put(to, TYPE_OPT, 2);
		to = put(to, 1232, 2);
		to = put(to, 0, 6);
	}
	reply[2] = (uint8_t)(0x84 | (reply[2] & 1));
	reply[3] = (uint8_t)(0x80 | rcode);
	put(reply + 4, 1, 2);
	put(reply + 6, n_answers, 2);
	put(reply + 8, n_authority, 2);
	put(reply + 10, question->edns, 2);
	return (size_t)(to - reply);
}

static void take(int fd, FILE *log, int64_t delay_us)
{
	while (queue_tail - queue_head < QUEUE_SIZE) {
		struct packet *packet = &queue[queue_tail % QUEUE_SIZE];
		struct question question;
		uint8_t data[1500];
		packet->to_size = sizeof(packet->to);
		ssize_t n = recvfrom(
			fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&packet->to, &packet->to_size);
		if (n < 0)
			return;
		if (!question_parse(data, (size_t)n, &question))
			continue;
		int64_t now = now_us();
		if (log != NULL)
			fprintf(log, "%lld %s %u\n", (long long)now, question.name, question.type);
		if (is_below(question.name, TYPE_SILENT))
			continue;
		memcpy(packet->data, data, 12 + question.n);
		packet->n = reply_write(packet->data, &question);
		packet->due_us = now + delay_us;
		queue_tail++;
	}
}

static int open_socket(const char *address, const char *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 8 * 1024 * 1024;
	if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1 ||
		bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0)
		die(address);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static void on_hangup(int signal_number)
{
	(void)signal_number;
	log_to_be_emptied = 1;
}

static void serve(int fd, FILE *log, int64_t delay_us)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	for (;;) {
		if (log_to_be_emptied && log != NULL) {
			log_to_be_emptied = 0;
			rewind(log);
			if (ftruncate(fileno(log), 0) != 0)
				die("log");
		}
		struct timespec wait, *timeout = NULL;
		if (queue_head != queue_tail) {
			int64_t left = queue[queue_head % QUEUE_SIZE].due_us - now_us();
			wait.tv_sec = left > 0 ? left / 1000000 : 0;
			wait.tv_nsec = left > 0 ? left % 1000000 * 1000 : 0;
			timeout = &wait;
		} else if (log != NULL) {
			fflush(log);
		}
		if (ppoll(&pollfd, 1, timeout, NULL) < 0 && errno != EINTR)
			die("poll");
		take(fd, log, delay_us);
		for (int64_t now = now_us(); queue_head != queue_tail && queue[queue_head % QUEUE_SIZE].due_us <= now;
			queue_head++) {
			const struct packet *packet = &queue[queue_head % QUEUE_SIZE];
			sendto(fd, packet->data, packet->n, 0, (const struct sockaddr *)&packet->to, packet->to_size);
		}
	}
}

int main(int argc, char **argv)
{
	double delay_ms = 0;
	FILE *log = NULL;
	int option;
	while ((option = getopt(argc, argv, "d:l:")) != -1) {
		if (option == 'd')
			delay_ms = atof(optarg);
		else if (option == 'l' && (log = fopen(optarg, "w")) == NULL)
			die(optarg);
		else if (option == '?')
			return 64;
	}
	if (argc - optind < 3) {
		fputs("usage: dnsd [-d DELAY_MS] [-l LOG] ADDRESS PORT ZONE...\n", stderr);
		return 64;
	}
	queue = calloc(QUEUE_SIZE, sizeof(*queue));
	if (queue == NULL)
		die("memory");
	for (int i = optind + 2; i < argc; i++)
		read_zone(argv[i]);
	struct sigaction action = {.sa_handler = on_hangup};
	sigaction(SIGHUP, &action, NULL);
	serve(open_socket(argv[optind], argv[optind + 1]), log, (int64_t)(delay_ms * 1000));
}
