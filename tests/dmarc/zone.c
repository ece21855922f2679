#include "zone.h"

#include <stdlib.h>

#define MAX_RECORDS 8

struct arena *arena;
struct dmarc_suffixes *suffixes;

int zone_set_up(void **state)
{
	(void)state;
	arena = arena_new(0);
	suffixes = dmarc_suffixes_load(NULL);
	return arena == NULL || suffixes == NULL;
}

int zone_tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	dmarc_suffixes_free(suffixes);
	return 0;
}

struct row {
	struct str type, name, data;
};

static bool next_row(struct str *rest, struct row *ret_row)
{
	struct str line;
	if (!str_cut(rest, '\n', &line))
		return false;
	*ret_row = (struct row){0};
	if (str_cut(&line, ' ', &ret_row->type) && str_cut(&line, ' ', &ret_row->name))
		ret_row->data = line;
	return true;
}

static struct dns_answer *find(const char *zone, const struct dns_question *question)
{
	struct dns_record records[MAX_RECORDS] = {0};
	size_t n = 0;
	bool exists = false, failed = false;
	struct str rest = str_of(zone);
	struct row row;
	while (next_row(&rest, &row)) {
		exists |= domain_is_within(row.name, question->name);
		if (!str_eq(row.name, question->name))
			continue;
		failed |= str_eq(row.type, STR("FAILED"));
		if (str_eq(row.type, str_of(dns_type_text(question->type))) && n < MAX_RECORDS)
			records[n++].data = question->type == DNS_TXT ? row.data : STR("\300\0\2\1");
	}
	struct dns_answer *answer = dns_answer_new(failed   ? DNS_FAILED
						   : n > 0  ? DNS_DATA
						   : exists ? DNS_NODATA
							    : DNS_NXDOMAIN,
		records, failed ? 0 : n);
	if (answer == NULL)
		abort();
	return answer;
}

size_t zone_answer(const char *zone, struct answers *answers)
{
	size_t n = 0;
	struct dns_question question;
	while (answers_next_wanted(answers, &question)) {
		answers_put(answers, &question, find(zone, &question));
		n++;
	}
	return n;
}
