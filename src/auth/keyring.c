#include "auth/keyring.h"

#include <pthread.h>
#include <stdlib.h>

#include "auth/keyfile.h"
#include "base/map.h"

/* 2.4 KB and 0.42 ms each: 1,000 cost half a second of start and 2.4 MB. */
#define EAGER_MAX 1000
#define CACHE_MAX 1000
#define CACHE_BUCKETS 1024
/* One broken directory makes every key in it broken; the first hundred tell the story. */
#define ERRORS_MAX 100

struct keyring_key {
	struct keyring_key *next; /* in the order of their rows */
	struct str path;          /* empty: given as text */
	struct str text;
	struct diag_place place;
	struct dkim_private_key *parsed; /* NULL: read at use */
};

struct cached {
	struct cached *next_in_bucket;
	struct cached *newer, *older;
	struct dkim_private_key *key;
	size_t n;
	char path[];
};

struct keyring {
	struct arena *arena;
	struct keyring_options options;
	struct map *by_path;
	struct keyring_key *first, **end;
	size_t n;
	/* What was read at use; everything below under the lock. */
	pthread_mutex_t lock;
	struct cached *buckets[CACHE_BUCKETS];
	struct cached *newest, *oldest;
	size_t n_cached;
};

static void release(void *object)
{
	struct keyring *keyring = object;
	for (struct keyring_key *key = keyring->first; key != NULL; key = key->next)
		dkim_private_key_unref(key->parsed);
	for (struct cached *cached = keyring->newest, *older; cached != NULL; cached = older) {
		older = cached->older;
		dkim_private_key_unref(cached->key);
		free(cached);
	}
	pthread_mutex_destroy(&keyring->lock);
}

struct keyring *keyring_new(struct arena *arena, const struct keyring_options *options)
{
	struct keyring *keyring = ARENA_NEW(arena, struct keyring);
	keyring->arena = arena;
	keyring->options = *options;
	if (keyring->options.minimum_key_bits < KEYFILE_MINIMUM_BITS)
		keyring->options.minimum_key_bits = KEYFILE_MINIMUM_BITS;
	keyring->by_path = map_new(arena);
	keyring->end = &keyring->first;
	pthread_mutex_init(&keyring->lock, NULL);
	arena_on_reset(arena, release, keyring);
	return keyring;
}

static struct keyring_key *add(struct keyring *keyring, struct keyring_key key)
{
	struct keyring_key *kept = ARENA_NEW(keyring->arena, struct keyring_key);
	*kept = key;
	*keyring->end = kept;
	keyring->end = &kept->next;
	keyring->n++;
	return kept;
}

struct keyring_key *keyring_add_file(struct keyring *keyring, struct str path, struct diag_place place)
{
	struct keyring_key *key = map_get(keyring->by_path, path);
	if (key != NULL)
		return key;
	key = add(keyring, (struct keyring_key){.path = arena_dup(keyring->arena, path), .place = place});
	map_put(keyring->by_path, key->path, key);
	return key;
}

struct keyring_key *keyring_add_text(struct keyring *keyring, struct str text, struct diag_place place)
{
	return add(keyring, (struct keyring_key){.text = arena_dup(keyring->arena, text), .place = place});
}

enum err keyring_load(struct keyring *keyring, struct diag *diag)
{
	size_t errors = diag->n_errors;
	struct keyfile_checker *checker = keyfile_checker_new(diag->arena, &keyring->options);
	for (struct keyring_key *key = keyring->first; key != NULL; key = key->next) {
		if (diag->n_errors - errors >= ERRORS_MAX) {
			diag_error(diag, key->place, "stopped after %d errors in keys", ERRORS_MAX);
			break;
		}
		if (key->path.n == 0)
			key->parsed = keyfile_parse(&keyring->options, STR(""), key->text, key->place, diag);
		else if (keyfile_check(checker, key->path, key->place, diag) && keyring->n <= EAGER_MAX)
			key->parsed = keyfile_read(&keyring->options, key->path, key->place, diag);
		/* The tables' arena may be gone when this is read at use. */
		key->place = (struct diag_place){NULL, 0};
	}
	return diag->n_errors == errors ? ERR_OK : ERR_CONFIG;
}

