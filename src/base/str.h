/*
 * Byte slices.
 *
 * Text from mail and DNS is never assumed to end in NUL, nor to be free of it:
 * it travels as pointer and length, by value. A slice owns nothing.
 * Pure; no function here fails or allocates.
 */
#ifndef TRIMILTER_BASE_STR_H
#define TRIMILTER_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p; /* may be NULL only when n is 0 */
	size_t n;      /* bytes */
};

/** A slice of a string literal, also in static initializers. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_INIT(literal)                                                                                              \
	{                                                                                                              \
		"" literal, sizeof(literal) - 1                                                                        \
	}
/** The two arguments of "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *cstr)
{
	return (struct str){cstr, cstr != NULL ? strlen(cstr) : 0};
}

static inline struct str str_from(const char *p, size_t n)
{
	return (struct str){p, n};
}

/** ASCII only, whatever the locale. */
static inline char str_lower_char(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool str_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool str_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/** The value of a hexadecimal digit of either case; -1: it is none. */
static inline int str_hex_digit(char c)
{
	if (str_is_digit(c))
		return c - '0';
	c = str_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** SP, HTAB, CR or LF: what folding white space is made of. */
static inline bool str_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool str_eq(struct str a, struct str b);
/** Equal but for ASCII case. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_iends(struct str s, struct str suffix);
/** Order of bytes, the shorter first where one is a prefix of the other; for qsort. */
int str_cmp(struct str a, struct str b);

/** Index of the first (last) @c in @s, or -1. */
ptrdiff_t str_index(struct str s, char c);
ptrdiff_t str_rindex(struct str s, char c);

/** @s without its first @n bytes, its first @n bytes; @n is clamped to the length. */
struct str str_skip(struct str s, size_t n);
struct str str_head(struct str s, size_t n);

/** Without white space (str_is_space) at both ends. */
struct str str_trim(struct str s);
/** Without blanks and tabs (WSP, RFC 5234) at both ends: where a line break would be an error. */
struct str str_trim_wsp(struct str s);

/**
 * Take what stands before the first @separator off the front of *@s.
 * Without a separator all of it is taken. False when *@s was exhausted, that is its p is NULL:
 *	for (struct str rest = list, word; str_cut(&rest, ',', &word);) ...
 * An empty list yields one empty word; "a," yields "a" and "".
 */
bool str_cut(struct str *s, char separator, struct str *ret_word);

/**
 * Decimal digits only, all of them, at most @max. False otherwise; *ret_value is then untouched.
 */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value);

#endif
