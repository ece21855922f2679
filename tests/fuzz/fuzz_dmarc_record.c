/* A TXT record, by both standards. */
#include <stdlib.h>

#include "dmarc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum dmarc_discovery discovery, struct str text)
{
	struct dmarc_record record;
	if (!dmarc_record_parse(discovery, text, &record))
		return;
	if (!str_eq(record.text, text) || record.usable != (record.p != DMARC_POLICY_UNSET))
		abort();
	if (!record.usable && (record.sp != DMARC_POLICY_UNSET || record.np != DMARC_POLICY_UNSET))
		abort();
	if (discovery == DMARC_PSL && (record.testing || record.np != DMARC_POLICY_UNSET))
		abort();
	if (dmarc_record_fo(&record) == 0 || record.pct > 100)
		abort();
	dmarc_uri_list_is_usable(record.rua);
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return;
	struct str faults = dmarc_record_faults(arena, discovery, text);
	for (size_t i = 0; i < faults.n; i++)
		if (faults.p[i] < 0x20 || faults.p[i] > 0x7e)
			abort();
	if (faults.n == 0 && !record.usable)
		abort();
	arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from((const char *)data, size);
	check(DMARC_TREE_WALK, text);
	check(DMARC_PSL, text);
	dmarc_uri_list_is_usable(text);
	return 0;
}
