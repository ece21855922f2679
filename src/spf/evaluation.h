/*
 * One SPF evaluation in progress; private to src/spf.
 *
 * The life of an evaluation (spf.c): the query gives a domain; its record is
 * opened (evaluate.c): checked as a whole, and each term that can matter gets a
 * number. Terms are settled in the order in which they are reached (terms.c asks
 * the answers); libspf2 says whether that decides the matter or which term is
 * reached next; then the explanation is fetched. An answer that is missing, an
 * error or a limit ends it at once, whatever is left.
 */
#ifndef TRIMILTER_SPF_EVALUATION_H
#define TRIMILTER_SPF_EVALUATION_H

#include "spf/macro.h"
#include "spf/record.h"
#include "spf/spf_libspf2.h"

/*
 * RFC 7208 would let a record cost 10 MX terms of 10 hosts each. What honest records need stays far below 40; beyond
 * that the sender has us ask others' servers. LIKELY is for names that may turn out not to be needed.
 */
#define SPF_QUESTIONS_NEEDED_MAX 40
#define SPF_QUESTIONS_LIKELY_MAX 20

struct spf_question {
	enum dns_type type;
	struct str name;
	bool needed;
};

/* A record that was opened. */
struct spf_source {
	struct str domain;
	struct str exp; /* domain-spec; empty: none */
	bool outermost; /* not within an include */
};

/* A term that was given a number; term N is fact N. */
struct spf_numbered {
	struct spf_term term;
	size_t source; /* index of the record in which it stands */
};

struct spf_evaluation {
	struct arena *arena;
	const struct spf_options *options;
	struct answers *answers;
	struct spf_macros macros; /* domain and validated change from term to term */

	struct spf_source *sources;
	size_t n_sources, sources_capacity;
	struct spf_numbered *terms;
	struct spf_fact *facts; /* as many as terms */
	size_t n_terms, terms_capacity, facts_capacity;

	struct spf_question questions[SPF_QUESTIONS_NEEDED_MAX + SPF_QUESTIONS_LIKELY_MAX];
	size_t n_questions;
	unsigned needed, likely; /* of the questions: together all of them */
	unsigned lookup_limit;
	unsigned lookups, voids;

	/* Set with the false that each function here returns when the evaluation ends early. */
	bool waiting;           /* for an answer */
	enum spf_status status; /* else: the error */
	const char *reason;
};

/* evaluate.c */

/** From the record of macros.domain to a verdict; *ret_source is the record that gave it. False: ended early. */
bool spf_evaluate_domain(struct spf_evaluation *evaluation, struct spf_verdict *ret_verdict, size_t *ret_source);

/** End the evaluation with an error, or with none. Returns false. */
bool spf_stop(struct spf_evaluation *evaluation, enum spf_status status, const char *reason);

/* terms.c */

/** The answer, whatever its status. NULL: the evaluation ends here, waiting or at a limit. */
const struct dns_answer *spf_ask(struct spf_evaluation *evaluation, enum dns_type type, struct str name);

/** Have the name asked along with the others, if there is room for it. */
void spf_ask_early(struct spf_evaluation *evaluation, enum dns_type type, struct str name);

/** End the evaluation over an answer of DNS_FAILED. Returns false. */
bool spf_stop_failed(struct spf_evaluation *evaluation, const struct dns_answer *answer);

/** Count an answer that is empty. False: one too many. RFC 7208 section 4.6.4 */
bool spf_count_void(struct spf_evaluation *evaluation, const struct dns_answer *answer);

/** The name that @spec stands for now; macros.domain is used and macros.validated is found if needed. */
bool spf_target(struct spf_evaluation *evaluation, struct str spec, struct str *ret_target);

/** False: terms with this domain-spec match nothing, whatever the DNS holds, for the local part is not US-ASCII. */
bool spf_can_match(const struct spf_evaluation *evaluation, struct str spec);

/** Find macros.validated, RFC 7208 section 7.3, "p". False: ended early. */
bool spf_find_validated(struct spf_evaluation *evaluation);

/** Does the client match an a, mx, ptr or exists term? False: ended early. */
bool spf_match(struct spf_evaluation *evaluation, const struct spf_term *term, bool *ret_match);

#endif
