#include "auth/forwarder.h"

#include "auth/addresses.h"
#include "tables/hosts.h"

/* Hosts and content filters of ours in a row; more is a loop, or somebody else's field. */
#define HOPS_MAX 10

const char *forwarder_client(struct arena *arena, const struct auth_options *options, const struct headers *headers,
	struct received *ret_client)
{
	size_t hops = 0;
	for (size_t i = 0; i < headers->n && hops < HOPS_MAX; i++) {
		if (!str_ieq(header_field_name(&headers->fields[i]), STR("Received")))
			continue;
		const char *error = received_parse(arena, headers->fields[i].value, ret_client);
		if (error != NULL)
			return error;
		if (!ip_is_loopback(&ret_client->client) &&
			!hosts_contain(options->secondary_mx, &ret_client->client, STR("")))
			return NULL;
		hops++;
	}
	return hops == 0 ? "no Received field of the secondary MX"
			 : "no Received field names a client of the secondary MX";
}

static bool is_whitelisted(const struct auth_options *options, struct arena *arena, const struct address *address)
{
	return address_set_has(options->domain_whitelist, arena, address) ||
	       address_set_has(options->domain_whitelist_file, arena, address);
}

/* Its results are told to the domain's owner: a name where there is one. */
static struct str host_text(struct arena *arena, const struct auth_envelope *envelope)
{
	char text[IP_TEXT_SIZE];
	struct str name = envelope->client_name;
	if (name.n > 0 && domain_is_hostname(name) && !str_ieq(name, STR("unknown")))
		return name;
	return arena_dup(arena, str_of(ip_text(&envelope->client, text)));
}

struct str forwarder_trusted(struct arena *arena, const struct auth_options *options,
	const struct auth_envelope *envelope, const struct auth_findings *findings)
{
	struct address address;
	if (hosts_contain(options->trusted_forwarders, &envelope->client, envelope->client_name) ||
		hosts_contain(options->trusted_forwarders, &findings->spf_client, STR("")))
		return host_text(arena, envelope);
	if (findings->spf_evaluated && findings->spf.status == SPF_PASS &&
		address_parse_path(arena, envelope->mail_from, &address) && is_whitelisted(options, arena, &address))
		return address.domain;
	for (size_t i = 0; i < findings->n_dkim; i++) {
		const struct dkim_result *dkim = &findings->dkim[i];
		address = (struct address){.local_part = STR(""), .domain = dkim->domain};
		if (dkim->status == DKIM_PASS && dkim->counts && is_whitelisted(options, arena, &address))
			return dkim->domain;
	}
	return STR("");
}
