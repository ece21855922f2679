#include "message/headers.h"

#include "base/map.h"

/* The fields of one name, top to bottom, as indexes into the store. */
struct same_name {
	size_t *fields;
	size_t n;
	size_t capacity;
};

void headers_init(struct headers *headers, struct arena *arena, size_t max_fields, size_t max_bytes)
{
	*headers = (struct headers){
		.arena = arena, .max_fields = max_fields, .max_bytes = max_bytes, .by_name = map_new(arena)};
}

static struct str without_trailing_space(struct str name)
{
	while (name.n > 0 && str_is_space(name.p[name.n - 1]))
		name.n--;
	return name;
}

struct str header_field_name(const struct header_field *field)
{
	return without_trailing_space(field->name);
}

/*
 * NULL: no field of that name. Names are lowered on the stack: a longer one
 * than any that is asked for goes the way of the arena.
 */
static struct same_name *find_same_name(const struct headers *headers, struct str name)
{
	char lower[128];
	name = without_trailing_space(name);
	if (name.n > sizeof(lower))
		return map_get(headers->by_name, arena_dup_lower(headers->arena, name));
	for (size_t i = 0; i < name.n; i++)
		lower[i] = str_lower_char(name.p[i]);
	return map_get(headers->by_name, str_from(lower, name.n));
}

static struct same_name *same_name_of(struct headers *headers, struct str name)
{
	struct same_name *same = find_same_name(headers, name);
	if (same != NULL)
		return same;
	same = ARENA_NEW(headers->arena, struct same_name);
	map_put(headers->by_name, arena_dup_lower(headers->arena, without_trailing_space(name)), same);
	return same;
}

static bool is_over_limit(const struct headers *headers, struct str name, struct str value)
{
	return headers->n >= headers->max_fields || name.n > headers->max_bytes - headers->bytes ||
	       value.n > headers->max_bytes - headers->bytes - name.n;
}

const struct header_field *headers_add(struct headers *headers, struct str name, struct str value)
{
	if (is_over_limit(headers, name, value)) {
		headers->dropped++;
		headers->dropped_from += str_ieq(without_trailing_space(name), STR("From"));
		return NULL;
	}
	struct same_name *same = same_name_of(headers, name);
	same->fields = arena_grow(headers->arena, same->fields, &same->capacity, same->n + 1, sizeof(*same->fields));
	/* Growing copies and leaves the old array behind, so a field that was returned earlier stays readable. */
	headers->fields = arena_grow(
		headers->arena, headers->fields, &headers->capacity, headers->n + 1, sizeof(*headers->fields));
	struct header_field *field = &headers->fields[headers->n];
	same->fields[same->n++] = headers->n++;
	headers->bytes += name.n + value.n;
	*field = (struct header_field){
		arena_dup(headers->arena, name), arena_dup(headers->arena, value), (unsigned)same->n};
	return field;
}

const struct header_field *headers_from_bottom(const struct headers *headers, struct str name, size_t nth)
{
	const struct same_name *same = find_same_name(headers, name);
	if (same == NULL || nth >= same->n)
		return NULL;
	return &headers->fields[same->fields[same->n - 1 - nth]];
}

const struct header_field *headers_find(const struct headers *headers, struct str name)
{
	const struct same_name *same = find_same_name(headers, name);
	return same != NULL ? &headers->fields[same->fields[0]] : NULL;
}

size_t headers_count(const struct headers *headers, struct str name)
{
	const struct same_name *same = find_same_name(headers, name);
	return same != NULL ? same->n : 0;
}

/* Take a line off the front of *@rest; *ret_line is without its end. False: nothing is left. */
static bool cut_line(struct str *rest, bool crlf, struct str *ret_line)
{
	if (rest->n == 0)
		return false;
	for (size_t i = 0; i < rest->n; i++) {
		if (rest->p[i] != '\n' || (crlf && (i == 0 || rest->p[i - 1] != '\r')))
			continue;
		*ret_line = str_head(*rest, crlf ? i - 1 : i);
		*rest = str_skip(*rest, i + 1);
		return true;
	}
	*ret_line = *rest;
	*rest = str_skip(*rest, rest->n);
	return true;
}

/* Length of the field name at the front of @line, white space before the colon included; 0: it is no field. */
static size_t field_name_length(struct str line)
{
	size_t n = 0;
	while (n < line.n && line.p[n] > ' ' && line.p[n] < 0x7f && line.p[n] != ':')
		n++;
	if (n == 0)
		return 0;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return n < line.n && line.p[n] == ':' ? n : 0;
}

static bool is_continuation(struct str rest)
{
	return rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t');
}

static bool has_line_break(struct str s)
{
	return s.n > 0 && (memchr(s.p, '\n', s.n) != NULL || memchr(s.p, '\r', s.n) != NULL);
}

bool header_next_hidden(struct str *rest, struct header_field *ret_field)
{
	if (!has_line_break(*rest))
		return false;
	for (size_t i = 0; i < rest->n; i++) {
		if (rest->p[i] != '\r' && rest->p[i] != '\n')
			continue;
		struct str line = str_skip(*rest, i + 1);
		size_t n_name = field_name_length(line);
		if (n_name == 0)
			continue;
		*ret_field = (struct header_field){str_head(line, n_name), str_skip(line, n_name + 1), 0};
		*rest = ret_field->value;
		return true;
	}
	return false;
}

void headers_split(struct headers *headers, struct str message, struct str *ret_body)
{
	bool crlf = message.n > 0 && memmem(message.p, message.n, "\r\n", 2) != NULL;
	struct str rest = message, line;
	if (str_starts(message, STR("From ")) && field_name_length(message) == 0)
		cut_line(&rest, crlf, &line);
	for (struct str at = rest; cut_line(&rest, crlf, &line); at = rest) {
		if (line.n == 0)
			break;
		size_t n_name = field_name_length(line);
		if (n_name == 0) {
			rest = at;
			break;
		}
		struct str last = line;
		while (is_continuation(rest))
			cut_line(&rest, crlf, &last);
		struct str field = str_from(line.p, (size_t)(last.p + last.n - line.p));
		headers_add(headers, str_head(field, n_name), str_skip(field, n_name + 1));
	}
	*ret_body = rest;
}
