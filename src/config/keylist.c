#include "config/keylist.h"

#include <unistd.h>

#include "base/map.h"

/* The name that the file has, which may have a suffix that the list does not. */
static struct str existing(struct arena *arena, struct str path)
{
	static const char *const suffixes[] = {"", ".pem", ".private"};
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		struct str name = arena_printf(arena, "%.*s%s", STR_ARG(path), suffixes[i]);
		if (access(name.p, F_OK) == 0)
			return name;
	}
	return path;
}

static void read_line(struct arena *arena, const struct dataset_row *line, struct map *known, struct dataset *keys,
	struct dataset *authors, struct diag *diag)
{
	struct str path = line->key, pattern, domain = STR("");
	str_cut(&path, ':', &pattern);
	str_cut(&path, ':', &domain);
	path = str_trim(path);
	struct str selector = str_skip(path, (size_t)(str_rindex(path, '/') + 1));
	if (pattern.n == 0 || domain.n == 0 || selector.n == 0) {
		diag_error(diag, line->place,
			"KeyList: \"%.*s\" is not PATTERN:DOMAIN:/path/to/SELECTOR, such as "
			"*@example.com:example.com:/etc/mail/dkim/mail",
			STR_ARG(line->key));
		return;
	}
	/* What has one name in the DNS is one key. */
	struct str name = arena_printf(arena, "%.*s._domainkey.%.*s", STR_ARG(selector), STR_ARG(domain));
	const struct dataset_row author = {.key = str_trim(pattern), .value = name, .place = line->place};
	dataset_add(arena, authors, &author);
	if (map_get(known, name) != NULL)
		return;
	path = existing(arena, path);
	const struct dataset_row key = {.key = name,
		.value = arena_printf(arena, "%.*s:%.*s:%s%.*s", STR_ARG(domain), STR_ARG(selector),
			path.p[0] == '/' ? "" : "./", STR_ARG(path)),
		.place = line->place};
	map_put(known, name, authors);
	dataset_add(arena, keys, &key);
}

void keylist_read(struct arena *arena, const struct dataset *lines, struct dataset *ret_keys,
	struct dataset *ret_authors, struct diag *diag)
{
	struct map *known = map_new(arena);
	ret_keys->kind = DATASET_FILE;
	ret_authors->kind = DATASET_REFILE;
	for (size_t i = 0; i < lines->n; i++)
		read_line(arena, &lines->rows[i], known, ret_keys, ret_authors, diag);
}
