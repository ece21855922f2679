/*
 * The KeyTable and the SigningTable of a configuration, as text that can be changed: file:, refile:, or a bare path.
 *
 * What is wrong is said on standard error as "trimilterctl VERB: ..."; exit statuses are those of sysexits.h.
 */
#ifndef TRIMILTER_CTL_KEY_TABLES_H
#define TRIMILTER_CTL_KEY_TABLES_H

#include "ctl/common.h"
#include "ctl/files.h"
#include "dns/options.h"
#include "tables/dataset.h"

struct table_file {
	const char *option; /* "KeyTable" */
	const char *path;   /* with links resolved */
	bool exists;        /* false: there is no such file yet */
	struct str text;    /* as it was read */
	struct dataset rows;
};

/** One row of the KeyTable. */
struct key_row {
	struct str name; /* lower case, as names are compared */
	struct str domain, selector;
	struct str path; /* from BaseDirectory where it is relative; empty: the key stands in the table */
	struct str text; /* which is then here */
	unsigned line;
};

struct key_tables {
	struct ctl *ctl;
	const char *verb;
	struct table_file keys, authors;
	struct str user, base_directory, pid_file; /* UserID, BaseDirectory, PidFile; empty: not set */
	bool multiple_signatures;
	struct dns_options dns;
	struct key_row *rows;
	size_t n_rows, capacity;
};

/** Does the configuration have tables that key_tables_open() takes? Says nothing. */
bool key_tables_are_files(struct ctl *ctl);
/** Read the configuration and both tables; the keys themselves are not looked at. */
int key_tables_open(struct key_tables *tables, struct ctl *ctl, const char *verb);

/** files_lock() on where the KeyTable is; read the tables (again) afterwards. */
bool key_tables_lock(const struct key_tables *tables, struct files *files);

/** The first row with these; @selector empty: any. NULL: there is none. */
const struct key_row *key_tables_find(const struct key_tables *tables, struct str domain, struct str selector);
const struct key_row *key_tables_named(const struct key_tables *tables, struct str name);

/** Is @row of the SigningTable one for @domain itself: "example.org", "*@example.org"? */
bool signing_row_is_for(const struct dataset_row *row, struct str domain);
/** The key that it names, without ":SIGNER". */
struct str signing_row_key(const struct dataset_row *row);

/** Which user and group a new key gets: those of the first key there is, else UserID. False: said. */
bool key_tables_rights(const struct key_tables *tables, struct file_rights *ret_rights);
/**
 * Where a new key of @domain goes: @directory (NULL: beside those there are, else "keys" beside the KeyTable).
 * Directories that are missing are added to @files. NULL: no name is free, which has been said.
 */
const char *key_tables_place(const struct key_tables *tables, struct files *files, const char *directory,
	struct str domain, struct str selector, const struct file_rights *rights);
/** A selector that no key of @domain has: @wanted, else with "-2", "-3" ... */
struct str key_tables_free_selector(const struct key_tables *tables, struct str domain, struct str wanted);

/** @text with the @lines at its end; with line @number (from 1) replaced, or taken out where @line.p is NULL. */
struct str table_text_append(struct arena *arena, struct str text, struct str lines);
struct str table_text_change(struct arena *arena, struct str text, unsigned number, struct str line);
/** Note that @table is to hold @text from now on. */
void table_file_change(struct files *files, const struct table_file *table, struct str text);

/**
 * files_apply(), then read the whole configuration as the daemon would and ask @is_right (NULL: nothing more) of it.
 * EX_OK: it is in force as far as files go. Else everything has been put back.
 */
int key_tables_apply(struct key_tables *tables, struct files *files,
	bool (*is_right)(void *context, const struct runtime *runtime), void *context);

/** "trimilterctl reload -c FILE", as the user has to type it. */
struct str key_tables_reload_command(const struct key_tables *tables);

#endif
