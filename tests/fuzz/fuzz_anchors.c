/*
 * A file of trust anchors: each record is one line without comment and parentheses, in the order of the file, and the
 * records are split into the same ones again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "dns/anchors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct anchors *anchors, struct buf *ret_text)
{
	for (size_t i = 0; i < anchors->n; i++) {
		const struct anchor *anchor = &anchors->items[i];
		if (anchor->text[0] == '\0' || strpbrk(anchor->text, "();\n") != NULL ||
			anchor->line <= (i > 0 ? anchors->items[i - 1].line : 0))
			abort();
		buf_printf(ret_text, "%s\n", anchor->text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 0;
	struct buf text = buf_in(arena), again = buf_in(arena);
	struct anchors anchors = anchors_split(arena, str_from((const char *)data, size));
	check(&anchors, &text);
	anchors = anchors_split(arena, buf_str(&text));
	check(&anchors, &again);
	if (!str_eq(buf_str(&text), buf_str(&again)))
		abort();
	arena_free(arena);
	return 0;
}
