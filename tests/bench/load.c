/*
 * A load generator that speaks the milter protocol as an MTA does.
 *
 *	load [options] LIST SOCKET [SOCKET2]
 *
 * LIST has lines "FILE CLIENT-IP HELO MAIL-FROM RCPT [AUTH-USER]", "-" for the null sender. SOCKET is local:/PATH or
 * inet:PORT@HOST. With SOCKET2 every message goes through both filters, one after the other as in Postfix, and the
 * second sees the fields that the first inserted.
 *
 *	-c N    connections, each a thread (1)           -n N    messages (one pass through LIST)
 *	-w N    messages before the measurement (0)      -m N    messages per connection (without end)
 *	-M MS   pause before MAIL                        -D MS   pause before DATA
 *	-r RATE open loop: messages a second are due at fixed times, and are late from then on
 *	-o      open the connections, keep them idle until standard input ends
 *	-b      hold small packets back until a reply is awaited, as Postfix does; without it MAIL and RCPT leave at
 *once -p PID  report the CPU time of that process too; may be repeated -P      print every change
 *
 * One JSON object on standard output. Latencies, in milliseconds, are from the first header field to the verdict.
 * "no_results" counts accepted messages to which some filter on the way gave no Authentication-Results field.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

#define BODY_CHUNK ((size_t)65535)
#define N_STAGES 7
#define PEERS_MAX 2
#define PIDS_MAX 16

enum { NEGOTIATE_ACTIONS = 0x1FF, NEGOTIATE_PROTOCOL = 0x1FFFFF, LEADSPC = 0x100000, SETSYMLIST = 0x100 };

struct packet {
	char command;
	size_t n; /* bytes on the wire */
};

/* A message as it goes over the wire: header fields, their end, body. */
struct content {
	uint8_t *bytes;
	struct packet *packets;
	size_t n, n_packets;
};

struct mail {
	char *path, *client, *helo, *from, *rcpt, *auth;
	struct content content[2]; /* [1] with the space behind the colon */
};

struct peer {
	int fd;
	uint32_t protocol;
	char *wanted[N_STAGES]; /* names of macros; NULL: the MTA's own choice */
	uint8_t out[4096];
	size_t n_out;
	uint8_t in[65536];
	size_t in_start, in_end;
};

struct fields {
	uint8_t *bytes; /* header packets that an earlier filter inserted */
	size_t n, capacity;
};

struct connection {
	struct peer peers[PEERS_MAX];
	size_t number;
	struct fields inserted;
	unsigned long n_done, n_accepted, n_rejected, n_deferred, n_discarded, n_no_results, n_errors, n_changes;
};

static struct mail *mails;
static size_t n_mails, n_peers, n_connections = 1, n_messages, n_warm, per_connection = SIZE_MAX;
static const char *sockets[PEERS_MAX];
static unsigned pause_mail_ms, pause_data_ms;
static double rate;
static bool hold_back, print_changes, stay_idle;
static pid_t pids[PIDS_MAX];
static size_t n_pids;
static atomic_size_t next_message, n_finished;
static float *latencies; /* by message */
static int64_t run_start, measure_start;
static double cpu_start;

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	if (ns > 0)
		nanosleep(&ts, NULL);
}

/* Of all watched processes, in milliseconds; the kernel's account of the whole process, in nanoseconds' steps. */
static double cpu_ms(void)
{
	double sum = 0;
	for (size_t i = 0; i < n_pids; i++) {
		clockid_t clock;
		struct timespec ts;
		if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &ts) == 0)
			sum += (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
	}
	return sum;
}

static void *need(void *memory)
{
	if (memory == NULL) {
		fputs("load: fatal: out of memory\n", stderr);
		exit(71);
	}
	return memory;
}

static void *need_file(void *file, const char *path)
{
	if (file == NULL) {
		fprintf(stderr, "load: fatal: %s: %s\n", path, strerror(errno));
		exit(66);
	}
	return file;
}

/* ---- messages ---- */

static void put_be32(uint8_t *to, uint32_t value)
{
	value = htonl(value);
	memcpy(to, &value, 4);
}

static uint32_t get_be32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, 4);
	return ntohl(value);
}

