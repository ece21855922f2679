#include "tables/hosts.h"

#include "base/domain.h"
#include "base/map.h"

/* What an entry says of the clients it covers. */
enum membership { NOT_MENTIONED, EXCLUDED, INCLUDED };

struct entry {
	enum membership membership;
	struct str text; /* of a pattern: lower case */
	struct diag_place place;
};

/*
 * Networks are kept by hash of (prefix length, prefix); a look-up tries the prefix lengths that occur, longest
 * first, so its cost depends on how many lengths there are (at most 33 and 129), not on the number of networks.
 */
struct hosts {
	struct map *networks;
	bool has_length[2][129]; /* [is IPv6][bits] */
	struct map *names;       /* host names */
	struct map *suffixes;    /* ".example.com" without its dot */
	struct entry *patterns;
	size_t n_patterns, pattern_capacity;
	enum membership local;
};

/* ---- building ---- */

struct builder {
	struct arena *arena;
	struct hosts *hosts;
	struct diag *diag;
	enum dataset_kind kind;
};

/* Room for family, length and address. */
#define NETWORK_KEY_SIZE 18

static struct str network_key(const struct ip *address, unsigned bits, char key[NETWORK_KEY_SIZE])
{
	size_t width = address->family == IP_V4 ? 4 : 16;
	key[0] = (char)address->family;
	key[1] = (char)bits;
	memcpy(key + 2, address->bytes, width);
	size_t whole = bits / 8;
	if (whole < width) {
		key[2 + whole] = (char)(address->bytes[whole] & (0xffu << (8 - bits % 8) & 0xffu));
		memset(key + 2 + whole + 1, 0, width - whole - 1);
	}
	return str_from(key, 2 + width);
}

static void put(struct builder *builder, struct map *map, struct str key, const struct entry *entry)
{
	struct entry *kept = ARENA_NEW(builder->arena, struct entry);
	*kept = *entry;
	kept->place.file = NULL; /* lives only as long as the data set */
	if (map_put(map, key, kept))
		return;
	const struct entry *first = map_get(map, key);
	if (first->membership != entry->membership)
		diag_warning(builder->diag, entry->place, "\"%.*s\" contradicts line %u, which decides",
			STR_ARG(entry->text), first->place.line);
}

static void add_network(struct builder *builder, const struct ip_network *network, const struct entry *entry)
{
	char key[NETWORK_KEY_SIZE];
	bool is_v6 = network->address.family == IP_V6;
	builder->hosts->has_length[is_v6][network->bits] = true;
	put(builder, builder->hosts->networks, network_key(&network->address, network->bits, key), entry);
}

/* "192.0.2/24", "192.0.2.0/255.255.255.0", "10.0.0.0/33": meant as a network, and none. */
static bool looks_numeric(struct str text)
{
	bool digits = false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '/' || c == ':')
			return true;
		if (!str_is_digit(c) && c != '.')
			return false;
		digits = digits || str_is_digit(c);
	}
	return digits;
}

static void add_pattern(struct builder *builder, const struct entry *entry)
{
	struct hosts *hosts = builder->hosts;
	if (builder->kind != DATASET_REFILE) {
		diag_warning(builder->diag, entry->place,
			"\"%.*s\" matches no host, because '*' has a meaning in refile: sets only: write .example.com "
			"for all hosts "
			"below a domain, 192.0.2.0/24 for a network%s",
			STR_ARG(entry->text),
			builder->kind == DATASET_FILE ? ", or refile: before the name of the file" : "");
		return;
	}
	/* The usual pattern is found by its suffix. */
	struct str below = str_skip(entry->text, 2);
	if (str_starts(entry->text, STR("*.")) && domain_is_hostname(below)) {
		put(builder, hosts->suffixes, below, entry);
		return;
	}
	hosts->patterns = arena_grow(builder->arena, hosts->patterns, &hosts->pattern_capacity, hosts->n_patterns + 1,
		sizeof(*hosts->patterns));
	hosts->patterns[hosts->n_patterns++] = *entry;
}

static void add_name(struct builder *builder, const struct entry *entry)
{
	bool is_suffix = entry->text.p[0] == '.';
	struct str name;
	if (!domain_normalize(builder->arena, is_suffix ? str_skip(entry->text, 1) : entry->text, &name) ||
		!domain_is_hostname(name)) {
		diag_error(builder->diag, entry->place,
			"\"%.*s\" is neither an address (192.0.2.1, 2001:db8::1), nor a network (192.0.2.0/24), nor a "
			"host name, "
			"nor .domain",
			STR_ARG(entry->text));
		return;
	}
	put(builder, is_suffix ? builder->hosts->suffixes : builder->hosts->names, name, entry);
}

