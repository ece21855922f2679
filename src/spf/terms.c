#include "spf/evaluation.h"

static enum dns_type address_type(const struct spf_evaluation *evaluation)
{
	return evaluation->macros.client.family == IP_V6 ? DNS_AAAA : DNS_A;
}

static struct spf_question *find_question(struct spf_evaluation *evaluation, enum dns_type type, struct str name)
{
	for (size_t i = 0; i < evaluation->n_questions; i++) {
		struct spf_question *question = &evaluation->questions[i];
		if (question->type == type && str_ieq(question->name, name))
			return question;
	}
	return NULL;
}

/*
 * Whether a question is allowed depends on the needed ones alone, so that asking early changes no result. Each
 * question in the list is needed or likely, and both are bounded, so there is always room.
 */
static bool allow_needed(struct spf_evaluation *evaluation, enum dns_type type, struct str name)
{
	struct spf_question *question = find_question(evaluation, type, name);
	if (question != NULL && question->needed)
		return true;
	if (evaluation->needed == SPF_QUESTIONS_NEEDED_MAX)
		return spf_stop(evaluation, SPF_PERMERROR, "too many DNS look-ups");
	if (question != NULL)
		evaluation->likely--;
	else
		question = &evaluation->questions[evaluation->n_questions++];
	*question = (struct spf_question){type, name, true};
	evaluation->needed++;
	return true;
}

/*
 * RFC 7208 section 4.8 leaves names with empty or overlong labels to us: they exist nowhere, and cost nothing.
 * A NUL can only come from the envelope; what stands behind it must not be lost on the way to a resolver.
 */
static bool can_exist(struct str name)
{
	return domain_is_askable(name) && memchr(name.p, '\0', name.n) == NULL;
}

const struct dns_answer *spf_ask(struct spf_evaluation *evaluation, enum dns_type type, struct str name)
{
	if (!can_exist(name))
		return answers_get(evaluation->answers, type, STR(""));
	if (!allow_needed(evaluation, type, name))
		return NULL;
	const struct dns_answer *answer = answers_get(evaluation->answers, type, name);
	if (answer == NULL)
		evaluation->waiting = true;
	return answer;
}

void spf_ask_early(struct spf_evaluation *evaluation, enum dns_type type, struct str name)
{
	if (!can_exist(name) || evaluation->likely == SPF_QUESTIONS_LIKELY_MAX ||
		find_question(evaluation, type, name) != NULL)
		return;
	evaluation->questions[evaluation->n_questions++] = (struct spf_question){type, name, false};
	evaluation->likely++;
	answers_want(evaluation->answers, type, name);
}

bool spf_stop_failed(struct spf_evaluation *evaluation, const struct dns_answer *answer)
{
	bool timeout = answer->why != NULL && strcmp(answer->why, "timeout") == 0;
	return spf_stop(evaluation, SPF_TEMPERROR, timeout ? "DNS look-up timed out" : "DNS look-up failed");
}

bool spf_count_void(struct spf_evaluation *evaluation, const struct dns_answer *answer)
{
	if (answer->status != DNS_NODATA && answer->status != DNS_NXDOMAIN)
		return true;
	if (++evaluation->voids <= evaluation->options->void_lookup_limit)
		return true;
	return spf_stop(evaluation, SPF_PERMERROR, "void look-up limit exceeded");
}

bool spf_target(struct spf_evaluation *evaluation, struct str spec, struct str *ret_target)
{
	if (spec.n == 0) {
		*ret_target = evaluation->macros.domain;
		return true;
	}
	if (spf_macro_uses_validated(spec) && !spf_find_validated(evaluation))
		return false;
	*ret_target = spf_macro_expand_domain(evaluation->arena, &evaluation->macros, spec);
	return true;
}

/* RFC 8616 section 4: such a local part is no label of the DNS, so that not even a wildcard can match it. */
bool spf_can_match(const struct spf_evaluation *evaluation, struct str spec)
{
	struct str local_part = evaluation->macros.local_part;
	for (size_t i = 0; i < local_part.n; i++)
		if ((unsigned char)local_part.p[i] >= 0x80)
			return !spf_macro_uses_local_part(spec);
	return true;
}

