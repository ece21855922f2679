#include "report/destination.h"

#include "report/mail.h"

/* Nobody needs so many; a record of 64 KiB could name thousands. */
#define URIS_MAX 100

/* obs-dmarc-report-size: take it off the end of *@uri. RFC 7489 section 6.4: units are powers of two. */
static bool split_size(struct str *uri, uint64_t *ret_bytes)
{
	static const char units[] = "kmgt";
	*ret_bytes = 0;
	ptrdiff_t mark = str_index(*uri, '!');
	if (mark < 0)
		return true;
	struct str size = str_skip(*uri, (size_t)mark + 1);
	*uri = str_head(*uri, (size_t)mark);
	const char *unit = size.n > 0 ? memchr(units, str_lower_char(size.p[size.n - 1]), sizeof(units) - 1) : NULL;
	unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
	size.n -= unit != NULL;
	uint64_t number;
	if (!str_to_u64(size, UINT64_MAX >> shift, &number) || number == 0)
		return false;
	*ret_bytes = number << shift;
	return true;
}

/* Percent-decoding. What must not stand in a URI as it is (RFC 3986 section 2) ends it, 8-bit bytes too. */
static bool decode(struct arena *arena, struct str text, struct str *ret_text)
{
	char *out = arena_alloc(arena, text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '%') {
			int high = i + 2 < text.n ? str_hex_digit(text.p[i + 1]) : -1;
			int low = i + 2 < text.n ? str_hex_digit(text.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '\0' ||
			   (!str_is_alpha(c) && !str_is_digit(c) && strchr("-._~/@!$&'()*+;=:", c) == NULL)) {
			return false;
		}
		out[n++] = c;
	}
	*ret_text = str_from(out, n);
	return true;
}

/* A domain that has mail: no single label, no address, neither with brackets nor without. */
static bool read_domain(struct arena *arena, struct str text, struct str *ret_domain)
{
	uint64_t number;
	return domain_normalize(arena, text, ret_domain) && domain_is_hostname(*ret_domain) &&
	       domain_labels(*ret_domain) > 1 && !str_to_u64(domain_last_labels(*ret_domain, 1), UINT64_MAX, &number);
}

/* RFC 6068 with one address and nothing else. NULL, or what is wrong. */
static const char *read_uri(struct arena *arena, struct str uri, struct destination *destination)
{
	struct str scheme = STR("mailto:"), text, domain;
	if (!str_istarts(uri, scheme))
		return "not a mailto URI";
	uri = str_skip(uri, scheme.n);
	if (!split_size(&uri, &destination->maximum_bytes))
		return "malformed size behind the URI";
	if (str_index(uri, '?') >= 0)
		return "header fields in the URI";
	if (!decode(arena, uri, &text))
		return "malformed URI";
	ptrdiff_t at = str_rindex(text, '@');
	if (at < 0)
		return "no address in the URI";
	if (!read_domain(arena, str_skip(text, (size_t)at + 1), &domain))
		return "domain is not one that can have mail";
	struct buf out = buf_in(arena);
	buf_add(&out, str_head(text, (size_t)at + 1)); /* not printf: a NUL must not end it */
	buf_add(&out, domain);
	struct str address = buf_str(&out);
	/* A local part that needs quotes is a trick here, whatever RFC 5321 allows. */
	if (!mail_address_usable(address) || str_index(address, '"') >= 0)
		return "local part is not plain text, or there are several addresses";
	destination->address = address;
	destination->domain = domain;
	return NULL;
}

void destination_parse(struct arena *arena, struct str list, const struct destination **ret_destinations, size_t *ret_n)
{
	struct destination *destinations = NULL;
	size_t n = 0, capacity = 0;
	struct str uri;
	while (n < URIS_MAX && str_cut(&list, ',', &uri)) {
		uri = str_trim_wsp(uri);
		if (uri.n == 0)
			continue;
		destinations = arena_grow(arena, destinations, &capacity, n + 1, sizeof(*destinations));
		struct destination *destination = &destinations[n++];
		*destination = (struct destination){.uri = uri, .address = STR(""), .domain = STR("")};
		destination->refused = read_uri(arena, uri, destination);
	}
	*ret_destinations = destinations;
	*ret_n = n;
}
