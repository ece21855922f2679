/*
 * The log: syslog, standard error, or both; one line per call, never more.
 *
 * Text that came from outside must be passed as an argument, never as the
 * format; control bytes in it are shown as \xHH so that no line can be forged.
 * Any thread may call at any time after log_open().
 */
#ifndef TRIMILTER_BASE_LOG_H
#define TRIMILTER_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/**
 * @program      the name in front of each line; borrowed for good
 * @use_syslog   syslog's facility @facility (LOG_MAIL ...) gets every line
 * @use_stderr   standard error gets "program: warning: text"
 * @level        lines above it are dropped
 * May be called again at reload. Before the first call lines go to standard error.
 */
void log_open(const char *program, bool use_syslog, int facility, bool use_stderr, enum log_level level);

/** LOG_MAIL for "mail" and so on, -1 for a name that syslog does not know. */
int log_facility(const char *name);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
