#include <stdlib.h>

#include "base/clock.h"
#include "milter/front_native.h"

#define ONE_LINE_MS 60000

bool native_may_tell(atomic_llong *told)
{
	long long now = clock_monotonic_ms(), last = atomic_load(told);
	return (last == 0 || now - last >= ONE_LINE_MS) && atomic_compare_exchange_strong(told, &last, now);
}

bool native_bytes_reserve(struct native_pool *pool, struct native_bytes *bytes, size_t capacity)
{
	if (capacity <= bytes->capacity)
		return true;
	size_t more = capacity - bytes->capacity;
	char *p = pool->held + more <= pool->limit ? realloc(bytes->p, capacity) : NULL;
	if (p == NULL)
		return false;
	pool->held += more;
	bytes->p = p;
	bytes->capacity = capacity;
	return true;
}

void native_bytes_free(struct native_pool *pool, struct native_bytes *bytes)
{
	pool->held -= bytes->capacity;
	free(bytes->p);
	*bytes = (struct native_bytes){0};
}
