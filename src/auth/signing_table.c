#include "auth/signing_table.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/domain.h"
#include "base/map.h"

/* Rows of one key, in table order. */
struct chain {
	struct signing_row *first, *last;
};

struct signing_table {
	struct arena *arena;
	bool patterns;    /* refile: */
	bool is_file;     /* file:, which could be a refile: */
	const char *idle; /* what a row comes to that matches nothing */
	size_t n;
	struct map *exact;     /* the whole key */
	struct map *at_domain; /* refile: "*@domain" by domain */
	struct map *below;     /* refile: "*@*.domain" and "*.domain" by domain */
	struct chain any;      /* refile: "*" */
	struct chain odd;      /* refile: all other patterns */
	bool has_user_suffix;  /* a key "user@.domain" exists: only then is it worth looking for one */
};

struct signing_table *signing_table_new(struct arena *arena, enum dataset_kind kind, const char *idle)
{
	struct signing_table *table = ARENA_NEW(arena, struct signing_table);
	table->arena = arena;
	table->idle = idle;
	table->patterns = kind == DATASET_REFILE;
	table->is_file = kind == DATASET_FILE;
	table->exact = map_new(arena);
	table->at_domain = map_new(arena);
	table->below = map_new(arena);
	return table;
}

static void append(struct chain *chain, struct signing_row *row)
{
	if (chain->last == NULL)
		chain->first = row;
	else
		chain->last->next = row;
	chain->last = row;
}

static void append_to(struct signing_table *table, struct map *map, struct str key, struct signing_row *row)
{
	struct chain *chain = map_get(map, key);
	if (chain == NULL) {
		chain = ARENA_NEW(table->arena, struct chain);
		map_put(map, key, chain);
	}
	append(chain, row);
}

static bool is_plain(struct str s)
{
	return s.n > 0 && str_index(s, '*') < 0 && str_index(s, '@') < 0;
}

static void add_pattern(struct signing_table *table, struct signing_row *row)
{
	struct str key = row->key;
	if (str_eq(key, STR("*")) || str_eq(key, STR("*@*")))
		append(&table->any, row);
	else if (str_starts(key, STR("*@*.")) && is_plain(str_skip(key, 4)))
		append_to(table, table->below, str_skip(key, 4), row);
	else if (str_starts(key, STR("*@")) && is_plain(str_skip(key, 2)))
		append_to(table, table->at_domain, str_skip(key, 2), row);
	/* What ends in ".domain" can only end so within the part behind the '@'. */
	else if (str_starts(key, STR("*.")) && is_plain(str_skip(key, 2)))
		append_to(table, table->below, str_skip(key, 2), row);
	else if (str_index(key, '*') < 0)
		append_to(table, table->exact, key, row);
	else
		append(&table->odd, row);
}

/* '*' as a whole user part or a whole key is opendkim's own notation in file: tables. */
static bool star_has_meaning(struct str key)
{
	ptrdiff_t star = str_index(key, '*');
	return (size_t)star == key.n - 1 && (key.n == 1 || (key.n > 2 && key.p[key.n - 2] == '@'));
}

static void warn_about(const struct signing_table *table, struct str key, struct diag_place place, struct diag *diag)
{
	bool star = str_index(key, '*') >= 0;
	if (!table->patterns && star && !star_has_meaning(key)) {
		ptrdiff_t at = str_rindex(key, '@');
		struct str domain = str_skip(key, (size_t)(at + 1));
		diag_warning(diag, place,
			"\"%.*s\" matches no address, because '*' is a pattern in refile: tables only, so %s: write "
			"%s\"%.*s\" here",
			STR_ARG(key), table->idle, table->is_file ? "refile: before the name of the table, or " : "",
			STR_ARG(is_plain(domain) ? domain : STR(".example.com")));
	} else if (table->patterns && !star && str_index(key, '@') < 0) {
		diag_warning(diag, place,
			"\"%.*s\" matches no address, because a refile: table is held against the whole address, so "
			"%s: write \"*@%s%.*s\"",
			STR_ARG(key), table->idle, key.n > 0 && key.p[0] == '.' ? "*" : "", STR_ARG(key));
	} else if (str_starts(key, STR("@")) && !star) {
		/* Postfix's tables have a domain's addresses so. */
		diag_warning(diag, place,
			"\"%.*s\" matches no address, because none begins with '@', so %s: write \"%.*s\"",
			STR_ARG(key), table->idle,
			STR_ARG(table->patterns ? arena_printf(diag->arena, "*%.*s", STR_ARG(key)) : str_skip(key, 1)));
	}
}

