/*
 * The process that serves the MTA. It takes orders from its master alone
 * (control.h); signals do nothing to it, for libmilter would take SIGTERM,
 * SIGHUP and SIGINT to mean an end in which waiting sessions are left unserved.
 */
#ifndef TRIMILTER_MILTER_WORKER_H
#define TRIMILTER_MILTER_WORKER_H

#include "milter/settings.h"

/** Returns only when it could not start: an exit status, with the reason in the log. */
int worker_run(const struct invocation *invocation);

#endif
