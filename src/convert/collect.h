/*
 * What the readers of single kinds of files put together; for the files of this folder alone.
 */
#ifndef TRIMILTER_CONVERT_COLLECT_H
#define TRIMILTER_CONVERT_COLLECT_H

#include "base/map.h"
#include "convert/convert.h"
#include "tables/dataset.h"

struct conversion {
	struct arena *arena;
	struct diag *diag;
	struct convert_file *files;
	size_t n_files;
	struct convert_item *items; /* in the order of option_rows */
	struct config_values *values, *defaults;
	/* Tables that become files; rows with the place that they come from. */
	struct dataset keys, authors, options, internal;
	struct map *known_keys, *known_authors; /* the rows' keys in lower case */
};

struct convert_item {
	struct str text; /* p NULL: not said */
	struct diag_place place;
};

/** Of no files yet. */
struct conversion *conversion_new(struct arena *arena, struct diag *diag);

/** Set @option, unless it has been set; what is wrong with @text goes to the diag. Options without effect are noted. */
void convert_set(struct conversion *conversion, const char *option, struct str text, struct diag_place place);

/** A row of KeyTable, unless there is one for this selector and domain; returns its name. */
struct str convert_key(struct conversion *conversion, struct str domain, struct str selector, struct str path,
	struct diag_place place);
/** A row of SigningTable. @pattern as in a file: table */
void convert_author(struct conversion *conversion, struct str pattern, struct str key, struct diag_place place);

/** A host name in the DNS, normalised; else an error that names @what. */
bool convert_domain(struct conversion *conversion, struct str text, const char *what, struct diag_place place,
	struct str *ret_domain);

/* The readers. @text is what @file holds. */
void convert_amavisd(struct conversion *conversion, struct str text, const char *file);
void convert_rspamd(struct conversion *conversion, struct str text, const char *file);
/** Assignments of a shell. */
void convert_default(struct conversion *conversion, struct str text, const char *file);
/** Options of opendkim and dkim-filter, or, @dmarc, of opendmarc; blanks between. */
void convert_command_line(struct conversion *conversion, struct str line, bool dmarc, struct diag_place place);

#endif
