#include "spf/evaluation.h"

#include "base/buf.h"

bool spf_stop(struct spf_evaluation *evaluation, enum spf_status status, const char *reason)
{
	evaluation->status = status;
	evaluation->reason = reason;
	return false;
}

/* Does the term match without a question? */
static bool matches_at_once(const struct spf_evaluation *evaluation, const struct spf_term *term)
{
	if (term->kind == SPF_IP4 || term->kind == SPF_IP6)
		return ip_in_network(&evaluation->macros.client, &term->network);
	return term->kind == SPF_ALL;
}

static bool asks_the_dns(const struct spf_term *term)
{
	switch (term->kind) {
	case SPF_INCLUDE:
	case SPF_A:
	case SPF_MX:
	case SPF_PTR:
	case SPF_EXISTS:
	case SPF_REDIRECT:
		return true;
	case SPF_ALL:
	case SPF_IP4:
	case SPF_IP6:
	case SPF_EXP:
	case SPF_UNKNOWN_MODIFIER:
		break;
	}
	return false;
}

/* Give @term the next number, and write it for libspf2. */
static void add_term(struct spf_evaluation *evaluation, const struct spf_term *term, struct buf *text)
{
	size_t n = evaluation->n_terms + 1, source = evaluation->n_sources - 1;
	struct arena *arena = evaluation->arena;
	evaluation->terms =
		arena_grow(arena, evaluation->terms, &evaluation->terms_capacity, n, sizeof(*evaluation->terms));
	evaluation->facts =
		arena_grow(arena, evaluation->facts, &evaluation->facts_capacity, n, sizeof(*evaluation->facts));
	evaluation->terms[n - 1] = (struct spf_numbered){*term, source};
	evaluation->facts[n - 1] = (struct spf_fact){
		.answer = matches_at_once(evaluation, term) ? SPF_YES : SPF_UNDECIDED,
		.reports = evaluation->sources[source].outermost,
	};
	evaluation->n_terms = n;
	if (term->kind == SPF_REDIRECT)
		buf_printf(text, " redirect=%zu.t", n - 1);
	else
		buf_printf(
			text, " %c%s:%zu.t", term->qualifier, term->kind == SPF_INCLUDE ? "include" : "exists", n - 1);
}

/* Names that the record names outright are asked in one round, RFC 7208 section 4.6.4 permitting. */
static void ask_term_early(struct spf_evaluation *evaluation, const struct spf_term *term)
{
	struct str name = term->domain_spec.n > 0 ? term->domain_spec : evaluation->macros.domain;
	if (term->domain_spec.n > 0 && !spf_macro_is_literal(name))
		return;
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (term->kind == SPF_INCLUDE || term->kind == SPF_REDIRECT)
		spf_ask_early(evaluation, DNS_TXT, name);
	else if (term->kind == SPF_MX)
		spf_ask_early(evaluation, DNS_MX, name);
	else if (term->kind == SPF_A)
		spf_ask_early(evaluation, evaluation->macros.client.family == IP_V6 ? DNS_AAAA : DNS_A, name);
}

/*
 * Number the terms that evaluation can reach: those that ask the DNS, up to the limit, and the first that matches
 * without asking. Returns the record to give to libspf2.
 */
static const char *number_terms(struct spf_evaluation *evaluation, struct str record, struct str redirect)
{
	struct buf text = buf_in(evaluation->arena);
	struct spf_term term;
	const char *fault;
	unsigned room = evaluation->lookup_limit - evaluation->lookups + 1;
	bool ends = false;
	buf_add_cstr(&text, "v=spf1");
	for (struct str rest = spf_record_terms(record); !ends && room > 0 && spf_record_next(&rest, &term, &fault);) {
		bool asks = asks_the_dns(&term) && term.kind != SPF_REDIRECT;
		ends = matches_at_once(evaluation, &term);
		if (!asks && !ends)
			continue;
		add_term(evaluation, &term, &text);
		if (!asks)
			continue;
		room--;
		ask_term_early(evaluation, &term);
	}
	if (!ends && room > 0 && redirect.n > 0) {
		term = (struct spf_term){.kind = SPF_REDIRECT, .domain_spec = redirect};
		add_term(evaluation, &term, &text);
		ask_term_early(evaluation, &term);
	}
	return buf_cstr(&text);
}

/*
 * Make @record, of macros.domain, the record of fact @number. Its terms are appended, so that they are numbered
 * without gaps.
 */
static bool open_record(struct spf_evaluation *evaluation, size_t number, struct str record, bool outermost)
{
	struct spf_modifiers modifiers;
	const char *fault = spf_record_check(record, &modifiers);
	if (fault != NULL)
		return spf_stop(evaluation, SPF_PERMERROR, fault);
	evaluation->sources = arena_grow(evaluation->arena, evaluation->sources, &evaluation->sources_capacity,
		evaluation->n_sources + 1, sizeof(*evaluation->sources));
	evaluation->sources[evaluation->n_sources++] =
		(struct spf_source){evaluation->macros.domain, modifiers.exp, outermost};
	const char *text = number_terms(evaluation, record, modifiers.redirect);
	evaluation->facts[number].record = text;
	return true;
}

