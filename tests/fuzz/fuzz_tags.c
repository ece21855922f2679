#include <stdlib.h>

#include "message/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct tags tags;
	tags_parse(arena, str_from((const char *)data, size), &tags);
	for (size_t i = 0; i < tags.n; i++) {
		char name[64];
		tag_without_space(arena, tags.tags[i].value);
		if (tags.tags[i].name.n >= sizeof(name))
			continue;
		memcpy(name, tags.tags[i].name.p, tags.tags[i].name.n);
		name[tags.tags[i].name.n] = '\0';
		/* Names are distinct, so each is found, and is the one. */
		if (tags_get(&tags, name) != &tags.tags[i].value)
			abort();
	}
	if (tags.error == NULL && tags.n == 0)
		abort();
	arena_free(arena);
	return 0;
}
