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

bool wire_macros_set(struct wire_macros *macros, enum wire_stage stage, struct str pairs)
{
	if (stage == N_WIRE_STAGES || str_index(pairs, '\0') < 0)
		return true;
	if (pairs.n > macros->sets[stage].capacity) {
		size_t capacity = pairs.n < KEPT_BYTES / 2 ? KEPT_BYTES / 2 : pairs.n;
		char *p = realloc(macros->sets[stage].p, capacity);
		if (p == NULL)
			return false;
		macros->sets[stage].p = p;
		macros->sets[stage].capacity = capacity;
	}
	memcpy(macros->sets[stage].p, pairs.p, pairs.n);
	macros->sets[stage].n = pairs.n;
	return true;
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
