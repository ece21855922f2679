/*
 * resolv.conf(5), and the words of Nameservers: what comes of them are addresses with a port, which are read as the
 * same again; a word that is refused changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "dns/nameservers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct nameservers *servers)
{
	struct nameservers again = {0};
	if (servers->n > NAMESERVERS_MAX)
		abort();
	for (size_t i = 0; i < servers->n; i++)
		if (!nameservers_add(&again, str_of(servers->text[i])) || strcmp(again.text[i], servers->text[i]) != 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from((const char *)data, size);
	struct nameservers servers;
	nameservers_parse_resolv_conf(text, &servers);
	if (servers.n == 0)
		abort();
	check(&servers);
	servers = (struct nameservers){0};
	for (struct str rest = text, word; str_cut(&rest, ',', &word);) {
		size_t n = servers.n;
		bool added = nameservers_add(&servers, word);
		if (servers.n != n + added)
			abort();
	}
	check(&servers);
	return 0;
}
