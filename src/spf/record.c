#include "spf/record.h"

#include "spf/macro.h"

static const struct str version = STR_INIT("v=spf1");

size_t spf_record_select(const struct dns_answer *answer, struct str *ret_record)
{
	size_t found = 0;
	for (size_t i = 0; i < answer->n_records; i++) {
		struct str text = answer->records[i].data;
		if (!str_istarts(text, version) || (text.n > version.n && text.p[version.n] != ' '))
			continue;
		*ret_record = text;
		found++;
	}
	return found;
}

struct str spf_record_terms(struct str record)
{
	return str_skip(record, version.n);
}

/* What may follow the name of a mechanism. */
enum argument { NOTHING, DOMAIN_MUST, DOMAIN_MAY, ADDRESS };

struct mechanism {
	struct str name;
	enum spf_term_kind kind;
	enum argument argument;
	bool prefix_lengths; /* behind the domain: "/24//64" */
};

static const struct mechanism mechanisms[] = {
	{STR_INIT("all"), SPF_ALL, NOTHING, false},
	{STR_INIT("include"), SPF_INCLUDE, DOMAIN_MUST, false},
	{STR_INIT("a"), SPF_A, DOMAIN_MAY, true},
	{STR_INIT("mx"), SPF_MX, DOMAIN_MAY, true},
	{STR_INIT("ptr"), SPF_PTR, DOMAIN_MAY, false},
	{STR_INIT("ip4"), SPF_IP4, ADDRESS, false},
	{STR_INIT("ip6"), SPF_IP6, ADDRESS, false},
	{STR_INIT("exists"), SPF_EXISTS, DOMAIN_MUST, false},
};

static const struct mechanism *find_mechanism(struct str name)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (str_ieq(mechanisms[i].name, name))
			return &mechanisms[i];
	return NULL;
}

/* "0", or a number without leading zero; RFC 7208 section 5.6 */
static bool parse_prefix_length(struct str digits, unsigned max, unsigned *ret_bits)
{
	uint64_t bits;
	if ((digits.n > 1 && digits.p[0] == '0') || !str_to_u64(digits, max, &bits))
		return false;
	*ret_bits = (unsigned)bits;
	return true;
}

/* Cut "/" and digits off the end. False: there are none. */
static bool cut_length(struct str *s, struct str *ret_digits)
{
	size_t n = s->n;
	while (n > 0 && str_is_digit(s->p[n - 1]))
		n--;
	if (n == 0 || n == s->n || s->p[n - 1] != '/')
		return false;
	*ret_digits = str_skip(*s, n);
	*s = str_head(*s, n - 1);
	return true;
}

/* A domain may contain slashes, so the lengths are taken off the end: [ "/" v4 ] [ "//" v6 ]. */
static bool cut_prefix_lengths(struct str *s, struct spf_term *term)
{
	struct str digits;
	if (!cut_length(s, &digits))
		return true;
	if (s->n > 0 && s->p[s->n - 1] == '/') {
		*s = str_head(*s, s->n - 1);
		if (!parse_prefix_length(digits, 128, &term->bits6))
			return false;
		if (!cut_length(s, &digits))
			return true;
	}
	return parse_prefix_length(digits, 32, &term->bits4);
}

/*
 * ip_parse() folds an IPv4-mapped address to IPv4, as clients are folded (RFC 7208 section 5). A network given by
 * ip6 stays one of IPv6: "ip6:::ffff:192.0.2.0/0" is every IPv6 client and no IPv4 client.
 */
static void unfold(struct ip *address)
{
	if (address->family != IP_V4)
		return;
	struct ip v6 = {.family = IP_V6, .bytes = {[10] = 0xff, [11] = 0xff}};
	memcpy(v6.bytes + 12, address->bytes, 4);
	*address = v6;
}

/* ip4-network and ip6-network, where the family of the mechanism must be that of the text. */
static const char *parse_network(struct str text, struct spf_term *term)
{
	bool v4 = term->kind == SPF_IP4;
	unsigned bits = v4 ? 32 : 128;
	struct str digits;
	if (cut_length(&text, &digits) && !parse_prefix_length(digits, bits, &bits))
		return "invalid prefix length";
	if ((str_index(text, ':') < 0) != v4 || !ip_parse(text, &term->network.address))
		return "invalid IP address";
	if (!v4)
		unfold(&term->network.address);
	term->network.bits = bits;
	return NULL;
}

