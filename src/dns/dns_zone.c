#include "dns/dns_zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/map.h"

#define FILE_MAX ((size_t)64 << 20)
#define TTL 300
#define CHAIN_MAX 16
#define WORD_MAX 80 /* bytes of a wrong word that an error shows */

enum { N_TYPES = 5 };
static const enum dns_type types[N_TYPES] = {DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA};

/* All that is said of one name. A node without any of it is an empty non-terminal. */
struct node {
	struct dns_record *records[N_TYPES];
	size_t n[N_TYPES], capacity[N_TYPES];
	struct dns_answer *answers[N_TYPES]; /* made of them when all is read */
	struct str alias;                    /* CNAME; empty: none */
	const char *failure;                 /* RCODE, TIMEOUT: the answer for all other types; NULL: none */
	bool is_absent;                      /* RCODE NXDOMAIN */
	struct node *next;
};

struct dns_zone {
	struct arena *arena;
	struct map *nodes;
	struct node *first;
	struct dns_answer *nodata, *nxdomain, *timeout, *servfail, *refused, *endless;
};

struct parser {
	struct dns_zone *zone;
	const char *file;
	unsigned line;
	bool keys_alone; /* every line is a TXT record without saying so */
	char *error;
	size_t error_size;
};

static bool complain(struct parser *parser, const char *what, struct str word)
{
	if (word.n > WORD_MAX)
		word.n = WORD_MAX;
	snprintf(parser->error, parser->error_size, "%s:%u: %s: %.*s", parser->file, parser->line, what, STR_ARG(word));
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str take_word(struct str *rest)
{
	size_t n = 0;
	while (n < rest->n && !is_blank(rest->p[n]))
		n++;
	struct str word = str_head(*rest, n);
	*rest = str_trim(str_skip(*rest, n));
	return word;
}

/* What stands behind a backslash: three digits for a byte, or a character for itself (RFC 1035 section 5.1). */
static bool take_escaped(struct str *rest, char *ret_c)
{
	uint64_t value;
	if (rest->n == 0)
		return false;
	if (!str_is_digit(rest->p[0])) {
		*ret_c = rest->p[0];
		*rest = str_skip(*rest, 1);
		return true;
	}
	if (rest->n < 3 || !str_to_u64(str_head(*rest, 3), 255, &value))
		return false;
	*ret_c = (char)(unsigned char)value;
	*rest = str_skip(*rest, 3);
	return true;
}

static void add_name_char(struct buf *name, char c, bool escape)
{
	if (escape && (c == '.' || c == '\\'))
		buf_printf(name, "\\%03u", (unsigned)(unsigned char)c);
	else
		buf_add_char(name, str_lower_char(c));
}

/*
 * @is_data  the form of a record's data, in which a dot or backslash within a label is written \DDD;
 *           else that of a question, in which a dot within a label cannot be said
 */
static bool parse_name(struct parser *parser, struct str word, bool is_data, struct str *ret_name)
{
	struct buf name = buf_in(parser->zone->arena);
	size_t label = 0, wire = 1;
	if (str_eq(word, STR("."))) {
		*ret_name = str_from("", 0);
		return true;
	}
	for (struct str rest = word; rest.n > 0;) {
		char c = rest.p[0];
		rest = str_skip(rest, 1);
		if (c == '.') {
			if (label == 0)
				return complain(parser, "empty label in name", word);
			if (rest.n > 0)
				buf_add_char(&name, '.');
			label = 0;
			continue;
		}
		if (c == '\\') {
			if (!take_escaped(&rest, &c))
				return complain(parser, "bad escape in name", word);
			if (c == '.' && !is_data)
				return complain(parser, "a dot within a label cannot be asked for", word);
			add_name_char(&name, c, is_data);
		} else {
			buf_add_char(&name, str_lower_char(c));
		}
		wire += label == 0 ? 2 : 1;
		if (++label > DOMAIN_LABEL_MAX || wire > DOMAIN_MAX + 2)
			return complain(parser, "name too long", word);
	}
	*ret_name = buf_str(&name);
	return word.n > 0 || complain(parser, "no name", word);
}

static bool parse_quoted(struct parser *parser, struct str value, struct buf *text)
{
	struct str rest = value;
	while (rest.n > 0) {
		if (rest.p[0] != '"')
			return complain(parser, "expected a string in quotes", rest);
		rest = str_skip(rest, 1);
		for (;;) {
			char c = rest.n > 0 ? rest.p[0] : '\0';
			if (rest.n == 0)
				return complain(parser, "no quote at the end of", value);
			rest = str_skip(rest, 1);
			if (c == '"')
				break;
			if (c == '\\' && !take_escaped(&rest, &c))
				return complain(parser, "bad escape in", value);
			buf_add_char(text, c);
		}
		rest = str_trim(rest);
	}
	return true;
}

static bool parse_txt(struct parser *parser, struct str value, struct str *ret_data)
{
	struct buf text = buf_in(parser->zone->arena);
	if (value.n == 0)
		return complain(parser, "TXT without a value (\"\" is the empty one)", value);
	if (value.p[0] != '"')
		buf_add(&text, value);
	else if (!parse_quoted(parser, value, &text))
		return false;
	*ret_data = buf_str(&text);
	return true;
}

static bool parse_address(struct parser *parser, enum dns_type type, struct str value, struct str *ret_data)
{
	struct ip ip;
	uint8_t bytes[16];
	enum ip_family family = type == DNS_A ? IP_V4 : IP_V6;
	if (!ip_parse(value, &ip))
		return complain(parser, "not an address", value);
	memcpy(bytes, ip.bytes, sizeof(bytes));
	/* ::ffff:192.0.2.1 was folded to IPv4, but an AAAA record may well hold it. */
	if (family == IP_V6 && ip.family == IP_V4 && str_index(value, ':') >= 0) {
		memset(bytes, 0, 10);
		memset(bytes + 10, 0xff, 2);
		memcpy(bytes + 12, ip.bytes, 4);
	} else if (ip.family != family || (family == IP_V4 && str_index(value, ':') >= 0)) {
		return complain(parser, type == DNS_A ? "not an IPv4 address" : "not an IPv6 address", value);
	}
	*ret_data = arena_dup(parser->zone->arena, str_from((const char *)bytes, family == IP_V4 ? 4 : 16));
	return true;
}

static bool parse_data(struct parser *parser, enum dns_type type, struct str value, struct dns_record *ret_record)
{
	uint64_t preference = 0;
	struct str rest = value, word;
	switch (type) {
	case DNS_TXT:
		return parse_txt(parser, value, &ret_record->data);
	case DNS_A:
	case DNS_AAAA:
		return parse_address(parser, type, value, &ret_record->data);
	case DNS_MX:
		word = take_word(&rest);
		if (!str_to_u64(word, UINT16_MAX, &preference))
			return complain(parser, "not a preference of MX", word);
		ret_record->preference = (uint16_t)preference;
		break;
	case DNS_PTR:
		break;
	}
	word = take_word(&rest);
	if (rest.n > 0)
		return complain(parser, "too much at the end of the line", rest);
	return parse_name(parser, word, true, &ret_record->data);
}

static struct node *node_of(struct dns_zone *zone, struct str name)
{
	struct node *node = map_get(zone->nodes, name);
	if (node != NULL)
		return node;
	node = ARENA_NEW(zone->arena, struct node);
	node->next = zone->first;
	zone->first = node;
	map_put(zone->nodes, name, node);
	/* What stands above a name exists too. */
	if (domain_parent(name).n > 0)
		node_of(zone, domain_parent(name));
	return node;
}

static bool add_record(struct parser *parser, struct node *node, size_t type, struct str value)
{
	struct dns_record record = {.data = {NULL, 0}};
	if (!parse_data(parser, types[type], value, &record))
		return false;
	node->records[type] = arena_grow(
		parser->zone->arena, node->records[type], &node->capacity[type], node->n[type] + 1, sizeof(record));
	node->records[type][node->n[type]++] = record;
	return true;
}

static bool set_rcode(struct parser *parser, struct node *node, struct str value)
{
	if (str_ieq(value, STR("SERVFAIL")))
		node->failure = "SERVFAIL";
	else if (str_ieq(value, STR("REFUSED")))
		node->failure = "REFUSED";
	else if (str_ieq(value, STR("NXDOMAIN")))
		node->is_absent = true;
	else
		return complain(parser, "RCODE is none of SERVFAIL, NXDOMAIN, REFUSED", value);
	return true;
}

static bool set_alias(struct parser *parser, struct node *node, struct str value)
{
	if (node->alias.n > 0)
		return complain(parser, "second CNAME of one name", value);
	if (!parse_name(parser, value, false, &node->alias))
		return false;
	return node->alias.n > 0 || complain(parser, "CNAME to the root", value);
}

static bool parse_line(struct parser *parser, struct str line)
{
	struct str rest = line, name, word = take_word(&rest);
	struct str type = parser->keys_alone ? STR("TXT") : take_word(&rest);
	if (!parse_name(parser, word, false, &name))
		return false;
	if (name.n == 0)
		return complain(parser, "the root cannot be asked for", word);
	struct node *node = node_of(parser->zone, name);
	if (str_ieq(type, STR("CNAME")))
		return set_alias(parser, node, rest);
	if (str_ieq(type, STR("RCODE")))
		return set_rcode(parser, node, rest);
	if (str_ieq(type, STR("TIMEOUT"))) {
		node->failure = "timeout";
		return rest.n == 0 || complain(parser, "too much at the end of the line", rest);
	}
	for (size_t i = 0; i < N_TYPES; i++)
		if (str_ieq(type, str_of(dns_type_text(types[i]))))
			return add_record(parser, node, i, rest);
	return complain(parser, "unknown type (A, AAAA, CNAME, MX, PTR, TXT, RCODE, TIMEOUT)", type);
}

static struct dns_answer *fixed_answer(enum dns_status status, const char *why)
{
	struct dns_answer *answer = dns_answer_new(status, NULL, 0);
	if (answer != NULL) {
		answer->why = why;
		answer->ttl = why == NULL ? TTL : 0;
	}
	return answer;
}

static bool make_answers(struct dns_zone *zone)
{
	zone->nodata = fixed_answer(DNS_NODATA, NULL);
	zone->nxdomain = fixed_answer(DNS_NXDOMAIN, NULL);
	zone->timeout = fixed_answer(DNS_FAILED, "timeout");
	zone->servfail = fixed_answer(DNS_FAILED, "SERVFAIL");
	zone->refused = fixed_answer(DNS_FAILED, "REFUSED");
	zone->endless = fixed_answer(DNS_FAILED, "CNAME chain too long");
	bool made = zone->nodata != NULL && zone->nxdomain != NULL && zone->timeout != NULL && zone->servfail != NULL &&
		    zone->refused != NULL && zone->endless != NULL;
	for (struct node *node = zone->first; node != NULL; node = node->next) {
		for (size_t i = 0; i < N_TYPES; i++) {
			if (node->n[i] == 0)
				continue;
			node->answers[i] = dns_answer_new(DNS_DATA, node->records[i], node->n[i]);
			if (node->answers[i] == NULL)
				return false;
			node->answers[i]->ttl = TTL;
		}
	}
	return made;
}

static enum err parse(
	struct str text, const char *file, bool keys_alone, struct dns_zone **ret_zone, char *error, size_t error_size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL) {
		snprintf(error, error_size, "out of memory");
		return ERR_NOMEM;
	}
	struct dns_zone *zone = ARENA_NEW(arena, struct dns_zone);
	zone->arena = arena;
	zone->nodes = map_new(arena);
	struct parser parser = {zone, file, 0, keys_alone, error, error_size};
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
		line = str_trim(line);
		parser.line++;
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
			continue;
		if (!parse_line(&parser, line)) {
			dns_zone_free(zone);
			return ERR_CONFIG;
		}
	}
	if (!make_answers(zone)) {
		dns_zone_free(zone);
		snprintf(error, error_size, "out of memory");
		return ERR_NOMEM;
	}
	*ret_zone = zone;
	return ERR_OK;
}

