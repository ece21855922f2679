#include "message/tags.h"

#include "base/utf8.h"

/* Real lists have a dozen tags; a longer one only buys our time in tags_get(). */
#define TAGS_MAX 64

static void note_error(struct tags *tags, const char *error, struct str at)
{
	if (tags->error != NULL)
		return;
	tags->error = error;
	tags->error_at = at;
}

static bool is_tag_name(struct str name)
{
	if (name.n == 0 || !str_is_alpha(name.p[0]))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!str_is_alpha(name.p[i]) && !str_is_digit(name.p[i]) && name.p[i] != '_')
			return false;
	return true;
}

/*
 * Bytes of the white space or value character at the front of @s, 0 where neither stands there.
 * A line break must be followed by a blank (FWS), or end the text, as the last line of a stored one does.
 */
static size_t element_character(struct str s)
{
	char c = s.p[0];
	if (c == ' ' || c == '\t')
		return 1;
	if (c == '\r' || c == '\n') {
		size_t n = c == '\r' ? 2 : 1;
		if (n > s.n || s.p[n - 1] != '\n')
			return 0;
		return n == s.n || s.p[n] == ' ' || s.p[n] == '\t' ? n : 0;
	}
	if ((unsigned char)c >= 0x80)
		return utf8_length(s);
	return c > ' ' && c != 0x7f ? 1 : 0;
}

/* The first byte that may not stand in a list, or an empty string. @text ends where the list or the element ends. */
static struct str find_forbidden(struct str text)
{
	while (text.n > 0) {
		size_t plain = 0;
		while (plain < text.n && text.p[plain] > ' ' && text.p[plain] < 0x7f)
			plain++;
		text = str_skip(text, plain);
		if (text.n == 0)
			break;
		size_t n = element_character(text);
		if (n == 0)
			return str_head(text, 1);
		text = str_skip(text, n);
	}
	return text;
}

static void parse_element(struct tags *tags, struct str element)
{
	struct str trimmed = str_trim(element);
	if (trimmed.n == 0) {
		note_error(tags, "empty tag", trimmed);
		return;
	}
	ptrdiff_t equals = str_index(element, '=');
	if (equals < 0) {
		note_error(tags, "tag without '='", trimmed);
		return;
	}
	struct str name = str_trim(str_head(element, (size_t)equals));
	if (!is_tag_name(name)) {
		note_error(tags, "bad tag name", name);
		return;
	}
	for (size_t i = 0; i < tags->n; i++) {
		if (str_eq(tags->tags[i].name, name)) {
			note_error(tags, "duplicate tag", name);
			return;
		}
	}
	if (tags->n == TAGS_MAX) {
		note_error(tags, "too many tags", name);
		return;
	}
	tags->tags[tags->n++] = (struct tag){name, str_trim(str_skip(element, (size_t)equals + 1))};
}

void tags_parse(struct arena *arena, struct str text, struct tags *ret_tags)
{
	*ret_tags = (struct tags){.tags = ARENA_ARRAY(arena, TAGS_MAX, struct tag)};
	if (str_trim(text).n == 0) {
		note_error(ret_tags, "empty list", text);
		return;
	}
	struct str forbidden = find_forbidden(text);
	if (forbidden.n > 0)
		note_error(ret_tags, "forbidden byte", forbidden);
	struct str rest = text, element;
	while (str_cut(&rest, ';', &element)) {
		bool is_last = rest.p == NULL;
		if (is_last && str_trim(element).n == 0)
			break;
		parse_element(ret_tags, element);
	}
}

const struct str *tags_get(const struct tags *tags, const char *name)
{
	struct str wanted = str_of(name);
	for (size_t i = 0; i < tags->n; i++)
		if (str_eq(tags->tags[i].name, wanted))
			return &tags->tags[i].value;
	return NULL;
}

struct str tag_without_space(struct arena *arena, struct str value)
{
	char *out = arena_alloc(arena, value.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < value.n; i++)
		if (!str_is_space(value.p[i]))
			out[n++] = value.p[i];
	return str_from(out, n);
}
