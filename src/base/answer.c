#include "base/answer.h"

#include <stdlib.h>

struct entry {
	struct dns_question question;
	struct dns_answer *answer; /* NULL: not there yet */
	struct entry *next;
};

/*
 * A message asks a few dozen questions at most (SPF's limits, DMARC's eight
 * steps, ten keys), so a list in order of asking serves as set and as queue.
 */
struct answers {
	struct arena *arena;
	struct entry *first;
	struct entry **last;
	struct entry *next_to_ask;
	size_t n;
	size_t n_answered;
	bool given_up;
};

static struct dns_answer nxdomain = {.references = 1, .status = DNS_NXDOMAIN};
static struct dns_answer timeout = {.references = 1, .status = DNS_FAILED, .why = "timeout"};

struct dns_answer *dns_answer_new(enum dns_status status, const struct dns_record *records, size_t n_records)
{
	size_t size = sizeof(struct dns_answer) + n_records * sizeof(*records), offset = size;
	for (size_t i = 0; i < n_records; i++)
		size += records[i].data.n;
	struct dns_answer *answer = calloc(1, size);
	if (answer == NULL)
		return NULL;
	answer->references = 1;
	answer->status = status;
	answer->n_records = n_records;
	for (size_t i = 0; i < n_records; i++) {
		char *data = (char *)answer + offset;
		if (records[i].data.n > 0)
			memcpy(data, records[i].data.p, records[i].data.n);
		answer->records[i] = records[i];
		answer->records[i].data.p = data;
		offset += records[i].data.n;
	}
	return answer;
}

struct dns_answer *dns_answer_ref(struct dns_answer *answer)
{
	atomic_fetch_add_explicit(&answer->references, 1, memory_order_relaxed);
	return answer;
}

void dns_answer_unref(struct dns_answer *answer)
{
	if (answer == NULL)
		return;
	if (atomic_fetch_sub_explicit(&answer->references, 1, memory_order_acq_rel) == 1)
		free(answer);
}

const char *dns_type_text(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	}
	return "?";
}

bool dns_question_eq(const struct dns_question *a, const struct dns_question *b)
{
	return a->type == b->type && str_eq(a->name, b->name);
}

static void unref_all(void *object)
{
	struct answers *answers = object;
	for (struct entry *entry = answers->first; entry != NULL; entry = entry->next)
		dns_answer_unref(entry->answer);
}

struct answers *answers_new(struct arena *arena)
{
	struct answers *answers = ARENA_NEW(arena, struct answers);
	answers->arena = arena;
	answers->last = &answers->first;
	arena_on_reset(arena, unref_all, answers);
	return answers;
}

static struct str without_trailing_dot(struct str name)
{
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	return name;
}

static struct entry *find(struct answers *answers, enum dns_type type, struct str name)
{
	for (struct entry *entry = answers->first; entry != NULL; entry = entry->next)
		if (entry->question.type == type && str_ieq(entry->question.name, name))
			return entry;
	return NULL;
}

static struct entry *find_or_add(struct answers *answers, enum dns_type type, struct str name)
{
	struct entry *entry = find(answers, type, name);
	if (entry != NULL)
		return entry;
	entry = ARENA_NEW(answers->arena, struct entry);
	entry->question = (struct dns_question){type, arena_dup_lower(answers->arena, name)};
	*answers->last = entry;
	answers->last = &entry->next;
	if (answers->next_to_ask == NULL)
		answers->next_to_ask = entry;
	answers->n++;
	return entry;
}

const struct dns_answer *answers_get(struct answers *answers, enum dns_type type, struct str name)
{
	name = without_trailing_dot(name);
	if (!domain_is_askable(name))
		return &nxdomain;
	struct entry *entry = answers->given_up ? find(answers, type, name) : find_or_add(answers, type, name);
	if (entry != NULL && entry->answer != NULL)
		return entry->answer;
	return answers->given_up ? &timeout : NULL;
}

void answers_want(struct answers *answers, enum dns_type type, struct str name)
{
	name = without_trailing_dot(name);
	if (!answers->given_up && domain_is_askable(name))
		find_or_add(answers, type, name);
}

bool answers_next_wanted(struct answers *answers, struct dns_question *ret_question)
{
	while (answers->next_to_ask != NULL) {
		struct entry *entry = answers->next_to_ask;
		answers->next_to_ask = entry->next;
		if (entry->answer == NULL) {
			*ret_question = entry->question;
			return true;
		}
	}
	return false;
}

void answers_put(struct answers *answers, const struct dns_question *question, struct dns_answer *answer)
{
	struct entry *entry = find_or_add(answers, question->type, question->name);
	if (entry->answer != NULL) {
		dns_answer_unref(answer);
		return;
	}
	entry->answer = answer;
	answers->n_answered++;
}

size_t answers_outstanding(const struct answers *answers)
{
	return answers->given_up ? 0 : answers->n - answers->n_answered;
}

void answers_give_up(struct answers *answers)
{
	answers->given_up = true;
	answers->next_to_ask = NULL;
}

size_t answers_count(const struct answers *answers)
{
	return answers->n;
}
