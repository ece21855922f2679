/*
 * Answers from the DNS.
 *
 * dns_lookup() reads the cache in the caller's thread and never blocks. A miss
 * goes to the one loop thread that alone calls libunbound; questions in flight
 * are shared. A deadline detaches the waiter; the late answer still fills the
 * cache. Where questions are asked faster than answered, those that have been out
 * longest are given up for the new ones. With zone_file set there is no thread and
 * every answer is immediate.
 *
 * Thread-safe throughout, but for dns_free().
 */
#ifndef TRIMILTER_DNS_DNS_H
#define TRIMILTER_DNS_DNS_H

#include "base/answer.h"
#include "base/err.h"
#include "dns/options.h"

struct dns;

/**
 * Called on the DNS thread exactly once for each question that dns_lookup() did not answer.
 * @answer carries a reference for the callee. Must not block and must not call dns_free().
 */
typedef void dns_done(void *context, const struct dns_question *question, struct dns_answer *answer);

/**
 * @options  copied.
 * *ret_error  in the caller's buffer of DNS_ERROR_SIZE bytes: which nameserver, file or line is wrong
 * The loop thread starts with the first question, all signals blocked in it.
 */
#define DNS_ERROR_SIZE 256
enum err dns_new(const struct dns_options *options, struct dns **ret_dns, char error[DNS_ERROR_SIZE]);
/**
 * Read the files of zone_file and key_file again, where there are any; what they say holds for questions from now on.
 * Errors as above: nothing has changed then. Any thread.
 */
enum err dns_reread(struct dns *dns, char error[DNS_ERROR_SIZE]);
/** Waits for the loop thread; waiters not yet called are called with DNS_FAILED, "shutting down". Accepts NULL. */
void dns_free(struct dns *dns);

/**
 * @question    its name is copied where needed
 * @timeout_ms  0: the option's
 * The answer with a reference for the caller when it is known at once (cache, zone file, unaskable name,
 * too many questions in flight); NULL when @done will be called.
 */
struct dns_answer *dns_lookup(
	struct dns *dns, const struct dns_question *question, unsigned timeout_ms, dns_done *done, void *context);

/**
 * Ask all that @answers wants and wait until nothing is outstanding or @timeout_ms (0: the option's) is over;
 * for the command line. Missing answers are put in as DNS_FAILED.
 */
void dns_fetch(struct dns *dns, struct answers *answers, unsigned timeout_ms);

/** Since the start; cached and in_flight: now. */
struct dns_counters {
	uint64_t questions, cache_hits, sent, timeouts, failures, refused_by_limit, crowded_out;
	size_t cached, in_flight;
};
/** Any thread; each figure is right, together they are of nearly the same moment. */
void dns_counters(struct dns *dns, struct dns_counters *ret_counters);

#endif
