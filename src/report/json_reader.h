/*
 * JSON that was written into a file, read back: libjansson behind the few calls
 * that records need. Pure.
 */
#ifndef TRIMILTER_REPORT_JSON_READER_H
#define TRIMILTER_REPORT_JSON_READER_H

#include "base/arena.h"
#include "base/str.h"

/** A value; lives as long as the arena that it was read into. NULL stands for one that is not there. */
struct json_t;

/**
 * RFC 8259, and no name twice in an object. Nesting is bounded by libjansson (2,048), size by the caller.
 * NULL: it is not JSON, no object, or there is no memory. The arena's reset gives it back.
 */
const struct json_t *json_read_object(struct arena *arena, struct str text);

/** NULL where @object is none, has no such member, or that is null. */
const struct json_t *json_member(const struct json_t *object, const char *name);

/* False where @value is NULL or of another type; *ret_* is then untouched. Text is borrowed from @value. */
bool json_as_str(const struct json_t *value, struct str *ret_text);
bool json_as_int(const struct json_t *value, int64_t *ret_number);
bool json_as_bool(const struct json_t *value, bool *ret_bool);

/** False where @value is no array. */
bool json_as_array(const struct json_t *value, size_t *ret_n);
const struct json_t *json_element(const struct json_t *array, size_t i);

#endif
