#include "spf/macro.h"

#include "base/buf.h"
#include "base/domain.h"

/* A TXT record of 64 KiB holds 16,000 macros: what they expand to is bounded, not what a reply may be. */
#define EXPLANATION_MAX ((size_t)64 * 1024)

/* A piece of a macro-string: literal bytes, or one %{...}. */
struct piece {
	struct str literal; /* n is 0 for a macro */
	char letter;        /* lower case; 0 for a literal */
	bool escape;        /* the letter was upper case: URL-escape the value */
	bool reverse;
	size_t keep; /* right-hand parts to keep; 0: all */
	struct str delimiters;
};

static bool parse_letter(char c, enum spf_macro_place place, struct piece *piece)
{
	piece->letter = str_lower_char(c);
	piece->escape = piece->letter != c;
	const char *letters = place == SPF_IN_EXPLANATION ? "slodiphvcrt" : "slodiphv";
	return piece->letter != '\0' && strchr(letters, piece->letter) != NULL;
}

/* What stands between "%{" and "}": a letter, digits, "r", delimiters. */
static bool parse_macro(struct str body, enum spf_macro_place place, struct piece *piece)
{
	if (body.n == 0 || !parse_letter(body.p[0], place, piece))
		return false;
	body = str_skip(body, 1);
	if (body.n > 0 && str_is_digit(body.p[0])) {
		for (; body.n > 0 && str_is_digit(body.p[0]); body = str_skip(body, 1))
			if (piece->keep < SIZE_MAX / 20)
				piece->keep = piece->keep * 10 + (size_t)(body.p[0] - '0');
		if (piece->keep == 0) /* RFC 7208 section 7.3: MUST be nonzero */
			return false;
	}
	if (body.n > 0 && str_lower_char(body.p[0]) == 'r') {
		piece->reverse = true;
		body = str_skip(body, 1);
	}
	for (size_t i = 0; i < body.n; i++)
		if (memchr(".-+,/_=", body.p[i], 7) == NULL)
			return false;
	piece->delimiters = body.n > 0 ? body : STR(".");
	return true;
}

static bool parse_percent(struct str *rest, enum spf_macro_place place, struct piece *piece)
{
	if (rest->n < 2)
		return false;
	char c = rest->p[1];
	if (c != '{') {
		piece->literal = c == '%' ? STR("%") : c == '_' ? STR(" ") : c == '-' ? STR("%20") : STR("");
		*rest = str_skip(*rest, 2);
		return piece->literal.n > 0;
	}
	struct str body = str_skip(*rest, 2);
	ptrdiff_t end = str_index(body, '}');
	if (end < 0)
		return false;
	*rest = str_skip(body, (size_t)end + 1);
	return parse_macro(str_head(body, (size_t)end), place, piece);
}

static bool is_literal(char c, enum spf_macro_place place)
{
	return (c > ' ' && c <= '~' && c != '%') || (c == ' ' && place == SPF_IN_EXPLANATION);
}

/* Take the next piece off @rest, which must not be empty. False: a syntax error. */
static bool next_piece(struct str *rest, enum spf_macro_place place, struct piece *piece)
{
	*piece = (struct piece){.letter = 0};
	if (rest->p[0] == '%')
		return parse_percent(rest, place, piece);
	size_t n = 0;
	while (n < rest->n && is_literal(rest->p[n], place))
		n++;
	piece->literal = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	return n > 0;
}

bool spf_macro_check(struct str text, enum spf_macro_place place)
{
	struct piece piece;
	while (text.n > 0)
		if (!next_piece(&text, place, &piece))
			return false;
	return true;
}

/* RFC 7208 section 7.1: letters, digits and inner hyphens, and not digits alone. */
static bool is_top_label(struct str label)
{
	bool all_digits = true;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];
		if (!str_is_digit(c) && !str_is_alpha(c) && c != '-')
			return false;
		all_digits = all_digits && str_is_digit(c);
	}
	return label.n > 0 && !all_digits && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

bool spf_macro_check_domain_spec(struct str text)
{
	struct piece piece = {.letter = 0};
	bool ends_in_macro = false;
	for (struct str rest = text; rest.n > 0;) {
		ends_in_macro = rest.p[0] == '%';
		if (!next_piece(&rest, SPF_IN_RECORD, &piece))
			return false;
	}
	if (ends_in_macro)
		return true;
	/* The last piece is literal, so the last label, if it stands in that piece, is free of macros. */
	struct str tail = piece.literal;
	if (tail.n > 0 && tail.p[tail.n - 1] == '.')
		tail.n--;
	ptrdiff_t dot = str_rindex(tail, '.');
	return dot >= 0 && is_top_label(str_skip(tail, (size_t)dot + 1));
}

/* Does one of @letters occur as a macro? */
static bool uses(struct str text, const char *letters)
{
	struct piece piece;
	while (text.n > 0 && next_piece(&text, SPF_IN_EXPLANATION, &piece))
		if (piece.letter != '\0' && strchr(letters, piece.letter) != NULL)
			return true;
	return false;
}

bool spf_macro_uses_validated(struct str text)
{
	return uses(text, "p");
}

bool spf_macro_uses_local_part(struct str text)
{
	return uses(text, "sl");
}

/* Room for 32 nibbles with dots, an address as text, or a number. */
#define VALUE_SIZE 72

