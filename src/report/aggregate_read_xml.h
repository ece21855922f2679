/*
 * Adapter for libxml2's push parser: bytes in, elements and text out, of documents
 * that nobody vouches for.
 *
 * No tree is built. A document type declaration ends it, so there are no entities to expand, and nothing is loaded from
 * anywhere; depth and lengths are bounded. Faults that real reports have and that do no harm
 * are passed over: bytes that are not of the encoding, characters that XML does not have, a bare "&" (behind which
 * libxml2 leaves out other references, too), unknown entities and prefixes.
 */
#ifndef TRIMILTER_REPORT_AGGREGATE_READ_XML_H
#define TRIMILTER_REPORT_AGGREGATE_READ_XML_H

#include "base/arena.h"

enum xml_event_kind { XML_BEGIN, XML_END, XML_TEXT };

struct xml_event {
	enum xml_event_kind kind;
	struct str text; /* the element's name without prefix; or a piece of text, UTF-8 as far as the document is */
};

struct xml_reader;

/** In @arena, whose reset releases what libxml2 holds; want of memory jumps to its boundary, never through libxml2. */
struct xml_reader *xml_reader_new(struct arena *arena);
/** Parse the next bytes; no bytes: the end. NULL, or what is wrong, with the line, in the arena. */
const char *xml_reader_add(struct xml_reader *reader, struct str bytes);
/** The events of these bytes, one by one, each valid until xml_reader_add(). False: no more. */
bool xml_reader_next(struct xml_reader *reader, struct xml_event *ret_event);

#endif
