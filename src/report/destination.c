#include "report/destination.h"

#include "auth/addresses.h"
#include "dmarc/alignment.h"

/*
 * Destinations of one policy that are looked up. A record can name many, and each other organization costs a question
 * to its servers, each name of ours up to eight.
 */
#define CONSIDERED_MAX 20

static const char no_consent[] = "another organization, which does not consent";
static const char no_answer[] = "temporary: the DNS did not tell whether it consents";

struct verification {
	struct arena *arena;
	const struct destination_query *query;
	struct answers *answers;
	struct dmarc_lookups lookups;
	struct dmarc_discovered found; /* what the policy's domain belongs to; once it is needed */
	struct destination *results;
	size_t n, capacity;
	size_t n_considered;
	size_t n_places; /* destinations that qualify, or may when the DNS answers again */
};

static struct destination *add(struct verification *verification, const struct destination *destination)
{
	verification->results = arena_grow(verification->arena, verification->results, &verification->capacity,
		verification->n + 1, sizeof(*verification->results));
	struct destination *result = &verification->results[verification->n++];
	*result = *destination;
	return result;
}

static void refuse(struct verification *verification, const struct destination *destination, const char *why)
{
	add(verification, destination)->refused = why;
}

/* ---- what needs no look-up ---- */

static bool is_there(const struct verification *verification, struct str address)
{
	for (size_t i = 0; i < verification->n; i++)
		if (str_eq(verification->results[i].address, address))
			return true;
	return false;
}

/* NULL: as far as it can be told without asking, it may have reports. */
static const char *why_not(const struct verification *verification, const struct destination *destination)
{
	const struct report_options *options = verification->query->options;
	struct address address = {
		.local_part = str_head(destination->address, destination->address.n - destination->domain.n - 1),
		.domain = destination->domain,
	};
	if (is_there(verification, destination->address))
		return "named twice";
	if (address_set_has(options->no_reports, verification->arena, &address))
		return "in NoReportsList";
	if (options->only_reports != NULL && !address_set_has(options->only_reports, verification->arena, &address))
		return "not in ReportOnlyTo";
	return NULL;
}

/* Takes one of the places, or finds them taken. @pending  why it has to wait with the place that it got; NULL: not */
static void admit(struct verification *verification, const struct destination *destination, const char *pending)
{
	const char *why = why_not(verification, destination);
	if (why == NULL && verification->n_places == verification->query->options->maximum_destinations)
		why = "more than ReportMaximumDestinations";
	if (why == NULL) {
		verification->n_places++;
		why = pending;
	}
	refuse(verification, destination, why);
}

/* ---- another organization ---- */

enum relation { RELATION_WAITING, RELATION_SAME, RELATION_OTHER, RELATION_UNKNOWN };

static enum relation find_relation(struct verification *verification, struct str domain)
{
	struct str policy_domain = verification->query->policy.domain;
	struct dmarc_lookups *lookups = &verification->lookups;
	if (str_eq(domain, policy_domain))
		return RELATION_SAME;
	if (verification->found.organizational_domain.p == NULL &&
		dmarc_discover(lookups, policy_domain, &verification->found) != DMARC_READY) {
		verification->found = (struct dmarc_discovered){0};
		return RELATION_WAITING;
	}
	enum dmarc_alignment alignment;
	switch (dmarc_align(lookups, &verification->found, policy_domain, domain, DMARC_RELAXED, &alignment)) {
	case DMARC_WAITING:
		return RELATION_WAITING;
	case DMARC_OVER_LIMIT:
		return RELATION_UNKNOWN;
	case DMARC_READY:
		break;
	}
	switch (alignment) {
	case DMARC_UNALIGNED:
		return RELATION_OTHER;
	case DMARC_ALIGNED:
		return RELATION_SAME;
	case DMARC_ALIGNMENT_UNKNOWN:
		break;
	}
	return RELATION_UNKNOWN;
}

enum consent { CONSENT_WAITING, CONSENT_NONE, CONSENT_UNKNOWN, CONSENT_GIVEN };

/*
 * RFC 9990 section 4. *ret_override is the consumer's own rua or ruf, empty where it has none; of several the first in
 * the order of bytes, so that it does not change with the order of the answer.
 */
