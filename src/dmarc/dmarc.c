#include "dmarc/dmarc.h"

#include "dmarc/alignment.h"
#include "dmarc/psl.h"
#include "dmarc/record_opendmarc.h"

/*
 * What hostile mail may cost in DMARC questions: 5 for the domain of MAIL FROM
 * before the author is known (dmarc_want), 24 for the rest; under 30 in all.
 * One author's walk takes 8, the test of existence 1, so that 15 are left for
 * identifiers. Several authors share 20.
 */
#define WANT_STEPS 5
#define LOOKUPS_MAX 24
#define SEVERAL_AUTHORS_LOOKUPS 20
#define AUTHORS_MAX 4

const char *dmarc_status_text(enum dmarc_status status)
{
	switch (status) {
	case DMARC_NONE:
		return "none";
	case DMARC_PASS:
		return "pass";
	case DMARC_FAIL:
		return "fail";
	case DMARC_TEMPERROR:
		return "temperror";
	case DMARC_PERMERROR:
		return "permerror";
	}
	return "permerror";
}

const char *dmarc_policy_text(enum dmarc_policy policy)
{
	switch (policy) {
	case DMARC_POLICY_UNSET:
		return NULL;
	case DMARC_P_NONE:
		return "none";
	case DMARC_P_QUARANTINE:
		return "quarantine";
	case DMARC_P_REJECT:
		return "reject";
	}
	return NULL;
}

/* A domain that SPF or DKIM vouches for, or would perhaps, had the DNS answered them. */
struct identity {
	struct str domain;
	bool is_spf;
	bool passes; /* else temperror */
};

struct evaluation {
	struct arena *arena;
	struct dmarc_lookups lookups;
	struct identity *identities;
	size_t n_identities;
};

/* ---- input ---- */

static void add_identity(struct evaluation *evaluation, struct str text, bool is_spf, bool passes)
{
	struct str domain;
	/* What is no host name cannot belong to an author's domain; nor is it to reach the DNS. */
	if (!domain_normalize(evaluation->arena, text, &domain) || !domain_is_hostname(domain))
		return;
	struct identity *identities = evaluation->identities;
	for (size_t i = 0; i < evaluation->n_identities; i++)
		if (identities[i].is_spf == is_spf && identities[i].passes == passes &&
			str_eq(identities[i].domain, domain))
			return;
	identities[evaluation->n_identities++] = (struct identity){domain, is_spf, passes};
}

static void find_identities(struct evaluation *evaluation, const struct dmarc_input *input)
{
	evaluation->identities = ARENA_ARRAY(evaluation->arena, input->n_dkim + 1, struct identity);
	if (input->spf_status == SPF_PASS || input->spf_status == SPF_TEMPERROR)
		add_identity(evaluation, input->spf_domain, true, input->spf_status == SPF_PASS);
	for (size_t i = 0; i < input->n_dkim; i++) {
		const struct dmarc_dkim_input *dkim = &input->dkim[i];
		if ((dkim->status == DKIM_PASS && dkim->counts) || dkim->status == DKIM_TEMPERROR)
			add_identity(evaluation, dkim->domain, false, dkim->status == DKIM_PASS);
	}
}

/* ---- one author's domain ---- */

static enum dmarc_policy stricter(enum dmarc_policy a, enum dmarc_policy b)
{
	return a > b ? a : b;
}

static enum dmarc_policy after_test_mode(const struct dmarc_record *record, enum dmarc_policy policy)
{
	return record->testing ? dmarc_policy_one_below(policy) : policy;
}

/*
 * The policy for subdomains: np where the author's domain does not exist, else sp, else p (RFC 9989 section 4.7).
 * Its existence is asked for only where np would make a difference.
 * *ret_unknown  the DNS did not tell, and it matters
 */
