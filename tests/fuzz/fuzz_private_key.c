/*
 * A file that should hold a private key: it is refused with a reason, or has a usable size, and what is written of it
 * is read as the same key.
 */
#include <stdint.h>
#include <stdlib.h>

#include "dkim/dkim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *arena, const struct dkim_private_key *key)
{
	const char *error;
	struct dkim_private_key *again = dkim_private_key_parse(dkim_private_key_pem(arena, key), &error);
	if (again == NULL || dkim_private_key_bits(again) != dkim_private_key_bits(key) ||
		!str_eq(dkim_private_key_public(arena, again), dkim_private_key_public(arena, key)))
		abort();
	/* What we publish for it others can use. */
	error = dkim_key_compare(arena, dkim_key_record(arena, again, STR("")), key);
	if (error != NULL && dkim_private_key_bits(key) >= 1024)
		abort();
	dkim_private_key_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	const char *error;
	if (arena == NULL)
		return 0;
	struct dkim_private_key *key = dkim_private_key_parse(str_from((const char *)data, size), &error);
	if (key != NULL)
		check(arena, key);
	else if (error == NULL || error[0] == '\0')
		abort();
	dkim_private_key_unref(key);
	arena_free(arena);
	return 0;
}
