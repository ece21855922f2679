/*
 * One turn of the courier's work: import, build, send, forget. The process around
 * it is milter/courier.c; `trimilterctl report send` calls the same.
 */
#ifndef TRIMILTER_REPORT_COURIER_H
#define TRIMILTER_REPORT_COURIER_H

#include "dns/dns.h"
#include "report/import.h"

struct courier {
	struct store *store;
	struct runtime *runtime; /* options, keys that sign */
	struct dns *dns;
	struct str holder;           /* who we are among all hosts that share the store */
	bool (*stop)(void *context); /* asked between two steps; NULL: never */
	void *context;
};

struct courier_result {
	struct import_result imported;
	uint64_t built, sent, deferred, refused, expired, failures_sent;
};

/** All that is due at @now. ERR_IO: the store did not work; what is not done comes with the next turn. */
enum err courier_turn(struct courier *courier, int64_t now, struct courier_result *ret_result);

/* Its steps, for trimilterctl: each is whole by itself. */
enum err courier_build(struct courier *courier, int64_t now, struct courier_result *result);
enum err courier_send(struct courier *courier, int64_t now, struct courier_result *result);
enum err courier_failures(struct courier *courier, int64_t now, struct courier_result *result);

#endif
