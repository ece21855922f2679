/*
 * Texts made from the table of options: what the administrator reads cannot
 * differ from what the program does.
 */
#ifndef TRIMILTER_CONFIG_GENERATE_H
#define TRIMILTER_CONFIG_GENERATE_H

#include "base/buf.h"

/** The sample file: every option, commented out, with its default and what it is for. */
void config_write_sample(struct buf *out);
/** trimilter.conf(5), in man(7) macros. */
void config_write_man(struct buf *out);
/** docs/migration.md: what became of each option of OpenDKIM and OpenDMARC. */
void config_write_migration(struct buf *out);

#endif
