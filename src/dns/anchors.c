#include "dns/anchors.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"

#define FILE_MAX ((size_t)1 << 20)

struct anchors anchors_split(struct arena *arena, struct str text)
{
	struct anchor *items = NULL;
	size_t n = 0, capacity = 0;
	struct buf record = buf_in(arena);
	unsigned line_number = 0, start = 0;
	bool open = false;
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
		line_number++;
		if (record.n == 0)
			start = line_number;
		for (size_t i = 0; i < line.n && line.p[i] != ';'; i++) {
			char c = line.p[i];
			if (c == '(' || c == ')')
				open = c == '(';
			if (c == '\0')
				c = '?'; /* libunbound wants strings, and is to refuse this one, not to take its first
					    half */
			buf_add_char(&record, c == '(' || c == ')' || str_is_space(c) ? ' ' : c);
		}
		if (open && rest.p != NULL) {
			buf_add_char(&record, ' ');
			continue;
		}
		struct str whole = str_trim(buf_str(&record));
		if (whole.n > 0) {
			items = arena_grow(arena, items, &capacity, n + 1, sizeof(*items));
			items[n++] = (struct anchor){arena_dup(arena, whole).p, start};
		}
		record.n = 0;
	}
	return (struct anchors){items, n};
}

enum err anchors_read(struct arena *arena, const char *path, struct anchors *ret_anchors)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return ERR_IO;
	char *text = arena_alloc(arena, FILE_MAX);
	size_t n = fread(text, 1, FILE_MAX, file);
	int error = ferror(file) != 0 ? errno : 0;
	fclose(file);
	errno = error;
	if (error != 0)
		return ERR_IO;
	*ret_anchors = anchors_split(arena, str_from(text, n));
	return ERR_OK;
}
