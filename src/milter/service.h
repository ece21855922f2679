/*
 * What all sessions of a worker share: the runtime in force, the DNS, how many
 * sessions and messages there are. Thread-safe.
 */
#ifndef TRIMILTER_MILTER_SERVICE_H
#define TRIMILTER_MILTER_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/runtime.h"
#include "auth/verdict.h"
#include "base/arena.h"
#include "dns/dns.h"

struct service;
struct spool;

/** @dns  borrowed; outlives the service. NULL: out of memory. */
struct service *service_new(struct dns *dns);
/** When no session is left. Accepts NULL. */
void service_free(struct service *service);

/** Borrowed. Any thread, as all that follows. */
struct dns *service_dns(const struct service *service);

/** Where messages are recorded for reports; NULL: nowhere. Set once at most: sessions keep no reference. */
struct spool *service_spool(const struct service *service);
void service_set_spool(struct service *service, struct spool *spool);

/**
 * Put @runtime in force for messages that begin from now on; takes over the reference. Messages under way keep theirs.
 * @log_accepted  a log line for each accepted message too
 */
void service_publish(struct service *service, struct runtime *runtime, bool log_accepted);
bool service_logs_accepted(const struct service *service);

/**
 * For a message that begins: *ret_runtime with a reference (NULL before the first service_publish()), *ret_arena an
 * empty arena with that runtime's cap (NULL: out of memory). Counts the message as in flight.
 * Idle connections hold no arena: a few spare ones serve all.
 */
void service_message_begin(struct service *service, struct runtime **ret_runtime, struct arena **ret_arena);
/** Takes both back; either may be NULL. The arena's cleanups run here. */
void service_message_end(struct service *service, struct runtime *runtime, struct arena *arena);

/** Messages hold nearly all of MaximumMemory: those that are given up now spare others a refusal. */
bool service_memory_is_short(const struct service *service);
/** True once after messages that needed much: the heap has holes that the system might have back. */
bool service_memory_was_large(struct service *service);

/** A connection of the MTA counts from its first word to its close. */
void service_session_begin(struct service *service);
void service_session_end(struct service *service);

struct service_load {
	unsigned sessions; /* from the first word of a connection to its close */
	unsigned messages; /* from MAIL to the verdict */
};
struct service_load service_load(const struct service *service);

/** A message has had its answer. @fault  it was On-InternalError's, since we could not judge or sign it */
void service_count(struct service *service, enum verdict_action action, bool fault);

/** What the statistics count beside verdicts. */
enum service_event {
	SERVICE_RELOADED,      /* the configuration, or the rows of a database */
	SERVICE_RELOAD_FAILED, /* the old one stays in force */
	SERVICE_REPLY_LOST,    /* the MTA had gone before it had the answer to a message */
	SERVICE_STORE_FAILED,  /* a turn of the courier, at the report store; the master tells */
	SERVICE_START_FAILED,  /* a worker could not be started, or ended before it served; likewise */
	SERVICE_EVENTS
};
/** Any thread. */
void service_count_event(struct service *service, enum service_event event);

/** Since the start; each only grows. Read one after another, so that a sum may be a message ahead. */
struct service_counters {
	uint64_t connections;
	uint64_t messages; /* that began; those that the MTA gave up included */
	uint64_t verdicts[VERDICT_ACTIONS];
	uint64_t faults; /* of these verdicts */
	uint64_t events[SERVICE_EVENTS];
};
struct service_counters service_counters(const struct service *service);

#endif
