/*
 * Adapter for libxml2's xmlTextWriter: elements in, bytes of XML out, a piece at
 * a time.
 *
 * Whatever the text, the document is well-formed: bytes that are not UTF-8 and characters that XML 1.0 section 2.2 does
 * not have become U+FFFD, white space a blank. Memory is given back with the arena's reset.
 */
#ifndef TRIMILTER_REPORT_AGGREGATE_WRITE_XML_H
#define TRIMILTER_REPORT_AGGREGATE_WRITE_XML_H

#include "base/arena.h"

struct xml_writer;

/** Begins with the XML declaration and the root element; @namespace may be NULL. */
struct xml_writer *xml_writer_new(struct arena *arena, const char *root, const char *namespace);
void xml_begin(struct xml_writer *writer, const char *name);
void xml_end(struct xml_writer *writer);
/** An element with text alone. @scratch holds a copy of the text. */
void xml_element(struct xml_writer *writer, struct arena *scratch, const char *name, struct str text);
/** Close all that is open. */
void xml_finish(struct xml_writer *writer);

/** What was written since xml_forget(), up to the last tag that is complete; valid until the next call. */
struct str xml_written(struct xml_writer *writer);
void xml_forget(struct xml_writer *writer);
/** libxml2 refused something, which for want of memory alone it does. */
bool xml_failed(const struct xml_writer *writer);

#endif
