/*
 * Setters that have files of their own; set.c calls them.
 */
#ifndef TRIMILTER_CONFIG_SET_H
#define TRIMILTER_CONFIG_SET_H

#include "config/values.h"

/** The error "NAME: "text" is not WANTED"; returns false. */
bool option_refuse(const struct option_setting *setting, struct str text, const char *wanted);

/** Normalised to "inet:PORT@HOST", "inet6:PORT@HOST" or "local:PATH". */
bool option_set_socket(const struct option_setting *setting, struct str text);
/** LIST, DOMAINS, HEADERS, NAMESERVERS, ADDRESSES. */
bool option_set_list(const struct option_setting *setting, struct str text);

/* Of reports, set_report.c. */

/** "reports@example.com", also with a name and angle brackets, which go. False: the mistake has been said. */
bool option_parse_address(const struct option_setting *setting, struct str text, struct str *ret_address);
bool option_set_address(const struct option_setting *setting, struct str text);
/** Normalised to "HOST:PORT". */
bool option_set_server(const struct option_setting *setting, struct str text);
/** "sqlite:PATH" or "postgresql://...". */
bool option_set_store(const struct option_setting *setting, struct str text);
/** Words apart by blanks, '...' and "..." keep blanks; what would need a shell is refused. */
bool option_set_command(const struct option_setting *setting, struct str text);
bool option_set_report_format(const struct option_setting *setting, struct str text);

#endif