static enum dmarc_progress choose_below(struct evaluation *evaluation, const struct dmarc_record *record,
	struct dmarc_result *result, enum dmarc_policy *ret_policy, bool *ret_unknown)
{
	enum dmarc_policy policy = record->sp != DMARC_POLICY_UNSET ? record->sp : record->p;
	enum dmarc_existence existence = DMARC_EXISTS;
	*ret_unknown = false;
	*ret_policy = policy;
	if (record->np == DMARC_POLICY_UNSET || record->np == policy)
		return DMARC_READY;
	switch (dmarc_exists(&evaluation->lookups, result->author_domain, &existence)) {
	case DMARC_WAITING:
		return DMARC_WAITING;
	case DMARC_OVER_LIMIT:
		/* Too many authors for the question: no leniency is to be had by naming more. */
		*ret_policy = stricter(record->np, policy);
		return DMARC_READY;
	case DMARC_READY:
		break;
	}
	result->non_existent = existence == DMARC_EXISTS_NOT;
	if (result->non_existent)
		*ret_policy = record->np;
	*ret_unknown = existence == DMARC_EXISTENCE_UNKNOWN &&
		       after_test_mode(record, record->np) != after_test_mode(record, policy);
	return DMARC_READY;
}

struct alignments {
	bool spf, dkim;
	bool unknown;    /* another identifier might align, had the DNS answered here */
	bool might_pass; /* another would align, had the DNS answered SPF or DKIM */
	bool over_limit;
};

static enum dmarc_progress align(struct evaluation *evaluation, const struct dmarc_discovered *found, struct str author,
	const struct identity *identity, struct alignments *alignments)
{
	enum dmarc_alignment outcome;
	enum dmarc_mode mode = identity->is_spf ? found->record->aspf : found->record->adkim;
	switch (dmarc_align(&evaluation->lookups, found, author, identity->domain, mode, &outcome)) {
	case DMARC_WAITING:
		return DMARC_WAITING;
	case DMARC_OVER_LIMIT:
		alignments->over_limit = true;
		return DMARC_READY;
	case DMARC_READY:
		break;
	}
	switch (outcome) {
	case DMARC_UNALIGNED:
		break;
	case DMARC_ALIGNED:
		if (!identity->passes)
			alignments->might_pass = true;
		else if (identity->is_spf)
			alignments->spf = true;
		else
			alignments->dkim = true;
		break;
	case DMARC_ALIGNMENT_UNKNOWN:
		alignments->unknown = true;
		break;
	}
	return DMARC_READY;
}

/* For each of SPF and DKIM the first identifier that aligns is enough. */
static bool is_of_use(const struct alignments *alignments, const struct identity *identity)
{
	if (identity->passes)
		return identity->is_spf ? !alignments->spf : !alignments->dkim;
	return !alignments->spf && !alignments->dkim && !alignments->might_pass;
}

/* Equal names first, they need no walk; then what passed, then what might have. */
static enum dmarc_progress align_all(struct evaluation *evaluation, const struct dmarc_discovered *found,
	struct str author, struct alignments *ret_alignments)
{
	struct alignments alignments = {0};
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < evaluation->n_identities; i++) {
			const struct identity *identity = &evaluation->identities[i];
			bool in_round = round == 0 ? str_eq(identity->domain, author) && identity->passes
						   : identity->passes == (round == 1);
			if (!in_round || !is_of_use(&alignments, identity))
				continue;
			if (align(evaluation, found, author, identity, &alignments) == DMARC_WAITING)
				return DMARC_WAITING;
		}
	*ret_alignments = alignments;
	return DMARC_READY;
}

static void set_temperror(struct dmarc_result *result, const char *reason)
{
	result->status = DMARC_TEMPERROR;
	result->reason = reason;
}

static void decide(const struct dmarc_case *decided, struct dmarc_result *result)
{
	bool passes;
	enum dmarc_policy policy;
	if (!dmarc_opendmarc_decide(decided, &passes, &policy)) {
		set_temperror(result, "libopendmarc could not decide");
		return;
	}
	result->status = passes ? DMARC_PASS : DMARC_FAIL;
	if (!passes)
		result->policy = policy;
}

