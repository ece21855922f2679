/*
 * A growing run of bytes in an arena. Appending never fails: the arena jumps.
 */
#ifndef TRIMILTER_BASE_BUF_H
#define TRIMILTER_BASE_BUF_H

#include "base/arena.h"
#include "base/str.h"

struct buf {
	struct arena *arena;
	char *p;
	size_t n;        /* bytes in use */
	size_t capacity; /* bytes allocated */
};

static inline struct buf buf_in(struct arena *arena)
{
	return (struct buf){.arena = arena};
}

void buf_add(struct buf *buf, struct str s);
void buf_add_char(struct buf *buf, char c);
void buf_add_cstr(struct buf *buf, const char *cstr);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** What was written so far; valid until the next append. */
static inline struct str buf_str(const struct buf *buf)
{
	return str_from(buf->p != NULL ? buf->p : "", buf->n);
}

/** The same as a C string. */
const char *buf_cstr(struct buf *buf);

#endif
