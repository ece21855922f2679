/*
 * The configuration as the processes of the daemon read it, each for itself,
 * and the log that follows from it.
 */
#ifndef TRIMILTER_MILTER_SETTINGS_H
#define TRIMILTER_MILTER_SETTINGS_H

#include <stdbool.h>

#include "base/arena.h"
#include "config/config.h"

/** How the program was called. */
struct invocation {
	const char *const *paths; /* -c, absolute: a reload may come after chdir() */
	size_t n_paths;
	bool foreground; /* -f, or Background no */
};

struct settings {
	struct arena *arena;
	const struct config *config;
	const struct milter_options *milter; /* of config */
};

/**
 * Read the files.
 * @tell_warnings  warnings go to the log too; errors always do
 * 0, or an exit status with the reason in the log; *ret_settings is to be released in any case.
 */
int settings_read(const struct invocation *invocation, bool tell_warnings, struct settings *ret_settings);
void settings_release(struct settings *settings);

/** Open the log as the settings ask. */
void settings_log(const struct settings *settings, bool foreground);

/** In the background, once the service is ready: nobody reads standard output and error any more. */
void settings_leave_terminal(void);

/**
 * Tables, keys and suffix list, with the rights of the process.
 * 0, or an exit status with the reason in the log.
 */
int settings_load(const struct settings *settings, struct runtime **ret_runtime);

#endif
