#include "report/line.h"

#include <stdio.h>
#include <zlib.h>

#define CHECKSUM_DIGITS 8

static void checksum(struct str json, char digits[CHECKSUM_DIGITS + 1])
{
	unsigned long crc = crc32_z(0, (const unsigned char *)json.p, json.n);
	snprintf(digits, CHECKSUM_DIGITS + 1, "%08x", (unsigned)crc);
}

void report_line_write(struct str json, struct buf *out)
{
	char digits[CHECKSUM_DIGITS + 1];
	checksum(json, digits);
	buf_printf(out, "{\"length\":%zu,\"crc32\":\"%s\",\"record\":", json.n, digits);
	buf_add(out, json);
	buf_add_cstr(out, "}\n");
}

static bool take(struct str *line, struct str text)
{
	if (!str_starts(*line, text))
		return false;
	*line = str_skip(*line, text.n);
	return true;
}

const char *report_line_read(struct str line, struct str *ret_json)
{
	static const char not_ours[] = "not a line of the spool";
	char digits[CHECKSUM_DIGITS + 1];
	struct str length_text, crc;
	uint64_t length;
	if (str_ends(line, STR("\n")))
		line.n--;
	if (!take(&line, STR("{\"length\":")) || !str_cut(&line, ',', &length_text) ||
		!str_to_u64(length_text, REPORT_LINE_MAX, &length) || !take(&line, STR("\"crc32\":\"")))
		return not_ours;
	crc = str_head(line, CHECKSUM_DIGITS);
	line = str_skip(line, CHECKSUM_DIGITS);
	if (!take(&line, STR("\",\"record\":")))
		return not_ours;
	if (line.n != length + 1 || line.p[length] != '}')
		return "the length is wrong";
	line.n--;
	checksum(line, digits);
	if (!str_eq(crc, str_of(digits)))
		return "the checksum is wrong";
	*ret_json = line;
	return NULL;
}
