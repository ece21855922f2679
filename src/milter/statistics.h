/*
 * What a worker tells of itself in the log, for people and for whatever draws
 * curves of it: one line of counters.
 */
#ifndef TRIMILTER_MILTER_STATISTICS_H
#define TRIMILTER_MILTER_STATISTICS_H

#include "milter/service.h"

/** @uptime  seconds that the worker has run: what its counters speak of. Any thread. */
void statistics_log(const struct service *service, int64_t uptime);

#endif
