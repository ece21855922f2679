#include "base/json.h"

#include <inttypes.h>

static void write_string(struct buf *out, struct str s);

static void begin_value(struct json *json, const char *key)
{
	if (json->need_comma)
		buf_add_char(json->out, ',');
	json->need_comma = true;
	if (key != NULL) {
		write_string(json->out, str_of(key));
		buf_add_char(json->out, ':');
	}
}

static void open_nest(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	buf_add_char(json->out, bracket);
	json->need_comma = false;
}

static void close_nest(struct json *json, char bracket)
{
	buf_add_char(json->out, bracket);
	json->need_comma = true;
}

void json_object_begin(struct json *json, const char *key)
{
	open_nest(json, key, '{');
}

void json_object_end(struct json *json)
{
	close_nest(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
	open_nest(json, key, '[');
}

void json_array_end(struct json *json)
{
	close_nest(json, ']');
}

/* Length of the well-formed UTF-8 sequence at the front of @s (RFC 3629), 0 where there is none. */
static size_t utf8_length(struct str s)
{
	unsigned char first = (unsigned char)s.p[0];
	size_t n = first < 0x80                    ? 1
		   : first >= 0xc2 && first < 0xe0 ? 2
		   : first >= 0xe0 && first < 0xf0 ? 3
		   : first >= 0xf0 && first < 0xf5 ? 4
						   : 0;
	if (n == 0 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	unsigned char second = n > 1 ? (unsigned char)s.p[1] : 0;
	bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
	bool surrogate = first == 0xed && second > 0x9f, beyond = first == 0xf4 && second > 0x8f;
	return overlong || surrogate || beyond ? 0 : n;
}

static void write_string(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		size_t n = utf8_length(s);
		if (n == 0)
			buf_printf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_add(out, str_head(s, n));
		s = str_skip(s, n == 0 ? 1 : n);
	}
	buf_add_char(out, '"');
}

void json_str(struct json *json, const char *key, struct str s)
{
	begin_value(json, key);
	if (s.p == NULL)
		buf_add_cstr(json->out, "null");
	else
		write_string(json->out, s);
}

void json_cstr(struct json *json, const char *key, const char *cstr)
{
	json_str(json, key, str_of(cstr));
}

void json_int(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	buf_printf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	buf_add_cstr(json->out, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	buf_add_cstr(json->out, "null");
}