static const char *parse_arguments(const struct mechanism *mechanism, struct str rest, struct spf_term *term)
{
	if (mechanism->prefix_lengths && !cut_prefix_lengths(&rest, term))
		return "invalid prefix length";
	if (rest.n == 0)
		return mechanism->argument == NOTHING || mechanism->argument == DOMAIN_MAY
			       ? NULL
			       : "mechanism lacks its argument";
	if (rest.p[0] != ':' || mechanism->argument == NOTHING)
		return "invalid mechanism";
	rest = str_skip(rest, 1);
	if (mechanism->argument == ADDRESS)
		return parse_network(rest, term);
	if (!spf_macro_check_domain_spec(rest))
		return "invalid domain";
	term->domain_spec = rest;
	return NULL;
}

static const char *parse_directive(struct str text, struct spf_term *term)
{
	if (memchr("+-?~", text.p[0], 4) != NULL) {
		term->qualifier = text.p[0];
		text = str_skip(text, 1);
	}
	size_t n = 0;
	while (n < text.n && text.p[n] != ':' && text.p[n] != '/')
		n++;
	const struct mechanism *mechanism = find_mechanism(str_head(text, n));
	if (mechanism == NULL)
		return "unknown mechanism";
	term->kind = mechanism->kind;
	return parse_arguments(mechanism, str_skip(text, n), term);
}

/* The length of "name=" at the front, without "="; 0 where @text is no modifier. */
static size_t modifier_name(struct str text)
{
	size_t n = 0;
	if (!str_is_alpha(text.p[0]))
		return 0;
	while (n < text.n &&
		(str_is_alpha(text.p[n]) || str_is_digit(text.p[n]) || memchr("-_.", text.p[n], 3) != NULL))
		n++;
	return n < text.n && text.p[n] == '=' ? n : 0;
}

static const char *parse_modifier(struct str text, size_t name_length, struct spf_term *term)
{
	struct str name = str_head(text, name_length), value = str_skip(text, name_length + 1);
	term->kind = SPF_UNKNOWN_MODIFIER;
	if (str_ieq(name, STR("redirect")))
		term->kind = SPF_REDIRECT;
	else if (str_ieq(name, STR("exp")))
		term->kind = SPF_EXP;
	term->domain_spec = value;
	if (term->kind == SPF_UNKNOWN_MODIFIER)
		return spf_macro_check(value, SPF_IN_RECORD) ? NULL : "invalid macro";
	return spf_macro_check_domain_spec(value) ? NULL : "invalid domain";
}

bool spf_record_next(struct str *rest, struct spf_term *ret_term, const char **ret_fault)
{
	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = str_skip(*rest, 1);
	if (rest->n == 0)
		return false;
	ptrdiff_t blank = str_index(*rest, ' ');
	struct str text = blank < 0 ? *rest : str_head(*rest, (size_t)blank);
	*rest = str_skip(*rest, text.n);
	*ret_term = (struct spf_term){.qualifier = '+', .text = text, .bits4 = 32, .bits6 = 128};
	size_t name_length = modifier_name(text);
	*ret_fault = name_length > 0 ? parse_modifier(text, name_length, ret_term) : parse_directive(text, ret_term);
	return true;
}

const char *spf_record_check(struct str record, struct spf_modifiers *ret_modifiers)
{
	*ret_modifiers = (struct spf_modifiers){0};
	struct spf_term term;
	const char *fault;
	for (struct str rest = spf_record_terms(record); spf_record_next(&rest, &term, &fault);) {
		if (fault != NULL)
			return fault;
		if (term.kind != SPF_REDIRECT && term.kind != SPF_EXP)
			continue;
		/* RFC 7208 section 6: each at most once. A checked domain-spec is never empty. */
		struct str *place = term.kind == SPF_EXP ? &ret_modifiers->exp : &ret_modifiers->redirect;
		if (place->n > 0)
			return "modifier given twice";
		*place = term.domain_spec;
	}
	return NULL;
}
