/*
 * A keyed hash for tables whose keys a stranger chooses.
 *
 * Names come from mail: whoever could foresee the hash could fill one chain of
 * the table and make each look-up walk it. SipHash-1-3 under a random key. Pure.
 */
#ifndef TRIMILTER_DNS_HASH_H
#define TRIMILTER_DNS_HASH_H

#include "base/str.h"

struct hash_key {
	uint64_t words[2];
};

/** From the kernel's random numbers. */
void hash_key_init(struct hash_key *key);

/** @salt  any further number that belongs to the hashed key */
uint64_t hash_bytes(const struct hash_key *key, uint64_t salt, struct str bytes);

#endif
