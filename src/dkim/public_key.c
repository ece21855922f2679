#include "dkim/public_key.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/hash.h"

/* RSA-4096 takes 740 bytes; what is longer for its notes is made ready each time, so that nobody fills memory with it.
 */
#define RECORD_MAX 1024

struct entry {
	struct dkim_public_key key; /* first, so that one leads to the other */
	atomic_uint references;     /* dkim_keys, while it is kept, and each message that uses it */
	struct entry *next_in_bucket;
	TAILQ_ENTRY(entry) by_use;
	uint64_t hash;
	size_t n;
	char text[];
};

struct dkim_keys {
	struct hash_key hash_key;
	size_t maximum, n_buckets;
	pthread_mutex_t lock;
	size_t n;                          /* under lock, as the rest */
	TAILQ_HEAD(entries, entry) by_use; /* the longest unused first */
	struct entry **buckets;
};

static void entry_unref(void *object)
{
	struct entry *entry = object;
	if (entry == NULL || atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) != 1)
		return;
	crypto_key_free(entry->key.crypto);
	free(entry);
}

struct dkim_keys *dkim_keys_new(size_t maximum)
{
	struct dkim_keys *keys = calloc(1, sizeof(*keys));
	if (keys == NULL)
		return NULL;
	hash_key_init(&keys->hash_key);
	keys->maximum = maximum;
	keys->n_buckets = maximum + 1;
	keys->buckets = calloc(keys->n_buckets, sizeof(struct entry *));
	TAILQ_INIT(&keys->by_use);
	pthread_mutex_init(&keys->lock, NULL);
	if (keys->buckets == NULL) {
		dkim_keys_free(keys);
		return NULL;
	}
	return keys;
}

void dkim_keys_free(struct dkim_keys *keys)
{
	struct entry *entry;
	if (keys == NULL)
		return;
	while ((entry = TAILQ_FIRST(&keys->by_use)) != NULL) {
		TAILQ_REMOVE(&keys->by_use, entry, by_use);
		entry_unref(entry);
	}
	pthread_mutex_destroy(&keys->lock);
	free(keys->buckets);
	free(keys);
}

/* Under lock. Where the pointer to the entry stands; to a NULL at the end of its chain when it is not there. */
static struct entry **find(struct dkim_keys *keys, uint64_t hash, struct str record)
{
	struct entry **place = &keys->buckets[hash % keys->n_buckets];
	while (*place != NULL && ((*place)->hash != hash || !str_eq(str_from((*place)->text, (*place)->n), record)))
		place = &(*place)->next_in_bucket;
	return place;
}

/* With a reference for the caller; NULL: not here. */
static struct entry *look_up(struct dkim_keys *keys, uint64_t hash, struct str record)
{
	pthread_mutex_lock(&keys->lock);
	struct entry *entry = *find(keys, hash, record);
	if (entry != NULL) {
		atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
		TAILQ_REMOVE(&keys->by_use, entry, by_use);
		TAILQ_INSERT_TAIL(&keys->by_use, entry, by_use);
	}
	pthread_mutex_unlock(&keys->lock);
	return entry;
}

/* Under lock. */
static struct entry *take_oldest(struct dkim_keys *keys)
{
	struct entry *oldest = TAILQ_FIRST(&keys->by_use);
	*find(keys, oldest->hash, str_from(oldest->text, oldest->n)) = oldest->next_in_bucket;
	TAILQ_REMOVE(&keys->by_use, oldest, by_use);
	keys->n--;
	return oldest;
}

static void keep(struct dkim_keys *keys, struct entry *entry)
{
	struct entry *oldest = NULL;
	pthread_mutex_lock(&keys->lock);
	struct entry **place = find(keys, entry->hash, str_from(entry->text, entry->n));
	/* Another message may have been faster. */
	if (*place == NULL) {
		*place = entry;
		TAILQ_INSERT_TAIL(&keys->by_use, entry, by_use);
		atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
		if (++keys->n > keys->maximum)
			oldest = take_oldest(keys);
	}
	pthread_mutex_unlock(&keys->lock);
	entry_unref(oldest);
}

static struct crypto_key *make_ready(const struct dkim_key *key)
{
	if (key->problem != NULL)
		return NULL;
	switch (key->type) {
	case DKIM_KEY_RSA:
		return crypto_key_from_rsa(key->modulus, key->exponent);
	case DKIM_KEY_ED25519:
		return crypto_key_from_point(key->point);
	}
	return NULL;
}

static struct entry *entry_new(struct arena *arena, uint64_t hash, struct str record)
{
	struct dkim_key key;
	/* All that may jump comes before there is something to lose. */
	dkim_key_parse(arena, record, &key);
	struct entry *entry = malloc(sizeof(*entry) + record.n);
	if (entry == NULL)
		arena_fail(arena);
	*entry = (struct entry){.references = 1, .hash = hash, .n = record.n};
	if (record.n > 0)
		memcpy(entry->text, record.p, record.n);
	entry->key.crypto = make_ready(&key);
	if (key.problem == NULL && entry->key.crypto == NULL && crypto_is_starved()) {
		free(entry);
		arena_fail(arena);
	}
	key.modulus = key.exponent = STR("");
	entry->key.record = key;
	return entry;
}

const struct dkim_public_key *dkim_public_key_get(struct dkim_keys *keys, struct arena *arena, struct str record)
{
	uint64_t hash = keys != NULL ? hash_bytes(&keys->hash_key, 0, record) : 0;
	struct entry *entry = keys != NULL ? look_up(keys, hash, record) : NULL;
	if (entry == NULL) {
		entry = entry_new(arena, hash, record);
		/* What cannot be used costs little to refuse again. */
		if (keys != NULL && entry->key.crypto != NULL && record.n <= RECORD_MAX)
			keep(keys, entry);
	}
	arena_on_reset(arena, entry_unref, entry);
	return &entry->key;
}
