/*
 * For tests: answers from a zone written as text, without a resolver; memory and suffix list.
 */
#ifndef TRIMILTER_TESTS_DMARC_ZONE_H
#define TRIMILTER_TESTS_DMARC_ZONE_H

#include "base/answer.h"
#include "dmarc/psl.h"

/** Of the tests: between zone_set_up() and zone_tear_down(). */
extern struct arena *arena;
extern struct dmarc_suffixes *suffixes; /* the system's list */

int zone_set_up(void **state);
int zone_tear_down(void **state);

/**
 * Answer all that @answers wants; returns how many questions that were.
 * @zone  lines "TYPE NAME DATA", TYPE one of TXT, A (DATA is not looked at), NODATA, FAILED
 * A name with none of these is NODATA where it has children or another type, else NXDOMAIN.
 */
size_t zone_answer(const char *zone, struct answers *answers);

#endif
