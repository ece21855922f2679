/*
 * Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF. Pure.
 */
#ifndef TRIMILTER_BASE_UTF8_H
#define TRIMILTER_BASE_UTF8_H

#include "base/str.h"

/** Bytes of the well-formed sequence at the front of @s, 1..4; 0 where there is none, or @s is empty. */
size_t utf8_length(struct str s);
/** All of it is well-formed; true for the empty string. */
bool utf8_is_valid(struct str s);

#endif
