/*
 * A hash map from byte strings to pointers, in an arena; keys are copied.
 * Immutable once filled, then safe to read from any thread.
 */
#ifndef TRIMILTER_BASE_MAP_H
#define TRIMILTER_BASE_MAP_H

#include "base/arena.h"
#include "base/str.h"

struct map;

/** @arena is kept for growth; the hash is keyed, so that nobody can choose colliding keys. */
struct map *map_new(struct arena *arena);
/** False, and nothing changed, when @key is there already. @value must not be NULL. */
bool map_put(struct map *map, struct str key, void *value);
/** NULL when absent. */
void *map_get(const struct map *map, struct str key);
size_t map_count(const struct map *map);

#endif