/* ---- keys read at use ---- */

static size_t bucket_of(struct str path)
{
	/* Paths come from our own tables: no one can choose colliding ones. */
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < path.n; i++)
		h = (h ^ (unsigned char)path.p[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32) % CACHE_BUCKETS;
}

static void unlink_from_order(struct keyring *keyring, struct cached *cached)
{
	*(cached->newer != NULL ? &cached->newer->older : &keyring->newest) = cached->older;
	*(cached->older != NULL ? &cached->older->newer : &keyring->oldest) = cached->newer;
}

static void make_newest(struct keyring *keyring, struct cached *cached)
{
	cached->newer = NULL;
	cached->older = keyring->newest;
	*(keyring->newest != NULL ? &keyring->newest->newer : &keyring->oldest) = cached;
	keyring->newest = cached;
}

/* Under the lock. */
static struct dkim_private_key *cache_get(struct keyring *keyring, struct str path)
{
	for (struct cached *cached = keyring->buckets[bucket_of(path)]; cached != NULL;
		cached = cached->next_in_bucket) {
		if (!str_eq(str_from(cached->path, cached->n), path))
			continue;
		unlink_from_order(keyring, cached);
		make_newest(keyring, cached);
		return dkim_private_key_ref(cached->key);
	}
	return NULL;
}

static void evict_oldest(struct keyring *keyring)
{
	struct cached *cached = keyring->oldest;
	struct cached **link = &keyring->buckets[bucket_of(str_from(cached->path, cached->n))];
	while (*link != cached)
		link = &(*link)->next_in_bucket;
	*link = cached->next_in_bucket;
	unlink_from_order(keyring, cached);
	keyring->n_cached--;
	dkim_private_key_unref(cached->key);
	free(cached);
}

/* Under the lock. Without memory the key is simply not kept. */
static void cache_put(struct keyring *keyring, struct str path, struct dkim_private_key *key)
{
	struct cached *cached = malloc(sizeof(*cached) + path.n);
	if (cached == NULL)
		return;
	if (keyring->n_cached == CACHE_MAX)
		evict_oldest(keyring);
	cached->key = dkim_private_key_ref(key);
	cached->n = path.n;
	memcpy(cached->path, path.p, path.n);
	struct cached **bucket = &keyring->buckets[bucket_of(path)];
	cached->next_in_bucket = *bucket;
	*bucket = cached;
	make_newest(keyring, cached);
	keyring->n_cached++;
}

struct dkim_private_key *keyring_get_file(
	struct keyring *keyring, struct str path, struct arena *arena, struct str *ret_why)
{
	pthread_mutex_lock(&keyring->lock);
	struct dkim_private_key *key = cache_get(keyring, path);
	pthread_mutex_unlock(&keyring->lock);
	if (key != NULL)
		return key;
	/* Reading and parsing need no lock; two threads may do it twice at the worst. */
	struct diag diag = diag_in(arena);
	struct diag_place nowhere = {NULL, 0};
	struct keyfile_checker *checker = keyfile_checker_new(arena, &keyring->options);
	if (keyfile_check(checker, path, nowhere, &diag))
		key = keyfile_read(&keyring->options, path, nowhere, &diag);
	if (key == NULL) {
		*ret_why = arena_printf(arena, "key file %.*s cannot be used", STR_ARG(path));
		for (size_t i = 0; i < diag.n; i++)
			if (diag.entries[i].severity == DIAG_ERROR)
				*ret_why = diag.entries[i].text;
		return NULL;
	}
	pthread_mutex_lock(&keyring->lock);
	struct dkim_private_key *other = cache_get(keyring, path);
	if (other == NULL)
		cache_put(keyring, path, key);
	pthread_mutex_unlock(&keyring->lock);
	dkim_private_key_unref(other);
	return key;
}

struct dkim_private_key *keyring_get(
	struct keyring *keyring, const struct keyring_key *key, struct arena *arena, struct str *ret_why)
{
	if (key->parsed != NULL)
		return dkim_private_key_ref(key->parsed);
	return keyring_get_file(keyring, key->path, arena, ret_why);
}

size_t keyring_count(const struct keyring *keyring)
{
	return keyring->n;
}
