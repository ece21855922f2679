/*
 * The process that makes reports and sends them: a turn of report/courier.h each
 * minute. It takes orders from its master alone (control.h), listens for nobody,
 * and no mail waits for it: whatever becomes of it, the worker goes on.
 *
 * It reads the configuration once; after a reload the master starts another one.
 * Its thread does the turns, so that the order to stop is heard while a turn waits
 * for the DNS or the MTA. A turn that does not come to its next step in time is
 * left where it is, as a kill would: its steps are made for that.
 */
#ifndef TRIMILTER_MILTER_COURIER_H
#define TRIMILTER_MILTER_COURIER_H

#include "milter/settings.h"

/** Returns only when it could not start: an exit status, with the reason in the log. */
int courier_run(const struct invocation *invocation);

#endif
