/*
 * Regional allocation: what belongs to one message (or one configuration) is
 * allocated in one arena and given back in one stroke.
 *
 * Allocation never returns NULL. Past the cap, or when malloc fails, the arena
 * jumps to its boundary, which the callback's entry has set; the callback then
 * applies On-InternalError. Without a boundary (start-up, command line) the
 * program says "out of memory" and exits 70.
 *
 * No jump may cross the frames of a foreign library: inside its hooks use
 * arena_try_alloc(), return the library's own error, and set a flag.
 * An arena belongs to one thread at a time.
 */
#ifndef TRIMILTER_BASE_ARENA_H
#define TRIMILTER_BASE_ARENA_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/str.h"

struct arena;

/**
 * @cap  bytes that the arena may hold between two resets, 0 for no limit
 * NULL when malloc fails. Free with arena_free(), which accepts NULL.
 */
struct arena *arena_new(size_t cap);
void arena_free(struct arena *arena);

/**
 * An arena for what comes and goes while @parent stays: without a cap, freed with the parent (never by arena_free()),
 * and its failures go to the parent's boundary.
 */
struct arena *arena_new_within(struct arena *parent);

/** Run the cleanups, last registered first, and forget all allocations; blocks beyond ARENA_SMALL go back to malloc. */
void arena_reset(struct arena *arena);

/**
 * Where to go when an allocation fails; NULL for nowhere. Returns the boundary set before, so that
 * boundaries nest: set it after setjmp(), restore the former on every way out.
 */
jmp_buf *arena_set_boundary(struct arena *arena, jmp_buf *boundary);

/** Zeroed, aligned for any type, never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
/** The same for @n elements of @size bytes; an overflow of the product counts as out of memory. */
void *arena_alloc_array(struct arena *arena, size_t n, size_t size);
/** The same, but NULL instead of a jump. */
void *arena_try_alloc(struct arena *arena, size_t size);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, n, type) ((type *)arena_alloc_array((arena), (n), sizeof(type)))

/**
 * Grow the array of *@capacity elements at @old (NULL at first) so that it holds at least @n; doubling.
 * Returns the array, moved or not; the old place stays valid until the reset.
 */
void *arena_grow(struct arena *arena, void *old, size_t *capacity, size_t n, size_t size);

/** A copy of @s in the arena; a NUL follows it, so that its p is a C string where it contains no NUL. */
struct str arena_dup(struct arena *arena, struct str s);
/** arena_dup() in ASCII lower case. */
struct str arena_dup_lower(struct arena *arena, struct str s);
/** printf into the arena; NUL-terminated like arena_dup(). */
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Call @cleanup(@object) at the next reset or free: how foreign handles (EVP, SPF) are released. */
void arena_on_reset(struct arena *arena, void (*cleanup)(void *object), void *object);

/** Behave as if an allocation had failed: for a boundary that had to tidy up and passes the failure on. */
_Noreturn void arena_fail(struct arena *arena);

/** What an arena may hold whatever the others hold: nearly all messages need less. Bytes. */
#define ARENA_SMALL ((size_t)64 * 1024)

/** What many arenas hold together, in bytes of their blocks; over the limit those that are not small get no more. */
struct arena_meter {
	atomic_size_t held;
	atomic_size_t limit; /* 0: none */
};

/** Count @arena, and those within it, in @meter, which outlives them. Before the first allocation. NULL: nowhere. */
void arena_set_meter(struct arena *arena, struct arena_meter *meter);
struct arena_meter *arena_meter(const struct arena *arena);

/** Bytes of its blocks, those within it not counted. */
size_t arena_held(const struct arena *arena);

/** Bytes handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
