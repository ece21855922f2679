#include "report/mail.h"

#include <time.h>

#include "auth/signers.h"
#include "base/hash.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "dkim/base64.h"
#include "message/headers.h"

/* RFC 5322 section 2.1.1, without CRLF. */
#define LINE_MAX_BYTES 998
#define LINE_WANTED_BYTES 78
/* 60 characters of base64, within the 75 that an encoded-word may have: RFC 2047 section 2. */
#define ENCODED_WORD_BYTES 45
/* 76 characters of base64: RFC 2045 section 6.8. */
#define BASE64_LINE_BYTES 57

static bool is_printable(char c)
{
	return c > ' ' && c < 0x7f;
}

/* ---- header fields ---- */

/* A word's bytes of which none can end the line; what is no printable US-ASCII is '?'. */
static void add_word(struct buf *out, struct str word)
{
	for (size_t i = 0; i < word.n; i++)
		buf_add_char(out, is_printable(word.p[i]) ? word.p[i] : '?');
}

void mail_field_write(struct buf *out, const char *name, struct str value)
{
	size_t column = strlen(name) + 1;
	bool first = true;
	buf_printf(out, "%s:", name);
	for (struct str rest = value, word; str_cut(&rest, ' ', &word);) {
		for (struct str piece; word.n > 0; word = str_skip(word, piece.n)) {
			piece = str_head(word, LINE_MAX_BYTES - LINE_WANTED_BYTES);
			if (!first && column + 1 + piece.n > LINE_WANTED_BYTES) {
				buf_add_cstr(out, "\r\n");
				column = 0;
			}
			buf_add_char(out, ' ');
			add_word(out, piece);
			column += 1 + piece.n;
			first = false;
		}
	}
	buf_add_cstr(out, "\r\n");
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* As many characters as fit into an encoded-word; none is cut in two. */
static struct str encodable(struct str s)
{
	size_t n = 0;
	for (size_t length; (length = utf8_length(str_skip(s, n))) > 0 && n + length <= ENCODED_WORD_BYTES;)
		n += length;
	return str_head(s, n);
}

static void add_unstructured(struct buf *out, const char *name, struct str value)
{
	struct buf words = buf_in(out->arena);
	if (is_ascii(value) || !utf8_is_valid(value)) {
		mail_field_write(out, name, value);
		return;
	}
	for (struct str rest = value, part; rest.n > 0; rest = str_skip(rest, part.n)) {
		part = encodable(rest);
		buf_add_cstr(&words, words.n == 0 ? "=?utf-8?B?" : " =?utf-8?B?");
		base64_write(&words, (const uint8_t *)part.p, part.n);
		buf_add_cstr(&words, "?=");
	}
	mail_field_write(out, name, buf_str(&words));
}

void mail_date_write(struct buf *out, int64_t time)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)time;
	struct tm tm;
	gmtime_r(&seconds, &tm);
	buf_printf(out, "%.3s, %02d %.3s %d %02d:%02d:%02d +0000", days + (ptrdiff_t)3 * tm.tm_wday, tm.tm_mday,
		months + (ptrdiff_t)3 * tm.tm_mon, 1900 + tm.tm_year, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* ---- parts ---- */

/* Every mail server passes it on as it is: lines of US-ASCII, short enough. */
static bool is_plain(struct str data)
{
	size_t column = 0;
	for (size_t i = 0; i < data.n; i++) {
		char c = data.p[i];
		bool line_end = c == '\n' || (c == '\r' && i + 1 < data.n && data.p[i + 1] == '\n');
		if (!line_end && c != '\t' && c != ' ' && !is_printable(c))
			return false;
		column = line_end ? 0 : column + 1;
		if (column > LINE_MAX_BYTES)
			return false;
	}
	return true;
}

/* Lines end in CRLF, the last one too. */
static struct str with_crlf(struct arena *arena, struct str data)
{
	struct buf out = buf_in(arena);
	for (struct str rest = data, line; rest.n > 0 && str_cut(&rest, '\n', &line);) {
		buf_add(&out, line.n > 0 && line.p[line.n - 1] == '\r' ? str_head(line, line.n - 1) : line);
		buf_add_cstr(&out, "\r\n");
	}
	return buf_str(&out);
}

/* Made plain at any price: other bytes are '?', a long line goes on as a folded one. */
static struct str made_plain(struct arena *arena, struct str data)
{
	struct buf out = buf_in(arena);
	size_t column = 0;
	for (size_t i = 0; i < data.n; i++) {
		char c = data.p[i];
		bool line_end = c == '\n' || (c == '\r' && i + 1 < data.n && data.p[i + 1] == '\n');
		if (column == LINE_MAX_BYTES && !line_end) {
			buf_add_cstr(&out, "\r\n ");
			column = 1;
		}
		buf_add_char(&out, line_end || c == '\t' || c == ' ' || is_printable(c) ? c : '?');
		column = line_end ? 0 : column + 1;
	}
	return buf_str(&out);
}

static void add_base64(struct buf *out, struct str data)
{
	for (struct str rest = data; rest.n > 0; rest = str_skip(rest, BASE64_LINE_BYTES)) {
		struct str line = str_head(rest, BASE64_LINE_BYTES);
		base64_write(out, (const uint8_t *)line.p, line.n);
		buf_add_cstr(out, "\r\n");
	}
}

/* The value of a parameter, RFC 2045 section 5.1; a character that would need quoting is '_'. */
static void add_parameter(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, ";\r\n %s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		buf_add_char(out, is_printable(c) && c != '"' && c != '\\' && c != '/' ? c : '_');
	}
	buf_add_char(out, '"');
}

