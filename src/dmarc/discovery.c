#include "dmarc/discovery.h"

#include "dmarc/psl.h"

/* ---- questions ---- */

static struct dmarc_lookup *find(const struct dmarc_lookups *lookups, enum dns_type type, struct str domain)
{
	for (size_t i = 0; i < lookups->n_asked; i++)
		if (lookups->asked[i]->type == type && str_eq(lookups->asked[i]->domain, domain))
			return lookups->asked[i];
	return NULL;
}

static struct str record_name(struct arena *arena, struct str domain)
{
	struct str prefix = STR("_dmarc.");
	char *name = arena_alloc(arena, prefix.n + domain.n);
	memcpy(name, prefix.p, prefix.n);
	memcpy(name + prefix.n, domain.p, domain.n);
	return str_from(name, prefix.n + domain.n);
}

/* Every name that is wanted counts, needed or not: it costs somebody's server a query. */
static struct dmarc_lookup *ask(struct dmarc_lookups *lookups, enum dns_type type, struct str domain)
{
	struct dmarc_lookup *lookup = find(lookups, type, domain);
	if (lookup != NULL)
		return lookup;
	lookup = ARENA_NEW(lookups->arena, struct dmarc_lookup);
	lookup->type = type;
	lookup->domain = domain;
	lookup->name = type == DNS_TXT ? record_name(lookups->arena, domain) : domain;
	answers_want(lookups->answers, type, lookup->name);
	lookups->asked = arena_grow(
		lookups->arena, lookups->asked, &lookups->asked_capacity, lookups->n_asked + 1, sizeof(lookup));
	lookups->asked[lookups->n_asked++] = lookup;
	return lookup;
}

/* NULL: not here yet. */
static const struct dns_answer *need(struct dmarc_lookups *lookups, struct dmarc_lookup *lookup)
{
	/* A name too long to be asked was never looked up. */
	if (!lookup->needed && domain_is_askable(lookup->name)) {
		lookups->queries = arena_grow(lookups->arena, lookups->queries, &lookups->queries_capacity,
			lookups->n_queries + 1, sizeof(*lookups->queries));
		lookups->queries[lookups->n_queries++] = lookup->name;
	}
	lookup->needed = true;
	return answers_get(lookups->answers, lookup->type, lookup->name);
}

/* Records that are not DMARC's do not count; of several that are none counts. RFC 9989 section 4.10 step 2 */
static void read_answer(const struct dns_answer *answer, enum dmarc_discovery discovery, struct dmarc_lookup *lookup)
{
	lookup->ready = true;
	lookup->found = answer->status == DNS_FAILED ? DMARC_FOUND_FAILED : DMARC_FOUND_NONE;
	if (answer->status != DNS_DATA)
		return;
	for (size_t i = 0; i < answer->n_records; i++) {
		struct dmarc_record record;
		if (!dmarc_record_parse(discovery, answer->records[i].data, &record))
			continue;
		lookup->found = lookup->found == DMARC_FOUND_NONE ? DMARC_FOUND_RECORD : DMARC_FOUND_SEVERAL;
		lookup->record = record;
	}
}

static bool get_record(struct dmarc_lookups *lookups, struct dmarc_lookup *lookup)
{
	if (lookup->ready)
		return true;
	const struct dns_answer *answer = need(lookups, lookup);
	if (answer == NULL)
		return false;
	read_answer(answer, lookups->options->discovery, lookup);
	return true;
}

enum dmarc_progress dmarc_exists(struct dmarc_lookups *lookups, struct str domain, enum dmarc_existence *ret_existence)
{
	if (find(lookups, DNS_A, domain) == NULL && lookups->n_asked >= lookups->limit)
		return DMARC_OVER_LIMIT;
	const struct dns_answer *answer = need(lookups, ask(lookups, DNS_A, domain));
	if (answer == NULL)
		return DMARC_WAITING;
	switch (answer->status) {
	case DNS_DATA:
	case DNS_NODATA:
		*ret_existence = DMARC_EXISTS;
		break;
	case DNS_NXDOMAIN:
		*ret_existence = DMARC_EXISTS_NOT;
		break;
	case DNS_FAILED:
		*ret_existence = DMARC_EXISTENCE_UNKNOWN;
		break;
	}
	return DMARC_READY;
}

/* ---- the tree walk ---- */

