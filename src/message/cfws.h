/*
 * The lowest layer of structured header fields: folding white space, comments
 * and quoted strings (RFC 5322 section 3.2), for addresses and for
 * Authentication-Results. Pure.
 *
 * Control bytes, a bare CR and a line break without a blank behind it are
 * errors here: a reader may stop at them, skip them or show them.
 */
#ifndef TRIMILTER_MESSAGE_CFWS_H
#define TRIMILTER_MESSAGE_CFWS_H

#include "base/arena.h"
#include "base/str.h"

/** Nested comments deeper than this are an error; real ones go two deep. */
#define COMMENT_DEPTH_MAX 16

struct cfws {
	bool any;            /* there was white space or a comment */
	struct str comments; /* from the first '(' to the last ')'; empty: there was none */
};

/** Bytes of the blank, or of the line break (LF or CRLF) that a blank follows, at the front of @s; else 0. */
size_t fws_length(struct str s);

/** Skip all white space and comments at the front of *@s. NULL, or what is wrong with them (static). */
const char *cfws_skip(struct str *s, struct cfws *ret_cfws);

/**
 * Skip the quoted string at the front of *@s, which begins with '"'. NULL, or what is wrong (static).
 * *ret_inside  what stands between the quotes, escapes and folding as they came; borrowed
 */
const char *quoted_string_skip(struct str *s, struct str *ret_inside);

/** What the inside of a quoted string means: without escapes and line breaks. */
struct str quoted_string_text(struct arena *arena, struct str inside);

/** A control character in UTF-8: C0 but for TAB, DEL, or U+0080..U+009F at the front of @s. */
bool is_control_at(struct str s);

#endif
