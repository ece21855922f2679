/*
 * Whose results a field claims to be.
 *
 * The programs that will read the message later parse it in ways nobody knows: with comments or without, with
 * quotes or without, nested or up to the first parenthesis; they drop control bytes or stop at them, decode encoded
 * words, normalise Unicode. So the part of the field that holds the id is brought into several readings, and in
 * each our id is looked for as a whole name. A foreign field has no such name there.
 */
#include "base/domain.h"
#include "base/utf8.h"
#include "message/cfws.h"
#include "message/results.h"

/* An honest id is a name and perhaps a version; what needs more than this to say whose it is, is not trusted. */
#define ID_TEXT_MAX 2000
#define ID_NAMES_8BIT_MAX 2
/* An id is looked for in so many parts between semicolons. */
#define ID_PARTS_MAX 4
/* RFC 2047 section 2 allows 75. */
#define ENCODED_WORD_MAX 200

/* Lives on the stack. */
struct text {
	char p[ID_TEXT_MAX];
	size_t n;
	bool overflow;
};

/* Not by an initializer, which would clear the bytes too. */
static void text_init(struct text *text)
{
	text->n = 0;
	text->overflow = false;
}

static void put(struct text *text, char c)
{
	if (text->n < sizeof(text->p))
		text->p[text->n++] = c;
	else
		text->overflow = true;
}

static void put_str(struct text *text, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		put(text, s.p[i]);
}

static struct str text_str(const struct text *text)
{
	return str_from(text->p, text->n);
}

/* ---- Is it there, as a whole name? ---- */

static bool is_name_byte(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || c == '-' || c == '_' || (unsigned char)c >= 0x80;
}

/* A dot beside the name does not make it another one, a label does. */
static bool is_bounded(struct str text, size_t from, size_t to, bool any_below)
{
	while (from > 0 && text.p[from - 1] == '.')
		from--;
	while (to < text.n && text.p[to] == '.')
		to++;
	return (any_below || from == 0 || !is_name_byte(text.p[from - 1])) &&
	       (to == text.n || !is_name_byte(text.p[to]));
}

static bool holds_name(struct str text, struct str id)
{
	bool any_below = id.n > 0 && id.p[0] == '.';
	for (size_t from = 0; id.n > 0 && from < text.n;) {
		const char *found = memmem(text.p + from, text.n - from, id.p, id.n);
		if (found == NULL)
			return false;
		size_t at = (size_t)(found - text.p);
		if (is_bounded(text, at, at + id.n, any_below))
			return true;
		from = at + 1;
	}
	return false;
}

struct reader {
	struct arena *arena;
	const struct str *ids;
	size_t n_ids;
};

static bool holds_any(const struct reader *reader, const struct text *text)
{
	for (size_t i = 0; i < reader->n_ids; i++)
		if (holds_name(text_str(text), reader->ids[i]))
			return true;
	return text->overflow;
}

/* ---- Readings of bytes ---- */

/* Spaces of Unicode, which the split() of some languages takes for separators. */
static bool is_wide_space(struct str s)
{
	static const char *const spaces[] = {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (str_starts(s, str_of(spaces[i])))
			return true;
	return str_starts(s, STR("\xe2\x80")) && s.n > 2 && (unsigned char)s.p[2] <= 0x8a;
}

static size_t character_length(struct str s)
{
	size_t n = utf8_length(s);
	return n > 0 ? n : 1;
}

/* In lower case; white space becomes blanks, and control bytes do or vanish. False: there were none. */
static bool read_controls(struct str s, bool controls_separate, struct text *ret_text)
{
	bool any = false;
	for (size_t n; s.n > 0; s = str_skip(s, n)) {
		n = character_length(s);
		if (is_wide_space(s) || str_is_space(s.p[0])) {
			put(ret_text, ' ');
		} else if (is_control_at(s)) {
			any = true;
			if (controls_separate)
				put(ret_text, ' ');
		} else {
			for (size_t i = 0; i < n; i++)
				put(ret_text, str_lower_char(s.p[i]));
		}
	}
	return any;
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static void put_without(struct text *text, struct str s, bool without_8bit, bool without_blanks)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(without_8bit && (unsigned char)s.p[i] >= 0x80) && !(without_blanks && s.p[i] == ' '))
			put(text, s.p[i]);
}

