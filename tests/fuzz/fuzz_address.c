/* What must hold of an author, whatever stands in From. */
#include <stdlib.h>

#include "base/domain.h"
#include "message/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str value = str_from((const char *)data, size);
	struct headers headers;
	struct author author;
	struct address address;
	headers_init(&headers, arena, 10, 1 << 20);
	headers_add(&headers, STR("From"), value);
	author_find(arena, &headers, &author);
	check((author.outcome == AUTHOR_ONE) == (author.reason == NULL));
	check(author.outcome != AUTHOR_ONE || author.n_domains == 1);
	check(author.outcome != AUTHOR_SEVERAL || author.n_domains > 1);
	check(author.outcome != AUTHOR_NONE || author.n_domains == 0);
	for (size_t i = 0; i < author.n_domains; i++)
		check(domain_is_hostname(author.domains[i]));
	/* A domain comes from nowhere but from behind an '@'. */
	check(author.n_domains == 0 || str_index(value, '@') >= 0);
	for (size_t i = 0; i < size && author.outcome == AUTHOR_ONE; i++)
		check(data[i] != 0 && data[i] != 0x7f);
	address_parse_path(arena, value, &address);
	arena_free(arena);
	return 0;
}
