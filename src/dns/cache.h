/*
 * Answers that are still good, shared by all threads.
 *
 * Sharded: a look-up takes one mutex of many for the time of one hash chain and
 * allocates nothing. Bounded in bytes; where it is full the answers that were
 * not read for longest go. Thread-safe, but for cache_free().
 */
#ifndef TRIMILTER_DNS_CACHE_H
#define TRIMILTER_DNS_CACHE_H

#include "base/answer.h"

struct cache;

/** @bytes  what answers and names may take; NULL when malloc fails */
struct cache *cache_new(size_t bytes);
void cache_free(struct cache *cache); /* accepts NULL */

/**
 * Set expires_ms from the answer's ttl, while it still belongs to one thread: data up to a day, NODATA and
 * NXDOMAIN up to an hour (RFC 2308 section 5), failures a second, so that a burst asks once.
 */
void cache_stamp(struct dns_answer *answer, int64_t now_ms);

/** With a reference for the caller; NULL: not here, or over. */
struct dns_answer *cache_get(struct cache *cache, const struct dns_question *question, int64_t now_ms);

/** Keep @answer (a reference of its own) until its expires_ms, in place of what was there; nothing where that is over.
 */
void cache_put(struct cache *cache, const struct dns_question *question, struct dns_answer *answer, int64_t now_ms);

struct cache_counters {
	uint64_t hits, misses;
	size_t answers, bytes;
};
void cache_counters(struct cache *cache, struct cache_counters *ret_counters);

#endif
