/*
 * For tests: answers from a zone written as text, without a resolver.
 */
#ifndef TRIMILTER_TESTS_DMARC_ZONE_H
#define TRIMILTER_TESTS_DMARC_ZONE_H

#include "base/answer.h"

/**
 * Answer all that @answers wants; returns how many questions that were.
 * @zone  lines "TYPE NAME DATA", TYPE one of TXT, A (DATA is not looked at), NODATA, FAILED
 * A name with none of these is NODATA where it has children or another type, else NXDOMAIN.
 */
size_t zone_answer(const char *zone, struct answers *answers);

#endif
