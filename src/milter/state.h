/*
 * The directories that reports are kept in. UserID could not make them below
 * /var/lib: root does, at the first start, and gives them to it.
 */
#ifndef TRIMILTER_MILTER_STATE_H
#define TRIMILTER_MILTER_STATE_H

#include "base/rights.h"
#include "report/options.h"

/**
 * As root, and where reports are wanted: the directory of the spool, the one above it, and that of an SQLite store.
 * What is there stays as it is; what cannot be made is said by whoever needs it.
 */
void state_make(const struct report_options *options, const struct rights *rights);

#endif
