/*
 * One libunbound context on an event loop; the only place that calls libunbound.
 *
 * Its options are final once it was asked, so other nameservers mean a new
 * context. All but dns_unbound_accepts_anchor() belongs to the loop's thread.
 */
#ifndef TRIMILTER_DNS_DNS_UNBOUND_H
#define TRIMILTER_DNS_DNS_UNBOUND_H

#include <sys/queue.h>

#include "base/answer.h"
#include "dns/anchors.h"
#include "dns/nameservers.h"

struct event_base;
struct dns_unbound;

/** A question on its way; part of what the caller keeps about it. Only @question is the caller's to set. */
struct dns_ask {
	struct dns_question question;
	struct dns_ask *next;
	TAILQ_ENTRY(dns_ask) outstanding;
	int64_t asked_ms;
	struct dns_unbound *asked_in; /* NULL: not to be called for it any more */
	struct dns_answer *answer;
};

struct dns_unbound_setup {
	const struct nameservers *servers;
	const struct anchors *anchors; /* none: no validation */
	unsigned maximum_outstanding;  /* for each of them there is a socket */
	/**
	 * @ask has its answer, with a reference for the callee; NULL where malloc failed. May be called from within
	 * dns_unbound_ask(), and with frames of libunbound below: it must neither jump nor free the context.
	 */
	void (*answered)(void *context, struct dns_ask *ask, struct dns_answer *answer);
	void *context;
};

/** NULL when libunbound cannot be set up; the reason is logged. @setup's pointers are not kept, but for @context. */
struct dns_unbound *dns_unbound_new(struct event_base *base, const struct dns_unbound_setup *setup);
/**
 * About 20 us for each question without an answer. Some of these are answered by libunbound meanwhile, with SERVFAIL,
 * unless asked_in is NULL; the others are forgotten. Accepts NULL.
 */
void dns_unbound_free(struct dns_unbound *unbound);

/** @ask must stay where it is until it is answered. */
void dns_unbound_ask(struct dns_unbound *unbound, struct dns_ask *ask);
/** Questions whose answer has not come. */
size_t dns_unbound_outstanding(const struct dns_unbound *unbound);

/** Give the memory of freed contexts back to the system: the C library would keep most of what a flood has taken. */
void dns_unbound_give_memory_back(void);

/** Whether libunbound takes the record as a trust anchor; costs about a millisecond and no packet. */
bool dns_unbound_accepts_anchor(const struct anchor *anchor);

#endif
