#include "report/json_reader.h"

#include <jansson.h>

/* json_decref() wants a pointer of its own type. */
struct holder {
	json_t *json;
};

static void release(void *object)
{
	struct holder *holder = object;
	json_decref(holder->json);
}

const struct json_t *json_read_object(struct arena *arena, struct str text)
{
	/* What gives it back is in place before there is anything to give back: both may run out of memory. */
	struct holder *holder = ARENA_NEW(arena, struct holder);
	arena_on_reset(arena, release, holder);
	holder->json = json_loadb(text.p != NULL ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	return json_is_object(holder->json) ? holder->json : NULL;
}

const struct json_t *json_member(const struct json_t *object, const char *name)
{
	const json_t *member = json_object_get(object, name);
	return json_is_null(member) ? NULL : member;
}

bool json_as_str(const struct json_t *value, struct str *ret_text)
{
	if (!json_is_string(value))
		return false;
	*ret_text = str_from(json_string_value(value), json_string_length(value));
	return true;
}

bool json_as_int(const struct json_t *value, int64_t *ret_number)
{
	if (!json_is_integer(value))
		return false;
	*ret_number = json_integer_value(value);
	return true;
}

bool json_as_bool(const struct json_t *value, bool *ret_bool)
{
	if (!json_is_boolean(value))
		return false;
	*ret_bool = json_is_true(value);
	return true;
}

bool json_as_array(const struct json_t *value, size_t *ret_n)
{
	if (!json_is_array(value))
		return false;
	*ret_n = json_array_size(value);
	return true;
}

const struct json_t *json_element(const struct json_t *array, size_t i)
{
	return json_array_get(array, i);
}
