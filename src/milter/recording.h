/*
 * Recording messages for reports: when there is a spool, and what an
 * administrator is told where there cannot be one. Mail flows in any case.
 */
#ifndef TRIMILTER_MILTER_RECORDING_H
#define TRIMILTER_MILTER_RECORDING_H

#include "milter/service.h"

/**
 * For trimilter -n: a warning to the log where recording is wanted and could not be done. Makes nothing.
 * @as_root  a start will be root's, who makes what is not there (state.h)
 */
void recording_check(const struct report_options *options, bool as_root);

/**
 * At start, and at reload: give @service a spool if @options want one and it has none yet; a directory that cannot be
 * used is a warning in the log, and what cannot be recorded is counted.
 */
void recording_begin(struct service *service, const struct report_options *options);

#endif
