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
/** LIST, DOMAINS, HEADERS, NAMESERVERS. */
bool option_set_list(const struct option_setting *setting, struct str text);

#endif
