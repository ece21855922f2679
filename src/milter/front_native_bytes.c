#include <stdlib.h>

#include "milter/front_native.h"

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
