/* A key record; and the same bytes as a private key file. */
#include "dkim/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct dkim_key key;
	const char *error;
	dkim_key_parse(arena, str_from((const char *)data, size), &key);
	if (key.status == DKIM_PASS && key.type == DKIM_KEY_RSA && (key.bits < RSA_BITS_MIN || key.bits > RSA_BITS_MAX))
		__builtin_trap();
	dkim_private_key_unref(dkim_private_key_parse(str_from((const char *)data, size), &error));
	arena_free(arena);
	return 0;
}