bool dmarc_walk_name(struct str domain, size_t steps, size_t i, struct str *ret_name)
{
	size_t labels = domain_labels(domain), n = labels < steps ? labels : steps;
	if (i >= n)
		return false;
	/* The name itself, then its last seven labels (where it has more than that), then one label less each time. */
	*ret_name = i == 0 ? domain : domain_last_labels(domain, n - i);
	return true;
}

static void want_walk(struct dmarc_lookups *lookups, struct str domain)
{
	struct str name;
	for (size_t i = 0; dmarc_walk_name(domain, lookups->walk_steps, i, &name); i++)
		ask(lookups, DNS_TXT, name);
}

static bool would_exceed(const struct dmarc_lookups *lookups, struct str domain)
{
	size_t n_new = 0;
	struct str name;
	for (size_t i = 0; dmarc_walk_name(domain, lookups->walk_steps, i, &name); i++)
		n_new += find(lookups, DNS_TXT, name) == NULL;
	return lookups->n_asked + n_new > lookups->limit;
}

enum dmarc_progress dmarc_walk(struct dmarc_lookups *lookups, struct str domain, struct dmarc_walk *ret_walk)
{
	*ret_walk = (struct dmarc_walk){.start = domain};
	if (would_exceed(lookups, domain))
		return DMARC_OVER_LIMIT;
	want_walk(lookups, domain);
	struct str name;
	for (size_t i = 0; dmarc_walk_name(domain, lookups->walk_steps, i, &name); i++) {
		struct dmarc_lookup *lookup = ask(lookups, DNS_TXT, name);
		if (!get_record(lookups, lookup))
			return DMARC_WAITING;
		ret_walk->steps[ret_walk->n++] = lookup;
		if (lookup->found == DMARC_FOUND_RECORD && lookup->record.psd != DMARC_PSD_UNKNOWN)
			break;
	}
	return DMARC_READY;
}

/* False: no record there, or so we guess. */
static bool psd_of(const struct dmarc_lookup *lookup, enum dmarc_psd *ret_psd)
{
	*ret_psd = DMARC_PSD_UNKNOWN;
	switch (lookup->found) {
	case DMARC_FOUND_NONE:
	case DMARC_FOUND_SEVERAL:
		return false;
	case DMARC_FOUND_RECORD:
		*ret_psd = lookup->record.psd;
		return true;
	case DMARC_FOUND_FAILED:
		break;
	}
	switch (lookup->guess) {
	case DMARC_GUESS_NOTHING:
		return false;
	case DMARC_GUESS_RECORD:
		break;
	case DMARC_GUESS_NOT_PSD:
		*ret_psd = DMARC_PSD_NO;
		break;
	case DMARC_GUESS_PSD:
		*ret_psd = DMARC_PSD_YES;
		break;
	}
	return true;
}

struct str dmarc_walk_organizational(const struct dmarc_walk *walk)
{
	struct str shortest = walk->start;
	for (size_t i = 0; i < walk->n; i++) {
		struct str domain = walk->steps[i]->domain;
		enum dmarc_psd psd;
		if (!psd_of(walk->steps[i], &psd))
			continue;
		if (psd == DMARC_PSD_NO)
			return domain;
		/*
		 * One label below, which a shortened walk may have jumped over; but a public suffix that is itself the
		 * author is its own organization.
		 */
		if (psd == DMARC_PSD_YES)
			return domain_last_labels(walk->start, domain_labels(domain) + 1);
		shortest = domain;
	}
	return shortest;
}

/* ---- what the DNS did not tell ---- */

static void add_failed(struct dmarc_guesses *guesses, struct dmarc_lookup *lookup)
{
	for (size_t i = 0; i < guesses->n; i++)
		if (guesses->failed[i] == lookup)
			return;
	lookup->guess = DMARC_GUESS_NOTHING;
	if (guesses->n == DMARC_GUESSES_MAX)
		guesses->too_many = true;
	else
		guesses->failed[guesses->n++] = lookup;
}

void dmarc_guesses_add(struct dmarc_guesses *guesses, const struct dmarc_walk *walk)
{
	for (size_t i = 0; i < walk->n; i++)
		if (walk->steps[i]->found == DMARC_FOUND_FAILED)
			add_failed(guesses, walk->steps[i]);
}

