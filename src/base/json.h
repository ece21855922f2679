/*
 * Writes JSON (RFC 8259) into a buffer: objects on one line, keys in the order
 * of writing. Bytes that are not UTF-8 become U+0080..U+00FF.
 */
#ifndef TRIMILTER_BASE_JSON_H
#define TRIMILTER_BASE_JSON_H

#include "base/buf.h"

struct json {
	struct buf *out;
	bool need_comma;
};

static inline struct json json_to(struct buf *out)
{
	return (struct json){.out = out};
}

/* @key is NULL inside arrays and at the top. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
/** null where s.p is NULL. */
void json_str(struct json *json, const char *key, struct str s);
/** null where @s is empty, too. */
void json_str_or_null(struct json *json, const char *key, struct str s);
/** null where @cstr is NULL; there is no json_null(), since libjansson has a function of that name. */
void json_cstr(struct json *json, const char *key, const char *cstr);
void json_int(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);

#endif
