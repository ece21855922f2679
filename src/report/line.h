/*
 * A line of the spool: a piece of JSON with its length and checksum around it,
 *
 *	{"length":12,"crc32":"79add327","record":{"time":123}}
 *
 * so that one that was torn or changed is noticed before anybody reads it. Pure.
 */
#ifndef TRIMILTER_REPORT_LINE_H
#define TRIMILTER_REPORT_LINE_H

#include "base/buf.h"

/* Newline included: a header section of 1 MiB in which each byte takes six, and all the rest. */
#define REPORT_LINE_MAX ((size_t)8 << 20)

/** Append the line, newline included. @json is an object without a newline. */
void report_line_write(struct str json, struct buf *out);

/** @line  with or without its newline. NULL: *ret_json is its JSON, borrowed; else what is wrong, static. */
const char *report_line_read(struct str line, struct str *ret_json);

#endif