static void content_add(struct content *content, char command, const void *data, size_t n)
{
	content->packets = need(realloc(content->packets, (content->n_packets + 1) * sizeof(*content->packets)));
	content->packets[content->n_packets++] = (struct packet){command, n + 5};
	put_be32(content->bytes + content->n, (uint32_t)n + 1);
	content->bytes[content->n + 4] = (uint8_t)command;
	memcpy(content->bytes + content->n + 5, data, n);
	content->n += n + 5;
}

/* One field of the file (CRLF within it become LF); gives its end. */
static const char *add_field(struct content *content, const char *at, bool with_space, char *scratch)
{
	size_t n = strcspn(at, ":");
	memcpy(scratch, at, n);
	scratch[n++] = '\0';
	at += n;
	if (!with_space && *at == ' ')
		at++;
	while (*at != '\0') {
		if (at[0] == '\r' && at[1] == '\n') {
			if (at[2] != ' ' && at[2] != '\t')
				break;
			at++;
		}
		scratch[n++] = *at++;
	}
	scratch[n++] = '\0';
	content_add(content, 'L', scratch, n);
	return at + 2;
}

static void content_read(struct content *content, const char *text, size_t n, bool with_space)
{
	const char *at = text, *end = text + n;
	char *scratch = need(malloc(n + 2));
	content->bytes = need(malloc(2 * n + 4096));
	while (!(at[0] == '\r' && at[1] == '\n'))
		at = add_field(content, at, with_space, scratch);
	content_add(content, 'N', "", 0);
	for (at += 2; at < end;) {
		size_t left = (size_t)(end - at), part = left < BODY_CHUNK ? left : BODY_CHUNK;
		content_add(content, 'B', at, part);
		at += part;
	}
	free(scratch);
}

static void mail_read(struct mail *mail)
{
	struct stat stat;
	FILE *file = need_file(fopen(mail->path, "rb"), mail->path);
	fstat(fileno(file), &stat);
	char *text = need(malloc((size_t)stat.st_size + 1));
	size_t n = fread(text, 1, (size_t)stat.st_size, file);
	text[n] = '\0';
	fclose(file);
	content_read(&mail->content[0], text, n, false);
	content_read(&mail->content[1], text, n, true);
	free(text);
}

static void list_read(const char *path)
{
	char line[4096];
	FILE *file = need_file(fopen(path, "r"), path);
	while (fgets(line, sizeof(line), file) != NULL) {
		char *rest = line, *words[6] = {0};
		for (size_t i = 0; i < 6; i++)
			words[i] = strtok_r(rest, " \t\n", &rest);
		if (words[4] == NULL)
			continue;
		mails = need(realloc(mails, (n_mails + 1) * sizeof(*mails)));
		struct mail *mail = &mails[n_mails++];
		*mail = (struct mail){.path = need(strdup(words[0])),
			.client = need(strdup(words[1])),
			.helo = need(strdup(words[2])),
			.from = need(strdup(strcmp(words[3], "-") == 0 ? "" : words[3])),
			.rcpt = need(strdup(words[4])),
			.auth = words[5] != NULL ? need(strdup(words[5])) : NULL};
		mail_read(mail);
	}
	fclose(file);
}

/* ---- the wire ---- */

static bool write_all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, data, n, MSG_NOSIGNAL);
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return true;
}

static bool peer_flush(struct peer *peer)
{
	size_t n = peer->n_out;
	peer->n_out = 0;
	return write_all(peer->fd, peer->out, n);
}

static bool peer_put(struct peer *peer, const void *data, size_t n)
{
	const uint8_t *at = data;
	while (n > 0) {
		size_t space = sizeof(peer->out) - peer->n_out, part = n < space ? n : space;
		/* What is larger than the buffer need not go through it. */
		if (peer->n_out == 0 && n >= sizeof(peer->out))
			return write_all(peer->fd, at, n);
		memcpy(peer->out + peer->n_out, at, part);
		peer->n_out += part;
		at += part;
		n -= part;
		if (peer->n_out == sizeof(peer->out) && !peer_flush(peer))
			return false;
	}
	return true;
}

static bool peer_put_packet(struct peer *peer, char command, const void *data, size_t n)
{
	uint8_t head[5];
	put_be32(head, (uint32_t)n + 1);
	head[4] = (uint8_t)command;
	return peer_put(peer, head, 5) && peer_put(peer, data, n);
}

