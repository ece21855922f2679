#include "zone.h"

#include <stdlib.h>

#include "base/ip.h"

#define CNAMES_MAX 8
#define RECORDS_MAX 64

struct line {
	struct line *next;
	struct str name;
	struct str type;
	struct str data;
};

struct zone {
	struct arena *arena;
	struct line *first;
	struct line **last;
};

struct zone *zone_new(struct arena *arena)
{
	struct zone *zone = ARENA_NEW(arena, struct zone);
	zone->arena = arena;
	zone->last = &zone->first;
	return zone;
}

static int hex(char c)
{
	if (str_is_digit(c))
		return c - '0';
	c = str_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str zone_unescape(struct arena *arena, struct str text)
{
	char *out = arena_alloc(arena, text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		out[n++] = text.p[i];
		if (i + 3 < text.n && text.p[i] == '\\' && text.p[i + 1] == 'x' && hex(text.p[i + 2]) >= 0 &&
			hex(text.p[i + 3]) >= 0) {
			out[n - 1] = (char)(hex(text.p[i + 2]) * 16 + hex(text.p[i + 3]));
			i += 3;
		}
	}
	return str_from(out, n);
}

bool zone_add_line(struct zone *zone, struct str line)
{
	struct str rest = line, name, type = {NULL, 0};
	if (!str_cut(&rest, ' ', &name) || !str_cut(&rest, ' ', &type) || name.n == 0)
		return false;
	struct line *entry = ARENA_NEW(zone->arena, struct line);
	entry->name = zone_unescape(zone->arena, name);
	entry->type = type;
	entry->data = zone_unescape(zone->arena, rest);
	*zone->last = entry;
	zone->last = &entry->next;
	return true;
}

bool zone_add_lines(struct zone *zone, struct str text)
{
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);)
		if (line.n > 0 && !zone_add_line(zone, line))
			return false;
	return true;
}

static struct str without_dot(struct str name)
{
	return name.n > 0 && name.p[name.n - 1] == '.' ? str_head(name, name.n - 1) : name;
}

/* TXT as it is; addresses as bytes; names in lower case. */
static bool to_record(struct arena *arena, enum dns_type type, struct str data, struct dns_record *ret_record)
{
	*ret_record = (struct dns_record){.data = data};
	struct str preference;
	struct ip ip;
	switch (type) {
	case DNS_TXT:
		return true;
	case DNS_MX:
		str_cut(&data, ' ', &preference);
		ret_record->preference = (uint16_t)atoi(arena_dup(arena, preference).p);
		ret_record->data = arena_dup_lower(arena, without_dot(data));
		return true;
	case DNS_PTR:
		ret_record->data = arena_dup_lower(arena, without_dot(data));
		return true;
	case DNS_A:
	case DNS_AAAA:
		if (!ip_parse(data, &ip))
			return false;
		ret_record->data = arena_dup(arena, str_from((const char *)ip.bytes, ip.family == IP_V4 ? 4 : 16));
		return true;
	}
	return false;
}

struct found {
	struct dns_record records[RECORDS_MAX];
	size_t n;
	bool exists, fails;
	struct str cname;
};

static void find(const struct zone *zone, const struct dns_question *question, struct str name, struct found *found)
{
	bool listed = false, fails = false;
	found->cname = (struct str){NULL, 0};
	for (const struct line *line = zone->first; line != NULL; line = line->next) {
		if (str_iends(line->name, name) && line->name.n > name.n &&
			line->name.p[line->name.n - name.n - 1] == '.')
			found->exists = true;
		if (!str_ieq(line->name, name))
			continue;
		found->exists = true;
		if (str_eq(line->type, STR("fail")))
			fails = fails || line->data.n == 0 || str_eq(line->data, str_of(dns_type_text(question->type)));
		else if (str_eq(line->type, STR("CNAME")))
			found->cname = line->data;
		else if (str_eq(line->type, str_of(dns_type_text(question->type)))) {
			listed = true;
			if (found->n < RECORDS_MAX &&
				to_record(zone->arena, question->type, line->data, &found->records[found->n]))
				found->n++;
		}
	}
	found->fails = fails && !listed;
}

static struct dns_answer *look_up(const struct zone *zone, const struct dns_question *question)
{
	struct found found = {.n = 0};
	struct str name = question->name;
	for (int i = 0; i <= CNAMES_MAX; i++) {
		found.exists = false;
		find(zone, question, name, &found);
		if (found.cname.p == NULL)
			break;
		found.fails = true; /* should the chain not end */
		name = without_dot(found.cname);
	}
	enum dns_status status = found.fails    ? DNS_FAILED
				 : found.n > 0  ? DNS_DATA
				 : found.exists ? DNS_NODATA
						: DNS_NXDOMAIN;
	return dns_answer_new(status, found.records, status == DNS_DATA ? found.n : 0);
}

size_t zone_answer(const struct zone *zone, struct answers *answers)
{
	struct dns_question question;
	size_t n = 0;
	for (; answers_next_wanted(answers, &question); n++)
		answers_put(answers, &question, look_up(zone, &question));
	return n;
}
