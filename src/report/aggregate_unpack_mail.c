/*
 * The report that is attached to a mail message.
 */
#include "dkim/base64.h"
#include "message/headers.h"
#include "report/aggregate_unpack.h"
#include "report/mime.h"

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

static void search_multipart(struct mail_search *search, struct str type, struct str body, unsigned depth)
{
	struct mime_parts parts = mime_parts_of(search->arena, body, mime_parameter(type, "boundary"));
	for (struct str part; search->reader == NULL && mime_next_part(&parts, &part);)
		search_entity(search, part, depth + 1);
}

static void search_entity(struct mail_search *search, struct str entity, unsigned depth)
{
	struct headers headers;
	struct str body;
	if (depth == DEPTH_MAX || search->parts++ == PARTS_MAX)
		return;
	headers_init(&headers, search->arena, FIELDS_MAX, HEADER_BYTES_MAX);
	headers_split(&headers, entity, &body);
	struct str type = mime_field(&headers, "Content-Type");
	if (str_istarts(type, STR("multipart/"))) {
		search_multipart(search, type, body, depth);
	} else if (str_istarts(type, STR("message/rfc822"))) {
		search_entity(search, body, depth + 1);
	} else if (!str_istarts(type, STR("text/html")) && !str_istarts(type, STR("text/plain"))) {
		struct str encoding = mime_field(&headers, "Content-Transfer-Encoding");
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