/* The next reply; its data, ended by a NUL, until the next call. 0 when the connection is gone. */
static char peer_receive(struct peer *peer, const uint8_t **ret_data, size_t *ret_n)
{
	if (peer->n_out > 0 && !peer_flush(peer))
		return 0;
	for (;;) {
		size_t have = peer->in_end - peer->in_start;
		uint8_t *at = peer->in + peer->in_start;
		size_t n = have >= 4 ? get_be32(at) : 0;
		if (n > sizeof(peer->in) - 5)
			return 0;
		if (n > 0 && have >= 4 + n) {
			peer->in_start += 4 + n;
			*ret_data = at + 5;
			*ret_n = n - 1;
			return (char)at[4];
		}
		memmove(peer->in, at, have);
		peer->in_start = 0;
		peer->in_end = have;
		ssize_t got = recv(peer->fd, peer->in + have, sizeof(peer->in) - have, 0);
		if (got <= 0 && errno != EINTR)
			return 0;
		if (got == 0)
			return 0;
		if (got > 0)
			peer->in_end += (size_t)got;
	}
}

static int open_socket(const char *name)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in inet = {.sin_family = AF_INET};
	bool is_local = strncmp(name, "local:", 6) == 0;
	int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (is_local) {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", name + 6);
	} else {
		const char *host = strchr(name, '@');
		inet.sin_port = htons((uint16_t)atoi(name + strlen("inet:")));
		inet_pton(AF_INET, host != NULL ? host + 1 : "127.0.0.1", &inet.sin_addr);
	}
	for (int tries = 0; tries < 200; tries++) {
		if (connect(fd, is_local ? (struct sockaddr *)&local : (struct sockaddr *)&inet,
			    is_local ? sizeof(local) : sizeof(inet)) == 0)
			return fd;
		/* A full backlog of a local socket. */
		if (errno != EAGAIN)
			break;
		sleep_ns(5000000);
	}
	close(fd);
	return -1;
}

static bool negotiate(struct peer *peer)
{
	uint8_t offer[12];
	const uint8_t *reply;
	size_t n;
	put_be32(offer, 6);
	put_be32(offer + 4, NEGOTIATE_ACTIONS);
	put_be32(offer + 8, NEGOTIATE_PROTOCOL);
	if (!peer_put_packet(peer, 'O', offer, sizeof(offer)) || peer_receive(peer, &reply, &n) != 'O' || n < 12)
		return false;
	peer->protocol = get_be32(reply + 8);
	for (size_t at = 12; at + 4 < n;) {
		uint32_t stage = get_be32(reply + at);
		const char *names = (const char *)reply + at + 4;
		if (stage < N_STAGES) {
			free(peer->wanted[stage]);
			peer->wanted[stage] = need(strdup(names));
		}
		at += 4 + strlen(names) + 1;
	}
	return true;
}

/* ---- one message ---- */

/* Bits of the protocol: the stage is not to be sent; its reply is not awaited. */
static uint32_t no_stage(char command)
{
	switch (command) {
	case 'C':
		return 0x1;
	case 'H':
		return 0x2;
	case 'M':
		return 0x4;
	case 'R':
		return 0x8;
	case 'B':
		return 0x10;
	case 'L':
		return 0x20;
	case 'N':
		return 0x40;
	case 'T':
		return 0x200;
	default:
		return 0;
	}
}

static uint32_t no_reply(char command)
{
	switch (command) {
	case 'C':
		return 0x1000;
	case 'H':
		return 0x2000;
	case 'M':
		return 0x4000;
	case 'R':
		return 0x8000;
	case 'T':
		return 0x10000;
	case 'L':
		return 0x80;
	case 'N':
		return 0x40000;
	case 'B':
		return 0x80000;
	default:
		return 0;
	}
}

enum step { GO_ON, SKIP, DECIDED, BROKEN };

static enum step step_of(char reply)
{
	if (reply == 'c' || reply == 'p')
		return GO_ON;
	if (reply == 's')
		return SKIP;
	return reply == 0 ? BROKEN : DECIDED;
}

