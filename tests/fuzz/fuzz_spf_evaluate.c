/*
 * A whole evaluation, libspf2 included. The input: a byte of switches, the sender up to the first newline, then
 * DNS data line by line; question after question takes the next line as its answer, and past the last starts over.
 */
#include <stdlib.h>

#include "spf/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUESTIONS_MAX 60
#define ROUNDS_MAX 61

static void expect(bool what)
{
	if (!what)
		abort();
}

/* "!" fails, "?" is NXDOMAIN, "-" NODATA; anything else is the data, cut into records at "|". */
static struct dns_answer *answer_from(const struct dns_question *question, struct str line)
{
	struct dns_record records[16];
	size_t n = 0;
	if (line.n == 0 || line.p[0] == '?')
		return dns_answer_new(DNS_NXDOMAIN, NULL, 0);
	if (line.p[0] == '!' || line.p[0] == '-')
		return dns_answer_new(line.p[0] == '!' ? DNS_FAILED : DNS_NODATA, NULL, 0);
	for (struct str word; n < 16 && str_cut(&line, '|', &word);) {
		/* The DNS layer gives addresses their size. */
		static const char address[16] = {(char)192, 0, 2, 3};
		if (question->type == DNS_A || question->type == DNS_AAAA)
			word = str_from(address, question->type == DNS_A ? 4 : 16);
		records[n++] = (struct dns_record){.data = word, .preference = (uint16_t)(word.n % 3)};
	}
	return dns_answer_new(DNS_DATA, records, n);
}

static bool answer_all(struct answers *answers, struct str all, struct str *rest)
{
	struct dns_question question;
	bool any = false;
	for (; answers_next_wanted(answers, &question); any = true) {
		struct str line;
		if (!str_cut(rest, '\n', &line)) {
			*rest = all;
			if (!str_cut(rest, '\n', &line))
				line = (struct str){"", 0};
		}
		struct dns_answer *answer = answer_from(&question, line);
		expect(answer != NULL);
		answers_put(answers, &question, answer);
	}
	return any;
}

static void check_result(const struct spf_result *result)
{
	for (size_t i = 0; i < result->explanation.n; i++)
		expect(result->explanation.p[i] >= ' ' && result->explanation.p[i] <= '~');
	expect(result->explanation.n == 0 || result->status == SPF_FAIL);
	expect(result->lookups <= 11 && result->voids <= 3);
	bool decided = result->status == SPF_PASS || result->status == SPF_FAIL || result->status == SPF_SOFTFAIL;
	expect(!decided || result->mechanism.n > 0);
	expect((result->reason == NULL) == (decided || result->status == SPF_NEUTRAL));
	expect(result->reason == NULL || strcmp(result->reason, "libspf2 failed") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct spf_options options = {10, 2, 10, STR_INIT("receiver.example")};
	struct str rest = str_from((const char *)data, size), sender = {NULL, 0};
	if (size == 0)
		return 0;
	uint8_t switches = data[0];
	rest = str_skip(rest, 1);
	str_cut(&rest, '\n', &sender);
	struct str all = rest;
	struct spf_query query = {
		.identity = switches & 1 ? SPF_HELO : SPF_MAILFROM,
		.helo = switches & 2 ? sender : STR("mail.example.com"),
		.mail_from = switches & 4 ? STR("") : sender,
		.client = {.family = switches & 8 ? IP_V6 : IP_V4, .bytes = {192, 0, 2, 3}},
		.now = 1700000000,
	};
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 0;
	struct answers *answers = answers_new(arena);
	struct spf_result result;
	unsigned rounds = 0;
	while (!spf_evaluate(arena, &options, &query, answers, &result)) {
		expect(answer_all(answers, all, &rest));
		expect(++rounds < ROUNDS_MAX);
	}
	check_result(&result);
	expect(answers_count(answers) <= QUESTIONS_MAX);
	arena_free(arena);
	return 0;
}
