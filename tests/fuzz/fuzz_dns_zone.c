/* The zone file, and a few questions put to what came of it. */
#include <stdint.h>

#include "dns/dns_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str names[] = {
		STR_INIT("a.example"), STR_INIT("x.y.example"), STR_INIT("example"), STR_INIT("a")};
	char error[256];
	struct dns_zone *zone;
	if (dns_zone_parse(str_from((const char *)data, size), "zone", &zone, error, sizeof(error)) != ERR_OK)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct dns_question question = {i % 2 == 0 ? DNS_TXT : DNS_MX, names[i]};
		dns_answer_unref(dns_zone_lookup(zone, &question));
	}
	dns_zone_free(zone);
	return 0;
}
