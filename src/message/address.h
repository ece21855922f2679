/*
 * Addresses in header fields, and above all the author's domain.
 *
 * There is one parser, and a From has exactly four possible outcomes. What a
 * mail reader might show as author must be what is found here, or the outcome
 * is AUTHOR_MALFORMED: nothing that is only nearly an address ever yields a
 * domain. RFC 5322 with the obsolete forms, RFC 6854 groups, RFC 6531. Pure.
 */
#ifndef TRIMILTER_MESSAGE_ADDRESS_H
#define TRIMILTER_MESSAGE_ADDRESS_H

#include "message/headers.h"

struct address {
	struct str local_part; /* quotes and escapes removed */
	struct str domain;     /* canonical (base/domain.h) */
};

/* LAX: read, though not to the letter of RFC 5322 section 3: brackets, odd dots, an address as display name. */
enum address_list_outcome { ADDRESS_LIST_OK, ADDRESS_LIST_LAX, ADDRESS_LIST_EMPTY, ADDRESS_LIST_MALFORMED };

/**
 * Parse an address-list (From, To, Reply-To ...; RFC 5322 section 3.4).
 *
 * *ret_addresses  in order, in the arena, up to 100; more is malformed
 * *ret_reason     static text for MALFORMED, else NULL
 * Encoded words are never decoded into an address. An address without domain, with a domain literal,
 * or with a domain that is no host name is malformed. EMPTY: nothing but white space, comments, empty groups.
 */
enum address_list_outcome address_list_parse(
	struct arena *arena, struct str value, struct address **ret_addresses, size_t *ret_n, const char **ret_reason);

/** Are there addresses, and nothing but addresses? */
static inline bool address_list_is_read(enum address_list_outcome outcome)
{
	return outcome == ADDRESS_LIST_OK || outcome == ADDRESS_LIST_LAX;
}

/** What stands between the angle brackets of a path, or all of it without blanks around where it has none. Borrowed. */
struct str address_without_brackets(struct str path);

/** One reverse-path as MAIL FROM gives it, with or without angle brackets; the null path and bad syntax: false. */
bool address_parse_path(struct arena *arena, struct str path, struct address *ret_address);

enum author_outcome {
	AUTHOR_ONE,       /* exactly one author domain (perhaps of several addresses) */
	AUTHOR_SEVERAL,   /* several domains: RFC 9989 section 11.5 territory */
	AUTHOR_NONE,      /* no From field, or no address in it */
	AUTHOR_MALFORMED, /* more than one From field, or one that cannot be read with certainty */
};

struct author {
	enum author_outcome outcome;
	const char *reason;        /* for all but ONE; static: "no From field", "two From fields" ... */
	struct address *addresses; /* every address that could be read, also when MALFORMED; for the signing table */
	size_t n_addresses;
	struct str *domains; /* distinct, in order of appearance, also of several From fields; for evaluation */
	size_t n_domains;
	size_t n_fields; /* From fields, any spelling of the name, white space before the colon too */
};

/** Who wrote it: all From fields of the message together. Never fails. RFC 9989 section 4.1, 5.3.1 */
void author_find(struct arena *arena, const struct headers *headers, struct author *ret_author);

#endif