static void add_part(struct buf *out, const struct mail_part *part)
{
	bool text = str_istarts(part->type, STR("text/")), message = str_istarts(part->type, STR("message/"));
	bool attachment = part->file_name.n > 0;
	struct str data = part->data;
	if (message)
		data = made_plain(out->arena, data);
	if (text || message)
		data = with_crlf(out->arena, data);
	bool plain = (text || message) && !attachment && is_plain(data);
	buf_printf(out, "Content-Type: %.*s", STR_ARG(part->type));
	if (attachment)
		add_parameter(out, "name", part->file_name);
	buf_add_cstr(out, "\r\n");
	if (part->description.n > 0)
		add_unstructured(out, "Content-Description", part->description);
	if (attachment) {
		buf_add_cstr(out, "Content-Disposition: attachment");
		add_parameter(out, "filename", part->file_name);
		buf_add_cstr(out, "\r\n");
	}
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", plain ? "7bit" : "base64");
	if (!plain) {
		add_base64(out, data);
		return;
	}
	/* The line break in front of a boundary is the boundary's, RFC 2046 section 5.1.1. */
	buf_add(out, data);
	buf_add_cstr(out, "\r\n");
}

/* Base64 never holds "=_", and no other part holds this one; the same message has the same one every time. */
static struct str choose_boundary(struct arena *arena, const struct mail *mail)
{
	static const struct hash_key any = {{0, 0}};
	for (uint64_t salt = 0;; salt++) {
		struct str boundary =
			arena_printf(arena, "=_%016llx", (unsigned long long)hash_bytes(&any, salt, mail->message_id));
		bool free = true;
		for (size_t i = 0; i < mail->n_parts; i++)
			free = free &&
			       (mail->parts[i].data.n == 0 || memmem(mail->parts[i].data.p, mail->parts[i].data.n,
								      boundary.p, boundary.n) == NULL);
		if (free)
			return boundary;
	}
}

