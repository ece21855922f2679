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
	dmarc_uri_list_is_usable(record.rua);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from((const char *)data, size);
	check(DMARC_TREE_WALK, text);
	check(DMARC_PSL, text);
	dmarc_uri_list_is_usable(text);
	return 0;
}