static enum dmarc_progress apply_record(
	struct evaluation *evaluation, const struct dmarc_discovered *found, struct dmarc_result *result)
{
	const struct dmarc_record *record = found->record;
	bool is_subdomain = !str_eq(found->policy_domain, result->author_domain), existence_unknown = false;
	enum dmarc_policy below = record->p;
	if (is_subdomain && choose_below(evaluation, record, result, &below, &existence_unknown) == DMARC_WAITING)
		return DMARC_WAITING;
	struct alignments alignments;
	if (align_all(evaluation, found, result->author_domain, &alignments) == DMARC_WAITING)
		return DMARC_WAITING;
	result->published = below;
	result->policy = after_test_mode(record, below);
	result->testing = record->testing;
	result->spf_aligned = alignments.spf;
	result->dkim_aligned = alignments.dkim;
	decide(
		&(struct dmarc_case){
			.p = after_test_mode(record, record->p),
			.sp = after_test_mode(record, below),
			.is_subdomain = is_subdomain,
			.spf_aligned = alignments.spf,
			.dkim_aligned = alignments.dkim,
		},
		result);
	if (result->status != DMARC_FAIL)
		return DMARC_READY;
	/* Neither pass nor fail may be said of a message while an answer is missing. RFC 9989 section 5.3.6 */
	if (alignments.unknown)
		set_temperror(result, "DNS failure, alignment is not known");
	else if (alignments.might_pass)
		set_temperror(result, "DNS failure in SPF or DKIM of an aligned domain");
	else if (alignments.over_limit)
		result->reason = "too many DMARC look-ups, not every identifier was looked at";
	if (existence_unknown) {
		set_temperror(result, "DNS failure, existence of the author's domain is not known");
		result->policy = result->published = DMARC_POLICY_UNSET;
	}
	return DMARC_READY;
}

static const char *why_no_record(const struct dmarc_discovered *found)
{
	bool several = found->found == DMARC_FOUND_SEVERAL;
	for (size_t i = 0; i < found->walk.n; i++)
		several |= found->walk.steps[i]->found == DMARC_FOUND_SEVERAL;
	return several ? "several DMARC records at one name" : NULL;
}

static enum dmarc_progress judge_author(struct evaluation *evaluation, struct str author, struct dmarc_result *result)
{
	*result = (struct dmarc_result){.status = DMARC_NONE, .author_domain = author};
	if (!domain_is_hostname(author)) {
		result->status = DMARC_PERMERROR;
		result->reason = "the author's domain is not a host name";
		return DMARC_READY;
	}
	struct dmarc_discovered found;
	enum dmarc_progress progress = dmarc_discover(&evaluation->lookups, author, &found);
	if (progress == DMARC_OVER_LIMIT) {
		result->status = DMARC_PERMERROR;
		result->reason = "too many DMARC look-ups";
	}
	if (progress != DMARC_READY)
		return progress == DMARC_WAITING ? DMARC_WAITING : DMARC_READY;
	result->organizational_domain = found.organizational_domain;
	switch (found.found) {
	case DMARC_FOUND_NONE:
	case DMARC_FOUND_SEVERAL:
		result->reason = why_no_record(&found);
		return DMARC_READY;
	case DMARC_FOUND_FAILED:
		set_temperror(result, "DNS failure, the DMARC policy is not known");
		return DMARC_READY;
	case DMARC_FOUND_RECORD:
		break;
	}
	result->policy_domain = found.policy_domain;
	/* The answers may be gone before the result is. */
	result->record = arena_dup(evaluation->arena, found.record->text);
	if (!found.record->usable) {
		result->reason = "the DMARC record has no valid policy";
		return DMARC_READY;
	}
	return apply_record(evaluation, &found, result);
}

/* ---- the message ---- */

/* The failing one with the strictest policy, the first of equals; NULL: none fails. RFC 9989 section 11.5 */
static const struct dmarc_result *find_strictest(const struct dmarc_result *results, size_t n)
{
	const struct dmarc_result *strictest = NULL;
	for (size_t i = 0; i < n; i++)
		if (results[i].status == DMARC_FAIL && (strictest == NULL || results[i].policy > strictest->policy))
			strictest = &results[i];
	return strictest;
}

static const struct dmarc_result *find_temperror(const struct dmarc_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (results[i].status == DMARC_TEMPERROR)
			return &results[i];
	return NULL;
}