static enum step await(struct peer *peer, char command, char *ret_verdict)
{
	const uint8_t *data;
	size_t n;
	if ((peer->protocol & no_reply(command)) != 0)
		return GO_ON;
	*ret_verdict = peer_receive(peer, &data, &n);
	return step_of(*ret_verdict);
}

/* What the MTA gives without being asked, as Postfix has it. */
static const char *const own_choice[N_STAGES] = {
	"j {daemon_name} v", "", "i {auth_type} {auth_authen} {mail_addr}", "i {rcpt_addr}", "i", "i", "i"};
/* The stages' numbers in a macro list are those of the third argument of smfi_setsymlist(). */
static const char stage_commands[] = "CHMRTEN";

struct envelope {
	const struct mail *mail;
	char queue_id[24]; /* empty before the first recipient */
};

static const char *macro_value(const struct envelope *envelope, const char *name)
{
	if (strcmp(name, "j") == 0)
		return "mx.bench.example";
	if (strcmp(name, "{daemon_name}") == 0)
		return "smtpd";
	if (strcmp(name, "v") == 0)
		return "Bench 1.0";
	if (envelope->mail == NULL)
		return NULL;
	if (strcmp(name, "i") == 0)
		return envelope->queue_id[0] != '\0' ? envelope->queue_id : NULL;
	if (strcmp(name, "{auth_authen}") == 0)
		return envelope->mail->auth;
	if (strcmp(name, "{auth_type}") == 0)
		return envelope->mail->auth != NULL ? "PLAIN" : NULL;
	if (strcmp(name, "{mail_addr}") == 0)
		return envelope->mail->from;
	if (strcmp(name, "{rcpt_addr}") == 0)
		return envelope->mail->rcpt;
	return NULL;
}

static bool put_macros(struct peer *peer, char command, const struct envelope *envelope)
{
	size_t stage = (size_t)(strchr(stage_commands, command) - stage_commands);
	char names[512], data[2048];
	size_t n = 0;
	snprintf(names, sizeof(names), "%s", peer->wanted[stage] != NULL ? peer->wanted[stage] : own_choice[stage]);
	data[n++] = command;
	char *rest = names;
	for (char *name; (name = strtok_r(rest, " ,", &rest)) != NULL;) {
		const char *value = macro_value(envelope, name);
		if (value == NULL || n + strlen(name) + strlen(value) + 2 > sizeof(data))
			continue;
		n += (size_t)snprintf(data + n, sizeof(data) - n, "%s", name) + 1;
		n += (size_t)snprintf(data + n, sizeof(data) - n, "%s", value) + 1;
	}
	return n == 1 || peer_put_packet(peer, 'D', data, n);
}

static enum step stage(
	struct peer *peer, char command, const struct envelope *envelope, const void *data, size_t n, char *ret_verdict)
{
	if ((peer->protocol & no_stage(command)) != 0)
		return GO_ON;
	if (!put_macros(peer, command, envelope) || !peer_put_packet(peer, command, data, n))
		return BROKEN;
	return await(peer, command, ret_verdict);
}

static enum step send_envelope(struct peer *peer, struct envelope *envelope, const char *queue_id, char *ret_verdict)
{
	char data[1024];
	size_t n = (size_t)snprintf(data, sizeof(data), "<%s>", envelope->mail->from) + 1;
	envelope->queue_id[0] = '\0';
	enum step step = stage(peer, 'M', envelope, data, n, ret_verdict);
	if (step != GO_ON)
		return step;
	snprintf(envelope->queue_id, sizeof(envelope->queue_id), "%s", queue_id);
	n = (size_t)snprintf(data, sizeof(data), "<%s>", envelope->mail->rcpt) + 1;
	step = stage(peer, 'R', envelope, data, n, ret_verdict);
	if (step == GO_ON && !hold_back && !peer_flush(peer))
		return BROKEN;
	return step;
}

