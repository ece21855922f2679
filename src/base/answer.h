/*
 * What the DNS said, and which of it is at hand.
 *
 * The protocols (dkim, spf, dmarc) are pure functions of a message and of a
 * set of answers. Where an answer is missing they note its question in the set
 * and return "waiting"; auth fetches all that was noted and judges again.
 * They never see a resolver.
 */
#ifndef TRIMILTER_BASE_ANSWER_H
#define TRIMILTER_BASE_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/domain.h"
#include "base/str.h"

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

enum dns_status {
	DNS_DATA,     /* at least one record of the type asked */
	DNS_NODATA,   /* the name exists, the type does not */
	DNS_NXDOMAIN, /* the name does not exist */
	DNS_FAILED,   /* SERVFAIL, REFUSED, malformed, bogus, or no answer in time: nothing is known */
};

enum dns_security { DNS_SECURITY_UNKNOWN, DNS_INSECURE, DNS_SECURE }; /* UNKNOWN: no validation configured */

struct dns_record {
	/*
	 * TXT: the character strings joined. A, AAAA: 4 or 16 bytes.
	 * MX, PTR: the name, lower case, without trailing dot, empty for the root; a dot or a
	 * backslash within a label is written \DDD, so such a name equals no ordinary one.
	 */
	struct str data;
	uint16_t preference; /* MX only */
};

/** Immutable and shared: one malloc'd block, freed with the last reference. */
struct dns_answer {
	atomic_uint references;
	enum dns_status status;
	enum dns_security security;
	int64_t expires_ms; /* clock_monotonic_ms(); for the cache */
	uint32_t ttl;       /* seconds, as received */
	const char *why;    /* DNS_FAILED: "timeout", "SERVFAIL" ...; static; else NULL */
	size_t n_records;
	struct dns_record records[];
};

/**
 * An answer with copies of @records (their data too), one reference for the caller, expires_ms 0.
 * NULL when malloc fails. Thread-safe, like the two below.
 */
struct dns_answer *dns_answer_new(enum dns_status status, const struct dns_record *records, size_t n_records);
struct dns_answer *dns_answer_ref(struct dns_answer *answer);
void dns_answer_unref(struct dns_answer *answer); /* accepts NULL */

struct dns_question {
	enum dns_type type;
	struct str name; /* lower case, no trailing dot; bytes as they are, dots separate labels */
};

const char *dns_type_text(enum dns_type type); /* "TXT" */
bool dns_question_eq(const struct dns_question *a, const struct dns_question *b);

/** The set of one message. Belongs to one thread at a time (the owner of its arena). */
struct answers;

struct answers *answers_new(struct arena *arena);

/**
 * The answer at hand; borrowed until the arena's reset. NULL: not here yet, and the question is now wanted.
 * @name  any case; lowered here; one trailing dot is ignored
 * A name that cannot be asked (domain_is_askable) is answered DNS_NXDOMAIN at once, never asked.
 * After answers_give_up() a missing answer reads as DNS_FAILED, "timeout".
 */
const struct dns_answer *answers_get(struct answers *answers, enum dns_type type, struct str name);

/** Want it without needing it now: for names that are likely to be needed next, asked in the same round. */
void answers_want(struct answers *answers, enum dns_type type, struct str name);

/** The next question that is wanted and not yet asked; it counts as asked from now on. False: there is none. */
bool answers_next_wanted(struct answers *answers, struct dns_question *ret_question);

/** Put an answer in; takes over the reference. The first answer to a question stays. */
void answers_put(struct answers *answers, const struct dns_question *question, struct dns_answer *answer);

/** Questions asked or wanted that have no answer yet. */
size_t answers_outstanding(const struct answers *answers);

/** The deadline is over: nothing that is missing will come. */
void answers_give_up(struct answers *answers);

/** Questions in the set, for limits and tests: everything that was ever asked or wanted. */
size_t answers_count(const struct answers *answers);

#endif
