/*
 * One turn of the courier's work: import, build, send, forget. The process around
 * it is milter/courier.c; `trimilterctl report send` calls the same.
 *
 * Each step is whole by itself and may be killed at any instant: what it has done is in the store in one transaction,
 * or not at all. Mail is the exception that SMTP makes: a message is handed over first and noted as sent then, so one
 * that was handed over in the instant of a kill goes out again, with the same Message-ID and file name.
 */
#ifndef TRIMILTER_REPORT_COURIER_H
#define TRIMILTER_REPORT_COURIER_H

#include "dns/dns.h"
#include "report/destination.h"
#include "report/import.h"
#include "report/redaction_key.h"

struct courier {
	struct store *store;
	struct runtime *runtime; /* options, keys that sign */
	struct dns *dns;
	struct str holder;           /* who we are among all that share the store: host and process */
	struct str only;             /* build and send reports about this domain alone; empty: all */
	bool (*stop)(void *context); /* asked between two steps; NULL: never */
	void *context;

	/* Its own, from one call to the next; zero at the start. */
	struct {
		int64_t now, since_ms;  /* the call's @now, and clock_monotonic_ms() then */
		int64_t clock;          /* the host's clock then */
		int64_t lease_at;       /* courier_clock() when the lease was prolonged; 0: the caller has seen to it */
		int64_t build_after;    /* some destinations could not be verified: try again then */
		int64_t expire_after;   /* housekeeping is for once an hour */
		bool said_unsigned;     /* that no key signs the report address */
		bool has_redaction_key; /* it is random, and kept beside the spool */
		char redaction_key[REDACTION_KEY_SIZE];
		/* What the store would not take note of, after the mail had gone: it comes first next time. */
		struct {
			int64_t delivery; /* 0: none */
			enum store_delivery_state state;
			int64_t next_attempt;
			char note[256];
		} unnoted;
	} own;
};

struct courier_result {
	struct import_result imported;
	uint64_t built, sent, deferred, refused, expired,
		failures; /* reports built; deliveries; failure reports made */
	bool elsewhere;   /* nothing but the import was done: another has the lease */
};

/**
 * All that is due at @now: what this host has recorded is imported; then, if no other host is at it, reports are built
 * and sent, and old ones forgotten. ERR_IO: the store did not work, the log says why; what is not done comes with the
 * next turn. Blocks: for the DNS, for the MTA.
 * Where @now is not the host's time (`trimilterctl report send --now`), other hosts are not to notice: the lease, and
 * what is claimed, are by the clock.
 */
enum err courier_turn(struct courier *courier, int64_t now, struct courier_result *ret_result);

/** Nothing is to be done any more: let other hosts know at once. */
void courier_leave(struct courier *courier);

/* Its steps, for trimilterctl: each adds to *result. Who calls them holds the lease COURIER_LEASE. */
#define COURIER_LEASE STR("courier")
#define COURIER_LEASE_SECONDS 600

/**
 * Reports of all periods that are over, and long enough that every host has imported its records.
 * Batches whose destinations cannot be verified for want of the DNS wait, up to six hours.
 */
enum err courier_build(struct courier *courier, int64_t now, struct courier_result *result);
/** Deliveries that are due. Ends early where no server can be reached. */
enum err courier_send(struct courier *courier, int64_t now, struct courier_result *result);
/** Failure reports of what was imported, into the queue of deliveries. */
enum err courier_failures(struct courier *courier, int64_t now, struct courier_result *result);

/** Who gets reports of a policy, and who does not and why (destination.h). In the caller's arena. */
struct courier_recipients {
	const struct destination *destinations;
	size_t n, n_good;
	bool retry; /* the DNS did not tell of some: they count as refused for now */
};

/** Look up and verify the destinations of @n policies at the same time. Blocks for the DNS. @failure  ruf, not rua */
void courier_verify(struct courier *courier, struct arena *arena, const struct report_policy *policies, size_t n,
	bool failure, struct courier_recipients *ret_recipients);

/**
 * Who gets this report of a policy: its recipients, and where one of them gets it ReportBccAddress; in @arena.
 * not_before is counted from report->built.
 */
const struct store_destination *courier_destinations(struct courier *courier, struct arena *arena,
	const struct courier_recipients *recipients, const struct store_report *report, size_t *ret_n);

/**
 * The documents of a batch, in parts where it is too large for one; nothing is kept.
 * ERR_LIBRARY: libxml2 or zlib refused.
 */
enum err courier_documents(struct courier *courier, struct arena *arena, const struct store_batch *batch,
	const struct store_report **ret_reports, size_t *ret_n);

#endif
