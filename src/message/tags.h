/*
 * tag=value lists, RFC 6376 section 3.2: DKIM-Signature and DKIM keys, and
 * close enough for DMARC records, whose differences are its own business. Pure.
 */
#ifndef TRIMILTER_MESSAGE_TAGS_H
#define TRIMILTER_MESSAGE_TAGS_H

#include "base/arena.h"
#include "base/str.h"

struct tag {
	struct str name;  /* as spelled: names are case-sensitive */
	struct str value; /* without white space at its ends; inner folding as it came */
};

struct tags {
	struct tag *tags; /* in order */
	size_t n;
	const char *error;   /* NULL: the list is well-formed; else what is wrong, static ("duplicate tag" ...) */
	struct str error_at; /* the word that is wrong */
};

/**
 * Never fails: what could be read stands in @ret_tags, and error says whether that was all.
 * A trailing ';' is fine; an empty element elsewhere, a name with other than ALPHA DIGIT "_" (or not
 * beginning with ALPHA), a missing '=', a byte outside FWS / 0x21..0x7E without ';' in a value
 * (UTF-8 is allowed: RFC 8616) and a duplicate name are errors. At most 64 tags.
 */
void tags_parse(struct arena *arena, struct str text, struct tags *ret_tags);

/** The value, or NULL. */
const struct str *tags_get(const struct tags *tags, const char *name);

/** @value without any white space (base64, numbers in folded fields). */
struct str tag_without_space(struct arena *arena, struct str value);

#endif
