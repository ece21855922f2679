/*
 * What the courier's steps share.
 */
#ifndef TRIMILTER_REPORT_COURIER_WORK_H
#define TRIMILTER_REPORT_COURIER_WORK_H

#include "report/courier.h"
#include "report/mail.h"

/** A step begins: its time is @now and goes on from there. */
void courier_begin(struct courier *courier, int64_t now);
int64_t courier_time(const struct courier *courier);
/** What the host's clock says meanwhile; for what other hosts wait for. */
int64_t courier_clock(const struct courier *courier);

/** Between two pieces of work. False: stop here, someone asks for it, or another host has the lease. */
bool courier_goes_on(struct courier *courier);

/** mail_write(); that there is no key for it is said once. */
enum err courier_write(struct courier *courier, struct arena *arena, const struct mail *mail, struct buf *out);

/** Behind the '@'; empty: there is none. */
struct str courier_domain(struct str address);

/** The same number for the same text on every host that has the same options, and after a restart. */
uint64_t courier_number(struct str text);

/* How long a batch, or a failure, waits for a DNS that does not answer. */
#define COURIER_PATIENCE_SECONDS (6 * 3600)

#endif
