/*
 * SPF records, RFC 7208 sections 4.5, 4.6.1 and 12: which TXT record is one,
 * and what its terms are. Strict, and independent of libspf2's compiler, which
 * accepts too much and drops in silence what it has no room for. Pure.
 */
#ifndef TRIMILTER_SPF_RECORD_H
#define TRIMILTER_SPF_RECORD_H

#include "base/answer.h"
#include "base/ip.h"

enum spf_term_kind {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	SPF_REDIRECT,
	SPF_EXP,
	SPF_UNKNOWN_MODIFIER
};

struct spf_term {
	enum spf_term_kind kind;
	char qualifier;            /* '+' '-' '~' '?'; '+' for modifiers */
	struct str text;           /* as the record spells it */
	struct str domain_spec;    /* empty: none was given */
	struct ip_network network; /* ip4, ip6 */
	unsigned bits4, bits6;     /* a, mx: prefix lengths, 32 and 128 by default */
};

/** What a record says besides its directives; empty where absent. */
struct spf_modifiers {
	struct str redirect; /* domain-spec; unused where the record has "all" */
	struct str exp;      /* domain-spec */
};

/** How many of the records are SPF records; *ret_record is the last of them. */
size_t spf_record_select(const struct dns_answer *answer, struct str *ret_record);

/**
 * Check all of the record, and find its modifiers.
 * NULL, or what is wrong with it (static). A fault anywhere makes it a permerror, RFC 7208 section 4.6.
 */
const char *spf_record_check(struct str record, struct spf_modifiers *ret_modifiers);

/** The terms of a record, one after the other: @record without its version. */
struct str spf_record_terms(struct str record);

/**
 * Take the next term off *@rest. False at the end.
 * *ret_fault is NULL, or what is wrong with the term (static).
 */
bool spf_record_next(struct str *rest, struct spf_term *ret_term, const char **ret_fault);

#endif
