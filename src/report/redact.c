#include "report/redact.h"

#include "dkim/base64.h"
#include "dkim/crypto.h"

/* RFC 2104 with SHA-256. */
#define BLOCK_SIZE 64
/* 96 bits: nobody meets the same by chance, and an address stays readable. */
#define TAG_SIZE 12

static bool digest(struct sha256 *sha256, struct str first, struct str second, uint8_t ret_digest[SHA256_SIZE])
{
	sha256_restart(sha256);
	sha256_add(sha256, first);
	sha256_add(sha256, second);
	return sha256_end(sha256, ret_digest);
}

static bool hmac(struct sha256 *sha256, struct str key, struct str text, uint8_t ret_tag[SHA256_SIZE])
{
	uint8_t block[SHA256_SIZE] = {0}, inner[BLOCK_SIZE], outer[BLOCK_SIZE];
	if (key.n > BLOCK_SIZE) {
		if (!digest(sha256, key, STR(""), block))
			return false;
		key = str_from((const char *)block, SHA256_SIZE);
	}
	for (size_t i = 0; i < BLOCK_SIZE; i++) {
		uint8_t byte = i < key.n ? (uint8_t)key.p[i] : 0;
		inner[i] = byte ^ 0x36;
		outer[i] = byte ^ 0x5c;
	}
	return digest(sha256, str_from((const char *)inner, BLOCK_SIZE), text, ret_tag) &&
	       digest(sha256, str_from((const char *)outer, BLOCK_SIZE), str_from((const char *)ret_tag, SHA256_SIZE),
		       ret_tag);
}

struct redaction {
	struct buf out;
	struct sha256 *sha256;
	struct str key;
};

static struct redaction redaction_in(struct arena *arena, struct str key)
{
	return (struct redaction){.out = buf_in(arena), .sha256 = sha256_new(arena), .key = key};
}

static void add_redacted(struct redaction *redaction, struct str local_part)
{
	uint8_t tag[SHA256_SIZE];
	/* Rather nothing at all than the name. */
	if (hmac(redaction->sha256, redaction->key, local_part, tag))
		base64_write(&redaction->out, tag, TAG_SIZE);
	else
		buf_add_cstr(&redaction->out, "redacted");
}

/* What stands in a local part without quotes; UTF-8 too (RFC 6531). */
static bool is_local_part(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr(".!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool begins_domain(struct str text, size_t i)
{
	return i < text.n && (str_is_alpha(text.p[i]) || str_is_digit(text.p[i]) || text.p[i] == '[' ||
				     (unsigned char)text.p[i] >= 0x80);
}

/* Where the local part begins that ends in front of @at; not before @from. */
static size_t find_begin(struct str text, size_t from, size_t at)
{
	size_t begin = at;
	if (at > from && text.p[at - 1] == '"') {
		for (begin = at - 1; begin > from && text.p[begin - 1] != '\n'; begin--)
			if (text.p[begin - 1] == '"' && (begin < 2 || text.p[begin - 2] != '\\'))
				return begin - 1;
		return at - 1;
	}
	while (begin > from && is_local_part(text.p[begin - 1]))
		begin--;
	return begin;
}

/* "smtp.mailfrom=", "header.i=", "envelope-from=", DKIM's "i=": bytes in front of the local part that are not of it. */
static size_t property_length(struct str local_part)
{
	static const char *const others[] = {"i", "envelope-from", "mailfrom", "from", "to", "rcpt"};
	ptrdiff_t equals = str_index(local_part, '=');
	if (equals < 0)
		return 0;
	struct str name = str_head(local_part, (size_t)equals);
	bool is_property = str_istarts(name, STR("smtp.")) || str_istarts(name, STR("header."));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		is_property = is_property || str_ieq(name, str_of(others[i]));
	return is_property ? (size_t)equals + 1 : 0;
}

static void add_text(struct redaction *redaction, struct str text)
{
	size_t done = 0;
	for (size_t at = 0; at < text.n; at++) {
		if (text.p[at] != '@' || !begins_domain(text, at + 1))
			continue;
		size_t begin = find_begin(text, done, at);
		begin += property_length(str_from(text.p + begin, at - begin));
		buf_add(&redaction->out, str_from(text.p + done, begin - done));
		if (at > begin)
			add_redacted(redaction, str_from(text.p + begin, at - begin));
		done = at;
	}
	buf_add(&redaction->out, str_skip(text, done));
}

struct str redact_addresses(struct arena *arena, struct str key, struct str text)
{
	struct redaction redaction = redaction_in(arena, key);
	add_text(&redaction, text);
	return buf_str(&redaction.out);
}

static bool names_messages(struct str field)
{
	struct str name;
	str_cut(&field, ':', &name);
	name = str_trim(name);
	return str_ieq(name, STR("Message-ID")) || str_ieq(name, STR("In-Reply-To")) ||
	       str_ieq(name, STR("References"));
}

/* The first field with its continuation lines: its length. */
static size_t field_length(struct str headers)
{
	size_t end = 0;
	do {
		ptrdiff_t line_end = str_index(str_skip(headers, end), '\n');
		end = line_end < 0 ? headers.n : end + (size_t)line_end + 1;
	} while (end < headers.n && (headers.p[end] == ' ' || headers.p[end] == '\t'));
	return end;
}

struct str redact_headers(struct arena *arena, struct str key, struct str headers)
{
	struct redaction redaction = redaction_in(arena, key);
	for (struct str rest = headers, field; rest.n > 0; rest = str_skip(rest, field.n)) {
		field = str_head(rest, field_length(rest));
		if (names_messages(field))
			buf_add(&redaction.out, field);
		else
			add_text(&redaction, field);
	}
	return buf_str(&redaction.out);
}
