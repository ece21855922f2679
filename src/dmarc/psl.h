/*
 * The public suffix list, by libpsl. Immutable once loaded: any thread.
 */
#ifndef TRIMILTER_DMARC_PSL_H
#define TRIMILTER_DMARC_PSL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct dmarc_suffixes;

/** @path  a list in the format of publicsuffix.org, text or DAFSA; NULL: the newest that the system has. NULL: errno tells. */
struct dmarc_suffixes *dmarc_suffixes_load(const char *path);
void dmarc_suffixes_free(struct dmarc_suffixes *suffixes); /* accepts NULL */

/**
 * One label more than the longest public suffix of @domain (canonical), or @domain itself where it is a
 * suffix or nothing is known. In @arena. RFC 7489 section 3.2
 */
struct str dmarc_suffixes_organizational(const struct dmarc_suffixes *suffixes, struct arena *arena, struct str domain);
/** How many of @domain's last labels that is; needs no memory. */
size_t dmarc_suffixes_organizational_labels(const struct dmarc_suffixes *suffixes, struct str domain);
bool dmarc_suffixes_is_suffix(const struct dmarc_suffixes *suffixes, struct arena *arena, struct str domain);

#endif
