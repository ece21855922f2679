/*
 * An SPF record, and each of its macro-strings expanded: what the checks accept must expand within the bounds.
 */
#include <stdlib.h>

#include "base/domain.h"
#include "spf/macro.h"
#include "spf/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool what)
{
	if (!what)
		abort();
}

static void expand(struct arena *arena, struct str text)
{
	struct spf_macros macros = {
		.sender = STR("user+x@example.com"),
		.local_part = STR("user+x"),
		.sender_domain = STR("example.com"),
		.domain = STR("example.com"),
		.helo = STR("\xff\0 helo"),
		.validated = STR("unknown"),
		.client = {.family = IP_V6, .bytes = {0x20, 0x01}},
	};
	struct str result;
	spf_macro_uses_validated(text);
	if (spf_macro_check_domain_spec(text)) {
		expect(spf_macro_check(text, SPF_IN_RECORD));
		expect(spf_macro_check(text, SPF_IN_EXPLANATION));
		expect(spf_macro_expand_domain(arena, &macros, text).n <= DOMAIN_MAX);
	}
	if (!spf_macro_expand_explanation(arena, &macros, text, &result))
		return;
	expect(spf_macro_check(text, SPF_IN_EXPLANATION));
	for (size_t i = 0; i < result.n; i++)
		expect(result.p[i] >= ' ' && result.p[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from((const char *)data, size);
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return 0;
	const struct dns_record one = {.data = text};
	struct dns_answer *answer = dns_answer_new(DNS_DATA, &one, 1);
	struct str record;
	struct spf_modifiers modifiers;
	struct spf_term term;
	const char *fault;
	expand(arena, text);
	if (answer != NULL && spf_record_select(answer, &record) == 1) {
		bool well_formed = spf_record_check(record, &modifiers) == NULL;
		for (struct str rest = spf_record_terms(record); spf_record_next(&rest, &term, &fault);) {
			expect(term.text.n > 0 && (fault == NULL || !well_formed));
			expand(arena, term.domain_spec);
		}
	}
	dns_answer_unref(answer);
	arena_free(arena);
	return 0;
}
