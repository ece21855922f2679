/*
 * From the spool into the store: each file exactly once, whatever is killed when.
 */
#ifndef TRIMILTER_REPORT_IMPORT_H
#define TRIMILTER_REPORT_IMPORT_H

#include "report/spool.h"
#include "report/store.h"

struct import_result {
	uint64_t files, records, failures, bad_lines;
};

/**
 * Import every free file of the spool; a transaction to some thousand records, the position in the same one.
 * A file leaves the spool when the store has all of it. Stops at the first ERR_IO: what was committed stays, the rest
 * comes with the next call. @stop  asked between transactions; may be NULL
 */
enum err import_run(struct store *store, const struct report_options *options, int64_t now, bool (*stop)(void *context),
	void *context, struct import_result *ret_result);

/** Begin of the reporting period that @time lies in. */
int64_t import_period(const struct report_options *options, int64_t time);

#endif
