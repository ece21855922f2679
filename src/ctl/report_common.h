/*
 * What the verbs of `trimilterctl report` that work on the store share.
 *
 * Run by root they become UserID first: what they make then belongs to the daemon, and what they may read is what it
 * may read.
 */
#ifndef TRIMILTER_CTL_REPORT_COMMON_H
#define TRIMILTER_CTL_REPORT_COMMON_H

#include "ctl/command_line.h"
#include "report/store.h"

/** One of these verbs, its command line taken apart. */
struct ctl_report {
	const char *verb; /* "report list" */
	const char *usage;
	const struct option *options; /* CTL_COMMON_OPTIONS or some of them, --help, its own */
	/* Takes one of its own options. An exit status; ctl_usage_error() has said why. NULL: it has none. */
	int (*take)(struct ctl_report *report, int option, const char *argument);
	bool needs_domain;
	bool may_create; /* where there is no store yet one is made */

	/* Filled in by ctl_report_run() before it calls run() */
	struct ctl ctl;
	struct str domain; /* the DOMAIN that was named; empty: none */
	const struct config *config;
	const struct report_options *report; /* of the configuration, as config_report() has them */
	struct store *store;
};

/** All of a verb: options, configuration, rights, the store, then @run, whose exit status it returns. */
int ctl_report_run(struct ctl_report *report, int argc, char **argv, int (*run)(struct ctl_report *report));

/** Say what the store said of the call that failed just now. EX_TEMPFAIL. */
int ctl_report_failed(const struct ctl_report *report);

/** A whole number from 1 on; 0: it is none, and ctl_usage_error() has said so. */
uint64_t ctl_report_number(const struct ctl_report *report, const char *option, const char *argument);

/** "2026-11-21 17:04:05", UTC, in the arena. */
struct str ctl_report_time(struct arena *arena, int64_t time);
/** JSON null where it is 0. */
void ctl_report_json_time(struct json *json, const char *key, int64_t time);
const char *ctl_report_state(const struct store_delivery *delivery); /* "pending" ... */

#endif
