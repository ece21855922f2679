/*
 * The word that was probably meant: for messages about misspelled options,
 * key names and data set types. Pure.
 */
#ifndef TRIMILTER_TABLES_NEAREST_H
#define TRIMILTER_TABLES_NEAREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/** The best candidate so far; start with nearest_to(). */
struct nearest {
	struct str word;
	struct str best; /* empty: nothing is near enough */
	unsigned distance;
	uint32_t letters; /* of word */
};

struct nearest nearest_to(struct str word);

/** Take @candidate if it is nearer; case does not count. */
void nearest_consider(struct nearest *nearest, struct str candidate);

#endif