static struct str compose(struct arena *arena, const struct mail *mail, int64_t now)
{
	struct buf out = buf_in(arena);
	struct str boundary = choose_boundary(arena, mail);
	buf_printf(&out, "From: <%.*s>\r\nTo: <%.*s>\r\n", STR_ARG(mail->from), STR_ARG(mail->to));
	buf_add_cstr(&out, "Date: ");
	mail_date_write(&out, now);
	buf_add_cstr(&out, "\r\n");
	add_unstructured(&out, "Subject", mail->subject);
	mail_field_write(&out, "Message-ID", arena_printf(arena, "<%.*s>", STR_ARG(mail->message_id)));
	buf_printf(&out,
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/%.*s;\r\n boundary=\"%.*s\"\r\n\r\n",
		STR_ARG(mail->multipart), STR_ARG(boundary));
	for (size_t i = 0; i < mail->n_parts; i++) {
		buf_printf(&out, "--%.*s\r\n", STR_ARG(boundary));
		add_part(&out, &mail->parts[i]);
	}
	buf_printf(&out, "--%.*s--\r\n", STR_ARG(boundary));
	return buf_str(&out);
}

/* ---- signing ---- */

/* The field's value, folded as the milter protocol has it, with CRLF. */
static void add_signature(struct buf *out, struct str value)
{
	buf_add_cstr(out, "DKIM-Signature:");
	for (struct str rest = value, line; str_cut(&rest, '\n', &line);) {
		buf_add(out, line);
		buf_add_cstr(out, "\r\n");
	}
}

static enum err add_signatures(struct arena *arena, const struct dkim_sign_options *options,
	const struct dkim_signer *signers, size_t n, struct str text, int64_t now, struct buf *out)
{
	struct headers headers;
	struct str body, value;
	struct dkim_body *hashes = dkim_body_new(arena);
	struct dkim_signing **signings = ARENA_ARRAY(arena, n, struct dkim_signing *);
	headers_init(&headers, arena, 100, (size_t)1 << 20);
	headers_split(&headers, text, &body);
	for (size_t i = 0; i < n; i++)
		signings[i] = dkim_sign_begin(arena, options, &signers[i], &headers, hashes, now);
	dkim_body_add(hashes, body);
	dkim_body_end(hashes);
	for (size_t i = 0; i < n; i++) {
		if (!dkim_sign_end(signings[i], &value)) {
			fault_log(LOG_LEVEL_ERROR, STR(""), "report mail not signed: OpenSSL refused");
			return ERR_LIBRARY;
		}
		add_signature(out, value);
	}
	return ERR_OK;
}

static enum err sign(struct arena *arena, struct str from, struct runtime *runtime, struct str text, int64_t now,
	struct buf *out, bool *ret_signed)
{
	struct address address;
	const struct dkim_signer *signers;
	size_t n;
	struct str why;
	*ret_signed = false;
	if (!runtime->auth.mode_sign || !address_parse_path(arena, from, &address))
		return ERR_OK;
	switch (signers_select(runtime->auth.signers, arena, &address, &signers, &n, &why)) {
	case SIGNERS_FOUND:
		*ret_signed = true;
		return add_signatures(arena, &runtime->dkim_sign, signers, n, text, now, out);
	case SIGNERS_NO_MATCH:
		break;
	case SIGNERS_KEY_BROKEN:
		fault_log(
			LOG_LEVEL_ERROR, STR(""), "report mail of %.*s not signed: %.*s", STR_ARG(from), STR_ARG(why));
		return ERR_LIBRARY;
	}
	return ERR_OK;
}

enum err mail_write(struct arena *arena, const struct mail *mail, struct runtime *runtime, int64_t now, struct buf *out,
	bool *ret_signed)
{
	*ret_signed = false;
	if (!mail_address_usable(mail->from) || !mail_address_usable(mail->to))
		return ERR_CONFIG;
	struct str text = compose(arena, mail, now);
	enum err err = sign(arena, mail->from, runtime, text, now, out, ret_signed);
	if (err == ERR_OK)
		buf_add(out, text);
	return err;
}