enum err dns_zone_parse(struct str text, const char *file, struct dns_zone **ret_zone, char *error, size_t error_size)
{
	return parse(text, file, false, ret_zone, error, error_size);
}

static enum err read_file(const char *path, bool keys_alone, struct dns_zone **ret_zone, char *error, size_t error_size)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t n = 0, capacity = 0;
	int number = file == NULL ? errno : 0;
	while (number == 0 && n == capacity && n < FILE_MAX) {
		capacity = capacity == 0 ? 65536 : capacity * 2;
		char *more = realloc(text, capacity);
		if (more == NULL) {
			number = ENOMEM;
			break;
		}
		text = more;
		n += fread(text + n, 1, capacity - n, file);
		number = ferror(file) != 0 ? errno : 0;
	}
	if (file != NULL)
		fclose(file);
	enum err err = ERR_IO;
	if (number != 0)
		snprintf(error, error_size, "%s: %s", path, strerror(number));
	else if (n >= FILE_MAX)
		snprintf(error, error_size, "%s: larger than %zu bytes", path, FILE_MAX);
	else
		err = parse(str_from(text, n), path, keys_alone, ret_zone, error, error_size);
	free(text);
	return err;
}

enum err dns_zone_read(const char *path, struct dns_zone **ret_zone, char *error, size_t error_size)
{
	return read_file(path, false, ret_zone, error, error_size);
}

