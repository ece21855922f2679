/* A DKIM-Signature field's value. */
#include "dkim/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct dkim_signature signature;
	dkim_signature_parse(arena, str_from((const char *)data, size), 1700000000, 300, &signature);
	/* What could pass can be asked for, and names its signer. */
	if (signature.problem == NULL && (!domain_is_askable(signature.key_name) ||
						 !domain_is_within(signature.identity_domain, signature.domain)))
		__builtin_trap();
	arena_free(arena);
	return 0;
}
