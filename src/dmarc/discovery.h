/*
 * Whose record applies, and where the author's organization begins: the DNS
 * tree walk (RFC 9989 section 4.10) or the public suffix list (RFC 7489
 * sections 3.2 and 6.6.3).
 *
 * Works on the answers at hand. What a function needs and does not have it
 * wants, all names of a walk at once, and returns DMARC_WAITING.
 */
#ifndef TRIMILTER_DMARC_DISCOVERY_H
#define TRIMILTER_DMARC_DISCOVERY_H

#include "dmarc/record.h"

/** Names that one walk asks for, RFC 9989 section 4.10 step 4. */
#define DMARC_WALK_STEPS 8

enum dmarc_progress {
	DMARC_READY,
	DMARC_WAITING,
	DMARC_OVER_LIMIT, /* it would take more look-ups than one message may cost */
};

enum dmarc_found {
	DMARC_FOUND_NONE, /* no DMARC record there */
	DMARC_FOUND_RECORD,
	DMARC_FOUND_SEVERAL, /* as good as none for a walk, the end of it all by RFC 7489 */
	DMARC_FOUND_FAILED,  /* the DNS did not tell */
};

/** What a name that the DNS did not tell about may hold, as far as the organizational domain is concerned. */
enum dmarc_guess { DMARC_GUESS_NOTHING, DMARC_GUESS_RECORD, DMARC_GUESS_NOT_PSD, DMARC_GUESS_PSD };
#define DMARC_N_GUESSES 4

/** One question of this evaluation. */
struct dmarc_lookup {
	struct str domain; /* without "_dmarc." */
	struct str name;   /* with it */
	enum dns_type type;
	bool needed; /* it is in the list of queries */
	bool ready;  /* found and record are filled */
	enum dmarc_found found;
	struct dmarc_record record;
	enum dmarc_guess guess; /* for DMARC_FOUND_FAILED */
};

/** All questions of this evaluation. */
struct dmarc_lookups {
	struct arena *arena;
	const struct dmarc_options *options;
	struct answers *answers;
	size_t walk_steps; /* at most DMARC_WALK_STEPS */
	size_t limit;      /* questions that may be asked */
	struct dmarc_lookup **asked;
	size_t n_asked, asked_capacity;
	struct str *queries; /* needed, in order of need */
	size_t n_queries, queries_capacity;
};

/** The names of one walk, down to the first that says psd=y or psd=n. */
struct dmarc_walk {
	struct str start;
	struct dmarc_lookup *steps[DMARC_WALK_STEPS];
	size_t n;
};

/**
 * The records of the names from @domain up, asked for all at once. DMARC_READY: *ret_walk has one step at least.
 * RFC 9989 section 4.10
 */
enum dmarc_progress dmarc_walk(struct dmarc_lookups *lookups, struct str domain, struct dmarc_walk *ret_walk);

/** The @i-th name of a walk of at most @steps names; false: it has no more. */
bool dmarc_walk_name(struct str domain, size_t steps, size_t i, struct str *ret_name);

/** The organizational domain by this walk and by the guesses in it. RFC 9989 section 4.10.2 */
struct str dmarc_walk_organizational(const struct dmarc_walk *walk);

/**
 * Runs through everything that the failed look-ups of some walks may hold:
 *	struct dmarc_guesses guesses = {0};
 *	dmarc_guesses_add(&guesses, &walk);
 *	do ... while (dmarc_guesses_next(&guesses));
 */
#define DMARC_GUESSES_MAX 3 /* more failed look-ups are too many to tell anything from */
struct dmarc_guesses {
	struct dmarc_lookup *failed[DMARC_GUESSES_MAX];
	size_t n;
	bool too_many;
};
void dmarc_guesses_add(struct dmarc_guesses *guesses, const struct dmarc_walk *walk);
bool dmarc_guesses_next(struct dmarc_guesses *guesses);

/** The record that applies to an author domain. */
struct dmarc_discovered {
	enum dmarc_found found;            /* SEVERAL: psl mode only */
	const struct dmarc_record *record; /* RECORD: it applies; it may be unusable */
	struct str policy_domain;          /* RECORD: where it was found */
	struct str organizational_domain;  /* of the author; empty: the DNS did not tell */
	struct dmarc_walk walk;            /* from the author domain; n is 0 in psl mode */
};

/** Ask, without needing it yet, for all that dmarc_discover() may need. */
void dmarc_discover_want(struct dmarc_lookups *lookups, struct str author);
enum dmarc_progress dmarc_discover(
	struct dmarc_lookups *lookups, struct str author, struct dmarc_discovered *ret_found);

enum dmarc_existence { DMARC_EXISTS, DMARC_EXISTS_NOT, DMARC_EXISTENCE_UNKNOWN };

/** RFC 9989 section 3.2.13: a name does not exist where the DNS says NXDOMAIN, whatever the type asked. */
enum dmarc_progress dmarc_exists(struct dmarc_lookups *lookups, struct str domain, enum dmarc_existence *ret_existence);

#endif
