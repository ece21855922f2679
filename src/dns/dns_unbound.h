/*
 * The loop thread: the only place that calls libunbound and libevent.
 *
 * It takes questions from any thread and gives each back answered, on its own
 * thread, outside all frames of the libraries. It knows neither cache nor
 * waiters; what must happen at a point in time it asks for through a hook.
 */
#ifndef TRIMILTER_DNS_DNS_UNBOUND_H
#define TRIMILTER_DNS_DNS_UNBOUND_H

#include "base/answer.h"
#include "base/err.h"
#include "dns/options.h"

struct dns_unbound;
struct dns_unbound_context;

/** A question on its way; part of what the caller keeps about it. Only @question is the caller's to set. */
struct dns_ask {
	struct dns_question question;
	struct dns_ask *next;
	struct dns_unbound_context *asked_in;
	struct dns_answer *answer;
};

/** All are called on the loop thread. */
struct dns_unbound_hooks {
	/** @ask is the caller's again; @answer comes with a reference, NULL where malloc failed. */
	void (*answered)(void *context, struct dns_ask *ask, struct dns_answer *answer);
	/** Called when the time it returned last has come, and after each wake-up. The next time, INT64_MAX: none. */
	int64_t (*due)(void *context, int64_t now_ms);
	/** The thread ends; questions not yet given back never will be. */
	void (*stopped)(void *context);
	void *context;
};

/** Checks the nameservers, reads resolv.conf and the trust anchors; *error as in dns_new(). */
enum err dns_unbound_new(const struct dns_options *options, const struct dns_unbound_hooks *hooks,
	struct dns_unbound **ret_unbound, char *error, size_t error_size);
/** Stop the thread and wait for it. Accepts NULL. */
void dns_unbound_free(struct dns_unbound *unbound);

/** Start the thread if it does not run. Thread-safe, as the two below. */
enum err dns_unbound_start(struct dns_unbound *unbound);
/** Hand a question over; it must stay where it is until it is given back. */
void dns_unbound_ask(struct dns_unbound *unbound, struct dns_ask *ask);
/** Have due() called soon. */
void dns_unbound_wake(struct dns_unbound *unbound);

#endif
