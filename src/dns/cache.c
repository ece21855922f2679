#include "dns/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/hash.h"

#define SHARDS_MAX 16
#define SHARD_BYTES_MIN ((size_t)64 * 1024) /* small caches have fewer shards, so that one large answer still fits */
#define BYTES_PER_BUCKET 256                /* about the size of an entry: chains stay near one */
#define MALLOC_OVERHEAD 16

#define DATA_SECONDS_MAX 86400
#define NEGATIVE_SECONDS_MAX 3600
#define FAILURE_MS 1000

struct entry {
	struct entry *next_in_bucket;
	TAILQ_ENTRY(entry) by_use;
	struct dns_answer *answer;
	uint64_t hash;
	size_t bytes;
	int64_t expires_ms;
	enum dns_type type;
	size_t n;
	char name[];
};

struct shard {
	_Alignas(64) pthread_mutex_t mutex; /* a cache line of its own: neighbours must not slow each other */
	struct entry **buckets;
	size_t bytes;
	size_t n;
	uint64_t hits, misses;
	TAILQ_HEAD(entries, entry) by_use; /* the longest unread first */
};

struct cache {
	struct hash_key key;
	size_t n_shards;  /* a power of two */
	size_t n_buckets; /* of one shard; a power of two */
	size_t bytes_per_shard;
	struct shard shards[SHARDS_MAX];
};

static size_t power_of_two_below(size_t n)
{
	size_t power = 1;
	while (power <= n / 2)
		power *= 2;
	return power;
}

struct cache *cache_new(size_t bytes)
{
	struct cache *cache = aligned_alloc(_Alignof(struct cache), sizeof(*cache));
	if (cache == NULL)
		return NULL;
	memset(cache, 0, sizeof(*cache));
	hash_key_init(&cache->key);
	size_t n = power_of_two_below(bytes / SHARD_BYTES_MIN);
	cache->n_shards = n < SHARDS_MAX ? n : SHARDS_MAX;
	cache->bytes_per_shard = bytes / cache->n_shards;
	cache->n_buckets = power_of_two_below(cache->bytes_per_shard / BYTES_PER_BUCKET);
	for (size_t i = 0; i < cache->n_shards; i++) {
		struct shard *shard = &cache->shards[i];
		pthread_mutex_init(&shard->mutex, NULL);
		TAILQ_INIT(&shard->by_use);
		shard->buckets = calloc(cache->n_buckets, sizeof(struct entry *));
		if (shard->buckets == NULL) {
			cache->n_shards = i + 1;
			cache_free(cache);
			return NULL;
		}
	}
	return cache;
}

static struct shard *shard_of(struct cache *cache, uint64_t hash)
{
	return &cache->shards[hash >> 32 & (cache->n_shards - 1)];
}

/* Where the pointer to the entry stands; to a NULL at the end of its chain when it is not there. */
static struct entry **find(
	const struct cache *cache, struct shard *shard, uint64_t hash, const struct dns_question *question)
{
	struct entry **place = &shard->buckets[hash & (cache->n_buckets - 1)];
	for (; *place != NULL; place = &(*place)->next_in_bucket) {
		const struct entry *entry = *place;
		if (entry->hash == hash && entry->type == question->type && entry->n == question->name.n &&
			memcmp(entry->name, question->name.p, entry->n) == 0)
			break;
	}
	return place;
}

/* Take the entry at @place out; its memory is the caller's to free, so that no lock is held meanwhile. */
static struct entry *take(struct shard *shard, struct entry **place)
{
	struct entry *entry = *place;
	*place = entry->next_in_bucket;
	TAILQ_REMOVE(&shard->by_use, entry, by_use);
	shard->bytes -= entry->bytes;
	shard->n--;
	return entry;
}

static void entry_free(struct entry *entry)
{
	if (entry == NULL)
		return;
	dns_answer_unref(entry->answer);
	free(entry);
}

void cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < cache->n_shards; i++) {
		struct shard *shard = &cache->shards[i];
		for (struct entry *entry = TAILQ_FIRST(&shard->by_use), *next; entry != NULL; entry = next) {
			next = TAILQ_NEXT(entry, by_use);
			entry_free(entry);
		}
		free(shard->buckets);
		pthread_mutex_destroy(&shard->mutex);
	}
	free(cache);
}

static int64_t lifetime_ms(const struct dns_answer *answer)
{
	uint32_t seconds = answer->ttl;
	switch (answer->status) {
	case DNS_DATA:
		return (int64_t)1000 * (seconds < DATA_SECONDS_MAX ? seconds : DATA_SECONDS_MAX);
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		return (int64_t)1000 * (seconds < NEGATIVE_SECONDS_MAX ? seconds : NEGATIVE_SECONDS_MAX);
	case DNS_FAILED:
		break;
	}
	return FAILURE_MS;
}

