#include <stdlib.h>

#include "message/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str message = str_from((const char *)data, size), body;
	struct headers headers;
	headers_init(&headers, arena, 100, 10000);
	headers_split(&headers, message, &body);
	if (!str_ends(message, body))
		abort();
	for (size_t i = 0; i < headers.n; i++) {
		const struct header_field *field = &headers.fields[i];
		size_t count = headers_count(&headers, field->name);
		if (headers_from_bottom(&headers, field->name, count - field->ordinal) != field)
			abort();
	}
	arena_free(arena);
	return 0;
}