bool dmarc_guesses_next(struct dmarc_guesses *guesses)
{
	for (size_t i = 0; i < guesses->n; i++) {
		if (guesses->failed[i]->guess + 1 < DMARC_N_GUESSES) {
			guesses->failed[i]->guess++;
			return true;
		}
		guesses->failed[i]->guess = DMARC_GUESS_NOTHING;
	}
	return false;
}

/* Empty where it depends on what the DNS did not tell. */
static struct str certain_organizational(const struct dmarc_walk *walk)
{
	struct dmarc_guesses guesses = {0};
	dmarc_guesses_add(&guesses, walk);
	struct str organizational = dmarc_walk_organizational(walk);
	bool same = !guesses.too_many;
	do
		same = same && str_eq(organizational, dmarc_walk_organizational(walk));
	while (dmarc_guesses_next(&guesses));
	return same ? organizational : (struct str){NULL, 0};
}

/* ---- whose record ---- */

static void apply(struct dmarc_discovered *found, const struct dmarc_lookup *lookup)
{
	found->found = lookup->found;
	if (lookup->found != DMARC_FOUND_RECORD)
		return;
	found->record = &lookup->record;
	found->policy_domain = lookup->domain;
}

/* The author's own, else the organization's, else the public suffix's. RFC 9989 section 4.10.1 */
static enum dmarc_progress discover_by_walk(
	struct dmarc_lookups *lookups, struct str author, struct dmarc_discovered *found)
{
	enum dmarc_progress progress = dmarc_walk(lookups, author, &found->walk);
	if (progress != DMARC_READY)
		return progress;
	const struct dmarc_walk *walk = &found->walk;
	found->organizational_domain = certain_organizational(walk);
	if (walk->steps[0]->found == DMARC_FOUND_RECORD) {
		apply(found, walk->steps[0]);
		return DMARC_READY;
	}
	/* Any record that is missing here might be the one that applies. */
	for (size_t i = 0; i < walk->n; i++)
		if (walk->steps[i]->found == DMARC_FOUND_FAILED) {
			found->found = DMARC_FOUND_FAILED;
			return DMARC_READY;
		}
	for (size_t i = 1; i < walk->n; i++)
		if (walk->steps[i]->found == DMARC_FOUND_RECORD &&
			str_eq(walk->steps[i]->domain, found->organizational_domain)) {
			apply(found, walk->steps[i]);
			return DMARC_READY;
		}
	const struct dmarc_lookup *last = walk->steps[walk->n - 1];
	if (last->found == DMARC_FOUND_RECORD)
		apply(found, last);
	return DMARC_READY;
}

static struct str organizational_by_suffix(const struct dmarc_lookups *lookups, struct str domain)
{
	size_t labels = dmarc_suffixes_organizational_labels(lookups->options->suffixes, domain);
	return domain_last_labels(domain, labels);
}

/* The author's own, else the organization's. RFC 7489 section 6.6.3 */
static enum dmarc_progress discover_by_suffix(
	struct dmarc_lookups *lookups, struct str author, struct dmarc_discovered *found)
{
	found->organizational_domain = organizational_by_suffix(lookups, author);
	struct dmarc_lookup *own = ask(lookups, DNS_TXT, author),
			    *above = ask(lookups, DNS_TXT, found->organizational_domain);
	if (!get_record(lookups, own))
		return DMARC_WAITING;
	if (own->found != DMARC_FOUND_NONE) {
		apply(found, own);
		return DMARC_READY;
	}
	if (!get_record(lookups, above))
		return DMARC_WAITING;
	apply(found, above);
	return DMARC_READY;
}

void dmarc_discover_want(struct dmarc_lookups *lookups, struct str author)
{
	switch (lookups->options->discovery) {
	case DMARC_TREE_WALK:
		want_walk(lookups, author);
		return;
	case DMARC_PSL:
		ask(lookups, DNS_TXT, author);
		ask(lookups, DNS_TXT, organizational_by_suffix(lookups, author));
	}
}

enum dmarc_progress dmarc_discover(struct dmarc_lookups *lookups, struct str author, struct dmarc_discovered *ret_found)
{
	*ret_found = (struct dmarc_discovered){.found = DMARC_FOUND_NONE};
	switch (lookups->options->discovery) {
	case DMARC_TREE_WALK:
		return discover_by_walk(lookups, author, ret_found);
	case DMARC_PSL:
		return discover_by_suffix(lookups, author, ret_found);
	}
	return DMARC_READY;
}
