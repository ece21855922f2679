#include "auth/addresses.h"

#include "auth/signing_table.h"

struct address_set {
	struct signing_table *table;
};

struct address_set *address_set_new(struct arena *arena, const struct dataset *dataset, struct diag *diag)
{
	struct address_set *set = ARENA_NEW(arena, struct address_set);
	set->table = signing_table_new(arena, dataset->kind, "this row has no effect");
	for (size_t i = 0; i < dataset->n; i++)
		signing_table_add(set->table, dataset->rows[i].key, set, dataset->rows[i].place, diag);
	return set;
}

bool address_set_has(const struct address_set *set, struct arena *arena, const struct address *address)
{
	const struct signing_row **rows;
	return set != NULL && signing_table_match(set->table, arena, address, false, &rows) > 0;
}

bool address_set_has_all(
	const struct address_set *set, struct arena *arena, const struct address *addresses, size_t n_addresses)
{
	for (size_t i = 0; i < n_addresses; i++)
		if (!address_set_has(set, arena, &addresses[i]))
			return false;
	return n_addresses > 0;
}
