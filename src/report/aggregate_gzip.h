/*
 * Adapter for zlib: compressing while a document is written, unpacking while it is
 * read. No document is ever held in both forms.
 *
 * Memory is zlib's and malloc's, given back with the arena's reset; where there is
 * none the arena's boundary is jumped to.
 */
#ifndef TRIMILTER_REPORT_AGGREGATE_GZIP_H
#define TRIMILTER_REPORT_AGGREGATE_GZIP_H

#include "base/arena.h"

struct gzip_writer;

/** The same input gives the same bytes: no time and no name stand in the header. */
struct gzip_writer *gzip_writer_new(struct arena *arena);
void gzip_add(struct gzip_writer *writer, struct str bytes);
/** Bring out all that was added; gzip_size() is then exact. Costs some compression. */
void gzip_flush(struct gzip_writer *writer);
/** Bytes that have come out so far. */
size_t gzip_size(const struct gzip_writer *writer);
/** How many bytes @n more of input, and the end, may add to that at most, whatever they are. */
size_t gzip_bound(size_t n);
/** The whole file, valid until the arena's reset; nothing may be added any more. */
struct str gzip_end(struct gzip_writer *writer);

struct gzip_reader;
enum gzip_format { GZIP_FILE, GZIP_DEFLATE /* bare, as in zip files */, GZIP_STORED /* not compressed */ };

/** @data is borrowed. Several gzip files one behind the other are one document (RFC 1952 section 2.2). */
struct gzip_reader *gzip_reader_new(struct arena *arena, enum gzip_format format, struct str data);
/**
 * The next up to @capacity bytes. False: the data are damaged or end early; what came out before is in @out.
 * *ret_n 0 and true: the end.
 */
bool gzip_read(struct gzip_reader *reader, char *out, size_t capacity, size_t *ret_n);

#endif
