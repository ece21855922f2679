#include "message/results.h"

#include "base/utf8.h"
#include "message/cfws.h"
#include "message/results_grammar.h"

/* Where lines are folded, and what a field's name and a tabulator take of them. */
#define LINE_COLUMNS 78
#define NAME_COLUMNS sizeof("Authentication-Results:")
#define TAB_COLUMNS 8
/*
 * A word cannot be folded, and no line may exceed 998 bytes (RFC 5322 section 2.1.1). A longer value is left out,
 * because cut short it could name another domain; longer texts for people are cut.
 */
#define VALUE_MAX 400
#define TEXT_MAX 200

/* Nearly all values are, and are taken as they stand. */
static bool is_printable_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* Without any byte that could end a line, a string or a word somewhere: control bytes and what is not UTF-8. */
static struct str clean(struct arena *arena, struct str s)
{
	if (is_printable_ascii(s))
		return s;
	struct buf out = buf_in(arena);
	bool is_utf8 = utf8_is_valid(s);
	while (s.n > 0) {
		size_t n = is_utf8 ? utf8_length(s) : 1;
		bool bad = is_control_at(s) || s.p[0] == '\t' || (!is_utf8 && (unsigned char)s.p[0] >= 0x80);
		buf_add(&out, bad ? STR("?") : str_head(s, n));
		s = str_skip(s, n);
	}
	return buf_str(&out);
}

static void write_quoted(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, s.p[i]);
	}
	buf_add_char(out, '"');
}

/* @s is clean. A local part like an encoded word goes into quotes, where nobody may decode it (RFC 2047 section 5). */
static void write_value(struct buf *out, struct str s)
{
	bool plain = results_is_token(s) || (results_is_plain_address(s) && memmem(s.p, s.n, "=?", 2) == NULL);
	if (plain)
		buf_add(out, s);
	else
		write_quoted(out, s);
}

/* At most @max bytes, no character cut in two. */
static struct str cut_text(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return str_head(s, max);
}

/*
 * Escapes within comments are known to few parsers, so what would need one is replaced; the semicolon too, because
 * simple parsers split at each.
 */
static void write_comment(struct buf *out, struct str s)
{
	static const char from[] = "()\\;\"", to[] = "[]/,'";
	buf_add_char(out, '(');
	for (size_t i = 0; i < s.n; i++) {
		const char *found = strchr(from, s.p[i]);
		if (found != NULL)
			buf_add_char(out, to[found - from]);
		else if (s.p[i] == '?' && i > 0 &&
			 s.p[i - 1] == '=') /* no encoded word: in comments they are decoded */
			buf_add_char(out, '.');
		else
			buf_add_char(out, s.p[i]);
	}
	buf_add_char(out, ')');
}

struct writer {
	struct buf *out;
	const char *eol;
	size_t column;
};

static void fold(struct writer *writer)
{
	buf_add_cstr(writer->out, writer->eol);
	buf_add_char(writer->out, '\t');
	writer->column = TAB_COLUMNS;
}

static void write_word(struct writer *writer, struct str word)
{
	/* One column is kept free for the semicolon. */
	if (writer->column + 1 + word.n >= LINE_COLUMNS) {
		fold(writer);
	} else {
		buf_add_char(writer->out, ' ');
		writer->column++;
	}
	buf_add(writer->out, word);
	writer->column += word.n;
}

static void write_result(struct writer *writer, const struct result *result)
{
	struct arena *arena = writer->out->arena;
	fold(writer);
	size_t begin = writer->out->n;
	buf_add_cstr(writer->out, result->method);
	buf_add_char(writer->out, '=');
	buf_add_cstr(writer->out, result->value);
	writer->column += writer->out->n - begin;
	if (result->comment.n > 0) {
		struct buf word = buf_in(arena);
		write_comment(&word, cut_text(clean(arena, result->comment), TEXT_MAX));
		write_word(writer, buf_str(&word));
	}
	if (result->reason.n > 0) {
		struct buf word = buf_in(arena);
		buf_add_cstr(&word, "reason=");
		write_quoted(&word, cut_text(clean(arena, result->reason), TEXT_MAX));
		write_word(writer, buf_str(&word));
	}
	for (size_t i = 0; i < result->n_properties; i++) {
		const struct result_property *property = &result->properties[i];
		if (property->value.n == 0 || property->value.n > VALUE_MAX)
			continue;
		struct buf word = buf_in(arena);
		buf_add_cstr(&word, property->ptype);
		buf_add_char(&word, '.');
		buf_add_cstr(&word, property->property);
		buf_add_char(&word, '=');
		write_value(&word, clean(arena, property->value));
		write_word(writer, buf_str(&word));
	}
}

void results_write(
	struct buf *out, struct str authserv_id, const struct result *results, size_t n_results, const char *eol)
{
	struct writer writer = {.out = out, .eol = eol, .column = NAME_COLUMNS};
	write_value(out, cut_text(clean(out->arena, authserv_id), VALUE_MAX));
	if (n_results == 0)
		buf_add_cstr(out, "; none");
	for (size_t i = 0; i < n_results; i++) {
		buf_add_char(out, ';');
		write_result(&writer, &results[i]);
	}
}
