/*
 * The report store: counted rows, reports built from them, deliveries, failure
 * reports that wait, addresses that bounced.
 *
 * SQLite for one host (created and migrated by itself, WAL), PostgreSQL where
 * several hosts report as one; the queries are written once (store*.c) over a
 * narrow adapter (db.h: db_sqlite.c, db_postgresql.c). Only the courier and
 * trimilterctl open it; mail never waits for it.
 *
 * A store belongs to one thread. Every call gives ERR_OK or ERR_IO, the latter with
 * store_error() telling what the database said; a broken connection is made anew
 * with the next call, but never within a transaction: there, after a failure,
 * everything fails until store_rollback(). No call waits for the database longer
 * than 35 s. Times are seconds since 1970. What a call returns is in the
 * arena that it was given.
 */
#ifndef TRIMILTER_REPORT_STORE_H
#define TRIMILTER_REPORT_STORE_H

#include "base/err.h"
#include "report/record.h"

struct store;

/** The file that @url names, in @arena; p is NULL: a server. */
struct str store_file(struct arena *arena, struct str url);

#define STORE_ERROR_SIZE 1024
/** @url  "sqlite:PATH", "postgresql://..."; passwords in it never appear in errors. ERR_CONFIG: it is neither. */
enum err store_open(struct str url, struct store **ret_store, char error[STORE_ERROR_SIZE]);
void store_close(struct store *store);              /* accepts NULL */
const char *store_error(const struct store *store); /* of the last call that failed */

enum err store_begin(struct store *store);  /* transactions do not nest */
enum err store_commit(struct store *store); /* ERR_IO: rolled back */
void store_rollback(struct store *store);   /* nothing where no transaction is open */

/**
 * Who may build and send now: one holder among all hosts. True in *ret_mine until @seconds from now, unless
 * store_lease_release(). Calling again as the same @holder prolongs it.
 */
enum err store_lease(
	struct store *store, struct str name, struct str holder, int64_t now, unsigned seconds, bool *ret_mine);
enum err store_lease_release(struct store *store, struct str name, struct str holder);
/** Who holds it at @now, and until when; *ret_holder is empty where nobody does. */
enum err store_lease_holder(struct store *store, struct arena *arena, struct str name, int64_t now,
	struct str *ret_holder, int64_t *ret_until);

/* ---- import: in one transaction the rows and the position, so a file counts once ---- */

/** How far the file has been imported; 0: not at all. Locks it against other importers until the end of the
 * transaction. */
enum err store_source_position(struct store *store, struct str source, uint64_t *ret_position);
enum err store_source_set(struct store *store, struct str source, uint64_t position, int64_t now);
/** Count one message. @period  begin of the reporting period. Readers see it after store_commit(). */
enum err store_count(struct store *store, const struct report_record *record, int64_t period);
/** Keep a failure for failure reports; the same id again is nothing. */
enum err store_add_failure(struct store *store, const struct report_record *record);

/* ---- aggregate reports ---- */

/** Rows of one policy in one period, that is, one report to be. */
struct store_batch {
	int64_t id;
	struct report_policy policy;
	int64_t period;
	uint64_t messages, rows;
	int64_t reported; /* when; 0: not yet */
};
/**
 * Batches of periods before @before that have no report yet; or with @all every one, whatever @before is. Up to @limit,
 * after id @after. Without @all they are closed by this: what is counted later for their period gets a batch, and a
 * report, of its own.
 */
enum err store_batches(struct store *store, struct arena *arena, int64_t before, bool all, int64_t after, size_t limit,
	const struct store_batch **ret_batches, size_t *ret_n);

struct store_row {
	struct report_row row;
	uint64_t count;
};
/** Call @visit with each row of the batch, in a stable order, until it returns false. The row is valid during the call.
 */
enum err store_rows(
	struct store *store, int64_t batch, bool (*visit)(void *context, const struct store_row *row), void *context);

/**
 * A finished report. A failure report is kept here too, so that it is delivered, tried again and listed like others:
 * batch 0, report_id its Message-ID, file_name empty, data the message as it will be sent, one destination.
 */
