/*
 * Evaluates SPF against zones in memory, for differential.py. Reads cases from standard input:
 *
 *	client ADDRESS
 *	helo NAME
 *	from ADDRESS
 *	zone (a line of zone.h)
 *	run ID
 *
 * Values may hold "\xHH". "run" evaluates the MAIL FROM identity, forgets all, and prints one line, tab between:
 * ID, result, mechanism, explanation, reason, look-ups, voids, questions, rounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "spf/spf.h"
#include "zone.h"

struct one_case {
	struct zone *zone;
	struct spf_query query;
};

static void show(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		printf(c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c", c);
	}
	putchar('\t');
}

static void run(struct arena *arena, struct one_case *one, struct str id)
{
	static const struct spf_options options = {10, 2, 10, STR_INIT("mx.receiver.example")};
	struct answers *answers = answers_new(arena);
	struct spf_result result;
	int rounds = 1;
	while (!spf_evaluate(arena, &options, &one->query, answers, &result)) {
		if (zone_answer(one->zone, answers) == 0) {
			fputs("spf_case: waiting for nothing\n", stderr);
			exit(1);
		}
		rounds++;
	}
	show(id);
	show(str_of(spf_status_text(result.status)));
	show(result.mechanism);
	show(result.explanation);
	show(str_of(result.reason));
	printf("%u\t%u\t%zu\t%d\n", result.lookups, result.voids, answers_count(answers), rounds);
}

static void begin(struct arena *arena, struct one_case *one)
{
	arena_reset(arena);
	*one = (struct one_case){.zone = zone_new(arena), .query = {.now = 1700000000}};
}

static bool read_line(struct arena *arena, struct one_case *one, struct str line)
{
	struct str key, value = line;
	str_cut(&value, ' ', &key);
	if (str_eq(key, STR("zone")))
		return zone_add_line(one->zone, arena_dup(arena, value));
	value = zone_unescape(arena, value);
	if (str_eq(key, STR("client")))
		return ip_parse(value, &one->query.client);
	if (str_eq(key, STR("helo")))
		one->query.helo = value;
	else if (str_eq(key, STR("from")))
		one->query.mail_from = value;
	else if (str_eq(key, STR("run"))) {
		run(arena, one, value);
		begin(arena, one);
	} else {
		return false;
	}
	return true;
}

int main(void)
{
	struct arena *arena = arena_new(0);
	struct one_case one;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	if (arena == NULL)
		return 1;
	begin(arena, &one);
	while ((n = getline(&line, &size, stdin)) > 0) {
		struct str text = str_from(line, (size_t)n - (line[n - 1] == '\n'));
		if (!read_line(arena, &one, text)) {
			fprintf(stderr, "spf_case: bad line: %.*s\n", STR_ARG(text));
			return 1;
		}
	}
	free(line);
	arena_free(arena);
	return 0;
}
