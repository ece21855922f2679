#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define USUAL_PIECE 48

/* One byte more than asked for, so that buf_cstr() always has room for its NUL. */
static void reserve(struct buf *buf, size_t more)
{
	buf->p = arena_grow(buf->arena, buf->p, &buf->capacity, buf->n + more + 1, 1);
}

void buf_add(struct buf *buf, struct str s)
{
	if (s.n == 0)
		return;
	reserve(buf, s.n);
	memcpy(buf->p + buf->n, s.p, s.n);
	buf->n += s.n;
}

void buf_add_char(struct buf *buf, char c)
{
	reserve(buf, 1);
	buf->p[buf->n++] = c;
}

void buf_add_cstr(struct buf *buf, const char *cstr)
{
	buf_add(buf, str_of(cstr));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	/* Most pieces are short: formatted in place, and a second time only where they did not fit. */
	reserve(buf, USUAL_PIECE);
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(buf->p + buf->n, buf->capacity - buf->n, format, args);
	va_end(args);
	if (n > 0 && (size_t)n >= buf->capacity - buf->n) {
		reserve(buf, (size_t)n);
		vsnprintf(buf->p + buf->n, (size_t)n + 1, format, again);
	}
	if (n > 0)
		buf->n += (size_t)n;
	va_end(again);
}

const char *buf_cstr(struct buf *buf)
{
	reserve(buf, 0);
	buf->p[buf->n] = '\0';
	return buf->p;
}
