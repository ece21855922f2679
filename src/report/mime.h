/*
 * What is read of MIME (RFC 2045, RFC 2046): parameters and parts, as far as bounces and the reports of others take it.
 * Pure; whatever comes is somebody else's.
 */
#ifndef TRIMILTER_REPORT_MIME_H
#define TRIMILTER_REPORT_MIME_H

#include "message/headers.h"

/** The value of the first field of that name, without the space around it; empty: there is none. Borrowed. */
struct str mime_field(const struct headers *headers, const char *name);

/** "multipart/report": what stands in front of the parameters of a Content-Type's value. Borrowed. */
struct str mime_type(struct str value);

/**
 * The parameter @name of such a value, without quotes, with escapes as they stand; empty: it is not there. Borrowed.
 * RFC 2045 section 5.1
 */
struct str mime_parameter(struct str value, const char *name);

/** The way through a multipart's body. */
struct mime_parts {
	struct str rest, delimiter;
	bool ended;
};

/** @body  borrowed; the delimiter is in @arena. Without a boundary there are no parts. */
struct mime_parts mime_parts_of(struct arena *arena, struct str body, struct str boundary);

/**
 * The next part, header section and body, with the line break in front of the delimiter; one without a delimiter behind
 * it goes on to the end. False: there is none. RFC 2046 section 5.1.1
 */
bool mime_next_part(struct mime_parts *parts, struct str *ret_part);

#endif
