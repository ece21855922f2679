#include "dkim/canonicalize.h"

void sink_add_long(struct sink *sink, struct str text)
{
	if (text.n > sizeof(sink->pending) - sink->n)
		sink_flush(sink);
	if (text.n >= sizeof(sink->pending) / 4) {
		sink_flush(sink);
		sink->write(sink->object, text);
		return;
	}
	if (text.n > 0)
		memcpy(sink->pending + sink->n, text.p, text.n);
	sink->n += text.n;
}

void sink_flush(struct sink *sink)
{
	if (sink->n > 0)
		sink->write(sink->object, str_from(sink->pending, sink->n));
	sink->n = 0;
}

static inline void sink_add_char(struct sink *sink, char c)
{
	if (sink->n == sizeof(sink->pending))
		sink_flush(sink);
	sink->pending[sink->n++] = c;
}

/* ---- header fields ---- */

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* As it is, but for the line breaks: the milter protocol hands over LF where SMTP had CRLF. */
static void add_simple(struct sink *sink, struct str value)
{
	for (struct str rest = value, line; str_cut(&rest, '\n', &line);) {
		if (rest.p == NULL) {
			sink_add(sink, line);
			return;
		}
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		sink_add(sink, line);
		sink_add(sink, STR("\r\n"));
	}
}

/*
 * Unfolded, runs of white space one SP, none at the end. A value may come in
 * two pieces (around the value of b=), so whether a space is due is kept.
 */
struct relaxed_value {
	bool space_due;
	bool started;
};

static void add_relaxed(struct sink *sink, struct relaxed_value *state, struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (c == '\n' || (c == '\r' && i + 1 < value.n && value.p[i + 1] == '\n'))
			continue;
		if (is_blank(c)) {
			state->space_due = true;
			continue;
		}
		if (state->space_due && state->started)
			sink_add_char(sink, ' ');
		state->space_due = false;
		state->started = true;
		sink_add_char(sink, c);
	}
}

/* @value and @more are one value, of which what stood between them was taken out. */
static void add_field(
	struct sink *sink, enum dkim_canonicalization how, struct str name, struct str value, struct str more)
{
	if (how == DKIM_SIMPLE) {
		sink_add(sink, name);
		sink_add_char(sink, ':');
		add_simple(sink, value);
		add_simple(sink, more);
		return;
	}
	struct relaxed_value state = {false, false};
	name = str_trim(name);
	for (size_t i = 0; i < name.n; i++)
		sink_add_char(sink, str_lower_char(name.p[i]));
	sink_add_char(sink, ':');
	add_relaxed(sink, &state, value);
	add_relaxed(sink, &state, more);
}

void dkim_canonicalize_field(struct sink *sink, enum dkim_canonicalization how, struct str name, struct str value)
{
	add_field(sink, how, name, value, STR(""));
	sink_add(sink, STR("\r\n"));
}

/* Split @value around what stands between the '=' of the tag b and its ';'. */
static void cut_signature_out(struct str value, struct str *ret_before, struct str *ret_after)
{
	*ret_before = value;
	*ret_after = STR("");
	for (struct str rest = value, element; str_cut(&rest, ';', &element);) {
		ptrdiff_t equals = str_index(element, '=');
		if (equals < 0 || !str_eq(str_trim(str_head(element, (size_t)equals)), STR("b")))
			continue;
		*ret_before = str_from(value.p, (size_t)(element.p + equals + 1 - value.p));
		*ret_after = str_skip(value, (size_t)(element.p + element.n - value.p));
		return;
	}
}

void dkim_canonicalize_signature(struct sink *sink, enum dkim_canonicalization how, struct str name, struct str value)
{
	struct str before, after;
	cut_signature_out(value, &before, &after);
	add_field(sink, how, name, before, after);
}

void dkim_canonicalize_selected(struct sink *sink, enum dkim_canonicalization how, const struct headers *headers,
	struct str names, const struct header_field *own)
{
	/* How many fields of a name were taken is counted at its lowest field. */
	unsigned *taken = ARENA_ARRAY(headers->arena, headers->n, unsigned);
	for (struct str rest = names, name; str_cut(&rest, ':', &name);) {
		name = str_trim(name);
		const struct header_field *lowest = headers_from_bottom(headers, name, 0);
		if (lowest == NULL)
			continue;
		unsigned *n_taken = &taken[lowest - headers->fields];
		const struct header_field *field = headers_from_bottom(headers, name, (*n_taken)++);
		/* Fields move when the store grows, their text does not. */
		if (field != NULL && own != NULL && field->value.p == own->value.p)
			field = headers_from_bottom(headers, name, (*n_taken)++);
		if (field != NULL)
			dkim_canonicalize_field(sink, how, field->name, field->value);
	}
}