static enum consent find_consent(struct verification *verification, struct str domain, struct str *ret_override)
{
	const struct destination_query *query = verification->query;
	*ret_override = (struct str){NULL, 0};
	struct str name = arena_printf(
		verification->arena, "%.*s._report._dmarc.%.*s", STR_ARG(query->policy.domain), STR_ARG(domain));
	/* A name too long to be asked is answered with NXDOMAIN. */
	const struct dns_answer *answer = answers_get(verification->answers, DNS_TXT, name);
	if (answer == NULL)
		return CONSENT_WAITING;
	if (answer->status == DNS_FAILED)
		return CONSENT_UNKNOWN;
	enum consent consent = CONSENT_NONE;
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->n_records; i++) {
		struct dmarc_record record;
		if (!dmarc_record_parse(DMARC_TREE_WALK, answer->records[i].data, &record))
			continue;
		consent = CONSENT_GIVEN;
		struct str override = query->failure ? record.ruf : record.rua;
		if (override.n > 0 && (ret_override->n == 0 || str_cmp(override, *ret_override) < 0))
			*ret_override = override;
	}
	return consent;
}

/*
 * The consumer names other addresses. At another host they would be somebody's who was not asked: then neither they
 * nor the published one gets anything. RFC 9990 section 4
 */
static void admit_overrides(struct verification *verification, const struct destination *published, struct str list)
{
	const struct destination *overrides;
	size_t n, n_usable = 0;
	destination_parse(verification->arena, list, &overrides, &n);
	for (size_t i = 0; i < n; i++) {
		if (overrides[i].refused != NULL)
			continue;
		n_usable++;
		if (!str_eq(overrides[i].domain, published->domain)) {
			refuse(verification, published, "its consent names an address at another host");
			return;
		}
	}
	if (n_usable == 0)
		refuse(verification, published, "its consent names no usable address");
	for (size_t i = 0; i < n; i++) {
		if (overrides[i].refused != NULL)
			continue;
		struct destination override = *published;
		override.address = overrides[i].address;
		override.maximum_bytes = overrides[i].maximum_bytes;
		override.overridden = true;
		admit(verification, &override, NULL);
	}
}

/* False: the look-up is missing. */
static bool admit_external(struct verification *verification, const struct destination *destination, bool certain)
{
	struct str override;
	switch (find_consent(verification, destination->domain, &override)) {
	case CONSENT_WAITING:
		return false;
	case CONSENT_NONE:
		if (certain) {
			refuse(verification, destination, no_consent);
			return true;
		}
		break;
	case CONSENT_UNKNOWN:
		break;
	case CONSENT_GIVEN:
		if (override.n > 0)
			admit_overrides(verification, destination, override);
		else
			admit(verification, destination, NULL);
		return true;
	}
	admit(verification, destination, no_answer);
	return true;
}

/* ---- all of them ---- */

/* False: look-ups are missing. */
static bool verify(struct verification *verification, const struct destination *published)
{
	struct destination destination = *published;
	const char *why = published->refused != NULL ? published->refused : why_not(verification, published);
	if (why == NULL && verification->n_considered == CONSIDERED_MAX)
		why = "more than are looked at";
	if (why != NULL) {
		refuse(verification, published, why);
		return true;
	}
	verification->n_considered++;
	enum relation relation = find_relation(verification, published->domain);
	switch (relation) {
	case RELATION_WAITING:
		return false;
	case RELATION_SAME:
		admit(verification, &destination, NULL);
		return true;
	case RELATION_OTHER:
	case RELATION_UNKNOWN:
		break;
	}
	destination.external = true;
	return admit_external(verification, &destination, relation == RELATION_OTHER);
}

bool destination_verify(struct arena *arena, const struct destination_query *query, struct answers *answers,
	const struct destination **ret_destinations, size_t *ret_n, bool *ret_retry)
{
	struct verification verification = {
		.arena = arena,
		.query = query,
		.answers = answers,
		.lookups = {.arena = arena,
			.options = query->dmarc,
			.answers = answers,
			.walk_steps = DMARC_WALK_STEPS,
			.limit = DMARC_WALK_STEPS * (CONSIDERED_MAX + 1)},
	};
	struct dmarc_record record;
	const struct destination *published = NULL;
	size_t n = 0;
	/* psd, which only the tree walk's records have, keeps failure reports from public suffixes in both modes. */
	if (dmarc_record_parse(DMARC_TREE_WALK, query->policy.record, &record))
		destination_parse(arena, query->failure ? record.ruf : record.rua, &published, &n);
	bool complete = true;
	for (size_t i = 0; i < n; i++) {
		if (query->failure && record.psd == DMARC_PSD_YES)
			refuse(&verification, &published[i], "failure reports never go to a public suffix (psd=y)");
		else
			complete &= verify(&verification, &published[i]);
	}
	*ret_retry = false;
	for (size_t i = 0; i < verification.n; i++)
		*ret_retry |= verification.results[i].refused == no_answer;
	*ret_destinations = verification.results;
	*ret_n = verification.n;
	return complete;
}
