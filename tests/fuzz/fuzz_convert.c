/*
 * Files of elsewhere, the first byte saying of which kind: whatever is in them, what comes of it is a configuration of
 * options that there are, unless something is said to be wrong.
 */

#include "config/state.h"
#include "convert/collect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read(struct conversion *conversion, char kind, struct str text)
{
	if (kind == 'a')
		convert_amavisd(conversion, text, "file");
	else if (kind == 'r')
		convert_rspamd(conversion, text, "file");
	else if (kind == 'd')
		convert_default(conversion, text, "opendkim");
	else
		convert_command_line(conversion, text, kind == 'm', (struct diag_place){"file", 1});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL || size == 0) {
		arena_free(arena);
		return 0;
	}
	struct diag diag = diag_in(arena), check = diag_in(arena);
	struct str text = str_from((const char *)data + 1, size - 1);
	struct conversion *conversion = conversion_new(arena, &diag);
	struct buf out = buf_in(arena);
	convert_kind_of(STR("file"), text);
	read(conversion, (char)data[0], text);
	conversion_write(conversion, STR("/etc/trimilter"), &out);
	config_read_text(arena, buf_str(&out), &check);
	for (size_t i = 0; i < check.n; i++)
		if (memmem(check.entries[i].text.p, check.entries[i].text.n, "unknown option", 14) != NULL)
			__builtin_trap();
	arena_free(arena);
	return 0;
}
