#include <stdlib.h>

#include "milter/wire.h"

/* What a set usually needs; more is given back when the set goes. */
#define KEPT_BYTES 256

void wire_macros_finish(struct wire_macros *macros)
{
	for (size_t i = 0; i < N_WIRE_STAGES; i++)
		free(macros->sets[i].p);
	*macros = (struct wire_macros){0};
}

/* "{i}" and "i" are the same; names of several letters have braces always. */
static struct str bare(struct str name)
{
	return name.n == 3 && name.p[0] == '{' && name.p[2] == '}' ? str_from(name.p + 1, 1) : name;
}

/* The string at the front, up to its NUL; false: there is none. */
static bool next_string(struct str *rest, struct str *ret_string)
{
	ptrdiff_t end = str_index(*rest, '\0');
	if (end < 0)
		return false;
	*ret_string = str_head(*rest, (size_t)end);
	*rest = str_skip(*rest, (size_t)end + 1);
	return true;
}

/* All that session.c and auth/ look at: wire_put_terms() asks for these. */
static const struct str kept_names[] = {
	STR_INIT("i"), STR_INIT("j"), STR_INIT("{auth_authen}"), STR_INIT("{daemon_name}")};
#define N_KEPT (sizeof(kept_names) / sizeof(*kept_names))

/* Of each name the first value. False: one is too long. */
static bool find_kept(struct str pairs, struct str ret_values[N_KEPT])
{
	struct str name, value;
	while (next_string(&pairs, &name) && next_string(&pairs, &value))
		for (size_t i = 0; i < N_KEPT; i++)
			if (ret_values[i].p == NULL && str_eq(bare(name), kept_names[i])) {
				if (value.n > WIRE_MACRO_VALUE_MAX)
					return false;
				ret_values[i] = value;
			}
	return true;
}

static char *put_string(char *to, struct str text)
{
	memcpy(to, text.p, text.n);
	to[text.n] = '\0';
	return to + text.n + 1;
}

static char *make_room(struct wire_macros *macros, enum wire_stage stage, size_t n)
{
	if (n > macros->sets[stage].capacity) {
		size_t capacity = n < KEPT_BYTES / 2 ? KEPT_BYTES / 2 : n;
		char *p = realloc(macros->sets[stage].p, capacity);
		if (p == NULL)
			return NULL;
		macros->sets[stage].p = p;
		macros->sets[stage].capacity = capacity;
	}
	macros->sets[stage].n = n;
	return macros->sets[stage].p;
}

const char *wire_macros_set(struct wire_macros *macros, enum wire_stage stage, struct str pairs)
{
	struct str values[N_KEPT] = {{NULL, 0}};
	size_t n = 0;
	if (stage == N_WIRE_STAGES || str_index(pairs, '\0') < 0)
		return NULL;
	if (!find_kept(pairs, values))
		return "a macro that is too long";
	for (size_t i = 0; i < N_KEPT; i++)
		n += values[i].p != NULL ? kept_names[i].n + values[i].n + 2 : 0;
	char *to = make_room(macros, stage, n);
	if (to == NULL && n > 0)
		return "out of memory";
	for (size_t i = 0; i < N_KEPT; i++)
		if (values[i].p != NULL)
			to = put_string(put_string(to, kept_names[i]), values[i]);
	return NULL;
}

void wire_macros_clear(struct wire_macros *macros, enum wire_stage first)
{
	for (size_t i = first; i < N_WIRE_STAGES; i++) {
		macros->sets[i].n = 0;
		if (macros->sets[i].capacity <= KEPT_BYTES)
			continue;
		free(macros->sets[i].p);
		macros->sets[i].p = NULL;
		macros->sets[i].capacity = 0;
	}
}

struct str wire_macros_get(const struct wire_macros *macros, const char *name)
{
	struct str wanted = bare(str_of(name)), found, value;
	for (size_t i = N_WIRE_STAGES; i-- > 0;) {
		struct str rest = str_from(macros->sets[i].p, macros->sets[i].n);
		while (next_string(&rest, &found) && next_string(&rest, &value))
			if (str_eq(bare(found), wanted))
				return value;
	}
	return (struct str){NULL, 0};
}