/* The question of a term itself. False: ended early, by an error too. */
static bool ask_for_term(
	struct spf_evaluation *evaluation, enum dns_type type, struct str name, const struct dns_answer **ret_answer)
{
	*ret_answer = spf_ask(evaluation, type, name);
	if (*ret_answer == NULL)
		return false;
	if ((*ret_answer)->status == DNS_FAILED)
		return spf_stop_failed(evaluation, *ret_answer);
	/* A name that could not be asked was no look-up. */
	return !can_exist(name) || spf_count_void(evaluation, *ret_answer);
}

static bool has_client(
	const struct spf_evaluation *evaluation, const struct dns_answer *answer, unsigned bits4, unsigned bits6)
{
	const struct ip *client = &evaluation->macros.client;
	unsigned bits = client->family == IP_V6 ? bits6 : bits4;
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->n_records; i++) {
		struct ip address = ip_from_bytes(answer->records[i].data);
		if (ip_prefix_eq(client, &address, bits))
			return true;
	}
	return false;
}

/* RFC 7208 section 5.3 */
static bool match_a(struct spf_evaluation *evaluation, const struct spf_term *term, struct str target, bool *ret_match)
{
	const struct dns_answer *answer;
	if (!ask_for_term(evaluation, address_type(evaluation), target, &answer))
		return false;
	*ret_match = has_client(evaluation, answer, term->bits4, term->bits6);
	return true;
}

/* RFC 7208 section 5.7: always an A record, for IPv6 clients too */
static bool match_exists(struct spf_evaluation *evaluation, struct str target, bool *ret_match)
{
	const struct dns_answer *answer;
	if (!ask_for_term(evaluation, DNS_A, target, &answer))
		return false;
	*ret_match = answer->status == DNS_DATA;
	return true;
}

/* The first @max by preference; the order of equal ones is as it came. Returns how many. */
static size_t sort_mx(const struct dns_answer *answer, const struct dns_record **ret_hosts, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < answer->n_records; i++) {
		const struct dns_record *record = &answer->records[i];
		if (n == max && ret_hosts[n - 1]->preference <= record->preference)
			continue;
		size_t at = n < max ? n++ : max - 1;
		for (; at > 0 && ret_hosts[at - 1]->preference > record->preference; at--)
			ret_hosts[at] = ret_hosts[at - 1];
		ret_hosts[at] = record;
	}
	return n;
}

/*
 * RFC 7208 section 5.4. The hosts' addresses are asked together. An MX whose hosts have no address of the client's
 * family is not a void look-up: the limit is on terms (section 4.6.4), and the term did find something; IPv6 clients
 * would fail on it otherwise.
 */
static bool match_mx(struct spf_evaluation *evaluation, const struct spf_term *term, struct str target, bool *ret_match)
{
	const struct dns_answer *answer;
	size_t limit = evaluation->options->name_limit;
	if (!ask_for_term(evaluation, DNS_MX, target, &answer))
		return false;
	if (answer->status != DNS_DATA)
		return true;
	size_t max = answer->n_records <= limit ? answer->n_records : limit + 1;
	const struct dns_record **hosts = arena_alloc_array(evaluation->arena, max, sizeof(const struct dns_record *));
	size_t n = sort_mx(answer, hosts, max);
	for (size_t i = 0; i < n && i < limit; i++)
		spf_ask_early(evaluation, address_type(evaluation), hosts[i]->data);
	for (size_t i = 0; i < n && !*ret_match; i++) {
		if (i == limit)
			return spf_stop(evaluation, SPF_PERMERROR, "too many MX hosts");
		answer = spf_ask(evaluation, address_type(evaluation), hosts[i]->data);
		if (answer == NULL)
			return false;
		if (answer->status == DNS_FAILED)
			return spf_stop_failed(evaluation, answer);
		*ret_match = has_client(evaluation, answer, term->bits4, term->bits6);
	}
	return true;
}

