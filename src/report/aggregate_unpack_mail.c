/*
 * The report that is attached to a mail message. RFC 2045, RFC 2046: as much of
 * MIME as that takes.
 */
#include "dkim/base64.h"
#include "message/headers.h"
#include "report/aggregate_unpack.h"

/* Of multiparts and messages within each other: a forwarded report has four. */
#define DEPTH_MAX 8
/* Of each part's header section. */
#define FIELDS_MAX 1000
#define HEADER_BYTES_MAX ((size_t)256 * 1024)

struct mail_search {
	struct arena *arena;
	struct gzip_reader *reader; /* what was found */
	const char *error;          /* why what looked like a report cannot be read */
	size_t parts; /* looked at, and how many may be: parts may hold each other in any number of ways */
};

#define PARTS_MAX 1000

static struct str field_value(const struct headers *headers, const char *name)
{
	const struct header_field *field = headers_find(headers, str_of(name));
	return field != NULL ? str_trim(field->value) : STR("");
}

/* The value of a parameter behind the first ';'; empty: it is not there. */
static struct str parameter(struct str value, struct str name)
{
	for (size_t i = 0; i + name.n < value.n; i++) {
		struct str rest = str_skip(value, i);
		if (rest.p[0] != ';')
			continue;
		rest = str_trim(str_skip(rest, 1));
		if (!str_istarts(rest, name))
			continue;
		rest = str_trim(str_skip(rest, name.n));
		if (rest.n == 0 || rest.p[0] != '=')
			continue;
		rest = str_trim(str_skip(rest, 1));
		bool quoted = rest.n > 0 && rest.p[0] == '"';
		rest = str_skip(rest, quoted);
		size_t n = 0;
		while (n < rest.n && (quoted ? rest.p[n] != '"' : rest.p[n] != ';' && !str_is_space(rest.p[n])))
			n++;
		return str_head(rest, n);
	}
	return STR("");
}

/* ---- transfer encodings ---- */

/* RFC 2045 section 6.7; what is not of it stays as it is. */
static struct str decode_quoted_printable(struct arena *arena, struct str text)
{
	char *out = arena_alloc(arena, text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		struct str rest = str_skip(text, i + 1);
		int high = rest.n > 1 ? str_hex_digit(rest.p[0]) : -1, low = rest.n > 1 ? str_hex_digit(rest.p[1]) : -1;
		if (text.p[i] != '=') {
			out[n++] = text.p[i];
		} else if (high >= 0 && low >= 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else if (str_starts(rest, STR("\r\n"))) {
			i += 2;
		} else if (str_starts(rest, STR("\n"))) {
			i++;
		} else {
			out[n++] = '=';
		}
	}
	return str_from(out, n);
}

static struct str decode_base64(struct arena *arena, struct str text)
{
	size_t n = 0, capacity = base64_decoded_max(text.n);
	uint8_t *out = arena_alloc(arena, capacity);
	return base64_decode(text, out, capacity, &n) ? str_from((char *)out, n) : STR("");
}

static struct str decode(struct arena *arena, struct str encoding, struct str body)
{
	if (str_ieq(encoding, STR("base64")))
		return decode_base64(arena, body);
	if (str_ieq(encoding, STR("quoted-printable")))
		return decode_quoted_printable(arena, body);
	return body;
}

/* ---- parts ---- */

static void search_entity(struct mail_search *search, struct str entity, unsigned depth);

/* Take the text up to the next line "--BOUNDARY" off the front of *@rest. False: no such line is left. */
static bool cut_part(struct str *rest, struct str delimiter, struct str *ret_part)
{
	const char *at = rest->p;
	while ((at = memmem(at, (size_t)(rest->p + rest->n - at), delimiter.p, delimiter.n)) != NULL) {
		if (at == rest->p || at[-1] == '\n')
			break;
		at++;
	}
	if (at == NULL)
		return false;
	*ret_part = str_from(rest->p, (size_t)(at - rest->p));
	*rest = str_skip(*rest, ret_part->n + delimiter.n);
	return true;
}

static void search_multipart(struct mail_search *search, struct str type, struct str body, unsigned depth)
{
	struct str boundary = parameter(type, STR("boundary")), rest = body, part;
	struct str delimiter = arena_printf(search->arena, "--%.*s", STR_ARG(boundary));
	if (boundary.n == 0 || !cut_part(&rest, delimiter, &part))
		return;
	while (search->reader == NULL && !str_starts(rest, STR("--"))) {
		ptrdiff_t end_of_line = str_index(rest, '\n');
		rest = end_of_line >= 0 ? str_skip(rest, (size_t)end_of_line + 1) : STR("");
		/* Without the last delimiter the part goes on to the end. */
		if (!cut_part(&rest, delimiter, &part)) {
			part = rest;
			rest = STR("--");
		}
		search_entity(search, part, depth + 1);
	}
}

static void search_entity(struct mail_search *search, struct str entity, unsigned depth)
{
	struct headers headers;
	struct str body;
	if (depth == DEPTH_MAX || search->parts++ == PARTS_MAX)
		return;
	headers_init(&headers, search->arena, FIELDS_MAX, HEADER_BYTES_MAX);
	headers_split(&headers, entity, &body);
	struct str type = field_value(&headers, "Content-Type");
	if (str_istarts(type, STR("multipart/"))) {
		search_multipart(search, type, body, depth);
	} else if (str_istarts(type, STR("message/rfc822"))) {
		search_entity(search, body, depth + 1);
	} else if (!str_istarts(type, STR("text/html")) && !str_istarts(type, STR("text/plain"))) {
		struct str encoding = field_value(&headers, "Content-Transfer-Encoding");
		const char *error =
			aggregate_unpack_file(search->arena, decode(search->arena, encoding, body), &search->reader);
		search->error = search->error == NULL ? error : search->error;
	}
}

const char *aggregate_unpack_mail(struct arena *arena, struct str message, struct gzip_reader **ret_reader)
{
	struct mail_search search = {.arena = arena};
	search_entity(&search, message, 0);
	*ret_reader = search.reader;
	if (search.reader != NULL)
		return NULL;
	return search.error != NULL
		       ? search.error
		       : "it is neither XML, gzip nor a zip file, nor a mail message with one of these attached";
}
