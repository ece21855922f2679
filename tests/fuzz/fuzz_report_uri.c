/*
 * The value of rua, and the TXT records that its destinations publish: the first line is the list, each further one a
 * record, dealt out to whatever is asked.
 */
#include <stdlib.h>

#include "report/destination.h"

#define RECORDS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool what)
{
	if (!what)
		abort();
}

/* An address is harmless wherever it is written: an SMTP command, a header field, an argument. */
static void check_address(const struct destination *destination)
{
	struct str address = destination->address, domain = destination->domain;
	expect(address.n > domain.n + 1 && address.n <= 254 && str_ends(address, domain));
	expect(address.p[address.n - domain.n - 1] == '@' && address.p[0] != '-');
	expect(str_index(address, '@') == str_rindex(address, '@') && domain_is_hostname(domain));
	for (size_t i = 0; i < address.n; i++)
		expect(address.p[i] > ' ' && address.p[i] <= '~' && strchr("\"\\<>(),;:[]", address.p[i]) == NULL);
}

static unsigned hash(struct str name)
{
	unsigned h = 5381;
	for (size_t i = 0; i < name.n; i++)
		h = h * 33 + (unsigned char)name.p[i];
	return h;
}

static void answer(const struct str *texts, size_t n, struct answers *answers)
{
	struct dns_question question;
	while (answers_next_wanted(answers, &question)) {
		unsigned h = hash(question.name) % (unsigned)(n + 2);
		struct dns_record record = {0};
		if (h < n)
			record.data = texts[h];
		struct dns_answer *answer = h < n ? dns_answer_new(DNS_DATA, &record, 1)
						  : dns_answer_new(h == n ? DNS_FAILED : DNS_NXDOMAIN, NULL, 0);
		if (answer == NULL)
			abort();
		answers_put(answers, &question, answer);
	}
}

static void verify(struct arena *arena, struct str list, const struct str *texts, size_t n_texts, bool failure)
{
	const struct report_options options = {.maximum_destinations = 3};
	const struct dmarc_options dmarc = {.discovery = DMARC_TREE_WALK};
	const struct destination_query query = {
		.options = &options,
		.dmarc = &dmarc,
		.policy = {.domain = STR("example.com"),
			.record = arena_printf(arena, "v=DMARC1;ru%c=%.*s", failure ? 'f' : 'a', STR_ARG(list))},
		.failure = failure,
	};
	struct answers *answers = answers_new(arena);
	const struct destination *found;
	size_t n, n_qualified = 0;
	bool retry;
	while (!destination_verify(arena, &query, answers, &found, &n, &retry))
		answer(texts, n_texts, answers);
	for (size_t i = 0; i < n; i++) {
		if (found[i].address.n > 0)
			check_address(&found[i]);
		if (found[i].refused != NULL)
			continue;
		/* A record at com may make all that is below it one organization. */
		expect(found[i].external || domain_is_within(found[i].domain, STR("com")));
		n_qualified++;
	}
	expect(n_qualified <= options.maximum_destinations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		abort();
	struct str rest = str_from((const char *)data, size), list = STR(""), texts[RECORDS_MAX];
	size_t n_texts = 0, n;
	str_cut(&rest, '\n', &list);
	while (n_texts < RECORDS_MAX && str_cut(&rest, '\n', &texts[n_texts]))
		n_texts++;
	const struct destination *found;
	destination_parse(arena, list, &found, &n);
	for (size_t i = 0; i < n; i++) {
		expect((found[i].refused == NULL) == (found[i].address.n > 0));
		if (found[i].refused == NULL)
			check_address(&found[i]);
	}
	verify(arena, list, texts, n_texts, false);
	verify(arena, list, texts, n_texts, true);
	arena_free(arena);
	return 0;
}
