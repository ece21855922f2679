#include "dkim/field.h"

#define COLUMNS 78
#define TAB_COLUMNS 8
#define FILL 64 /* leaves no lone '=' on the last line of any size of signature */

static void fold(struct field_writer *field)
{
	buf_add(&field->out, STR("\n\t"));
	field->column = TAB_COLUMNS;
}

static void put(struct field_writer *field, struct str text)
{
	buf_add(&field->out, text);
	field->column += text.n;
}

/* White space must stand before a tag, so that a line can be broken there. */
static void separate(struct field_writer *field, size_t n_following)
{
	if (field->column + 1 + n_following > COLUMNS)
		fold(field);
	else
		put(field, STR(" "));
}

void field_begin(struct field_writer *field, struct arena *arena, const char *name)
{
	field->out = buf_in(arena);
	field->column = strlen(name) + 1;
}

void field_tag(struct field_writer *field, const char *name, struct str value)
{
	/* name=value; */
	separate(field, strlen(name) + value.n + 2);
	put(field, str_of(name));
	put(field, STR("="));
	put(field, value);
	put(field, STR(";"));
}

void field_tag_begin(struct field_writer *field, const char *name)
{
	/* Not right at the end of a line, where nothing of the value would fit. */
	separate(field, strlen(name) + 1 + 16);
	put(field, str_of(name));
	put(field, STR("="));
}

void field_tag_begin_line(struct field_writer *field, const char *name)
{
	fold(field);
	put(field, str_of(name));
	put(field, STR("="));
}

void field_tag_add(struct field_writer *field, struct str piece)
{
	if (field->column + piece.n + 1 > COLUMNS)
		fold(field);
	put(field, piece);
}

void field_tag_fill(struct field_writer *field, struct str text)
{
	for (bool first = true; text.n > 0; first = false) {
		if (!first)
			fold(field);
		put(field, str_head(text, FILL));
		text = str_skip(text, FILL);
	}
}

void field_tag_end(struct field_writer *field)
{
	put(field, STR(";"));
}
