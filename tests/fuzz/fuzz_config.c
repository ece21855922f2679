/*
 * A configuration file: every line is either taken or complained about, and what was taken can be shown.
 */

#include "config/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool use(void *context, const char *option, struct str value, struct diag_place place)
{
	size_t *n = context;
	*n += strlen(option) + value.n + place.line;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 0;
	struct diag diag = diag_in(arena), other = diag_in(arena);
	const struct config *plain = config_read_text(arena, STR(""), &other);
	const struct config *config = config_read_text(arena, str_from((const char *)data, size), &diag);
	if (config != NULL) {
		size_t n = 0;
		config_each(config, use, &n);
		config_warn_restart(plain, config, &other);
		size_t n_other = other.n;
		config_warn_restart(config, config, &other);
		if (other.n != n_other)
			__builtin_trap();
	} else if (diag.n_errors == 0) {
		__builtin_trap();
	}
	arena_free(arena);
	return 0;
}
