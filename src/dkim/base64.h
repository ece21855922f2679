/*
 * Base64, RFC 4648 section 4, as DKIM uses it: with folding white space
 * anywhere (RFC 6376 section 2.10). Pure.
 */
#ifndef TRIMILTER_DKIM_BASE64_H
#define TRIMILTER_DKIM_BASE64_H

#include "base/buf.h"

/** Enough room for what @n characters decode to. */
static inline size_t base64_decoded_max(size_t n)
{
	return n / 4 * 3 + 3;
}

/**
 * White space is skipped. Padding may be missing (keys are published that way, and nothing becomes ambiguous), but
 * where it stands it must be right and last. False: another character, a lone last character, or more than @capacity
 * bytes.
 */
bool base64_decode(struct str text, uint8_t *out, size_t capacity, size_t *ret_n);

/** With padding, on one line. */
void base64_write(struct buf *out, const uint8_t *data, size_t n);

#endif
