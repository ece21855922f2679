/*
 * Domain names as this program holds them: lower-case A-labels joined by dots,
 * without a dot at the end, bytes otherwise as they came. Pure.
 */
#ifndef TRIMILTER_BASE_DOMAIN_H
#define TRIMILTER_BASE_DOMAIN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define DOMAIN_MAX 253 /* bytes of a name as text, RFC 1035 section 2.3.4 */
#define DOMAIN_LABEL_MAX 63

/**
 * The canonical form of a name from a message: one trailing dot dropped, ASCII lowered,
 * U-labels (UTF-8) to A-labels (RFC 5890, UTS 46 non-transitional, by libidn2).
 * False: it cannot be a domain name (empty, empty label, too long, not UTF-8, refused by IDNA).
 * Characters are otherwise not restricted: "_dmarc" and worse are for the caller to judge.
 */
bool domain_normalize(struct arena *arena, struct str text, struct str *ret_domain);

/** Could be asked in the DNS: 1..253 bytes, each label 1..63 bytes. Expects no trailing dot. */
bool domain_is_askable(struct str domain);

/**
 * A host name's characters: letters, digits, hyphen, underscore, in askable labels.
 * What an author domain must be to be judged at all.
 */
bool domain_is_hostname(struct str domain);

/** Number of labels; 0 for an empty name. */
size_t domain_labels(struct str domain);
/** The last @n labels, all of it where it has fewer. */
struct str domain_last_labels(struct str domain, size_t n);
/** Without its first label; empty when it has just one. */
struct str domain_parent(struct str domain);
/** @domain is @ancestor or below it; both canonical. An empty @ancestor is above nothing. */
bool domain_is_within(struct str domain, struct str ancestor);

#endif
