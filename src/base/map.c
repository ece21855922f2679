#include "base/map.h"

#include "base/hash.h"

struct slot {
	struct str key;
	void *value; /* NULL: free */
	uint64_t hash;
};

struct map {
	struct arena *arena;
	struct slot *slots;
	size_t n_slots; /* a power of two, at most half of it in use */
	size_t n;
};

struct map *map_new(struct arena *arena)
{
	struct map *map = ARENA_NEW(arena, struct map);
	map->arena = arena;
	map->n_slots = 16;
	map->slots = ARENA_ARRAY(arena, map->n_slots, struct slot);
	return map;
}

static uint64_t hash_of(struct str key)
{
	return hash_bytes(hash_key_of_process(), 0, key);
}

static struct slot *find(const struct map *map, uint64_t hash, struct str key)
{
	for (size_t i = hash & (map->n_slots - 1);; i = (i + 1) & (map->n_slots - 1)) {
		struct slot *slot = &map->slots[i];
		if (slot->value == NULL || (slot->hash == hash && str_eq(slot->key, key)))
			return slot;
	}
}

static void grow(struct map *map)
{
	struct slot *old = map->slots;
	size_t n_old = map->n_slots;
	map->n_slots *= 2;
	map->slots = ARENA_ARRAY(map->arena, map->n_slots, struct slot);
	for (size_t i = 0; i < n_old; i++)
		if (old[i].value != NULL)
			*find(map, old[i].hash, old[i].key) = old[i];
}

bool map_put(struct map *map, struct str key, void *value)
{
	uint64_t hash = hash_of(key);
	if (find(map, hash, key)->value != NULL)
		return false;
	if (2 * (map->n + 1) > map->n_slots)
		grow(map);
	*find(map, hash, key) = (struct slot){arena_dup(map->arena, key), value, hash};
	map->n++;
	return true;
}

void *map_get(const struct map *map, struct str key)
{
	return find(map, hash_of(key), key)->value;
}

size_t map_count(const struct map *map)
{
	return map->n;
}
