/*
 * Configuration: files of "Key value" lines with the names that opendkim.conf(5)
 * and opendmarc.conf(5) use.
 *
 * Every option is one row of options.def; reader, defaults, `trimilterctl conf`,
 * the sample file and the man page come from it. Several files merge: of
 * differing values the last wins, but for Socket, UserID, UMask, PidFile,
 * BaseDirectory and ChangeRootDirectory, where the first does.
 */
#ifndef TRIMILTER_CONFIG_CONFIG_H
#define TRIMILTER_CONFIG_CONFIG_H

#include "auth/runtime.h"
#include "base/diag.h"
#include "base/err.h"
#include "dns/options.h"
#include "milter/options.h"

/** What the files say, types and ranges checked, nothing else opened yet. */
struct config;

/**
 * Read @paths in order; with none, the defaults alone. Every mistake goes to @diag (file, line, the word, what would
 * be right, the nearest known option); ERR_CONFIG when there was an error, and *ret_config is then NULL.
 * @arena must outlive the configuration.
 */
enum err config_read(struct arena *arena, const char *const *paths, size_t n_paths, struct diag *diag,
	const struct config **ret_config);

/** What the process needs before it drops its rights, and what only a restart changes. Borrowed from @config. */
const struct milter_options *config_milter(const struct config *config);
const struct dns_options *config_dns(const struct config *config);
/** Whether there will be reports, and where; what options name has not been opened, so sets are NULL. */
const struct report_options *config_report(const struct config *config);

/**
 * Open tables, keys and suffix list, as the user that runs the worker, and put together what messages need.
 * One reference for the caller. ERR_CONFIG: @diag says why, *ret_runtime is NULL.
 * The runtime borrows nothing from @config: the caller may free its arena.
 */
enum err config_load(const struct config *config, struct diag *diag, struct runtime **ret_runtime);

/** Options that differ between the two and need a restart: a warning for each. For reload. */
void config_warn_restart(const struct config *running, const struct config *wanted, struct diag *diag);

/** Every option with its value in force and where it was set ("default", "FILE:LINE"), for `trimilterctl conf show`. */
void config_each(const struct config *config,
	bool (*visit)(void *context, const char *option, struct str value, struct diag_place place), void *context);

/**
 * What @paths say, for who writes it down anew: each option with its text, in the order of the options' table. Of
 * options that have another name today it is that one. What follows from several options together is not looked at.
 * Mistakes, and options without effect, go to @diag; all else is visited all the same.
 */
void config_each_said(struct arena *arena, const char *const *paths, size_t n_paths, struct diag *diag,
	void (*visit)(void *context, const char *option, struct str text, struct diag_place place), void *context);

#endif
