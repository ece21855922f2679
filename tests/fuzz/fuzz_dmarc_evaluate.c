/*
 * A message's domains and the records that the DNS gives. Lines: the author
 * domains; what SPF and DKIM checked, each "p" (pass) or "t" (temperror) and a
 * domain, SPF's first; then TXT records, dealt out to whatever is asked.
 */
#include <stdlib.h>

#include "dmarc/dmarc.h"

#define DOMAINS_MAX 12
#define RECORDS_MAX 16
#define QUESTIONS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct zone {
	struct str records[RECORDS_MAX];
	size_t n;
};

static unsigned hash(struct str name)
{
	unsigned h = 5381;
	for (size_t i = 0; i < name.n; i++)
		h = h * 33 + (unsigned char)name.p[i];
	return h;
}

static void answer(const struct zone *zone, struct answers *answers, const struct dns_question *question)
{
	/* The same name always gets the same; two of three names that could have a record have one. */
	unsigned h = hash(question->name) % (unsigned)(zone->n * 2 + 3);
	struct dns_record records[2] = {0};
	struct dns_answer *answer;
	if (h < zone->n * 2) {
		records[0].data = zone->records[h / 2];
		records[1].data = zone->records[(h / 2 + 1) % zone->n];
		answer = dns_answer_new(DNS_DATA, records, 1 + h % 2);
	} else {
		static const enum dns_status others[] = {DNS_NODATA, DNS_NXDOMAIN, DNS_FAILED};
		answer = dns_answer_new(others[h - zone->n * 2], NULL, 0);
	}
	if (answer == NULL)
		abort();
	answers_put(answers, question, answer);
}

static size_t split(struct str line, struct str *words)
{
	size_t n = 0;
	struct str word;
	while (n < DOMAINS_MAX && str_cut(&line, ' ', &word))
		words[n++] = word;
	return n;
}

static void read_checked(struct str line, struct dmarc_input *input, struct dmarc_dkim_input *dkim)
{
	struct str words[DOMAINS_MAX];
	size_t n = split(line, words);
	for (size_t i = 0; i < n; i++) {
		bool passes = str_starts(words[i], STR("p")), fails = str_starts(words[i], STR("t"));
		struct str domain = str_skip(words[i], 1);
		if (i == 0) {
			input->spf_status = passes ? SPF_PASS : fails ? SPF_TEMPERROR : SPF_SOFTFAIL;
			input->spf_domain = domain;
		} else {
			dkim[input->n_dkim++] = (struct dmarc_dkim_input){domain,
				passes  ? DKIM_PASS
				: fails ? DKIM_TEMPERROR
					: DKIM_FAIL,
				passes};
		}
	}
	input->dkim = dkim;
}

static void check(const struct dmarc_input *input, const struct answers *answers, const struct dmarc_result *result)
{
	if (result->status == DMARC_PASS &&
		(input->author != AUTHOR_ONE || !(result->spf_aligned || result->dkim_aligned)))
		abort();
	if (result->status != DMARC_FAIL && result->disposition != DMARC_P_NONE)
		abort();
	if (result->status == DMARC_FAIL && result->policy == DMARC_POLICY_UNSET && input->author == AUTHOR_ONE)
		abort();
	if (result->status == DMARC_PASS && result->record.n == 0)
		abort();
	if (answers_count(answers) > QUESTIONS_MAX || result->n_queries > answers_count(answers))
		abort();
}

static void evaluate(struct arena *arena, const struct dmarc_options *options, const struct dmarc_input *input,
	const struct zone *zone)
{
	struct answers *answers = answers_new(arena);
	struct dmarc_result result;
	while (!dmarc_evaluate(arena, options, input, answers, &result)) {
		struct dns_question question;
		if (!answers_next_wanted(answers, &question))
			abort();
		do
			answer(zone, answers, &question);
		while (answers_next_wanted(answers, &question));
	}
	check(input, answers, &result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		abort();
	struct str rest = str_from((const char *)data, size), line;
	struct str authors[DOMAINS_MAX];
	struct dmarc_dkim_input dkim[DOMAINS_MAX];
	struct dmarc_input input = {.author_domains = authors};
	struct zone zone = {0};
	if (size > 0 && str_cut(&rest, '\n', &line))
		input.n_author_domains = split(line, authors);
	if (str_cut(&rest, '\n', &line))
		read_checked(line, &input, dkim);
	while (zone.n < RECORDS_MAX && str_cut(&rest, '\n', &line))
		zone.records[zone.n++] = line;
	input.author = input.n_author_domains > 1    ? AUTHOR_SEVERAL
		       : input.n_author_domains == 1 ? AUTHOR_ONE
						     : AUTHOR_NONE;
	struct dmarc_options options = {.discovery = DMARC_TREE_WALK, .maximum_author_domains = 4};
	evaluate(arena, &options, &input, &zone);
	options.discovery = DMARC_PSL;
	evaluate(arena, &options, &input, &zone);
	input.author = AUTHOR_MALFORMED;
	evaluate(arena, &options, &input, &zone);
	arena_free(arena);
	return 0;
}
