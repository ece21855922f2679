/*
 * Local parts of addresses made unreadable, and yet the same one always the same:
 * RFC 6590. Pure.
 *
 * What is found is what looks like an address. A name that is written out, an
 * address within an encoded-word or a link's %40 is not.
 */
#ifndef TRIMILTER_REPORT_REDACT_H
#define TRIMILTER_REPORT_REDACT_H

#include "base/arena.h"
#include "base/str.h"

/**
 * @text with 16 characters of base64 for each local part: HMAC-SHA-256 with @key over it, cut to 96 bits. In @arena.
 * A property in front of it ("smtp.mailfrom=") stays.
 */
struct str redact_addresses(struct arena *arena, struct str key, struct str text);

/** The same for a header section; Message-IDs, which are nobody's addresses and are needed to find the message, stay.
 */
struct str redact_headers(struct arena *arena, struct str key, struct str headers);

#endif
