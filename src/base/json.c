#include "base/json.h"

#include <inttypes.h>

#include "base/utf8.h"

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

/* Printable US-ASCII that stands for itself: nearly all there is, so it goes out in one piece. */
static size_t plain_length(struct str s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] >= ' ' && s.p[n] <= '~' && s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n;
}

static void write_special(struct buf *out, struct str s, size_t n)
{
	unsigned char c = (unsigned char)s.p[0];
	if (n == 0 || c < 0x20 || c == 0x7f)
		buf_printf(out, "\\u%04x", c);
	else if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", c);
	else
		buf_add(out, str_head(s, n));
}

static void write_string(struct buf *out, struct str s)
{
	buf_add_char(out, '"');
	while (s.n > 0) {
		size_t plain = plain_length(s);
		buf_add(out, str_head(s, plain));
		s = str_skip(s, plain);
		if (s.n == 0)
			break;
		size_t n = utf8_length(s);
		write_special(out, s, n);
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

void json_str_or_null(struct json *json, const char *key, struct str s)
{
	json_str(json, key, s.n > 0 ? s : (struct str){NULL, 0});
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
