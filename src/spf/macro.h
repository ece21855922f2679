/*
 * SPF macros, RFC 7208 section 7: syntax and expansion. Pure; no DNS.
 *
 * Nothing here trusts the text: it is checked first, and expansion of a text
 * that was not checked stops at the first fault. libspf2's own expander is
 * never used: it overruns its stack on long results.
 */
#ifndef TRIMILTER_SPF_MACRO_H
#define TRIMILTER_SPF_MACRO_H

#include "base/arena.h"
#include "base/ip.h"
#include "base/str.h"

enum spf_macro_place {
	SPF_IN_RECORD,      /* domain-spec or unknown modifier: visible characters, no %{c} %{r} %{t} */
	SPF_IN_EXPLANATION, /* the text that exp= points to: blanks and every letter as well */
};

/** What the letters stand for, RFC 7208 section 7.2. */
struct spf_macros {
	struct str sender;        /* s */
	struct str local_part;    /* l */
	struct str sender_domain; /* o */
	struct str domain;        /* d: whose record it is */
	struct str helo;          /* h */
	struct str validated;     /* p: a name of the client, or "unknown" */
	struct str receiver;      /* r */
	struct ip client;         /* i, c, v */
	int64_t now;              /* t */
};

/** Is @text a macro-string of @place? RFC 7208 section 7.1. */
bool spf_macro_check(struct str text, enum spf_macro_place place);

/** A macro-string that ends in ".toplabel", ".toplabel." or a macro. RFC 7208 section 7.1, domain-spec. */
bool spf_macro_check_domain_spec(struct str text);

/** Does %{p} or %{P} occur in the checked @text? Its value costs look-ups, so it is found only on demand. */
bool spf_macro_uses_validated(struct str text);

/** Does %{s} or %{l} occur in the checked @text? */
bool spf_macro_uses_local_part(struct str text);

/** Without macros: names itself, whoever sends. */
static inline bool spf_macro_is_literal(struct str text)
{
	return str_index(text, '%') < 0;
}

/**
 * The target-name of a checked domain-spec: without a dot at the end, at most 253 bytes, labels dropped from the
 * left. RFC 7208 section 7.3. It need not be a name that can be asked.
 */
struct str spf_macro_expand_domain(struct arena *arena, const struct spf_macros *macros, struct str spec);

/** False: the result would not be printable US-ASCII, or is longer than 64 KiB. */
bool spf_macro_expand_explanation(
	struct arena *arena, const struct spf_macros *macros, struct str text, struct str *ret_text);

#endif
