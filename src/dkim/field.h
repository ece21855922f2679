/*
 * Writes a folded tag list, one after another, in lines of about 78 columns (RFC 5322 section 2.1.1). Pure.
 */
#ifndef TRIMILTER_DKIM_FIELD_H
#define TRIMILTER_DKIM_FIELD_H

#include "base/buf.h"

struct field_writer {
	struct buf out; /* the value, beginning with a space, folded with "\n\t" */
	size_t column;
};

/** @name  whose length the first line begins with; it is not written. The value grows in @arena. */
void field_begin(struct field_writer *field, struct arena *arena, const char *name);

/** A tag on one line: "name=value;" */
void field_tag(struct field_writer *field, const char *name, struct str value);

/** A tag that may take several lines. */
void field_tag_begin(struct field_writer *field, const char *name);
/** The same on a line of its own. */
void field_tag_begin_line(struct field_writer *field, const char *name);
/** A piece that stays together. */
void field_tag_add(struct field_writer *field, struct str piece);
/** Text that may be broken anywhere; behind field_tag_begin_line(). */
void field_tag_fill(struct field_writer *field, struct str text);
void field_tag_end(struct field_writer *field);

#endif
