/*
 * Tables and lists from outside: rows, sets of clients built from them, the signing table, patterns.
 * The first byte chooses the kind.
 */
#include "auth/signing_table.h"
#include "base/arena.h"
#include "tables/dataset.h"
#include "tables/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct arena *arena, struct dataset *dataset)
{
	struct diag diag = diag_in(arena);
	struct hosts *hosts = NULL;
	struct ip client = {.family = IP_V4, .bytes = {192, 0, 2, 1}};
	const struct address author = {STR("joe"), STR("a.example.com")};
	const struct signing_row **rows;
	hosts_build(arena, dataset, &diag, &hosts);
	hosts_contain(hosts, &client, STR("Mail.Example.COM."));
	client.family = IP_V6;
	hosts_contain(hosts, &client, STR("unknown"));
	struct signing_table *table = signing_table_new(arena, dataset->kind, "the row has no effect");
	for (size_t i = 0; i < dataset->n; i++)
		signing_table_add(table, dataset->rows[i].key, dataset, dataset->rows[i].place, &diag);
	size_t one = signing_table_match(table, arena, &author, false, &rows);
	size_t all = signing_table_match(table, arena, &author, true, &rows);
	/* The first match alone is the first of all matches. */
	if (one > 1 || (one == 0) != (all == 0))
		__builtin_trap();
	for (size_t i = 0; i < dataset->n; i++)
		dataset_pattern_matches(dataset->rows[i].key, dataset->rows[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (size == 0 || arena == NULL) {
		arena_free(arena);
		return 0;
	}
	struct dataset dataset = {.kind = (enum dataset_kind)(data[0] % 3)};
	struct str text = str_from((const char *)data + 1, size - 1);
	if (dataset.kind == DATASET_LIST)
		dataset_parse_list(arena, text, (struct diag_place){"fuzz", 1}, &dataset);
	else
		dataset_parse_lines(arena, text, "fuzz", &dataset);
	ask(arena, &dataset);
	arena_free(arena);
	return 0;
}