void signing_table_add(
	struct signing_table *table, struct str key, void *value, struct diag_place place, struct diag *diag)
{
	struct signing_row *row = ARENA_NEW(table->arena, struct signing_row);
	*row = (struct signing_row){.index = table->n++, .key = arena_dup_lower(table->arena, key), .value = value};
	warn_about(table, row->key, place, diag);
	if (table->patterns) {
		add_pattern(table, row);
		return;
	}
	ptrdiff_t at = str_rindex(row->key, '@');
	if (at >= 0 && (size_t)at + 1 < row->key.n && row->key.p[at + 1] == '.')
		table->has_user_suffix = true;
	append_to(table, table->exact, row->key, row);
}

/* ---- asking ---- */

struct matches {
	struct arena *arena;
	const struct signing_row **rows;
	size_t n, capacity;
	bool all;
};

static void add_row(struct matches *matches, const struct signing_row *row)
{
	matches->rows =
		arena_grow(matches->arena, matches->rows, &matches->capacity, matches->n + 1, sizeof(*matches->rows));
	matches->rows[matches->n++] = row;
}

static void add_chain(struct matches *matches, const struct chain *chain)
{
	if (chain == NULL)
		return;
	for (const struct signing_row *row = chain->first; row != NULL; row = matches->all ? row->next : NULL)
		add_row(matches, row);
}

/* @user and "@" before it, where @user is not empty; true: the first match is found and more are not wanted. */
static bool ask(struct matches *matches, const struct signing_table *table, struct str user, const char *between,
	struct str domain)
{
	struct str key = arena_printf(matches->arena, "%.*s%s%.*s", STR_ARG(user), between, STR_ARG(domain));
	add_chain(matches, map_get(table->exact, key));
	return matches->n > 0 && !matches->all;
}

static void match_keys(const struct signing_table *table, struct matches *matches, struct str user, struct str host)
{
	const struct str none = STR("");
	if (ask(matches, table, user, "@", host) || ask(matches, table, none, "", host))
		return;
	for (struct str up = domain_parent(host); up.n > 0 && table->has_user_suffix; up = domain_parent(up))
		if (ask(matches, table, user, "@.", up))
			return;
	for (struct str up = domain_parent(host); up.n > 0; up = domain_parent(up))
		if (ask(matches, table, none, ".", up))
			return;
	if (!ask(matches, table, user, "@*", none))
		ask(matches, table, none, "*", none);
}

static int by_index(const void *a, const void *b)
{
	const struct signing_row *const *x = a, *const *y = b;
	return ((*x)->index > (*y)->index) - ((*x)->index < (*y)->index);
}

static void match_odd(const struct signing_table *table, struct matches *matches, struct str address)
{
	size_t before = SIZE_MAX;
	for (size_t i = 0; i < matches->n && !matches->all; i++)
		if (matches->rows[i]->index < before)
			before = matches->rows[i]->index;
	for (const struct signing_row *row = table->odd.first; row != NULL && row->index < before; row = row->next) {
		if (!dataset_pattern_matches(row->key, address))
			continue;
		add_row(matches, row);
		if (!matches->all)
			return;
	}
}

static void match_patterns(const struct signing_table *table, struct matches *matches, struct str user, struct str host)
{
	struct str address = arena_printf(matches->arena, "%.*s@%.*s", STR_ARG(user), STR_ARG(host));
	add_chain(matches, map_get(table->exact, address));
	add_chain(matches, map_get(table->at_domain, host));
	for (struct str up = domain_parent(host); up.n > 0; up = domain_parent(up))
		add_chain(matches, map_get(table->below, up));
	add_chain(matches, &table->any);
	match_odd(table, matches, address);
	if (matches->n > 1)
		qsort(matches->rows, matches->n, sizeof(*matches->rows), by_index);
	if (!matches->all && matches->n > 1)
		matches->n = 1;
}

size_t signing_table_match(const struct signing_table *table, struct arena *arena, const struct address *author,
	bool all, const struct signing_row ***ret_rows)
{
	struct matches matches = {.arena = arena, .all = all};
	struct str user = arena_dup_lower(arena, author->local_part);
	if (table->patterns)
		match_patterns(table, &matches, user, author->domain);
	else
		match_keys(table, &matches, user, author->domain);
	*ret_rows = matches.rows;
	return matches.n;
}
