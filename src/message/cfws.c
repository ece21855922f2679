#include "message/cfws.h"

#include "base/utf8.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

size_t fws_length(struct str s)
{
	if (s.n == 0)
		return 0;
	if (is_blank(s.p[0]))
		return 1;
	size_t n = s.p[0] == '\r' ? 2 : 1;
	return s.n > n && s.p[n - 1] == '\n' && is_blank(s.p[n]) ? n : 0;
}

bool is_control_at(struct str s)
{
	unsigned char c = (unsigned char)s.p[0];
	if (c == 0xc2 && s.n > 1 && (unsigned char)s.p[1] >= 0x80 && (unsigned char)s.p[1] < 0xa0)
		return true;
	return (c < ' ' && c != '\t') || c == 0x7f;
}

static const char *control_error(char c)
{
	if (c == '\0')
		return "NUL byte";
	if (c == '\r')
		return "bare CR";
	return c == '\n' ? "line break without folding" : "control byte";
}

/*
 * Skip one character within a comment or a quoted string: white space, an escaped pair, or another.
 *
 * Bytes that are not UTF-8 (names in Latin-1, in Shift_JIS ...) are let through, for they are frequent. But
 * where one stands before a backslash, a reader that takes both for one character of a double-byte set sees the
 * text end elsewhere than we do.
 */
static const char *skip_character(struct str *s)
{
	size_t n = fws_length(*s);
	if (n > 0) {
		*s = str_skip(*s, n);
		return NULL;
	}
	if (s->p[0] == '\\') {
		*s = str_skip(*s, 1);
		if (s->n == 0)
			return "backslash at the end";
	}
	if (is_control_at(*s))
		return control_error(s->p[0]);
	n = utf8_length(*s);
	if (n == 0 && s->n > 1 && s->p[1] == '\\')
		return "backslash behind a byte that is not UTF-8";
	*s = str_skip(*s, n > 0 ? n : 1);
	return NULL;
}

static const char *skip_comment(struct str *s)
{
	unsigned depth = 0;
	while (s->n > 0) {
		char c = s->p[0];
		if (c == '(' && ++depth > COMMENT_DEPTH_MAX)
			return "comments nested too deep";
		const char *error = skip_character(s);
		if (error != NULL)
			return error;
		if (c == ')' && --depth == 0)
			return NULL;
	}
	return "unterminated comment";
}

const char *cfws_skip(struct str *s, struct cfws *ret_cfws)
{
	*ret_cfws = (struct cfws){0};
	while (s->n > 0) {
		size_t n = fws_length(*s);
		if (n == 0 && str_is_space(s->p[0]))
			return control_error(s->p[0]);
		if (n == 0 && s->p[0] != '(')
			break;
		ret_cfws->any = true;
		if (n > 0) {
			*s = str_skip(*s, n);
			continue;
		}
		const char *start = ret_cfws->comments.n > 0 ? ret_cfws->comments.p : s->p;
		const char *error = skip_comment(s);
		if (error != NULL)
			return error;
		ret_cfws->comments = str_from(start, (size_t)(s->p - start));
	}
	return NULL;
}

const char *quoted_string_skip(struct str *s, struct str *ret_inside)
{
	*s = str_skip(*s, 1);
	const char *start = s->p;
	while (s->n > 0) {
		if (s->p[0] == '"') {
			*ret_inside = str_from(start, (size_t)(s->p - start));
			*s = str_skip(*s, 1);
			return NULL;
		}
		const char *error = skip_character(s);
		if (error != NULL)
			return error;
	}
	return "unterminated quoted string";
}

struct str quoted_string_text(struct arena *arena, struct str inside)
{
	char *text = arena_alloc(arena, inside.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < inside.n; i++) {
		if (inside.p[i] == '\\' && i + 1 < inside.n)
			text[n++] = inside.p[++i];
		else if (inside.p[i] != '\r' && inside.p[i] != '\n')
			text[n++] = inside.p[i];
	}
	return str_from(text, n);
}
