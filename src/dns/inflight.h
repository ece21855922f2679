/*
 * The questions in flight and who waits for them.
 *
 * One table under one mutex, which is never held while a waiter is called.
 * Any thread adds; the DNS thread alone answers, expires and closes, and so it
 * alone frees.
 */
#ifndef TRIMILTER_DNS_INFLIGHT_H
#define TRIMILTER_DNS_INFLIGHT_H

#include "dns/dns.h"
#include "dns/dns_unbound.h"

struct inflight;

struct inflight_limits {
	size_t in_all;
	size_t per_domain; /* below one name that inflight_domain() gives, for over a second; ten times as many in all
			    */
	size_t given_up;   /* that somebody still waits for */
};

/** NULL when malloc fails. */
struct inflight *inflight_new(struct inflight_limits limits);
/** Nothing may be in flight any more: inflight_close() sees to that. Accepts NULL. */
void inflight_free(struct inflight *inflight);

enum inflight_outcome {
	INFLIGHT_NEW,     /* *ret_ask is to be handed to the DNS thread */
	INFLIGHT_JOINED,  /* the question is on its way already */
	INFLIGHT_EARLIER, /* the same, and the DNS thread must be woken: its next deadline is this one */
	INFLIGHT_LIMIT,
	INFLIGHT_NOMEM,
	INFLIGHT_CLOSED, /* shutting down */
};

/** Times are those of the monotonic clock. @done will be called once unless the outcome is one of the last three. */
enum inflight_outcome inflight_add(struct inflight *inflight, const struct dns_question *question, int64_t now_ms,
	int64_t deadline_ms, dns_done *done, void *context, struct dns_ask **ret_ask);

/** Call all who wait for @ask with a reference to @answer each, and forget it. */
void inflight_answer(struct inflight *inflight, struct dns_ask *ask, struct dns_answer *answer);

/**
 * @ask will have no answer. Who waits for it is told at the deadline, as if it went on: names that nobody answers for
 * could otherwise be asked for the faster the more of them there are. Who asks from now on asks anew.
 * False: too many have been given up, and this one is to be answered.
 */
bool inflight_give_up(struct inflight *inflight, struct dns_ask *ask);

/**
 * Call the waiters whose deadline is over with @answer; their questions stay in flight.
 * The next deadline, or INT64_MAX.
 */
int64_t inflight_expire(struct inflight *inflight, int64_t now_ms, struct dns_answer *answer, uint64_t *ret_n);

/** Call all that wait with @answer; from now on nothing can be added. */
void inflight_close(struct inflight *inflight, struct dns_answer *answer);

/**
 * Say in the log, once a minute for each @why (static), that a question has no answer; the messages' own lines tell
 * what became of them. Nobody's name servers are our fault, so this is no warning. Any thread.
 */
void inflight_tell(const struct dns_question *question, const char *why);

/** Questions that can still be joined. Any thread. */
size_t inflight_count(struct inflight *inflight);

/**
 * The name under which @name is counted: its last two labels; below second-level names where registries sell (co.uk)
 * the last three; below in-addr.arpa and ip6.arpa as many as a provider's network has (/16, /32).
 */
struct str inflight_domain(struct str name);

#endif
