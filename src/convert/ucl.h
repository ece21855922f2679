/*
 * The part of UCL, rspamd's language, that its signing modules are configured in: "key = value;", "key { ... }",
 * "key [ ... ]", comments of both kinds, quoted strings. Variables are left as they are. Pure.
 */
#ifndef TRIMILTER_CONVERT_UCL_H
#define TRIMILTER_CONVERT_UCL_H

#include "base/diag.h"

enum ucl_kind { UCL_TEXT, UCL_OBJECT, UCL_ARRAY };

struct ucl_node {
	enum ucl_kind kind;
	struct str key;  /* empty in an array */
	struct str text; /* of UCL_TEXT */
	unsigned line;
	struct ucl_node *first, *next; /* what is in it, what is beside it */
};

/**
 * Returns an object of what is on the top level; never NULL. In @arena; texts may borrow from @text.
 * What is not of this part goes to @diag as an error; reading then goes on behind the line, or ends.
 */
const struct ucl_node *ucl_parse(struct arena *arena, struct str text, const char *file, struct diag *diag);

/** The last of this name in @object, as it is the one that holds; NULL: none. */
const struct ucl_node *ucl_find(const struct ucl_node *object, const char *key);

#endif
