#include "auth/users.h"

#include "auth/signing_table.h"
#include "base/domain.h"
#include "base/map.h"

/* What one user may. */
struct grant {
	struct signing_table *entries;
	bool own_domain; /* "%" */
};

struct users {
	struct arena *arena;
	struct map *by_name; /* lower case: user, "@realm", "*" */
};

static struct grant *grant_of(struct users *users, struct str name)
{
	struct grant *grant = map_get(users->by_name, name);
	if (grant != NULL)
		return grant;
	grant = ARENA_NEW(users->arena, struct grant);
	grant->entries = signing_table_new(users->arena, DATASET_FILE, "nobody gets a signature by it");
	map_put(users->by_name, name, grant);
	return grant;
}

static void add_row(struct users *users, const struct dataset_row *row, struct diag *diag)
{
	struct grant *grant = grant_of(users, arena_dup_lower(users->arena, row->key));
	if (row->value.n == 0)
		diag_error(diag, row->place,
			"UserDomains: \"%.*s\" has no domains: write %.*s  example.com,.example.com", STR_ARG(row->key),
			STR_ARG(row->key));
	for (struct str rest = row->value, entry; str_cut(&rest, ',', &entry);) {
		entry = str_trim(entry);
		if (str_eq(entry, STR("%")))
			grant->own_domain = true;
		else if (entry.n > 0)
			signing_table_add(grant->entries, entry, grant, row->place, diag);
	}
}

struct users *users_new(struct arena *arena, const struct dataset *dataset, struct diag *diag)
{
	struct users *users = ARENA_NEW(arena, struct users);
	users->arena = arena;
	users->by_name = map_new(arena);
	if (dataset->kind == DATASET_REFILE) {
		diag_error(diag, dataset->n > 0 ? dataset->rows[0].place : (struct diag_place){NULL, 0},
			"UserDomains: a refile: table has no meaning here: write file:, and .example.com for all below "
			"a "
			"domain");
		return users;
	}
	for (size_t i = 0; i < dataset->n; i++)
		add_row(users, &dataset->rows[i], diag);
	return users;
}

static const struct grant *find_grant(const struct users *users, struct str user, struct str realm)
{
	const struct grant *grant = map_get(users->by_name, user);
	if (grant == NULL && realm.n > 0)
		grant = map_get(users->by_name, realm);
	return grant != NULL ? grant : map_get(users->by_name, STR("*"));
}

bool users_may(const struct users *users, struct arena *arena, struct str user, const struct address *authors,
	size_t n_authors)
{
	const struct signing_row **rows;
	struct str own = STR("");
	if (users == NULL)
		return true;
	user = arena_dup_lower(arena, user);
	ptrdiff_t at = str_rindex(user, '@');
	struct str realm = at >= 0 ? str_skip(user, (size_t)at) : STR("");
	const struct grant *grant = find_grant(users, user, realm);
	if (grant == NULL)
		return false;
	if (grant->own_domain && realm.n > 1 && !domain_normalize(arena, str_skip(realm, 1), &own))
		own = STR("");
	for (size_t i = 0; i < n_authors; i++)
		if (!(own.n > 0 && str_eq(own, authors[i].domain)) &&
			signing_table_match(grant->entries, arena, &authors[i], false, &rows) == 0)
			return false;
	return n_authors > 0;
}