/* A From that does not name exactly one author's domain never passes, whatever each domain by itself would get. */
static void combine(
	const struct dmarc_input *input, const struct dmarc_result *results, size_t n, struct dmarc_result *ret)
{
	const struct dmarc_result *strictest = find_strictest(results, n), *temperror = find_temperror(results, n);
	*ret = (struct dmarc_result){0};
	if (n > 0)
		*ret = strictest != NULL ? *strictest : results[0];
	if (strictest == NULL)
		ret->policy = ret->published = DMARC_POLICY_UNSET;
	/*
	 * An answer that is missing might make it stricter, whatever From looks like: else a From that cannot be read
	 * and a signature of a name whose servers are silent would be the way round a policy.
	 */
	if (temperror != NULL && ret->policy != DMARC_P_REJECT) {
		*ret = *temperror;
		ret->policy = ret->published = DMARC_POLICY_UNSET;
		return;
	}
	ret->authors_left_out = n < input->n_author_domains;
	if (input->author != AUTHOR_SEVERAL) {
		ret->status = DMARC_PERMERROR;
		ret->reason = input->author_reason != NULL   ? input->author_reason
			      : input->author == AUTHOR_NONE ? "no author in From"
							     : "From cannot be read with certainty";
		return;
	}
	ret->status = DMARC_FAIL;
	ret->reason = ret->authors_left_out ? "From names several domains, more than are looked at"
					    : "From names several domains";
}

static size_t count_authors(const struct dmarc_options *options, const struct dmarc_input *input)
{
	if (input->author == AUTHOR_NONE)
		return 0;
	size_t most = options->maximum_author_domains < AUTHORS_MAX ? options->maximum_author_domains : AUTHORS_MAX;
	if (input->author == AUTHOR_ONE || most == 0)
		most = 1;
	return input->n_author_domains < most ? input->n_author_domains : most;
}

static struct str canonical(struct arena *arena, struct str text)
{
	struct str domain;
	return domain_normalize(arena, text, &domain) ? domain : arena_dup(arena, text);
}

bool dmarc_evaluate(struct arena *arena, const struct dmarc_options *options, const struct dmarc_input *input,
	struct answers *answers, struct dmarc_result *ret_result)
{
	size_t n = count_authors(options, input);
	struct evaluation evaluation = {
		.arena = arena,
		.lookups = {.arena = arena, .options = options, .answers = answers, .limit = LOOKUPS_MAX},
	};
	struct dmarc_lookups *lookups = &evaluation.lookups;
	lookups->walk_steps = n < 3 ? DMARC_WALK_STEPS : SEVERAL_AUTHORS_LOOKUPS / n;
	find_identities(&evaluation, input);
	struct dmarc_result *results = ARENA_ARRAY(arena, n + 1, struct dmarc_result);
	/* All authors' records are asked for before anything else may use up the look-ups. */
	for (size_t i = 0; i < n; i++) {
		results[i].author_domain = canonical(arena, input->author_domains[i]);
		if (domain_is_hostname(results[i].author_domain))
			dmarc_discover_want(lookups, results[i].author_domain);
	}
	/*
	 * One after another: what an author's identifiers cost is known when the one before has had his. A later run
	 * then asks all that an earlier one did, and the limit on a run's look-ups bounds those of the message.
	 */
	for (size_t i = 0; i < n; i++)
		if (judge_author(&evaluation, results[i].author_domain, &results[i]) == DMARC_WAITING)
			return false;
	if (input->author == AUTHOR_ONE && n == 1)
		*ret_result = results[0];
	else
		combine(input, results, n, ret_result);
	ret_result->disposition = ret_result->status == DMARC_FAIL && ret_result->policy != DMARC_POLICY_UNSET
					  ? ret_result->policy
					  : DMARC_P_NONE;
	ret_result->queries = lookups->queries;
	ret_result->n_queries = lookups->n_queries;
	return true;
}

static void want_record(struct str domain, struct answers *answers)
{
	char name[sizeof("_dmarc.") + DOMAIN_MAX] = "_dmarc.";
	size_t prefix = strlen(name);
	memcpy(name + prefix, domain.p, domain.n);
	answers_want(answers, DNS_TXT, str_from(name, prefix + domain.n));
}

void dmarc_want(const struct dmarc_options *options, struct str domain, struct answers *answers)
{
	if (!domain_is_hostname(domain))
		return;
	struct str name;
	switch (options->discovery) {
	case DMARC_TREE_WALK:
		for (size_t i = 0; dmarc_walk_name(domain, WANT_STEPS, i, &name); i++)
			want_record(name, answers);
		return;
	case DMARC_PSL:
		want_record(domain, answers);
		want_record(domain_last_labels(domain, dmarc_suffixes_organizational_labels(options->suffixes, domain)),
			answers);
	}
}
