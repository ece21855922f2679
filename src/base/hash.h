/*
 * A keyed hash for tables whose keys a stranger chooses.
 *
 * Names and records come from strangers: whoever could foresee the hash could fill one chain of
 * the table and make each look-up walk it. SipHash-1-3 under a random key. Pure.
 */
#ifndef TRIMILTER_BASE_HASH_H
#define TRIMILTER_BASE_HASH_H

#include "base/str.h"

struct hash_key {
	uint64_t words[2];
};

/** From the kernel's random numbers. */
void hash_key_init(struct hash_key *key);
/** One that is made at its first use and is the process's from then on: for tables of which there are many.
 * Thread-safe. */
const struct hash_key *hash_key_of_process(void);

/** @salt  any further number that belongs to the hashed key */
uint64_t hash_bytes(const struct hash_key *key, uint64_t salt, struct str bytes);

#endif