/* Names with 8-bit bytes as IDNA maps them; where it refuses, as a program has it that drops such bytes. */
static void read_a_labels(struct arena *arena, struct str s, struct text *ret_text)
{
	size_t n_names = 0;
	while (s.n > 0) {
		size_t n = 0;
		while (n < s.n && (is_name_byte(s.p[n]) || s.p[n] == '.'))
			n++;
		struct str name = str_head(s, n > 0 ? n : 1), mapped;
		s = str_skip(s, name.n);
		if (is_ascii(name))
			put_str(ret_text, name);
		else if (n_names++ == ID_NAMES_8BIT_MAX)
			ret_text->overflow = true;
		else if (n_names <= ID_NAMES_8BIT_MAX && domain_normalize(arena, name, &mapped))
			put_str(ret_text, mapped);
		else
			put_without(ret_text, name, true, false);
	}
}

static bool holds_any_8bit(const struct reader *reader, const struct text *plain)
{
	struct text text;
	text_init(&text);
	read_a_labels(reader->arena, text_str(plain), &text);
	if (holds_any(reader, &text))
		return true;
	text.n = 0;
	put_without(&text, text_str(plain), true, false);
	return holds_any(reader, &text);
}

static bool holds_any_somehow(const struct reader *reader, struct str s)
{
	for (int controls_separate = 0; controls_separate < 2; controls_separate++) {
		struct text plain, joined;
		text_init(&plain);
		text_init(&joined);
		if (!read_controls(s, controls_separate, &plain) && controls_separate)
			return false;
		put_without(&joined, text_str(&plain), false, true);
		if (holds_any(reader, &plain) || holds_any(reader, &joined))
			return true;
		if (!is_ascii(text_str(&plain)) && holds_any_8bit(reader, &plain))
			return true;
	}
	return false;
}

/* ---- Encoded words, which mail readers and scripts decode wherever they stand ---- */

struct encoded_word {
	size_t n; /* bytes in all; 0: there is none */
	char encoding;
	struct str text;
};

static struct encoded_word encoded_word_at(struct str s)
{
	struct encoded_word none = {0}, word = {0};
	s = str_head(s, ENCODED_WORD_MAX);
	if (!str_starts(s, STR("=?")))
		return none;
	struct str rest = str_skip(s, 2);
	ptrdiff_t question = str_index(rest, '?');
	if (question < 0)
		return none;
	rest = str_skip(rest, (size_t)question + 1);
	if (rest.n < 2 || rest.p[1] != '?')
		return none;
	word.encoding = str_lower_char(rest.p[0]);
	rest = str_skip(rest, 2);
	const char *end = memmem(rest.p, rest.n, "?=", 2);
	if (end == NULL)
		return none;
	word.text = str_from(rest.p, (size_t)(end - rest.p));
	word.n = (size_t)(end + 2 - s.p);
	return word;
}

static int digit_of(char c, const char *digits)
{
	const char *found = c != '\0' ? strchr(digits, c) : NULL;
	return found != NULL ? (int)(found - digits) : -1;
}

static void decode_q(struct str s, struct text *out)
{
	static const char hex[] = "0123456789abcdef";
	for (; s.n > 0; s = str_skip(s, 1)) {
		int high = s.n > 2 ? digit_of(str_lower_char(s.p[1]), hex) : -1;
		int low = s.n > 2 ? digit_of(str_lower_char(s.p[2]), hex) : -1;
		if (s.p[0] == '=' && high >= 0 && low >= 0) {
			put(out, (char)(high * 16 + low));
			s = str_skip(s, 2);
		} else {
			put(out, s.p[0] == '_' ? ' ' : s.p[0]);
		}
	}
}

static void decode_b(struct str s, struct text *out)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, n_bits = 0;
	for (size_t i = 0; i < s.n; i++) {
		int digit = digit_of(s.p[i], base64);
		if (digit < 0)
			continue;
		bits = (bits << 6 | (unsigned)digit) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		put(out, (char)(unsigned char)(bits >> n_bits));
	}
}

/* False: there is no encoded word in @s. */
static bool read_encoded_words(struct str s, struct text *ret_text)
{
	bool any = false;
	while (s.n > 0) {
		struct encoded_word word = encoded_word_at(s);
		if (word.n == 0) {
			put(ret_text, s.p[0]);
			s = str_skip(s, 1);
			continue;
		}
		any = true;
		if (word.encoding == 'b')
			decode_b(word.text, ret_text);
		else
			decode_q(word.text, ret_text);
		s = str_skip(s, word.n);
		/* White space between two of them is no part of the text. RFC 2047 section 6.2 */
		if (encoded_word_at(str_trim(s)).n > 0)
			s = str_trim(s);
	}
	return any;
}

/* ---- Readings of the structure ---- */

struct syntax {
	bool full;  /* comments nest, quotes and escapes count; else a comment ends at the first ')', quotes are nothing
		     */
	bool joins; /* comments and quotes vanish; else they separate like a blank */
};

