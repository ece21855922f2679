/*
 * SPF, RFC 7208: what the other folders call.
 *
 * Restartable: evaluation runs over the answers at hand; a missing one ends
 * it, and it starts again when the answers have come. Nothing is kept between
 * two runs but the answers. libspf2 evaluates; the guard (record.c, macro.c,
 * spf.c) parses, expands, counts, and lets it see no text that a sender wrote.
 * Pure: no I/O; one evaluation belongs to one thread at a time.
 */
#ifndef TRIMILTER_SPF_SPF_H
#define TRIMILTER_SPF_SPF_H

#include "base/answer.h"
#include "base/ip.h"
#include "spf/options.h"

/** RFC 7208 section 2.6. Names differ from libspf2's SPF_RESULT_*. */
enum spf_status { SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_TEMPERROR, SPF_PERMERROR };

const char *spf_status_text(enum spf_status status); /* "softfail" */

enum spf_identity { SPF_MAILFROM, SPF_HELO };

struct spf_query {
	enum spf_identity identity;
	struct ip client;      /* not IP_NONE */
	struct str helo;       /* as sent; may be empty or an address literal */
	struct str mail_from;  /* reverse-path without brackets; empty for the null sender: then postmaster@helo is checked */
	int64_t now;           /* seconds since 1970, for %{t} */
};

struct spf_result {
	enum spf_status status;
	enum spf_identity identity;
	struct str domain;      /* checked, canonical where possible; empty: there was none to check */
	struct str mechanism;   /* that matched, as the record spells it: "-all", "include:example.net"; empty: none */
	struct str explanation; /* of exp=, US-ASCII; empty: none or not usable */
	const char *reason;     /* for errors and none; static: "void look-up limit exceeded" ...; else NULL */
	unsigned lookups;       /* terms counted */
	unsigned voids;
};

/**
 * True: *ret_result holds the outcome (strings in @arena). False: look-ups are missing, they are now wanted in
 * @answers, along with names that the record is sure or likely to need; call again, from the start, when they have come.
 * At most a few dozen questions are ever wanted, whatever the records say.
 */
bool spf_evaluate(struct arena *arena, const struct spf_options *options, const struct spf_query *query,
	struct answers *answers, struct spf_result *ret_result);

#endif