/* %{i}: dotted quad, or the 32 nibbles with dots between; RFC 7208 section 7.3 */
static struct str dotted_address(const struct ip *ip, char text[VALUE_SIZE])
{
	if (ip->family == IP_V4)
		return str_of(ip_text(ip, text));
	for (size_t i = 0; i < 32; i++) {
		unsigned nibble = i % 2 == 0 ? ip->bytes[i / 2] >> 4 : ip->bytes[i / 2] & 15u;
		text[2 * i] = "0123456789ABCDEF"[nibble];
		text[2 * i + 1] = '.';
	}
	return str_from(text, 63);
}

static struct str decimal(int64_t value, char text[VALUE_SIZE])
{
	uint64_t rest = value < 0 ? 0 : (uint64_t)value;
	size_t at = VALUE_SIZE;
	do {
		text[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	return str_from(text + at, VALUE_SIZE - at);
}

static struct str value_of(const struct spf_macros *macros, char letter, char text[VALUE_SIZE])
{
	switch (letter) {
	case 's':
		return macros->sender;
	case 'l':
		return macros->local_part;
	case 'o':
		return macros->sender_domain;
	case 'd':
		return macros->domain;
	case 'i':
		return dotted_address(&macros->client, text);
	case 'p':
		return macros->validated;
	case 'h':
		return macros->helo;
	case 'v':
		return macros->client.family == IP_V6 ? STR("ip6") : STR("in-addr");
	case 'c':
		return str_of(ip_text(&macros->client, text));
	case 'r':
		return macros->receiver.n > 0 ? macros->receiver : STR("unknown");
	default:
		return decimal(macros->now, text);
	}
}

static void add_escaped(struct buf *out, struct str s, bool escape)
{
	if (!escape) {
		buf_add(out, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		/* RFC 3986 section 2.3: the unreserved characters stay */
		if (str_is_alpha(c) || str_is_digit(c) || (c != '\0' && strchr("-._~", c) != NULL)) {
			buf_add_char(out, c);
			continue;
		}
		const char hex[] = "0123456789ABCDEF";
		char coded[3] = {'%', hex[(unsigned char)c >> 4], hex[(unsigned char)c & 15]};
		buf_add(out, str_from(coded, 3));
	}
}

static bool is_delimiter(const struct piece *piece, char c)
{
	return memchr(piece->delimiters.p, c, piece->delimiters.n) != NULL;
}

/* Where the last @keep parts begin. */
static size_t kept_from(const struct piece *piece, struct str value)
{
	size_t parts = 0;
	for (size_t i = value.n; i > 0; i--)
		if (is_delimiter(piece, value.p[i - 1]) && ++parts == piece->keep)
			return i;
	return 0;
}

/* One pass and no memory, here and below: a text of 64 KiB holds 16,000 macros. */
static void add_parts(struct buf *out, const struct piece *piece, struct str value)
{
	size_t start = kept_from(piece, value);
	for (size_t from = start, i = start; i <= value.n; i++) {
		if (i < value.n && !is_delimiter(piece, value.p[i]))
			continue;
		if (from > start)
			buf_add_char(out, '.');
		add_escaped(out, str_from(value.p + from, i - from), piece->escape);
		from = i + 1;
	}
}

/* Reversed, the last @keep parts are the first @keep of the value, from right to left. */
static void add_parts_reversed(struct buf *out, const struct piece *piece, struct str value)
{
	size_t parts = 0, end = 0;
	for (; end < value.n; end++)
		if (is_delimiter(piece, value.p[end]) && ++parts == piece->keep)
			break;
	for (size_t to = end, i = end + 1; i-- > 0;) {
		if (i > 0 && !is_delimiter(piece, value.p[i - 1]))
			continue;
		if (to < end)
			buf_add_char(out, '.');
		add_escaped(out, str_from(value.p + i, to - i), piece->escape);
		to = i > 0 ? i - 1 : 0;
	}
}

static void add_piece(struct buf *out, const struct spf_macros *macros, const struct piece *piece)
{
	char text[VALUE_SIZE];
	if (piece->letter == '\0') {
		buf_add(out, piece->literal);
		return;
	}
	struct str value = value_of(macros, piece->letter, text);
	if (value.n == 0)
		return;
	if (piece->reverse)
		add_parts_reversed(out, piece, value);
	else
		add_parts(out, piece, value);
}

struct str spf_macro_expand_domain(struct arena *arena, const struct spf_macros *macros, struct str spec)
{
	struct buf out = buf_in(arena);
	struct piece piece;
	while (spec.n > 0 && next_piece(&spec, SPF_IN_RECORD, &piece)) {
		add_piece(&out, macros, &piece);
		/* Only the last 253 bytes can stay, whatever a record of 64 KiB expands to. */
		const size_t tail = 2 * DOMAIN_MAX;
		if (out.n > 4 * tail) {
			memmove(out.p, out.p + out.n - tail, tail);
			out.n = tail;
		}
	}
	struct str name = buf_str(&out);
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	while (name.n > DOMAIN_MAX)
		name = domain_parent(name);
	return name;
}

bool spf_macro_expand_explanation(
	struct arena *arena, const struct spf_macros *macros, struct str text, struct str *ret_text)
{
	struct buf out = buf_in(arena);
	struct piece piece;
	while (text.n > 0 && out.n <= EXPLANATION_MAX) {
		if (!next_piece(&text, SPF_IN_EXPLANATION, &piece))
			return false;
		add_piece(&out, macros, &piece);
	}
	if (out.n > EXPLANATION_MAX)
		return false;
	/* The sender's local part may bring control or 8-bit bytes: RFC 7208 section 6.2 wants US-ASCII. */
	for (size_t i = 0; i < out.n; i++)
		if (out.p[i] < ' ' || out.p[i] > '~')
			return false;
	*ret_text = buf_str(&out);
	return true;
}
