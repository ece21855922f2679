#include "message/address.h"

#include "base/domain.h"

/* Bounds what a hostile From costs. More authors than this are no one's. */
#define AUTHOR_ADDRESSES_MAX 100
#define AUTHOR_DOMAINS_MAX 100
#define SALVAGE_MAX 1000
#define AUTHOR_FIELDS_MAX 100
#define HIDDEN_FIELDS_MAX 10

struct collector {
	struct arena *arena;
	struct author *author;
	size_t addresses_capacity, domains_capacity;
};

static void add_domain(struct collector *collector, struct str domain)
{
	struct author *author = collector->author;
	if (author->n_domains == AUTHOR_DOMAINS_MAX)
		return;
	for (size_t i = 0; i < author->n_domains; i++)
		if (str_eq(author->domains[i], domain))
			return;
	author->domains = arena_grow(collector->arena, author->domains, &collector->domains_capacity,
		author->n_domains + 1, sizeof(*author->domains));
	author->domains[author->n_domains++] = domain;
}

static void add_address(struct collector *collector, const struct address *address)
{
	struct author *author = collector->author;
	add_domain(collector, address->domain);
	if (author->n_addresses == AUTHOR_ADDRESSES_MAX)
		return;
	author->addresses = arena_grow(collector->arena, author->addresses, &collector->addresses_capacity,
		author->n_addresses + 1, sizeof(*author->addresses));
	author->addresses[author->n_addresses++] = *address;
}

static bool is_domain_byte(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || c == '-' || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

/*
 * Whatever stands behind an '@' in a field that cannot be read, within quotes and comments too: a reader may show
 * it as the author, so its owner's policy is to be heard. Such a domain can only make a verdict stricter, for a
 * malformed From never passes.
 */
static void salvage_domains(struct collector *collector, struct str value)
{
	for (size_t n = 0; n < SALVAGE_MAX; n++) {
		ptrdiff_t at = str_index(value, '@');
		if (at < 0)
			return;
		value = str_skip(value, (size_t)at + 1);
		while (value.n > 0 && (str_is_space(value.p[0]) || value.p[0] == '.'))
			value = str_skip(value, 1);
		struct str name = str_from(value.p, 0), domain;
		while (name.n < value.n && is_domain_byte(value.p[name.n]))
			name.n++;
		value = str_skip(value, name.n);
		while (name.n > 0 && name.p[name.n - 1] == '.')
			name.n--;
		if (domain_normalize(collector->arena, name, &domain) && domain_is_hostname(domain))
			add_domain(collector, domain);
	}
}

static void note_malformed(struct author *author, const char *reason)
{
	if (author->outcome == AUTHOR_MALFORMED)
		return;
	author->outcome = AUTHOR_MALFORMED;
	author->reason = reason;
}

static void add_field(struct collector *collector, struct str value)
{
	struct address *addresses;
	size_t n;
	const char *reason;
	enum address_list_outcome outcome = address_list_parse(collector->arena, value, &addresses, &n, &reason);
	for (size_t i = 0; i < n; i++)
		add_address(collector, &addresses[i]);
	if (outcome != ADDRESS_LIST_MALFORMED && outcome != ADDRESS_LIST_LAX)
		return;
	/*
	 * What is not to the letter of the grammar ends early for some readers, and they look for an address in what
	 * is left: in quotes and comments.
	 */
	size_t n_read = collector->author->n_domains;
	salvage_domains(collector, value);
	if (outcome == ADDRESS_LIST_MALFORMED)
		note_malformed(collector->author, reason);
	else if (collector->author->n_domains > n_read)
		note_malformed(collector->author, "another address in quotes or a comment");
}

/* From fields that only some readers see, behind line breaks within other fields; within From none may stand anyway. */
static void add_hidden_fields(struct collector *collector, const struct headers *headers)
{
	const struct str from = STR("From");
	size_t n_hidden = 0;
	for (size_t i = 0; i < headers->n; i++) {
		struct str rest = headers->fields[i].value;
		if (str_ieq(header_field_name(&headers->fields[i]), from))
			continue;
		for (struct header_field hidden; header_next_hidden(&rest, &hidden);)
			if (str_ieq(header_field_name(&hidden), from) && n_hidden++ < HIDDEN_FIELDS_MAX)
				salvage_domains(collector, hidden.value);
	}
	if (n_hidden > 0)
		note_malformed(collector->author, "From behind a line break within another field");
	collector->author->n_fields += n_hidden;
}

void author_find(struct arena *arena, const struct headers *headers, struct author *ret_author)
{
	struct collector collector = {.arena = arena, .author = ret_author};
	const struct str from = STR("From");
	size_t n_kept = headers_count(headers, from);
	*ret_author = (struct author){.outcome = AUTHOR_NONE, .n_fields = n_kept + headers->dropped_from};
	add_hidden_fields(&collector, headers);
	if (ret_author->n_fields == 0) {
		ret_author->reason = "no From field";
		return;
	}
	/* First, because it says more than what is wrong within one of them. */
	if (ret_author->n_fields > 1)
		note_malformed(ret_author, ret_author->n_fields == 2 ? "two From fields" : "more than two From fields");
	else if (headers->dropped_from > 0)
		note_malformed(ret_author, "From field beyond the limits");
	for (size_t i = 0; i < n_kept && i < AUTHOR_FIELDS_MAX; i++)
		add_field(&collector, headers_from_bottom(headers, from, n_kept - 1 - i)->value);
	if (ret_author->outcome == AUTHOR_MALFORMED)
		return;
	if (ret_author->n_domains == 1) {
		ret_author->outcome = AUTHOR_ONE;
	} else if (ret_author->n_domains > 1) {
		ret_author->outcome = AUTHOR_SEVERAL;
		ret_author->reason = "several author domains";
	} else {
		ret_author->reason = "no address in From";
	}
}
