/*
 * From what ran before to one trimilter.conf: files of OpenDKIM, OpenDMARC, policyd-spf, dkim-milter, amavisd and
 * rspamd, and the command lines of /etc/default.
 *
 * Each reader takes the shapes that it knows and names everything else with file and line; nothing in these files is
 * executed. A conversion collects what they say; conversion_write() makes the new texts of it. It reads the files it
 * is given and the maps that these name, and, of rspamd, the names of key files; it writes nothing.
 */
#ifndef TRIMILTER_CONVERT_CONVERT_H
#define TRIMILTER_CONVERT_CONVERT_H

#include "base/buf.h"
#include "base/diag.h"

enum convert_kind {
	CONVERT_EVIDENT,  /* the file's own form tells */
	CONVERT_OPENDKIM, /* these three have one form, "Option value" */
	CONVERT_OPENDMARC,
	CONVERT_DKIM_FILTER, /* or a command line */
	CONVERT_POLICYD_SPF,
	CONVERT_AMAVISD,
	CONVERT_RSPAMD,
	CONVERT_DEFAULT, /* assignments as in /etc/default */
};

struct convert_file {
	const char *path;
	enum convert_kind kind;
};

/** False: no such kind; the words are those of --from. */
bool convert_kind_parse(struct str word, enum convert_kind *ret_kind);
/** "rspamd" ... */
const char *convert_kind_text(enum convert_kind kind);
/** What the form of @text, of a file of that name, shows. Never CONVERT_EVIDENT. Pure. */
enum convert_kind convert_kind_of(struct str path, struct str text);

struct conversion;

/**
 * Read @files, whose kinds are set to what they are. In @arena. Errors in @diag: what was essential and could not be
 * converted; warnings: what else was not. NULL: a file cannot be read.
 */
struct conversion *conversion_read(struct arena *arena, struct convert_file *files, size_t n_files, struct diag *diag);

/** A file of its own, besides trimilter.conf. */
struct convert_table {
	const char *name; /* of the file, and of the option that names it */
	struct str text;  /* empty: there is none */
};

/** @n tables: a row each, or empty. */
const struct convert_table *conversion_tables(const struct conversion *conversion, size_t *n);

/** trimilter.conf. @directory  where the tables will be */
void conversion_write(const struct conversion *conversion, struct str directory, struct buf *out);

/** A password stands in it. */
bool conversion_is_secret(const struct conversion *conversion);

#endif
