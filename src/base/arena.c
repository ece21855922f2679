#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/*
 * Blocks grow with what the arena holds: a message that waits for DNS has four arenas, three of which need 1 to 4 KiB,
 * and hundreds may wait at once. Larger needs get blocks of their own.
 */
#define BLOCK_SIZE_MIN ((size_t)2 * 1024)
#define BLOCK_SIZE_MAX ((size_t)16 * 1024)
/* Of such there is mostly one (a signature), though there may be many. */
#define LARGE_ELEMENT 100

struct block {
	struct block *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) char data[];
};

struct cleanup {
	struct cleanup *next;
	void (*run)(void *object);
	void *object;
};

struct arena {
	struct block *blocks; /* the one being filled first */
	struct cleanup *cleanups;
	jmp_buf *boundary;
	struct arena *parent; /* of one within another */
	struct arena_meter *meter;
	size_t cap;
	size_t used;
	size_t held; /* in blocks */
};

struct arena *arena_new(size_t cap)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	if (arena != NULL)
		arena->cap = cap;
	return arena;
}

static void run_cleanups(struct arena *arena)
{
	/* A cleanup record lives in the arena, so it must not be touched after the blocks are gone. */
	while (arena->cleanups != NULL) {
		struct cleanup *first = arena->cleanups;
		arena->cleanups = first->next;
		first->run(first->object);
	}
}

static void uncount_block(struct arena *arena, size_t size)
{
	arena->held -= size;
	if (arena->meter != NULL)
		atomic_fetch_sub(&arena->meter->held, size);
}

static void block_free(struct arena *arena, struct block *block)
{
	uncount_block(arena, block->size);
	free(block);
}

void arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	run_cleanups(arena);
	for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
		next = block->next;
		block_free(arena, block);
	}
	free(arena);
}

static void free_within(void *object)
{
	arena_free(object);
}

struct arena *arena_new_within(struct arena *parent)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		arena_fail(parent);
	arena->parent = parent;
	arena->meter = parent->meter;
	arena_on_reset(parent, free_within, arena);
	return arena;
}

void arena_reset(struct arena *arena)
{
	run_cleanups(arena);
	struct block *kept = NULL;
	size_t kept_size = 0;
	for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
		next = block->next;
		if (kept_size + block->size > ARENA_SMALL) {
			block_free(arena, block);
			continue;
		}
		kept_size += block->size;
		block->used = 0;
		block->next = kept;
		kept = block;
	}
	arena->blocks = kept;
	arena->used = 0;
}

jmp_buf *arena_set_boundary(struct arena *arena, jmp_buf *boundary)
{
	jmp_buf *former = arena->boundary;
	arena->boundary = boundary;
	return former;
}

static size_t usual_size(const struct arena *arena)
{
	if (arena->used < BLOCK_SIZE_MIN)
		return BLOCK_SIZE_MIN;
	return arena->used < BLOCK_SIZE_MAX ? arena->used : BLOCK_SIZE_MAX;
}

/* False: together the arenas hold too much, and this one is not small. */
static bool count_block(struct arena *arena, size_t size)
{
	struct arena_meter *meter = arena->meter;
	arena->held += size;
	if (meter == NULL)
		return true;
	size_t limit = atomic_load(&meter->limit), held = atomic_fetch_add(&meter->held, size) + size;
	if (limit == 0 || held <= limit || arena->held <= ARENA_SMALL)
		return true;
	uncount_block(arena, size);
	return false;
}

static struct block *block_new(struct arena *arena, size_t need)
{
	size_t usual = usual_size(arena), size = need > usual ? need : usual;
	if (!count_block(arena, size))
		return NULL;
	struct block *block = malloc(sizeof(*block) + size);
	if (block == NULL) {
		uncount_block(arena, size);
		return NULL;
	}
	block->size = size;
	block->used = 0;
	/* A block made for one large object is full at once: let the current one go on filling. */
	if (need > usual && arena->blocks != NULL) {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	return block;
}

/* After a reset several empty blocks may be at hand: bring a fitting one to the front. */
static struct block *block_reuse(struct arena *arena, size_t need)
{
	for (struct block **link = &arena->blocks; *link != NULL; link = &(*link)->next) {
		struct block *block = *link;
		if (block->used == 0 && block->size >= need) {
			*link = block->next;
			block->next = arena->blocks;
			arena->blocks = block;
			return block;
		}
	}
	return NULL;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size > SIZE_MAX / 2)
		return NULL;
	size_t need = (size + align - 1) & ~(align - 1);
	if (arena->cap != 0 && (need > arena->cap || arena->used > arena->cap - need))
		return NULL;
	struct block *block = arena->blocks;
	if (block == NULL || block->size - block->used < need) {
		block = block_reuse(arena, need);
		if (block == NULL)
			block = block_new(arena, need);
		if (block == NULL)
			return NULL;
	}
	void *p = block->data + block->used;
	block->used += need;
	arena->used += need;
	return memset(p, 0, size);
}

_Noreturn void arena_fail(struct arena *arena)
{
	for (; arena != NULL; arena = arena->parent)
		if (arena->boundary != NULL)
			longjmp(*arena->boundary, 1);
	fputs("trimilter: fatal: out of memory\n", stderr);
	exit(EX_SOFTWARE);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *p = arena_try_alloc(arena, size);
	if (p == NULL)
		arena_fail(arena);
	return p;
}

void *arena_alloc_array(struct arena *arena, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		arena_fail(arena);
	return arena_alloc(arena, n * size);
}

void *arena_grow(struct arena *arena, void *old, size_t *capacity, size_t n, size_t size)
{
	if (n <= *capacity)
		return old;
	size_t first = size < LARGE_ELEMENT ? 8 : 1, wanted = *capacity == 0 ? first : *capacity * 2;
	if (wanted < n)
		wanted = n;
	void *grown = arena_alloc_array(arena, wanted, size);
	if (old != NULL)
		memcpy(grown, old, *capacity * size);
	*capacity = wanted;
	return grown;
}

struct str arena_dup(struct arena *arena, struct str s)
{
	char *copy = arena_alloc(arena, s.n + 1);
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return str_from(copy, s.n);
}

struct str arena_dup_lower(struct arena *arena, struct str s)
{
	char *copy = arena_alloc(arena, s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		copy[i] = str_lower_char(s.p[i]);
	return str_from(copy, s.n);
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
	char usual[256];
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(usual, sizeof(usual), format, args);
	va_end(args);
	size_t length = n < 0 ? 0 : (size_t)n;
	char *text = arena_alloc(arena, length + 1);
	if (length < sizeof(usual))
		memcpy(text, usual, length);
	else
		vsnprintf(text, length + 1, format, again);
	va_end(again);
	return str_from(text, length);
}

void arena_on_reset(struct arena *arena, void (*cleanup)(void *object), void *object)
{
	struct cleanup *record = arena_try_alloc(arena, sizeof(*record));
	if (record == NULL) {
		/* The object would leak behind the jump. */
		cleanup(object);
		arena_fail(arena);
	}
	*record = (struct cleanup){arena->cleanups, cleanup, object};
	arena->cleanups = record;
}

void arena_set_meter(struct arena *arena, struct arena_meter *meter)
{
	arena->meter = meter;
}

struct arena_meter *arena_meter(const struct arena *arena)
{
	return arena->meter;
}

size_t arena_held(const struct arena *arena)
{
	return arena->held;
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}
