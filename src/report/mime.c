#include "report/mime.h"

struct str mime_field(const struct headers *headers, const char *name)
{
	const struct header_field *field = headers_find(headers, str_of(name));
	return field != NULL ? str_trim(field->value) : STR("");
}

/* ---- parameters ---- */

/* Length of the quoted string that begins at @at, up to its end or that of @s. */
static size_t quoted_length(struct str s, size_t at)
{
	size_t i = at + 1;
	while (i < s.n && s.p[i] != '"')
		i += s.p[i] == '\\' ? 2 : 1;
	return (i < s.n ? i + 1 : s.n) - at;
}

/* Take what stands up to the next ';' outside of quotes off the front of *@rest. False: nothing is left. */
static bool cut_element(struct str *rest, struct str *ret_element)
{
	size_t n = 0;
	if (rest->n == 0)
		return false;
	while (n < rest->n && rest->p[n] != ';')
		n += rest->p[n] == '"' ? quoted_length(*rest, n) : 1;
	*ret_element = str_head(*rest, n);
	*rest = str_skip(*rest, n + 1);
	return true;
}

static struct str without_quotes(struct str value)
{
	size_t n = 0;
	if (str_starts(value, STR("\""))) {
		n = quoted_length(value, 0);
		bool closed = n > 1 && value.p[n - 1] == '"';
		return str_from(value.p + 1, n - 1 - closed);
	}
	while (n < value.n && !str_is_space(value.p[n]))
		n++;
	return str_head(value, n);
}

struct str mime_type(struct str value)
{
	struct str type = STR("");
	cut_element(&value, &type);
	return str_trim(type);
}

struct str mime_parameter(struct str value, const char *name)
{
	struct str element;
	cut_element(&value, &element);
	while (cut_element(&value, &element)) {
		ptrdiff_t equals = str_index(element, '=');
		if (equals >= 0 && str_ieq(str_trim(str_head(element, (size_t)equals)), str_of(name)))
			return without_quotes(str_trim(str_skip(element, (size_t)equals + 1)));
	}
	return STR("");
}

/* ---- parts ---- */

/* Take the text up to the next line that begins with the delimiter off the front. False: no such line is left. */
static bool cut_part(struct mime_parts *parts, struct str *ret_part)
{
	struct str rest = parts->rest;
	const char *at = rest.p;
	while ((at = memmem(at, (size_t)(rest.p + rest.n - at), parts->delimiter.p, parts->delimiter.n)) != NULL) {
		if (at == rest.p || at[-1] == '\n')
			break;
		at++;
	}
	if (at == NULL)
		return false;
	*ret_part = str_from(rest.p, (size_t)(at - rest.p));
	parts->rest = str_skip(rest, ret_part->n + parts->delimiter.n);
	return true;
}

struct mime_parts mime_parts_of(struct arena *arena, struct str body, struct str boundary)
{
	struct mime_parts parts = {.rest = body, .delimiter = arena_printf(arena, "--%.*s", STR_ARG(boundary))};
	struct str preamble;
	parts.ended = boundary.n == 0 || body.n == 0 || !cut_part(&parts, &preamble);
	return parts;
}

bool mime_next_part(struct mime_parts *parts, struct str *ret_part)
{
	if (parts->ended || str_starts(parts->rest, STR("--")))
		return false;
	ptrdiff_t end_of_line = str_index(parts->rest, '\n');
	parts->rest = end_of_line >= 0 ? str_skip(parts->rest, (size_t)end_of_line + 1) : STR("");
	if (cut_part(parts, ret_part))
		return true;
	*ret_part = parts->rest;
	parts->ended = true;
	return true;
}