/* The PTR records of the client. NULL: ended early. */
static const struct dns_answer *ask_ptr(struct spf_evaluation *evaluation)
{
	const struct ip *client = &evaluation->macros.client;
	char text[80];
	size_t n = 0;
	for (unsigned i = client->family == IP_V6 ? 32 : 0; i-- > 0;) {
		unsigned nibble = i % 2 == 0 ? client->bytes[i / 2] >> 4 : client->bytes[i / 2] & 15u;
		text[n++] = "0123456789abcdef"[nibble];
		text[n++] = '.';
	}
	struct str name = client->family == IP_V6
				  ? arena_printf(evaluation->arena, "%.*sip6.arpa", (int)n, text)
				  : arena_printf(evaluation->arena, "%u.%u.%u.%u.in-addr.arpa", client->bytes[3],
					    client->bytes[2], client->bytes[1], client->bytes[0]);
	return spf_ask(evaluation, DNS_PTR, name);
}

/* Is @name, from the PTR records, really a name of the client? RFC 7208 section 5.5: an error skips the name. */
static bool validate(struct spf_evaluation *evaluation, struct str name, bool *ret_valid)
{
	const struct dns_answer *answer = spf_ask(evaluation, address_type(evaluation), name);
	if (answer == NULL)
		return false;
	*ret_valid = has_client(evaluation, answer, 32, 128);
	return true;
}

static bool is_within(struct str name, struct str domain)
{
	return str_ieq(name, domain) ||
	       (name.n > domain.n && domain.n > 0 && str_iends(name, domain) && name.p[name.n - domain.n - 1] == '.');
}

static size_t names_to_look_at(const struct spf_evaluation *evaluation, const struct dns_answer *answer)
{
	/* RFC 7208 section 4.6.4: the rest is ignored, as the client's side controls it, not the domain. */
	size_t limit = evaluation->options->name_limit;
	return answer->n_records < limit ? answer->n_records : limit;
}

/* RFC 7208 section 5.5. Only names that would match are validated: the others' addresses change nothing. */
static bool match_ptr(struct spf_evaluation *evaluation, struct str target, bool *ret_match)
{
	const struct dns_answer *answer = ask_ptr(evaluation);
	if (answer == NULL || !spf_count_void(evaluation, answer))
		return false;
	size_t n = names_to_look_at(evaluation, answer);
	for (size_t i = 0; i < n; i++)
		if (is_within(answer->records[i].data, target))
			spf_ask_early(evaluation, address_type(evaluation), answer->records[i].data);
	for (size_t i = 0; i < n && !*ret_match; i++)
		if (is_within(answer->records[i].data, target) &&
			!validate(evaluation, answer->records[i].data, ret_match))
			return false;
	return true;
}

/* How well a name suits %{p}: the domain itself, a name below it, any other. */
static int rank(struct str name, struct str domain)
{
	return str_ieq(name, domain) ? 0 : is_within(name, domain) ? 1 : 2;
}

bool spf_find_validated(struct spf_evaluation *evaluation)
{
	evaluation->macros.validated = STR("unknown");
	const struct dns_answer *answer = ask_ptr(evaluation);
	if (answer == NULL)
		return false;
	size_t n = names_to_look_at(evaluation, answer);
	for (size_t i = 0; i < n; i++)
		spf_ask_early(evaluation, address_type(evaluation), answer->records[i].data);
	for (int wanted = 0; wanted <= 2; wanted++) {
		for (size_t i = 0; i < n; i++) {
			struct str name = answer->records[i].data;
			bool valid = false;
			if (rank(name, evaluation->macros.domain) != wanted)
				continue;
			if (!validate(evaluation, name, &valid))
				return false;
			if (valid) {
				evaluation->macros.validated = name;
				return true;
			}
		}
	}
	return true;
}

bool spf_match(struct spf_evaluation *evaluation, const struct spf_term *term, bool *ret_match)
{
	struct str target;
	*ret_match = false;
	if (!spf_can_match(evaluation, term->domain_spec))
		return true;
	if (!spf_target(evaluation, term->domain_spec, &target))
		return false;
	switch (term->kind) {
	case SPF_A:
		return match_a(evaluation, term, target, ret_match);
	case SPF_MX:
		return match_mx(evaluation, term, target, ret_match);
	case SPF_PTR:
		return match_ptr(evaluation, target, ret_match);
	case SPF_EXISTS:
		return match_exists(evaluation, target, ret_match);
	case SPF_ALL:
	case SPF_INCLUDE:
	case SPF_IP4:
	case SPF_IP6:
	case SPF_REDIRECT:
	case SPF_EXP:
	case SPF_UNKNOWN_MODIFIER:
		break;
	}
	return true;
}