/* Fetch the record of macros.domain. *ret_found is false where there is none. */
static bool fetch_record(struct spf_evaluation *evaluation, bool counts_voids, bool *ret_found, struct str *ret_record)
{
	*ret_found = false;
	const struct dns_answer *answer = spf_ask(evaluation, DNS_TXT, evaluation->macros.domain);
	if (answer == NULL)
		return false;
	if (answer->status == DNS_FAILED)
		return spf_stop_failed(evaluation, answer);
	if (counts_voids && !spf_count_void(evaluation, answer))
		return false;
	size_t n = answer->status == DNS_DATA ? spf_record_select(answer, ret_record) : 0;
	if (n > 1) /* RFC 7208 section 4.5 */
		return spf_stop(evaluation, SPF_PERMERROR, "two or more SPF records");
	*ret_found = n == 1;
	return true;
}

/* Open the record that an include or a redirect leads to. */
static bool follow(struct spf_evaluation *evaluation, size_t number)
{
	const struct spf_numbered *numbered = &evaluation->terms[number];
	bool redirect = numbered->term.kind == SPF_REDIRECT, found;
	bool outermost = redirect && evaluation->sources[numbered->source].outermost;
	struct str target, record;
	if (!spf_can_match(evaluation, numbered->term.domain_spec)) {
		if (redirect)
			return spf_stop(evaluation, SPF_PERMERROR, "redirect leads to no SPF record");
		evaluation->facts[number].record = "v=spf1"; /* neutral: the include does not match */
		return true;
	}
	if (!spf_target(evaluation, numbered->term.domain_spec, &target))
		return false;
	evaluation->macros.domain = target;
	if (!fetch_record(evaluation, true, &found, &record))
		return false;
	if (!found) /* RFC 7208 sections 5.2 and 6.1 */
		return spf_stop(evaluation, SPF_PERMERROR,
			redirect ? "redirect leads to no SPF record" : "include leads to no SPF record");
	return open_record(evaluation, number, record, outermost);
}

/* Find the fact of a term that evaluation has reached. */
static bool settle_one(struct spf_evaluation *evaluation, size_t number)
{
	const struct spf_numbered *numbered = &evaluation->terms[number];
	if (evaluation->facts[number].answer != SPF_UNDECIDED)
		return true;
	if (++evaluation->lookups > evaluation->lookup_limit)
		return spf_stop(evaluation, SPF_PERMERROR, "look-up limit exceeded");
	evaluation->macros.domain = evaluation->sources[numbered->source].domain;
	if (numbered->term.kind == SPF_INCLUDE || numbered->term.kind == SPF_REDIRECT)
		return follow(evaluation, number);
	bool match;
	if (!spf_match(evaluation, &numbered->term, &match))
		return false;
	evaluation->facts[number].answer = match ? SPF_YES : SPF_NO;
	return true;
}

/*
 * Settle a term, and those that are then certain to be reached: the next one when it does not match, the first one
 * of a record that was opened. What comes after an include depends on its result, and that is for libspf2 to say.
 */
static bool settle(struct spf_evaluation *evaluation, size_t number)
{
	for (;;) {
		size_t n_terms = evaluation->n_terms;
		if (!settle_one(evaluation, number))
			return false;
		enum spf_answer answer = evaluation->facts[number].answer;
		if (answer == SPF_YES)
			return true;
		size_t next = answer == SPF_UNDECIDED ? n_terms : number + 1;
		if (next == evaluation->n_terms ||
			(answer == SPF_NO && evaluation->terms[next].source != evaluation->terms[number].source))
			return true;
		number = next;
	}
}

bool spf_evaluate_domain(struct spf_evaluation *evaluation, struct spf_verdict *ret_verdict, size_t *ret_source)
{
	struct str record;
	bool found;
	if (!fetch_record(evaluation, false, &found, &record))
		return false;
	if (!found)
		return spf_stop(evaluation, SPF_NONE, "no SPF record");

	/* Fact 0 is as if something had redirected to the domain. */
	struct spf_term root = {.kind = SPF_REDIRECT};
	evaluation->terms =
		arena_grow(evaluation->arena, NULL, &evaluation->terms_capacity, 1, sizeof(*evaluation->terms));
	evaluation->facts =
		arena_grow(evaluation->arena, NULL, &evaluation->facts_capacity, 1, sizeof(*evaluation->facts));
	evaluation->terms[0] = (struct spf_numbered){root, 0};
	evaluation->n_terms = 1;
	if (!open_record(evaluation, 0, record, true))
		return false;
	if (evaluation->n_terms > 1 && !settle(evaluation, 1))
		return false;
	for (;;) {
		if (!spf_libspf2_run(evaluation->facts, evaluation->n_terms, ret_verdict))
			return spf_stop(evaluation, SPF_TEMPERROR, "libspf2 failed");
		if (ret_verdict->undecided == 0)
			break;
		if (!settle(evaluation, ret_verdict->undecided))
			return false;
	}
	*ret_source = ret_verdict->matched != 0 ? evaluation->terms[ret_verdict->matched].source : 0;
	return true;
}