/* Fields that an earlier filter has inserted, and the message; each run of packets without replies in one piece. */
static enum step send_content(
	struct connection *connection, struct peer *peer, const struct envelope *envelope, char *ret_verdict)
{
	const struct content *content = &envelope->mail->content[(peer->protocol & LEADSPC) != 0];
	const uint8_t *at = content->bytes;
	bool skip_body = false;
	for (size_t done = 0; done < connection->inserted.n;) {
		size_t n = get_be32(connection->inserted.bytes + done) + 4;
		if (!peer_put(peer, connection->inserted.bytes + done, n))
			return BROKEN;
		enum step step = await(peer, 'L', ret_verdict);
		if (step != GO_ON)
			return step;
		done += n;
	}
	for (size_t i = 0; i < content->n_packets; i++) {
		const struct packet *packet = &content->packets[i];
		const uint8_t *bytes = at;
		at += packet->n;
		if ((peer->protocol & no_stage(packet->command)) != 0 || (packet->command == 'B' && skip_body))
			continue;
		if (packet->command == 'N' && !put_macros(peer, 'N', envelope))
			return BROKEN;
		if (!peer_put(peer, bytes, packet->n))
			return BROKEN;
		enum step step = await(peer, packet->command, ret_verdict);
		if (step == SKIP)
			skip_body = true;
		else if (step != GO_ON)
			return step;
	}
	return GO_ON;
}

static void keep_field(struct fields *fields, const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 3;
	if (fields->n + n + 5 > fields->capacity) {
		fields->capacity = 2 * (fields->n + n + 5);
		fields->bytes = need(realloc(fields->bytes, fields->capacity));
	}
	uint8_t *to = fields->bytes + fields->n;
	/* Spelled for a peer that takes the space or does not: a filter's own fields begin with it or are folded. */
	put_be32(to, (uint32_t)(strlen(name) + strlen(value) + 3));
	to[4] = 'L';
	memcpy(to + 5, name, strlen(name) + 1);
	memcpy(to + 5 + strlen(name) + 1, value, strlen(value) + 1);
	fields->n += strlen(name) + strlen(value) + 2 + 5;
}

/* Whether the change is a results field. */
static bool take_change(struct connection *connection, char reply, const uint8_t *data, size_t n, size_t number)
{
	connection->n_changes++;
	size_t skip = reply == 'i' || reply == 'm' ? 4 : 0;
	if (strchr("ihm", reply) == NULL || n < skip + 2) {
		if (print_changes)
			printf("%zu %c %.*s\n", number, reply, (int)n, (const char *)data);
		return false;
	}
	const char *name = (const char *)data + skip, *value = name + strlen(name) + 1;
	if (print_changes)
		printf("%zu %c %u %s:%s\n", number, reply, skip > 0 ? get_be32(data) : 0, name, value);
	if (reply != 'm')
		keep_field(&connection->inserted, name, value);
	return strcasecmp(name, "Authentication-Results") == 0 && value[0] != '\0';
}

static enum step send_end(struct connection *connection, struct peer *peer, const struct envelope *envelope,
	size_t number, char *ret_verdict)
{
	bool has_results = false;
	const uint8_t *data;
	size_t n;
	if (!put_macros(peer, 'E', envelope) || !peer_put_packet(peer, 'E', "", 0))
		return BROKEN;
	while (strchr("acdrty4f", *ret_verdict = peer_receive(peer, &data, &n)) == NULL)
		if (*ret_verdict != 'p')
			has_results |= take_change(connection, *ret_verdict, data, n, number);
	if (*ret_verdict == 'y')
		*ret_verdict = data[0] == '5' ? 'r' : 't';
	if (print_changes)
		printf("%zu %c verdict\n", number, *ret_verdict);
	if (*ret_verdict == 0)
		return BROKEN;
	bool accepted = *ret_verdict == 'c' || *ret_verdict == 'a';
	if (accepted && !has_results)
		connection->n_no_results++;
	return accepted ? GO_ON : DECIDED;
}

