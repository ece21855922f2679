#include "spf/spf.h"

#include "base/buf.h"
#include "spf/evaluation.h"

/* Longer terms are legal and of no use in a log line; what libspf2 sees does not depend on it. */
#define MECHANISM_TEXT_MAX 255

const char *spf_status_text(enum spf_status status)
{
	switch (status) {
	case SPF_NONE:
		return "none";
	case SPF_NEUTRAL:
		return "neutral";
	case SPF_PASS:
		return "pass";
	case SPF_FAIL:
		return "fail";
	case SPF_SOFTFAIL:
		return "softfail";
	case SPF_TEMPERROR:
		return "temperror";
	case SPF_PERMERROR:
		return "permerror";
	}
	return "?";
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Digits and dots alone are an address that lacks its brackets, not a name. */
static bool ends_in_number(struct str domain)
{
	struct str label = domain_last_labels(domain, 1);
	for (size_t i = 0; i < label.n; i++)
		if (!str_is_digit(label.p[i]))
			return false;
	return true;
}

/*
 * RFC 7208 section 4.3: what is no domain name of two labels or more gets "none". An address literal is none either.
 * Macros give the name as it was sent, except that U-labels become what the DNS knows.
 */
static bool usable_domain(struct arena *arena, struct str text, struct str *ret_canonical, struct str *ret_spelled)
{
	if (text.n > 0 && text.p[0] == '[')
		return false;
	if (!domain_normalize(arena, text, ret_canonical) || domain_labels(*ret_canonical) < 2 ||
		ends_in_number(*ret_canonical))
		return false;
	*ret_spelled = is_ascii(text) ? arena_dup(arena, str_head(text, ret_canonical->n)) : *ret_canonical;
	return true;
}

/* What %{h} stands for: without a dot at the end, and U-labels as the DNS knows them (RFC 8616 section 4). */
static struct str spelled_helo(struct arena *arena, struct str helo)
{
	struct str canonical, spelled;
	return usable_domain(arena, helo, &canonical, &spelled) ? spelled : helo;
}

/* RFC 7208 sections 2.3, 2.4 and 4.3: who is the sender, and what is its domain as sent? */
static void find_sender(const struct spf_query *query, struct spf_macros *macros)
{
	struct str from = query->mail_from;
	ptrdiff_t at = str_rindex(from, '@');
	macros->local_part = STR("postmaster");
	macros->sender_domain = query->helo;
	if (query->identity == SPF_MAILFROM && from.n > 0) {
		if (at > 0)
			macros->local_part = str_head(from, (size_t)at);
		macros->sender_domain = str_skip(from, (size_t)(at + 1));
	}
}

static void explain(struct spf_evaluation *evaluation, const struct spf_source *source, struct str *ret_explanation)
{
	/* RFC 7208 section 6.2: whatever goes wrong here, it is as if there were no exp; but waiting goes on. */
	struct str name, text;
	evaluation->macros.domain = source->domain;
	if (!spf_can_match(evaluation, source->exp) || !spf_target(evaluation, source->exp, &name))
		return;
	const struct dns_answer *answer = spf_ask(evaluation, DNS_TXT, name);
	if (answer == NULL || answer->status != DNS_DATA || answer->n_records != 1)
		return;
	text = answer->records[0].data;
	if (!spf_macro_check(text, SPF_IN_EXPLANATION))
		return;
	if (spf_macro_uses_validated(text) && !spf_find_validated(evaluation))
		return;
	if (!spf_macro_expand_explanation(evaluation->arena, &evaluation->macros, text, ret_explanation))
		*ret_explanation = (struct str){NULL, 0};
}

/* False: waiting. */
static bool conclude(struct spf_evaluation *evaluation, struct spf_result *ret_result)
{
	struct spf_verdict verdict;
	size_t source;
	if (!spf_evaluate_domain(evaluation, &verdict, &source)) {
		ret_result->status = evaluation->status;
		ret_result->reason = evaluation->reason;
		return !evaluation->waiting;
	}
	ret_result->status = verdict.status;
	if (verdict.matched != 0)
		ret_result->mechanism = arena_dup(
			evaluation->arena, str_head(evaluation->terms[verdict.matched].term.text, MECHANISM_TEXT_MAX));
	if (verdict.status == SPF_FAIL && evaluation->sources[source].exp.n > 0)
		explain(evaluation, &evaluation->sources[source], &ret_result->explanation);
	return !evaluation->waiting;
}

bool spf_evaluate(struct arena *arena, const struct spf_options *options, const struct spf_query *query,
	struct answers *answers, struct spf_result *ret_result)
{
	struct spf_evaluation *evaluation = ARENA_NEW(arena, struct spf_evaluation);
	*evaluation = (struct spf_evaluation){.arena = arena, .options = options, .answers = answers};
	evaluation->lookup_limit =
		options->lookup_limit < SPF_LIBSPF2_LOOKUPS_MAX ? options->lookup_limit : SPF_LIBSPF2_LOOKUPS_MAX;
	struct spf_macros *macros = &evaluation->macros;
	macros->client = query->client;
	macros->helo = spelled_helo(arena, query->helo);
	macros->receiver = options->receiver;
	macros->now = query->now;
	find_sender(query, macros);

	*ret_result = (struct spf_result){.status = SPF_NONE, .identity = query->identity};
	struct str as_sent = macros->sender_domain;
	if (query->client.family == IP_NONE) {
		ret_result->reason = "no client address";
		return true;
	}
	if (!usable_domain(arena, as_sent, &ret_result->domain, &macros->sender_domain)) {
		ret_result->domain = arena_dup(arena, str_head(as_sent, DOMAIN_MAX));
		ret_result->reason = as_sent.n == 0 ? "no domain to check" : "not a domain name";
		return true;
	}
	struct buf sender = buf_in(arena);
	buf_add(&sender, macros->local_part);
	buf_add_char(&sender, '@');
	buf_add(&sender, macros->sender_domain);
	macros->sender = buf_str(&sender);
	macros->domain = macros->sender_domain;
	bool done = conclude(evaluation, ret_result);
	ret_result->lookups = evaluation->lookups;
	ret_result->voids = evaluation->voids;
	return done;
}
