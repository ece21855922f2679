#include "report/aggregate_unpack.h"

#include "base/buf.h"

#define GZIP_SIGNATURE STR("\x1f\x8b")
#define INNER_MAX ((size_t)64 * 1024 * 1024) /* bytes of gzip within gzip or zip: more is a bomb */

/* Some reporters pack twice: gzip within gzip, or within zip. What is within is held: it is hardly larger. */
static struct gzip_reader *open_packed(struct arena *arena, enum gzip_format format, struct str data)
{
	char piece[16 * 1024];
	size_t n;
	struct buf inner = buf_in(arena);
	struct gzip_reader *outer = gzip_reader_new(arena, format, data);
	bool whole = gzip_read(outer, piece, GZIP_SIGNATURE.n, &n);
	if (!str_eq(str_from(piece, n), GZIP_SIGNATURE))
		return gzip_reader_new(arena, format, data);
	buf_add(&inner, str_from(piece, n));
	while (whole && n > 0 && inner.n <= INNER_MAX) {
		whole = gzip_read(outer, piece, sizeof(piece), &n);
		buf_add(&inner, str_from(piece, n));
	}
	return gzip_reader_new(arena, GZIP_FILE, buf_str(&inner));
}

/* ---- zip: PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.16; numbers are little-endian ---- */

#define LOCAL_HEADER 30
#define ENTRY_HEADER 46
#define END_RECORD 22
#define COMMENT_MAX 65535

static uint32_t number(struct str s, size_t at, size_t bytes)
{
	uint32_t value = 0;
	for (size_t i = bytes; i > 0; i--)
		value = value << 8 | (unsigned char)s.p[at + i - 1];
	return value;
}

static bool has_signature(struct str s, char third, char fourth)
{
	const char signature[] = {'P', 'K', third, fourth};
	return str_starts(s, str_from(signature, sizeof(signature)));
}

/* The record at the end, behind which a comment may stand; empty: it is not there. */
static struct str find_end_record(struct str data)
{
	for (size_t back = END_RECORD; back <= data.n && back <= END_RECORD + COMMENT_MAX; back++) {
		struct str end = str_skip(data, data.n - back);
		if (has_signature(end, 5, 6))
			return end;
	}
	return STR("");
}

/* Folders, and what other systems keep beside a file, are no documents. Some programs give theirs no name. */
static bool is_document(struct str name)
{
	return (name.n == 0 || name.p[name.n - 1] != '/') && !str_starts(name, STR("__MACOSX/"));
}

static const char *open_entry(struct arena *arena, struct str data, struct str entry, struct gzip_reader **ret_reader)
{
	uint32_t flags = number(entry, 8, 2), method = number(entry, 10, 2), size = number(entry, 20, 4);
	struct str local = str_skip(data, number(entry, 42, 4));
	if ((flags & 1) != 0)
		return "the zip file is encrypted";
	if (method != 0 && method != 8)
		return "the zip file is compressed in a way that is not known here";
	if (local.n < LOCAL_HEADER || !has_signature(local, 3, 4))
		return "the zip file is damaged";
	local = str_skip(local, LOCAL_HEADER + (size_t)number(local, 26, 2) + number(local, 28, 2));
	if (size > local.n)
		return "the zip file is damaged, or larger than this program reads";
	*ret_reader = open_packed(arena, method == 0 ? GZIP_STORED : GZIP_DEFLATE, str_head(local, size));
	return NULL;
}

static const char *open_zip(struct arena *arena, struct str data, struct gzip_reader **ret_reader)
{
	struct str end = find_end_record(data), document = STR("");
	if (end.n == 0)
		return "the zip file is damaged or ends early";
	struct str rest = str_skip(data, number(end, 16, 4));
	for (uint32_t n = number(end, 10, 2); n > 0; n--) {
		if (rest.n < ENTRY_HEADER || !has_signature(rest, 1, 2))
			return "the zip file is damaged";
		size_t name = number(rest, 28, 2), behind = (size_t)number(rest, 30, 2) + number(rest, 32, 2);
		if (is_document(str_head(str_skip(rest, ENTRY_HEADER), name))) {
			if (document.n > 0)
				return "there is more than one document in the zip file";
			document = rest;
		}
		rest = str_skip(rest, ENTRY_HEADER + name + behind);
	}
	return document.n > 0 ? open_entry(arena, data, document, ret_reader) : "there is no document in the zip file";
}

/* ---- which is it? ---- */

static bool looks_like_xml(struct str data)
{
	/* UTF-8's mark, or UTF-16 in either order. */
	if (str_starts(data, STR("\xef\xbb\xbf")) || str_starts(data, STR("\xff\xfe")) ||
		str_starts(data, STR("\xfe\xff")))
		return true;
	while (data.n > 0 && str_is_space(data.p[0]))
		data = str_skip(data, 1);
	return data.n > 0 && data.p[0] == '<';
}

const char *aggregate_unpack_file(struct arena *arena, struct str data, struct gzip_reader **ret_reader)
{
	*ret_reader = NULL;
	if (has_signature(data, 3, 4) || has_signature(data, 5, 6))
		return open_zip(arena, data, ret_reader);
	if (str_starts(data, GZIP_SIGNATURE))
		*ret_reader = open_packed(arena, GZIP_FILE, data);
	else if (looks_like_xml(data))
		*ret_reader = gzip_reader_new(arena, GZIP_STORED, data);
	return NULL;
}

const char *aggregate_unpack(struct arena *arena, struct str data, struct gzip_reader **ret_reader)
{
	const char *error = aggregate_unpack_file(arena, data, ret_reader);
	if (error != NULL || *ret_reader != NULL)
		return error;
	return aggregate_unpack_mail(arena, data, ret_reader);
}
