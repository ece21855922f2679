/*
 * Tables whose rows have a grammar of their own, the first byte saying which: KeyList, KeyTable (up to a NUL) with its
 * SigningTable, SignatureOptions, UserDomains, lists of addresses. What is in force is what was not complained about.
 */
#include <stdint.h>
#include <stdlib.h>

#include "auth/addresses.h"
#include "auth/signature_options.h"
#include "auth/signers.h"
#include "auth/users.h"
#include "config/keylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct address author = {STR_INIT("joe"), STR_INIT("a.example.com")};

static struct dataset rows_of(struct arena *arena, struct str text, enum dataset_kind kind)
{
	struct dataset rows = {.kind = kind};
	dataset_parse_lines(arena, text, "table", &rows);
	return rows;
}

static void sign(struct arena *arena, const struct dataset *keys, const struct dataset *authors)
{
	struct diag diag = diag_in(arena);
	struct signers_source source = {
		.key_table = keys,
		.signing_table = authors,
		.lists = authors,
		.minimum_key_bits = 1024,
		.multiple_signatures = true,
		.place = {"table", 1},
	};
	const struct dkim_signer *chosen;
	struct signers *signers = NULL;
	struct str why;
	size_t n;
	if (signers_build(arena, &source, &diag, &signers) != ERR_OK) {
		if (diag.n_errors == 0)
			abort();
		return;
	}
	/* A row that names no key of the table is a mistake, so whatever is found has a key. */
	if (signers_select(signers, arena, &author, &chosen, &n, &why) == SIGNERS_FOUND)
		for (size_t i = 0; i < n; i++)
			if (chosen[i].key == NULL || chosen[i].domain.n == 0 || chosen[i].selector.n == 0)
				abort();
}

/* No path: the input must not choose which files of this machine are read. Keys may stand in the table. */
static void key_table(struct arena *arena, struct str text)
{
	char *p = arena_alloc(arena, text.n + 1);
	for (size_t i = 0; i < text.n; i++)
		p[i] = text.p[i] == '/' ? '+' : text.p[i];
	struct str authors_text = str_from(p, text.n), keys_text = STR("");
	str_cut(&authors_text, '\0', &keys_text);
	struct dataset keys = rows_of(arena, keys_text, DATASET_FILE);
	struct dataset authors = rows_of(arena, authors_text, DATASET_REFILE);
	sign(arena, &keys, &authors);
}

static void key_list(struct arena *arena, struct str text)
{
	struct diag diag = diag_in(arena);
	struct dataset lines = rows_of(arena, text, DATASET_FILE), keys = {0}, authors = {0};
	keylist_read(arena, &lines, &keys, &authors, &diag);
	if (keys.n > authors.n || authors.n + diag.n_errors != lines.n)
		abort();
}

static void signature_options(struct arena *arena, struct str text)
{
	struct diag diag = diag_in(arena);
	struct dkim_sign_options common = {0};
	struct dataset rows = rows_of(arena, text, DATASET_REFILE);
	const struct signature_options *table = signature_options_new(arena, &rows, &common, &diag);
	if (signature_options_for(table, arena, &author, &common) != &common && rows.n == 0)
		abort();
}

static void users(struct arena *arena, struct str text)
{
	struct diag diag = diag_in(arena);
	struct dataset rows = rows_of(arena, text, DATASET_FILE);
	if (users_may(users_new(arena, &rows, &diag), arena, STR("joe"), &author, 1) && rows.n == 0)
		abort();
}

static void addresses(struct arena *arena, struct str text)
{
	struct diag diag = diag_in(arena);
	struct dataset rows = rows_of(arena, text, DATASET_REFILE);
	const struct address_set *set = address_set_new(arena, &rows, &diag);
	if (address_set_has(set, arena, &author) != address_set_has_all(set, arena, &author, 1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tables[])(struct arena * arena, struct str text) = {
		key_list, key_table, signature_options, users, addresses};
	struct arena *arena = arena_new(0);
	if (arena != NULL && size > 0)
		tables[data[0] % (sizeof(tables) / sizeof(*tables))](arena, str_from((const char *)data + 1, size - 1));
	arena_free(arena);
	return 0;
}
