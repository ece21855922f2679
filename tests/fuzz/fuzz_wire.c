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
#include <stdlib.h>

#include "lab.h"
#include "milter/front_native_talk.h"

static void refuse_much(struct runtime *runtime)
{
	runtime->auth.reject_failures = true;
	runtime->auth.quarantine_action = AUTH_QUARANTINE_HOLD;
	runtime->auth.on_bad_signature = VERDICT_DISCARD;
	runtime->auth.copy_failures_to = STR("copies@example.org");
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
		service = services[strict] = lab_service("fuzz_wire", strict ? refuse_much : NULL);
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
	lab_check_idle(service);
	return 0;
}
