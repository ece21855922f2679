/*
 * For tests: answers from a zone as src/dns/dns_zone.h reads it.
 */
#ifndef TRIMILTER_TESTS_REPORT_ANSWERS_H
#define TRIMILTER_TESTS_REPORT_ANSWERS_H

#include <stdlib.h>

#include "dns/dns_zone.h"
#include "test.h"

static inline struct dns_zone *zone_of(const char *text)
{
	struct dns_zone *zone;
	char error[256];
	if (dns_zone_parse(str_of(text), "zone", &zone, error, sizeof(error)) != ERR_OK)
		fail_msg("%s", error);
	return zone;
}

/** Answer all that is wanted; returns how many questions that were. */
static inline size_t answer_from(const struct dns_zone *zone, struct answers *answers)
{
	size_t n = 0;
	struct dns_question question;
	while (answers_next_wanted(answers, &question)) {
		answers_put(answers, &question, dns_zone_lookup(zone, &question));
		n++;
	}
	return n;
}

#endif
