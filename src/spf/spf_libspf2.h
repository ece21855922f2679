/*
 * libspf2 behind the guard: what it is told, and what it says.
 *
 * libspf2 sees records that the guard wrote, made of "exists:N.t",
 * "include:N.t" and "redirect=N.t" with their qualifiers, where N is the number
 * of a fact; it never sees a byte that a sender or a DNS zone chose. Whether a
 * term matches, and which record a name stands for, are facts that the guard
 * found before. libspf2 combines them: order, qualifiers, include, redirect.
 *
 * Its hooks only read the table of facts: they allocate nothing in an arena, so
 * that no jump can cross libspf2's frames.
 */
#ifndef TRIMILTER_SPF_LIBSPF2_H
#define TRIMILTER_SPF_LIBSPF2_H

#include "spf/spf.h"

/**
 * Past 20 includes in one another libspf2 gives up, and past 511 bytes of compiled record, at most 16 to a term, it
 * drops terms in silence. So no evaluation may have more terms that look something up.
 */
#define SPF_LIBSPF2_LOOKUPS_MAX 20

enum spf_answer { SPF_UNDECIDED, SPF_NO, SPF_YES };

struct spf_fact {
	enum spf_answer answer; /* of a term that matches or not */
	const char *record;     /* of include and redirect: the record the guard wrote; NULL: not fetched yet */
	bool reports;           /* stands in the outermost record: a match here is the match of the whole */
};

struct spf_verdict {
	enum spf_status status;
	size_t undecided; /* not 0: libspf2 needs this fact before it can go on; status is then meaningless */
	size_t matched;   /* the reporting fact that matched; 0: none did */
};

/**
 * Evaluate the record of fact 0. False: libspf2 had no memory, or broke down.
 * Pure; any thread.
 */
bool spf_libspf2_run(const struct spf_fact *facts, size_t n_facts, struct spf_verdict *ret_verdict);

#endif
