#include "base/domain.h"
#include "base/ip.h"
#include "base/map.h"
#include "config/set.h"
#include "tables/dataset.h"

/* RFC 6376 section 5.4.1, for lists that begin with "*". */
static const char *const recommended[] = {
	"from",
	"reply-to",
	"subject",
	"date",
	"to",
	"cc",
	"resent-date",
	"resent-from",
	"resent-to",
	"resent-cc",
	"in-reply-to",
	"references",
	"list-id",
	"list-help",
	"list-unsubscribe",
	"list-subscribe",
	"list-post",
	"list-owner",
	"list-archive",
};

/* What opendkim.conf(5) gives as the default of OmitHeaders. */
static const char *const changing[] = {
	"return-path",
	"received",
	"comments",
	"keywords",
	"bcc",
	"resent-bcc",
	"dkim-signature",
};

/* Each item once, in the order in which they came; as quick for 100,000 of them. */
struct list {
	const struct option_setting *setting;
	struct str *items; /* p NULL: dropped */
	size_t n, capacity;
	struct map *places; /* item -> size_t *, where it stands or stood */
	bool ok;
};

static void add(struct list *list, struct str item)
{
	struct arena *arena = list->setting->arena;
	size_t *place = map_get(list->places, item);
	if (place != NULL && list->items[*place].p != NULL)
		return;
	if (place == NULL) {
		place = ARENA_NEW(arena, size_t);
		map_put(list->places, item, place);
	}
	*place = list->n;
	list->items = arena_grow(arena, list->items, &list->capacity, list->n + 1, sizeof(*list->items));
	list->items[list->n++] = arena_dup(arena, item);
}

static void drop(struct list *list, struct str item)
{
	const size_t *place = map_get(list->places, item);
	if (place != NULL)
		list->items[*place] = (struct str){NULL, 0};
}

static void close_gaps(struct list *list)
{
	size_t n = 0;
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].p != NULL)
			list->items[n++] = list->items[i];
	list->n = n;
}

/* RFC 5322 section 3.6.8: printable US-ASCII but the colon. */
static bool is_field_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':' || name.p[i] == '*')
			return false;
	return name.n > 0;
}

static void add_defaults(struct list *list)
{
	bool omit = str_eq(str_of(list->setting->row->name), STR("OmitHeaders"));
	const char *const *names = omit ? changing : recommended;
	size_t n = omit ? sizeof(changing) / sizeof(*changing) : sizeof(recommended) / sizeof(*recommended);
	for (size_t i = 0; i < n; i++)
		add(list, str_of(names[i]));
}

static void add_header(struct list *list, struct str word)
{
	char sign = word.n > 1 && (word.p[0] == '+' || word.p[0] == '-') ? word.p[0] : '+';
	struct str name =
		arena_dup_lower(list->setting->arena, word.p[0] == '+' || word.p[0] == '-' ? str_skip(word, 1) : word);
	if (str_eq(word, STR(".")))
		return; /* opendkim.conf(5): a name that no field has, for "none" */
	if (str_eq(word, STR("*")))
		add_defaults(list);
	else if (!is_field_name(name))
		list->ok = option_refuse(list->setting, word, "the name of a header field");
	else if (sign == '-')
		drop(list, name);
	else
		add(list, name);
}

static void add_domain(struct list *list, struct str word)
{
	struct str domain;
	if (str_eq(word, STR("*")))
		add(list, word);
	else if (domain_normalize(list->setting->arena, word, &domain) && domain_is_hostname(domain))
		add(list, domain);
	else if (str_index(word, '*') >= 0)
		list->ok = option_refuse(list->setting, word,
			"a domain: for all below a domain use SubDomains, for patterns SigningTable");
	else
		list->ok = option_refuse(list->setting, word, "a domain");
}

static void add_nameserver(struct list *list, struct str word)
{
	struct str rest = word, address;
	uint64_t port = 53;
	struct ip ip;
	str_cut(&rest, '@', &address);
	bool port_ok = rest.p == NULL || (str_to_u64(rest, 65535, &port) && port > 0);
	if (address.n >= 2 && address.p[0] == '[' && address.p[address.n - 1] == ']')
		address = str_from(address.p + 1, address.n - 2);
	if (!port_ok || !ip_parse(address, &ip)) {
		list->ok = option_refuse(
			list->setting, word, "a resolver: write ADDRESS or ADDRESS@PORT, such as 127.0.0.1@53");
		return;
	}
	if (rest.p == NULL)
		add(list, address);
	else
		add(list, arena_printf(list->setting->arena, "%.*s@%llu", STR_ARG(address), (unsigned long long)port));
}

static void add_address(struct list *list, struct str word)
{
	struct str address;
	if (option_parse_address(list->setting, word, &address))
		add(list, address);
	else
		list->ok = false;
}

static void add_word(struct list *list, struct str word)
{
	if (list->setting->row->type == OPTION_DOMAINS)
		add_domain(list, word);
	else if (list->setting->row->type == OPTION_HEADERS)
		add_header(list, word);
	else if (list->setting->row->type == OPTION_NAMESERVERS)
		add_nameserver(list, word);
	else if (list->setting->row->type == OPTION_ADDRESSES)
		add_address(list, word);
	else
		add(list, word);
}

bool option_set_list(const struct option_setting *setting, struct str text)
{
	struct list list = {.setting = setting, .places = map_new(setting->arena), .ok = true};
	struct dataset dataset;
	char *values = (char *)setting->values;
	if (dataset_is_outside(text) && setting->row->type == OPTION_NAMESERVERS)
		return option_refuse(setting, text, "a list of resolvers: write their addresses into this line");
	if (dataset_is_outside(text) && setting->databases == NULL)
		return true;
	if (dataset_read(setting->arena, text, setting->place, setting->diag, &dataset) != ERR_OK)
		return false;
	if (dataset.kind == DATASET_DATABASE)
		*setting->databases += dataset_fingerprint(&dataset);
	struct option_setting at_row = *setting;
	list.setting = &at_row;
	for (size_t i = 0; i < dataset.n; i++) {
		at_row.place = dataset.rows[i].place;
		add_word(&list, dataset.rows[i].key);
	}
	close_gaps(&list);
	*(const struct str **)(void *)(values + setting->row->offset) = list.items;
	*(size_t *)(void *)(values + setting->row->count_offset) = list.n;
	return list.ok;
}
