/*
 * Bytes from an MTA into a connection's conversation, over the real session and
 * decision and a small zone: what the native front does, without its sockets.
 *
 * The first byte says how the rest is cut up: the number of bytes that are read at
 * a time (0: all at once); from 128 on what may be refused, held or copied is. The
 * packets may begin with 'O', or are preceded by a negotiation, so that a short
 * input gets somewhere.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "milter/front_native_talk.h"

static const char zone[] = "example.org TXT \"v=spf1 ip4:192.0.2.0/24 include:example.net -all\"\n"
			   "example.net TXT \"v=spf1 a mx ?all\"\n"
			   "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n"
			   "_dmarc.example.net TXT \"v=DMARC1; p=quarantine; sp=none\"\n"
			   "slow.example TIMEOUT\n";

static struct service *service_once(bool strict)
{
	struct dns *dns;
	char path[64], error[DNS_ERROR_SIZE];
	int fd = memfd_create("zone", MFD_CLOEXEC);
	if (fd < 0 || write(fd, zone, sizeof(zone) - 1) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct dns_options options = {.zone_file = str_of(path),
		.timeout_ms = 1000,
		.cache_bytes = 65536,
		.maximum_in_flight = 100,
		.maximum_per_domain = 100};
	if (dns_new(&options, &dns, error) != ERR_OK) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	close(fd);
	struct runtime *runtime = runtime_new();
	struct service *service = service_new(dns);
	if (runtime == NULL || service == NULL)
		abort();
	/* Low enough to be reached. */
	runtime->auth.maximum_message_memory = (size_t)256 * 1024;
	runtime->auth.maximum_headers = 50;
	runtime->auth.maximum_header_bytes = 20000;
	if (strict) {
		runtime->auth.reject_failures = true;
		runtime->auth.quarantine_action = AUTH_QUARANTINE_HOLD;
		runtime->auth.on_bad_signature = VERDICT_DISCARD;
		runtime->auth.copy_failures_to = STR("copies@example.org");
	}
	service_publish(service, runtime, true);
	log_open("fuzz_wire", false, 0, false, LOG_LEVEL_ERROR);
	return service;
}

static void wake(void *context)
{
	(void)context;
}

/* Whatever came in: what goes out is a row of packets with replies that exist. */
static void check_replies(const struct wire_out *out)
{
	struct str rest = str_from(out->p, out->n);
	while (rest.n > 0) {
		if (rest.n < 5 || wire_size(rest) > rest.n || wire_size(rest) < 5 ||
			memchr("Ocdrtim+qy", rest.p[4], 10) == NULL)
			abort();
		rest = str_skip(rest, wire_size(rest));
	}
}

/* False: the conversation is over. */
static bool converse(struct talk *talk, struct str *bytes)
{
	struct wire_out out = {0};
	enum talk_step step = TALK_GOES_ON;
	while (step == TALK_GOES_ON || step == TALK_YIELDS) {
		out.n = 0;
		step = talk_take(talk, bytes, &out);
		check_replies(&out);
	}
	/* Every answer is at hand, so nothing may be waited for. */
	if (step == TALK_WAITS)
		abort();
	wire_out_finish(&out);
	return step == TALK_READS;
}

static void negotiate(struct talk *talk, bool as_old_mta)
{
	static const char now[] = "\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff";
	static const char once[] = "\0\0\0\x0dO\0\0\0\2\0\0\0\x3f\0\0\0\x7f";
	struct str bytes = as_old_mta ? str_from(once, sizeof(once) - 1) : str_from(now, sizeof(now) - 1);
	if (!converse(talk, &bytes))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct service *services[2];
	struct talk talk;
	if (size < 6)
		return 0;
	bool strict = data[0] >= 128;
	struct service *service = services[strict];
	if (service == NULL)
		service = services[strict] = service_once(strict);
	size_t piece = data[0] == 0 ? size : data[0];
	char *input = malloc(size);
	if (input == NULL)
		abort();
	size_t n = 0;
	talk_init(&talk, service, wake, NULL);
	if (data[5] != 'O')
		negotiate(&talk, data[0] % 2 == 1);
	for (size_t at = 1; at < size; at += piece) {
		size_t more = size - at < piece ? size - at : piece;
		memcpy(input + n, data + at, more);
		struct str bytes = str_from(input, n + more);
		if (!converse(&talk, &bytes))
			break;
		n = bytes.n;
		memmove(input, bytes.p, n);
	}
	talk_finish(&talk);
	free(input);
	if (service_load(service).sessions != 0 || service_load(service).messages != 0)
		abort();
	return 0;
}
