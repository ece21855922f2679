#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "milter/front_native.h"

#define ONE_LINE_MS 60000

bool native_may_tell(atomic_llong *told)
{
	long long now = clock_monotonic_ms(), last = atomic_load(told);
	return (last == 0 || now - last >= ONE_LINE_MS) && atomic_compare_exchange_strong(told, &last, now);
}

bool native_bytes_reserve(struct native *native, struct native_bytes *bytes, size_t capacity)
{
	if (capacity <= bytes->capacity)
		return true;
	size_t more = capacity - bytes->capacity;
	bool fits = atomic_fetch_add(&native->n_buffered, more) + more <= native->limits.buffer_bytes;
	char *p = fits ? realloc(bytes->p, capacity) : NULL;
	if (p == NULL) {
		atomic_fetch_sub(&native->n_buffered, more);
		if (native_may_tell(&native->told_buffers))
			log_error("connections of the MTA hold %zu bytes of unfinished packets: closing one that needs "
				  "more",
				atomic_load(&native->n_buffered));
		return false;
	}
	bytes->p = p;
	bytes->capacity = capacity;
	return true;
}

bool native_bytes_add(struct native *native, struct native_bytes *bytes, struct str more)
{
	if (!native_bytes_reserve(native, bytes, bytes->n + more.n))
		return false;
	memcpy(bytes->p + bytes->n, more.p, more.n);
	bytes->n += more.n;
	return true;
}

bool native_bytes_keep(struct native *native, struct native_bytes *bytes, struct str rest)
{
	if (rest.n == 0) {
		native_bytes_free(native, bytes);
		return true;
	}
	if (!native_bytes_reserve(native, bytes, rest.n))
		return false;
	memmove(bytes->p, rest.p, rest.n);
	bytes->n = rest.n;
	return true;
}

void native_bytes_free(struct native *native, struct native_bytes *bytes)
{
	if (bytes->capacity == 0)
		return;
	atomic_fetch_sub(&native->n_buffered, bytes->capacity);
	free(bytes->p);
	*bytes = (struct native_bytes){0};
}