static void add_entry(struct builder *builder, const struct dataset_row *row)
{
	struct str text = row->key;
	struct entry entry = {.membership = INCLUDED, .place = row->place};
	if (text.n > 0 && text.p[0] == '!') {
		entry.membership = EXCLUDED;
		text = str_trim(str_skip(text, 1));
	}
	entry.text = arena_dup_lower(builder->arena, text);
	if (row->value.n > 0 && builder->kind != DATASET_DATABASE)
		diag_warning(builder->diag, row->place, "\"%.*s\" behind \"%.*s\" is not read: write one entry a line",
			STR_ARG(row->value), STR_ARG(row->key));
	struct ip_network network;
	if (text.n == 0) {
		diag_error(builder->diag, row->place, "'!' with nothing behind it");
	} else if (str_eq(entry.text, STR("local"))) {
		builder->hosts->local = entry.membership;
	} else if (ip_network_parse(entry.text, &network)) {
		add_network(builder, &network, &entry);
	} else if (str_index(entry.text, '*') >= 0) {
		add_pattern(builder, &entry);
	} else if (looks_numeric(entry.text)) {
		diag_error(builder->diag, row->place,
			"\"%.*s\" is not a network: write all four numbers and the length of the prefix "
			"(192.0.2.0/24), or an IPv6 "
			"prefix (2001:db8::/32)",
			STR_ARG(entry.text));
	} else {
		add_name(builder, &entry);
	}
}

enum err hosts_build(struct arena *arena, const struct dataset *dataset, struct diag *diag, struct hosts **ret_hosts)
{
	struct hosts *hosts = ARENA_NEW(arena, struct hosts);
	hosts->networks = map_new(arena);
	hosts->names = map_new(arena);
	hosts->suffixes = map_new(arena);
	size_t errors = diag->n_errors;
	struct builder builder = {arena, hosts, diag, dataset->kind};
	for (size_t i = 0; i < dataset->n; i++)
		add_entry(&builder, &dataset->rows[i]);
	*ret_hosts = diag->n_errors == errors ? hosts : NULL;
	return diag->n_errors == errors ? ERR_OK : ERR_CONFIG;
}

/* ---- asking ---- */

bool hosts_have_everybody(const struct hosts *hosts)
{
	static const struct ip any[] = {{.family = IP_V4}, {.family = IP_V6}};
	char key[NETWORK_KEY_SIZE];
	if (hosts == NULL)
		return false;
	for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++) {
		const struct entry *entry = map_get(hosts->networks, network_key(&any[i], 0, key));
		if (entry != NULL && entry->membership == INCLUDED)
			return true;
	}
	for (size_t i = 0; i < hosts->n_patterns; i++)
		if (str_eq(hosts->patterns[i].text, STR("*")) && hosts->patterns[i].membership == INCLUDED)
			return true;
	return false;
}

static enum membership by_network(const struct hosts *hosts, const struct ip *client)
{
	char key[NETWORK_KEY_SIZE];
	bool is_v6 = client->family == IP_V6;
	for (unsigned bits = is_v6 ? 128 : 32;; bits--) {
		if (hosts->has_length[is_v6][bits]) {
			const struct entry *entry = map_get(hosts->networks, network_key(client, bits, key));
			if (entry != NULL)
				return entry->membership;
		}
		if (bits == 0)
			return NOT_MENTIONED;
	}
}

static enum membership by_name(const struct hosts *hosts, struct str name)
{
	const struct entry *entry = map_get(hosts->names, name);
	if (entry != NULL)
		return entry->membership;
	for (struct str parent = domain_parent(name); parent.n > 0; parent = domain_parent(parent)) {
		entry = map_get(hosts->suffixes, parent);
		if (entry != NULL)
			return entry->membership;
	}
	return NOT_MENTIONED;
}

/* As with OpenDKIM a pattern may be written for names ("mx*.example.com") or for addresses ("192.0.2.*"). */
static enum membership by_pattern(const struct hosts *hosts, const struct ip *client, struct str name)
{
	char address[IP_TEXT_SIZE];
	struct str text = str_of(ip_text(client, address));
	for (size_t i = 0; i < hosts->n_patterns; i++) {
		const struct entry *pattern = &hosts->patterns[i];
		if (dataset_pattern_matches(pattern->text, text) ||
			(name.n > 0 && dataset_pattern_matches(pattern->text, name)))
			return pattern->membership;
	}
	return NOT_MENTIONED;
}

/* In lower case, without the dot at its end; empty where the MTA has no verified name. */
static struct str usable_name(struct str name, char lowered[DOMAIN_MAX])
{
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > DOMAIN_MAX || name.p[0] == '[' || str_ieq(name, STR("unknown")))
		return STR("");
	for (size_t i = 0; i < name.n; i++)
		lowered[i] = str_lower_char(name.p[i]);
	return str_from(lowered, name.n);
}

bool hosts_contain(const struct hosts *hosts, const struct ip *client, struct str client_name)
{
	if (hosts == NULL)
		return false;
	if (client->family == IP_NONE)
		return hosts->local == INCLUDED;
	enum membership found = by_network(hosts, client);
	if (found != NOT_MENTIONED)
		return found == INCLUDED;
	char lowered[DOMAIN_MAX];
	struct str name = usable_name(client_name, lowered);
	if (name.n > 0)
		found = by_name(hosts, name);
	if (found == NOT_MENTIONED)
		found = by_pattern(hosts, client, name);
	return found == INCLUDED;
}
