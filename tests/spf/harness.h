/*
 * Runs one evaluation against a zone to its end, as auth does: round by round.
 */
#ifndef TRIMILTER_TESTS_SPF_HARNESS_H
#define TRIMILTER_TESTS_SPF_HARNESS_H

#include "test.h"

#include "spf/spf.h"
#include "zone.h"

#define ROUNDS_MAX 64

struct trial {
	struct arena *arena;
	struct zone *zone;
	struct answers *answers;
	struct spf_options options;
	struct spf_query query;
	struct spf_result result;
	size_t questions;
	unsigned rounds;
};

static inline void trial_begin(struct trial *trial)
{
	*trial = (struct trial){.arena = arena_new(0), .options = {10, 2, 10, STR_INIT("mx.receiver.example")}};
	trial->zone = zone_new(trial->arena);
	trial->answers = answers_new(trial->arena);
	trial->query = (struct spf_query){.identity = SPF_MAILFROM,
		.helo = STR("mail.example.net"),
		.mail_from = STR("user@example.com"),
		.now = 1700000000};
	assert_true(ip_parse(STR("192.0.2.3"), &trial->query.client));
}

static inline void trial_run(struct trial *trial)
{
	trial->rounds = 1;
	while (!spf_evaluate(trial->arena, &trial->options, &trial->query, trial->answers, &trial->result)) {
		assert_int_not_equal(zone_answer(trial->zone, trial->answers), 0);
		assert_true(++trial->rounds < ROUNDS_MAX);
	}
	trial->questions = answers_count(trial->answers);
}

static inline void trial_end(struct trial *trial)
{
	arena_free(trial->arena);
}

#endif