void cache_stamp(struct dns_answer *answer, int64_t now_ms)
{
	answer->expires_ms = now_ms + lifetime_ms(answer);
}

struct dns_answer *cache_get(struct cache *cache, const struct dns_question *question, int64_t now_ms)
{
	uint64_t hash = hash_bytes(&cache->key, question->type, question->name);
	struct shard *shard = shard_of(cache, hash);
	struct dns_answer *answer = NULL;
	struct entry *over = NULL;
	pthread_mutex_lock(&shard->mutex);
	struct entry **place = find(cache, shard, hash, question), *entry = *place;
	if (entry != NULL && entry->expires_ms > now_ms) {
		answer = dns_answer_ref(entry->answer);
		TAILQ_REMOVE(&shard->by_use, entry, by_use);
		TAILQ_INSERT_TAIL(&shard->by_use, entry, by_use);
		shard->hits++;
	} else {
		over = entry != NULL ? take(shard, place) : NULL;
		shard->misses++;
	}
	pthread_mutex_unlock(&shard->mutex);
	entry_free(over);
	return answer;
}

static size_t answer_bytes(const struct dns_answer *answer)
{
	size_t bytes = sizeof(*answer) + answer->n_records * sizeof(struct dns_record) + MALLOC_OVERHEAD;
	for (size_t i = 0; i < answer->n_records; i++)
		bytes += answer->records[i].data.n;
	return bytes;
}

static struct entry *entry_new(uint64_t hash, const struct dns_question *question, struct dns_answer *answer)
{
	struct entry *entry = malloc(sizeof(*entry) + question->name.n);
	if (entry == NULL)
		return NULL;
	*entry = (struct entry){.answer = dns_answer_ref(answer),
		.hash = hash,
		.bytes = sizeof(*entry) + question->name.n + MALLOC_OVERHEAD + answer_bytes(answer),
		.expires_ms = answer->expires_ms,
		.type = question->type,
		.n = question->name.n};
	if (question->name.n > 0)
		memcpy(entry->name, question->name.p, question->name.n);
	return entry;
}

static struct entry **place_of(const struct cache *cache, struct shard *shard, const struct entry *entry)
{
	struct entry **place = &shard->buckets[entry->hash & (cache->n_buckets - 1)];
	while (*place != entry)
		place = &(*place)->next_in_bucket;
	return place;
}

void cache_put(struct cache *cache, const struct dns_question *question, struct dns_answer *answer, int64_t now_ms)
{
	if (answer->expires_ms <= now_ms)
		return;
	uint64_t hash = hash_bytes(&cache->key, question->type, question->name);
	struct shard *shard = shard_of(cache, hash);
	struct entry *entry = entry_new(hash, question, answer);
	/* Without memory, or for an answer that would take the place of all others, there is simply nothing kept. */
	if (entry == NULL || entry->bytes > cache->bytes_per_shard) {
		entry_free(entry);
		return;
	}
	struct entry *evicted = NULL;
	pthread_mutex_lock(&shard->mutex);
	struct entry **place = find(cache, shard, hash, question);
	if (*place != NULL) {
		evicted = take(shard, place);
		evicted->next_in_bucket = NULL;
	}
	while (shard->bytes + entry->bytes > cache->bytes_per_shard) {
		struct entry *oldest = take(shard, place_of(cache, shard, TAILQ_FIRST(&shard->by_use)));
		oldest->next_in_bucket = evicted;
		evicted = oldest;
	}
	place = &shard->buckets[hash & (cache->n_buckets - 1)];
	entry->next_in_bucket = *place;
	*place = entry;
	TAILQ_INSERT_TAIL(&shard->by_use, entry, by_use);
	shard->bytes += entry->bytes;
	shard->n++;
	pthread_mutex_unlock(&shard->mutex);
	for (struct entry *next; evicted != NULL; evicted = next) {
		next = evicted->next_in_bucket;
		entry_free(evicted);
	}
}

void cache_counters(struct cache *cache, struct cache_counters *ret_counters)
{
	*ret_counters = (struct cache_counters){0};
	for (size_t i = 0; i < cache->n_shards; i++) {
		struct shard *shard = &cache->shards[i];
		pthread_mutex_lock(&shard->mutex);
		ret_counters->hits += shard->hits;
		ret_counters->misses += shard->misses;
		ret_counters->answers += shard->n;
		ret_counters->bytes += shard->bytes;
		pthread_mutex_unlock(&shard->mutex);
	}
}