struct store_report {
	int64_t id;
	int64_t batch;        /* 0: a failure report */
	struct str report_id; /* RFC 9990 section 3.5.1 */
	struct str domain;    /* policy domain */
	int64_t begin, end;
	uint64_t messages, rows;
	int64_t built;        /* when */
	struct str file_name; /* "receiver!domain!begin!end!id.xml.gz" */
	struct str subject;
	struct str data; /* gzip; empty in lists */
};
struct store_destination {
	struct str address;
	int64_t not_before;  /* jitter */
	const char *refused; /* why nothing is sent there (visible in lists); NULL: to be sent */
};
/**
 * Keep a report and its destinations in one step (within the caller's transaction where one is open); with the last of
 * its batch the batch counts as reported. A batch may have several (split by size), or one with empty data where nobody
 * gets it; such a report is never made pending. A report_id that is there already, and a batch that has been reported,
 * is nothing: what another host has done meanwhile, or we before we were killed, is not done again.
 */
enum err store_add_report(struct store *store, const struct store_report *report,
	const struct store_destination *destinations, size_t n_destinations, bool last_of_batch);

enum store_delivery_state { STORE_PENDING, STORE_SENT, STORE_REFUSED, STORE_EXPIRED };
struct store_delivery {
	int64_t id;
	int64_t report;
	struct str address;
	enum store_delivery_state state;
	unsigned attempts;
	int64_t next_attempt; /* PENDING */
	int64_t created, changed;
	struct str note; /* the last error, the server's answer */
};
/**
 * Deliveries due at @due, in no order; the claim keeps others from them for @claim_seconds from @now, the host's time.
 * @domain  of reports about it alone; empty: all
 */
enum err store_due(struct store *store, struct arena *arena, int64_t due, int64_t now, struct str domain,
	unsigned claim_seconds, size_t limit, const struct store_delivery **ret_deliveries, size_t *ret_n);
/** Ends the claim, and counts an attempt. One that is no longer pending stays as it is. */
enum err store_delivery_done(struct store *store, int64_t delivery, enum store_delivery_state state, int64_t now,
	int64_t next_attempt, struct str note);
enum err store_report_get(struct store *store, struct arena *arena, int64_t report, struct store_report *ret_report);

/* ---- failure reports ---- */

struct store_failure {
	int64_t id;
	struct report_record record; /* failure is set */
};
/** In no order; the claim keeps others from them for @claim_seconds. */
enum err store_failures(struct store *store, struct arena *arena, int64_t now, unsigned claim_seconds, size_t limit,
	const struct store_failure **ret_failures, size_t *ret_n);
enum err store_failure_done(struct store *store, int64_t failure);
/**
 * One more failure report to @domain in this hour: *ret_allowed while fewer than @limit were; else it is counted, and
 * *ret_suppressed of the next allowed one tells how many were (for Incidents).
 */
enum err store_failure_quota(struct store *store, struct str domain, int64_t now, unsigned limit, bool *ret_allowed,
	uint64_t *ret_suppressed);

/* ---- addresses that bounced ---- */

/**
 * Nothing is sent to @address for a growing time: 1 day, doubled with each bounce, at most 32 days. Where nothing has
 * bounced for 32 days after that, it begins with 1 day again. Addresses are the same in any case.
 */
enum err store_bounced(struct store *store, struct str address, int64_t now, struct str note);
/** *ret_until: 0 where it may be sent to. */
enum err store_suppressed(struct store *store, struct str address, int64_t now, int64_t *ret_until);

/* ---- for people, and housekeeping ---- */

struct store_listing {
	struct store_report report;
	struct store_delivery delivery;
};
#define STORE_ANY_STATE (-1)
/**
 * Deliveries with their reports, newest first. @domain  empty: all; named: also reports without any delivery, with
 * delivery.id 0. @state  enum store_delivery_state, or STORE_ANY_STATE
 */
enum err store_list(struct store *store, struct arena *arena, struct str domain, int state, size_t limit,
	const struct store_listing **ret_listings, size_t *ret_n);
/**
 * Make pending again what a server refused, what expired or waits, as if it were new; not what somebody is at, nor what
 * was never tried since its address does not qualify. @domain empty: all.
 */
enum err store_retry(struct store *store, struct str domain, int64_t now, uint64_t *ret_n);
/**
 * Forget what was sent or given up before @before, with its rows; failures that nobody has sent since then, too.
 * *ret_n: the reports.
 */
enum err store_expire(struct store *store, int64_t before, uint64_t *ret_n);

struct store_statistics {
	uint64_t messages, rows, batches_open, reports, pending, sent, refused, expired, failures_waiting, suppressed;
	int64_t oldest_open; /* period; 0: none */
};
/** Of all hosts that share it. */
enum err store_statistics(struct store *store, int64_t now, struct store_statistics *ret_statistics);

#endif
