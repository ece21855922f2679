/*
 * The loop thread: the only place that calls libevent, and the only thread that calls libunbound.
 *
 * It takes questions from any thread and gives each back answered, on its own
 * thread, outside all frames of the libraries. It knows neither cache nor
 * waiters; what must happen at a point in time it asks for through a hook.
 *
 * A question whose servers are silent occupies libunbound for 5.6 s (among thousands
 * of its kind up to 15), with 10 KB and a socket, and nothing takes it back
 * (ub_cancel() does not). So questions go to generations of contexts, a quarter of
 * maximum_in_flight to each. Where the present one is full it is retired for a fresh
 * one, and lives until its last answer; where there would be too many of them the
 * oldest goes, with all that is still out in it. What a flood of silent names crowds
 * out is thus always what has been out longest.
 */
#ifndef TRIMILTER_DNS_DNS_LOOP_H
#define TRIMILTER_DNS_DNS_LOOP_H

#include "base/err.h"
#include "dns/dns_unbound.h"
#include "dns/options.h"

struct dns_loop;

/** All are called on the loop thread. */
struct dns_loop_hooks {
	/** @ask is the caller's again; @answer comes with a reference, NULL where malloc failed. */
	void (*answered)(void *context, struct dns_ask *ask, struct dns_answer *answer);
	/** @ask is the caller's again, and will have no answer: too many have been asked since. */
	void (*crowded_out)(void *context, struct dns_ask *ask);
	/** Called when the time it returned last has come, and after each wake-up. The next time; INT64_MAX: none. */
	int64_t (*due)(void *context, int64_t now_ms);
	/** All nameservers refuse: there is no point in waiting. Questions stay on their way. */
	void (*unreachable)(void *context);
	/** The thread ends; questions not yet given back never will be. */
	void (*stopped)(void *context);
	void *context;
};

/** Checks the nameservers, reads resolv.conf and the trust anchors; *error as in dns_new(). */
enum err dns_loop_new(const struct dns_options *options, const struct dns_loop_hooks *hooks, struct dns_loop **ret_loop,
	char *error, size_t error_size);
/** Stop the thread and wait for it. Accepts NULL. */
void dns_loop_free(struct dns_loop *loop);

/** Start the thread if it does not run. Thread-safe, as the two below. */
enum err dns_loop_start(struct dns_loop *loop);
/** Hand a question over; it must stay where it is until it is given back. */
void dns_loop_ask(struct dns_loop *loop, struct dns_ask *ask);
/** Have due() called soon. */
void dns_loop_wake(struct dns_loop *loop);

#endif