static enum step message_steps(
	struct connection *connection, struct envelope *envelope, size_t number, int64_t due, char *ret_verdict)
{
	char queue_id[24];
	enum step step = GO_ON;
	snprintf(queue_id, sizeof(queue_id), "4F%zX", number + 1);
	connection->inserted.n = 0;
	sleep_ns((int64_t)pause_mail_ms * 1000000);
	for (size_t i = 0; i < n_peers && step == GO_ON; i++)
		step = send_envelope(&connection->peers[i], envelope, queue_id, ret_verdict);
	if (step != GO_ON)
		return step;
	sleep_ns((int64_t)pause_data_ms * 1000000);
	for (size_t i = 0; i < n_peers && step == GO_ON; i++) {
		step = stage(&connection->peers[i], 'T', envelope, "", 0, ret_verdict);
		/* Postfix hands the connection to another process here, and leaves nothing behind. */
		if (step == GO_ON && !peer_flush(&connection->peers[i]))
			step = BROKEN;
	}
	int64_t begin = due != 0 ? due + (int64_t)(pause_mail_ms + pause_data_ms) * 1000000 : now_ns();
	for (size_t i = 0; i < n_peers && step == GO_ON; i++) {
		step = send_content(connection, &connection->peers[i], envelope, ret_verdict);
		if (step == GO_ON)
			step = send_end(connection, &connection->peers[i], envelope, number, ret_verdict);
	}
	latencies[number] = (float)(now_ns() - begin) / 1e6F;
	return step;
}

static void count(struct connection *connection, enum step step, char verdict)
{
	connection->n_done++;
	if (step == BROKEN)
		connection->n_errors++;
	else if (verdict == 'c' || verdict == 'a')
		connection->n_accepted++;
	else if (verdict == 'd')
		connection->n_discarded++;
	else if (verdict == 't')
		connection->n_deferred++;
	else
		connection->n_rejected++;
}

/* ---- connections ---- */

static void disconnect(struct connection *connection)
{
	for (size_t i = 0; i < n_peers; i++) {
		struct peer *peer = &connection->peers[i];
		if (peer->fd < 0)
			continue;
		peer_put_packet(peer, 'Q', "", 0);
		peer_flush(peer);
		close(peer->fd);
		peer->fd = -1;
		peer->n_out = peer->in_start = peer->in_end = 0;
		for (size_t k = 0; k < N_STAGES; k++) {
			free(peer->wanted[k]);
			peer->wanted[k] = NULL;
		}
	}
}

static bool is_connected(const struct connection *connection)
{
	return connection->peers[n_peers - 1].fd >= 0;
}

static bool greet(struct connection *connection, const struct mail *mail)
{
	struct envelope envelope = {0};
	char data[512], verdict;
	for (size_t i = 0; i < n_peers; i++) {
		struct peer *peer = &connection->peers[i];
		peer->fd = open_socket(sockets[i]);
		if (peer->fd < 0 || !negotiate(peer))
			return false;
		size_t n = (size_t)snprintf(data, sizeof(data), "%s", mail->helo) + 1;
		bool is_v6 = strchr(mail->client, ':') != NULL;
		data[n++] = is_v6 ? '6' : '4';
		data[n++] = 25;
		data[n++] = 25;
		n += (size_t)snprintf(data + n, sizeof(data) - n, "%s", mail->client) + 1;
		if (stage(peer, 'C', &envelope, data, n, &verdict) != GO_ON)
			return false;
		n = (size_t)snprintf(data, sizeof(data), "%s", mail->helo) + 1;
		if (stage(peer, 'H', &envelope, data, n, &verdict) != GO_ON)
			return false;
	}
	return true;
}

static void idle(struct connection *connection)
{
	if (!greet(connection, &mails[0]))
		connection->n_errors++;
	for (size_t i = 0; i < n_peers; i++)
		peer_flush(&connection->peers[i]);
	atomic_fetch_add(&n_finished, 1);
	for (;;)
		pause();
}

static void one_message(struct connection *connection, size_t number)
{
	struct envelope envelope = {.mail = &mails[number % n_mails]};
	char verdict = 0;
	int64_t due = 0;
	if (rate > 0) {
		due = run_start + (int64_t)((double)number / rate * 1e9);
		sleep_ns(due - now_ns());
	}
	enum step step = BROKEN;
	if (is_connected(connection) || greet(connection, envelope.mail))
		step = message_steps(connection, &envelope, number, due, &verdict);
	count(connection, step, verdict);
	if (step == BROKEN)
		disconnect(connection);
	if (atomic_fetch_add(&n_finished, 1) + 1 == n_warm) {
		cpu_start = cpu_ms();
		measure_start = now_ns();
	}
}