enum err dns_zone_read_keys(const char *path, struct dns_zone **ret_zone, char *error, size_t error_size)
{
	return read_file(path, true, ret_zone, error, error_size);
}

void dns_zone_free(struct dns_zone *zone)
{
	if (zone == NULL)
		return;
	for (struct node *node = zone->first; node != NULL; node = node->next)
		for (size_t i = 0; i < N_TYPES; i++)
			dns_answer_unref(node->answers[i]);
	struct dns_answer *fixed[] = {
		zone->nodata, zone->nxdomain, zone->timeout, zone->servfail, zone->refused, zone->endless};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		dns_answer_unref(fixed[i]);
	arena_free(zone->arena);
}

/* RFC 4592 section 3.3.1: only the wildcard right below the closest name that exists can cover @name. */
static const struct node *find_node(const struct dns_zone *zone, struct str name)
{
	const struct node *node = map_get(zone->nodes, name);
	if (node != NULL || name.n > DOMAIN_MAX)
		return node;
	struct str closest = domain_parent(name);
	while (closest.n > 0 && map_get(zone->nodes, closest) == NULL)
		closest = domain_parent(closest);
	char wildcard[DOMAIN_MAX + 2] = "*.";
	if (closest.n == 0)
		return map_get(zone->nodes, STR("*"));
	memcpy(wildcard + 2, closest.p, closest.n);
	return map_get(zone->nodes, str_from(wildcard, closest.n + 2));
}

static struct dns_answer *answer_of(const struct dns_zone *zone, const struct node *node, size_t type)
{
	if (node == NULL || node->is_absent)
		return zone->nxdomain;
	if (node->answers[type] != NULL)
		return node->answers[type];
	if (node->failure == NULL)
		return zone->nodata;
	if (strcmp(node->failure, "timeout") == 0)
		return zone->timeout;
	return strcmp(node->failure, "SERVFAIL") == 0 ? zone->servfail : zone->refused;
}

struct dns_answer *dns_zone_lookup(const struct dns_zone *zone, const struct dns_question *question)
{
	size_t type = 0;
	while (type < N_TYPES - 1 && types[type] != question->type)
		type++;
	struct str name = question->name;
	for (int hops = 0; hops <= CHAIN_MAX; hops++) {
		const struct node *node = find_node(zone, name);
		if (node == NULL || node->answers[type] != NULL || node->alias.n == 0)
			return dns_answer_ref(answer_of(zone, node, type));
		name = node->alias;
	}
	return dns_answer_ref(zone->endless);
}
