/*
 * policyd-spf.conf(5): its options, and what they come to here.
 *
 * Its lines are "NAME = value", which no line of ours can be. The file as a
 * whole is translated, since what it does not say has defaults of its own:
 * policyd-spf refuses mail when nobody told it not to. Pure.
 */
#ifndef TRIMILTER_CONFIG_POLICYD_H
#define TRIMILTER_CONFIG_POLICYD_H

#include "config/values.h"

/** Every option of it, as KNOWN() has them; those that are supported have a help that says what they come to. */
extern const struct option_row policyd_rows[];
extern const size_t n_policyd_rows;

struct policyd_said {
	struct str text;         /* NULL: not said */
	struct diag_place place; /* then the file as a whole */
};

/** Is this line, without comment, one of such a file? */
bool policyd_is_line(struct str line);

/** NULL: unknown. */
const struct option_row *policyd_find(struct str name);

/** @set is called with each option of ours that follows from the file. @said  in the order of policyd_rows */
void policyd_translate(struct arena *arena, const struct policyd_said *said, struct diag *diag,
	void (*set)(void *context, const char *option, struct str value, struct diag_place place), void *context);

#endif
