/*
 * What a configuration consists of; for the files of this folder alone.
 */
#ifndef TRIMILTER_CONFIG_STATE_H
#define TRIMILTER_CONFIG_STATE_H

#include "config/config.h"
#include "config/values.h"

/** What was said about one option, in the order of option_rows. */
struct config_said {
	struct str text;         /* as written; the default where nothing was */
	struct str shown;        /* the value in force */
	struct diag_place place; /* file NULL: the default */
	size_t file_index;       /* of the files given, 1 first; 0: the default */
};

struct config {
	struct arena *arena;
	struct config_values values;
	struct config_said *said;
	struct str *authserv_ids; /* of all files, also of those that another file overrides */
	size_t n_authserv_ids, authserv_ids_capacity;
	struct str host_name;
	bool renames; /* take options by the names that they had once */
};

/** Of the option that sets @member; for finishing and loading. */
const struct config_said *config_said_of(const struct config *config, const char *name);

/** Read @path and what it includes into @config. */
void config_read_file(struct config *config, const char *path, size_t file_index, struct diag *diag);

/** The same for text at hand; Include is refused in it. */
void config_read_lines(struct config *config, struct str text, struct diag *diag);
/** config_read() for text at hand on a host called host.example, for tests and fuzzing. NULL: it has errors. */
const struct config *config_read_text(struct arena *arena, struct str text, struct diag *diag);

/** All files are read: what follows from several options together. */
void config_finish(struct config *config, struct diag *diag);

#endif
