/*
 * The header fields of one message, as they arrived.
 *
 * Values keep their leading white space and their folding; line breaks within
 * them are LF (the milter protocol's form) or CRLF, and consumers treat both
 * alike. Pure.
 */
#ifndef TRIMILTER_MESSAGE_HEADERS_H
#define TRIMILTER_MESSAGE_HEADERS_H

#include "base/arena.h"
#include "base/str.h"

struct map;

struct header_field {
	struct str name;  /* as spelled, without colon; white space before the colon is kept at its end */
	struct str value; /* all behind the colon, without the final line break */
	unsigned ordinal; /* 1 for the first field of this name (any case) from the top: the milter protocol's index */
};

struct headers {
	struct arena *arena;
	struct header_field *fields; /* top to bottom */
	size_t n;
	size_t capacity;
	size_t bytes;        /* of names and values */
	size_t dropped;      /* fields beyond the limits */
	size_t dropped_from; /* From fields among them: the author is then not certain */
	size_t max_fields, max_bytes;
	struct map *by_name; /* lower-case name -> the fields of that name, so that no look-up walks the store */
};

/** @max_fields, @max_bytes: beyond them fields are counted in dropped, not kept: a message must not buy our memory. */
void headers_init(struct headers *headers, struct arena *arena, size_t max_fields, size_t max_bytes);

/** Copies both; NULL when over a limit. The field stays where it is until the arena's reset. */
const struct header_field *headers_add(struct headers *headers, struct str name, struct str value);

/** The name without white space at its end: what it is compared by. */
struct str header_field_name(const struct header_field *field);

/**
 * The @nth field (0 first) called @name in any case, counted from the bottom; NULL: there is none.
 * DKIM takes fields in this order (RFC 6376 section 5.4.2).
 */
const struct header_field *headers_from_bottom(const struct headers *headers, struct str name, size_t nth);
/** The first from the top, or NULL. */
const struct header_field *headers_find(const struct headers *headers, struct str name);
size_t headers_count(const struct headers *headers, struct str name);

/**
 * The next line within a field's value that some readers take for a field of its own: it looks like one and stands
 * behind a CR or LF that is no fold, which an MTA may have let through.
 *
 * *rest       the value at first; cut to what is left to be looked at
 * *ret_field  borrowed from it; its value is all that follows, ordinal is 0
 * False: there is none any more.
 */
bool header_next_hidden(struct str *rest, struct header_field *ret_field);

/**
 * Split a stored message into header fields and body.
 *
 * Lines end in CRLF, or in LF where the message has no CRLF at all. A leading
 * "From " line is skipped. Stops at the first line that is neither a field nor
 * a continuation; such a line is taken as the body's first.
 * *ret_body is borrowed from @message. For files; the milter protocol brings fields singly.
 */
void headers_split(struct headers *headers, struct str message, struct str *ret_body);

#endif
