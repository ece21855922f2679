/*
 * What systemd wants to know of a service (sd_notify(3)). Does nothing where
 * there is no systemd, or no libsystemd.
 */
#ifndef TRIMILTER_MILTER_NOTIFY_H
#define TRIMILTER_MILTER_NOTIFY_H

#include <stdint.h>

/** Serves, for the first time or again behind notify_reloading(). The master alone calls these. */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/** Milliseconds between two notify_watchdog(), half of what systemd allows; 0: it does not watch. */
int64_t notify_watchdog_interval(void);

#endif
