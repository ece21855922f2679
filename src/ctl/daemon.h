/*
 * The running daemon, as far as its PidFile leads to it: asked to reload, and whether it has.
 *
 * The master writes its PidFile again when a configuration has come into force that was read within the five seconds
 * before.
 */
#ifndef TRIMILTER_CTL_DAEMON_H
#define TRIMILTER_CTL_DAEMON_H

#include <stdbool.h>

#include "base/str.h"

enum daemon_reload {
	DAEMON_RELOADED,    /* the new configuration is in force */
	DAEMON_NOT_SO_FAR,  /* asked, and no word of it in @timeout_ms: its log tells why */
	DAEMON_NOT_RUNNING, /* said on standard error */
};

/** Send SIGHUP and wait. @verb is for messages. */
enum daemon_reload daemon_reload(const char *verb, struct str pid_file, unsigned timeout_ms);

/** The configuration in force was read after @file was last changed. False also where it may have been, within five
 * seconds. */
bool daemon_has_read(struct str pid_file, const char *file);

#endif
