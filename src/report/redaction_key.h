/*
 * The secret of RFC 6590, from which the words come that stand for local parts: made once and kept, so that the same
 * address is the same word in reports of different days.
 */
#ifndef TRIMILTER_REPORT_REDACTION_KEY_H
#define TRIMILTER_REPORT_REDACTION_KEY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define REDACTION_KEY_SIZE 32

/**
 * The key in the file redaction.key of @directory, which is made with a random one where there is none, or what is
 * there is no key (a crash, a full disk).
 * False: it cannot be read or kept, errno says why; the key is random then, and good until the process ends.
 */
bool redaction_key_load(struct arena *arena, struct str directory, char ret_key[REDACTION_KEY_SIZE]);

#endif