static void *serve(void *context)
{
	struct connection *connection = context;
	size_t number, in_a_row = 0;
	if (stay_idle)
		idle(connection);
	while ((number = atomic_fetch_add(&next_message, 1)) < n_messages) {
		one_message(connection, number);
		if (++in_a_row == per_connection) {
			disconnect(connection);
			in_a_row = 0;
		}
	}
	disconnect(connection);
	return NULL;
}

/* ---- the whole ---- */

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void report(const struct connection *connections)
{
	double seconds = (double)(now_ns() - measure_start) / 1e9, cpu = cpu_ms() - cpu_start, mean = 0;
	size_t n = n_messages - n_warm;
	struct connection sum = {0};
	for (size_t i = 0; i < n_connections; i++) {
		const struct connection *one = &connections[i];
		sum.n_accepted += one->n_accepted;
		sum.n_rejected += one->n_rejected;
		sum.n_deferred += one->n_deferred;
		sum.n_discarded += one->n_discarded;
		sum.n_no_results += one->n_no_results;
		sum.n_errors += one->n_errors;
		sum.n_changes += one->n_changes;
	}
	for (size_t i = 0; i < n; i++)
		mean += (double)latencies[n_warm + i] / (double)n;
	qsort(latencies + n_warm, n, sizeof(*latencies), by_value);
	const float *sorted = latencies + n_warm;
	printf("{\"messages\":%zu,\"seconds\":%.4f,\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"worst_ms\":%.3f,"
	       "\"mean_ms\":%.3f,\"cpu_ms\":%.5f,\"accepted\":%lu,\"rejected\":%lu,\"deferred\":%lu,\"discarded\":%lu,"
	       "\"no_results\":%lu,\"errors\":%lu,\"changes\":%lu}\n",
		n, seconds, (double)n / seconds, (double)sorted[n / 2], (double)sorted[n * 99 / 100],
		(double)sorted[n - 1], mean, cpu / (double)n, sum.n_accepted, sum.n_rejected, sum.n_deferred,
		sum.n_discarded, sum.n_no_results, sum.n_errors, sum.n_changes);
}

static void options_read(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "c:n:w:m:M:D:r:p:obP")) != -1)
		switch (option) {
		case 'c':
			n_connections = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			n_messages = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			n_warm = strtoul(optarg, NULL, 10);
			break;
		case 'm':
			per_connection = strtoul(optarg, NULL, 10);
			break;
		case 'M':
			pause_mail_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'D':
			pause_data_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rate = strtod(optarg, NULL);
			break;
		case 'o':
			stay_idle = true;
			break;
		case 'b':
			hold_back = true;
			break;
		case 'P':
			print_changes = true;
			break;
		case 'p':
			if (n_pids < PIDS_MAX)
				pids[n_pids++] = (pid_t)atoi(optarg);
			break;
		default:
			exit(64);
		}
	if (argc - optind < 2 || argc - optind > 1 + PEERS_MAX) {
		fputs("usage: load [options] LIST SOCKET [SOCKET2]\n", stderr);
		exit(64);
	}
}

int main(int argc, char **argv)
{
	options_read(argc, argv);
	list_read(argv[optind]);
	for (int i = optind + 1; i < argc; i++)
		sockets[n_peers++] = argv[i];
	if (n_messages == 0)
		n_messages = n_mails;
	n_messages += n_warm;
	latencies = need(calloc(n_messages, sizeof(*latencies)));
	struct connection *connections = need(calloc(n_connections, sizeof(*connections)));
	pthread_t *threads = need(calloc(n_connections, sizeof(*threads)));
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, (size_t)128 * 1024);
	run_start = measure_start = now_ns();
	cpu_start = cpu_ms();
	for (size_t i = 0; i < n_connections; i++) {
		connections[i].number = i;
		for (size_t k = 0; k < PEERS_MAX; k++)
			connections[i].peers[k].fd = -1;
		if (pthread_create(&threads[i], &attributes, serve, &connections[i]) != 0)
			need(NULL);
	}
	if (stay_idle) {
		while (atomic_load(&n_finished) < n_connections)
			sleep_ns(1000000);
		puts("{\"idle\":true}");
		fflush(stdout);
		while (getchar() != EOF)
			;
		return 0;
	}
	for (size_t i = 0; i < n_connections; i++)
		pthread_join(threads[i], NULL);
	report(connections);
	return 0;
}
