#include <stdlib.h>

#include "report/bounce.h"
#include "report/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct bounce bounce;
	bounce_read(arena, str_from((const char *)data, size), STR("reports@mx.example"), STR(""), &bounce);
	/* It goes into the store, the log, and is compared with addresses of ours. */
	if (bounce.recipient.n > 0 && !mail_address_usable(bounce.recipient))
		abort();
	for (size_t i = 0; i < bounce.note.n; i++)
		if (bounce.note.p[i] < ' ' || bounce.note.p[i] > '~')
			abort();
	arena_free(arena);
	return 0;
}