/* Length of the comment at the front of @s; 0 when it never ends. */
static size_t comment_length(struct str s, struct syntax syntax)
{
	size_t depth = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (syntax.full && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && (!syntax.full || --depth == 0))
			return i + 1;
	}
	return 0;
}

struct scan {
	struct syntax syntax;
	struct str rest;
	struct text *text;
	size_t part; /* where the part being read begins in the text */
	size_t n_parts;
	bool in_quotes, behind_equals, endless_comment;
};

/*
 * Of the first part all that stands before its '=' may hold the id. Of later ones only those without '=': a field
 * may begin with "i=1;" or ";" by mistake or by intent.
 */
static void end_part(struct scan *scan)
{
	if (scan->n_parts > 0 && scan->behind_equals)
		scan->text->n = scan->part;
	bool blank = str_trim(str_skip(text_str(scan->text), scan->part)).n == 0;
	scan->n_parts += !blank || scan->behind_equals;
	scan->behind_equals = false;
	put(scan->text, ';');
	scan->part = scan->text->n;
}

/* Bytes taken by a comment, an escape, a quote or an encoded word at the front; 0: it is an ordinary character. */
static size_t scan_special(struct scan *scan)
{
	struct str s = scan->rest;
	size_t n = 0;
	switch (s.p[0]) {
	case '(':
		if (scan->in_quotes || scan->endless_comment)
			return 0;
		/* One that never ends hides all that follows from some readers, and nothing from others. */
		n = comment_length(s, scan->syntax);
		scan->endless_comment = n == 0;
		n = n > 0 ? n : 1;
		break;
	case '"':
		scan->in_quotes = scan->syntax.full && !scan->in_quotes;
		n = 1;
		break;
	case '\\':
		if (scan->in_quotes && s.n > 1 && !scan->behind_equals)
			put(scan->text, s.p[1]);
		return scan->in_quotes && s.n > 1 ? 2 : 1;
	case '=':
		n = scan->behind_equals ? 0 : encoded_word_at(s).n;
		put_str(scan->text, str_head(s, n));
		return n;
	default:
		return 0;
	}
	if (!scan->syntax.joins && !scan->behind_equals)
		put(scan->text, ' ');
	return n;
}

static void read_id_text(struct str value, struct syntax syntax, struct text *ret_text)
{
	struct scan scan = {.syntax = syntax, .rest = value, .text = ret_text};
	size_t max_parts = syntax.full ? ID_PARTS_MAX : 1;
	while (scan.rest.n > 0 && scan.n_parts < max_parts && !ret_text->overflow) {
		size_t n = scan_special(&scan);
		char c = scan.rest.p[0];
		scan.rest = str_skip(scan.rest, n > 0 ? n : 1);
		if (n > 0)
			continue;
		if (c == ';' && !scan.in_quotes)
			end_part(&scan);
		else if (c == '=' && !scan.in_quotes)
			scan.behind_equals = true;
		else if (!scan.behind_equals)
			put(ret_text, c);
	}
	end_part(&scan);
}

static bool is_among(const struct text *text, const struct text *others, size_t n_others)
{
	for (size_t i = 0; i < n_others; i++)
		if (str_eq(text_str(text), text_str(&others[i])))
			return true;
	return false;
}

static bool claims_in_reading(const struct reader *reader, const struct text *text)
{
	struct text decoded;
	text_init(&decoded);
	return holds_any_somehow(reader, text_str(text)) ||
	       (read_encoded_words(text_str(text), &decoded) && holds_any_somehow(reader, text_str(&decoded)));
}

static bool claims_any(const struct reader *reader, struct str value)
{
	static const struct syntax syntaxes[] = {
		{.full = true, .joins = true},
		{.full = true, .joins = false},
		{.full = false, .joins = true},
		{.full = false, .joins = false},
	};
	struct text texts[sizeof(syntaxes) / sizeof(syntaxes[0])];
	for (size_t i = 0; i < sizeof(syntaxes) / sizeof(syntaxes[0]); i++) {
		text_init(&texts[i]);
		read_id_text(value, syntaxes[i], &texts[i]);
		if (texts[i].overflow || (!is_among(&texts[i], texts, i) && claims_in_reading(reader, &texts[i])))
			return true;
	}
	return false;
}

bool results_claims(struct str value, const struct str *ids, size_t n_ids)
{
	/* What is needed goes back at once: ten thousand such fields would fill the message's arena. */
	struct arena *scratch = arena_new(0);
	if (scratch == NULL)
		return true;
	jmp_buf out_of_memory;
	volatile bool claims = true; /* in doubt */
	if (setjmp(out_of_memory) == 0) {
		arena_set_boundary(scratch, &out_of_memory);
		claims = claims_any(&(struct reader){scratch, ids, n_ids}, value);
	}
	arena_free(scratch);
	return claims;
}
