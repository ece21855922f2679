/*
 * A DNS zone in memory for the tests of SPF, one record to a line:
 *
 *	NAME TYPE DATA		A AAAA MX PTR TXT CNAME; data is the rest of the line, "\xHH" for any byte;
 *				MX: "10 host"; TXT: the text, strings joined
 *	NAME fail		SERVFAIL for every type that the name does not list; with a type: for that one
 *
 * A name that has no line does not exist, unless one below it does.
 */
#ifndef TRIMILTER_TESTS_SPF_ZONE_H
#define TRIMILTER_TESTS_SPF_ZONE_H

#include "base/answer.h"

struct zone;

struct zone *zone_new(struct arena *arena);
/** False: the line is no record. */
bool zone_add_line(struct zone *zone, struct str line);
/** Every line of @text, "\n" between. */
bool zone_add_lines(struct zone *zone, struct str text);
/** Answer all that is wanted. Returns how many questions that was. */
size_t zone_answer(const struct zone *zone, struct answers *answers);
/** "\xHH" to the byte, all else as it is. */
struct str zone_unescape(struct arena *arena, struct str text);

#endif
