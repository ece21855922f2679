/*
 * The trust anchor file: DS and DNSKEY records in the zone file format, as unbound-anchor(8) and dns-root-data have
 * them. Read once, so that a change of root directory or of user does not take it away. Pure but for reading the file.
 */
#ifndef TRIMILTER_DNS_ANCHORS_H
#define TRIMILTER_DNS_ANCHORS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct anchor {
	const char *text; /* one record on one line */
	unsigned line;    /* where it starts in the file */
};

struct anchors {
	const struct anchor *items;
	size_t n;
};

/** One record to a line, comments dropped, lines within parentheses joined (RFC 1035 section 5.1). */
struct anchors anchors_split(struct arena *arena, struct str text);

/** anchors_split() of the file. ERR_IO: errno tells. */
enum err anchors_read(struct arena *arena, const char *path, struct anchors *ret_anchors);

#endif
