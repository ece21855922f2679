/*
 * The records that a configuration's keys need in the DNS: those of its tables, and those of keys that wait for their
 * turn or are still needed by mail that is under way (rotation.h).
 */
#ifndef TRIMILTER_CTL_PUBLIC_KEYS_H
#define TRIMILTER_CTL_PUBLIC_KEYS_H

#include "ctl/common.h"
#include "dkim/dkim.h"

struct public_key {
	struct str domain, selector;
	struct str owner;    /* SELECTOR._domainkey.DOMAIN */
	struct str key_file; /* empty: it stands in a table */
	struct str record;
	enum dkim_key_type type;
	unsigned bits;
	const char *stage; /* of its rotation, "pending" ...; NULL: it is not being replaced, nor replaces another */
};

struct public_keys {
	struct public_key *list;
	size_t n, capacity;
};

/**
 * After ctl_open(). @domain, @selector: only those; empty: all. A row with "%" needs @domain, else it is passed over
 * with a warning. An exit status; said what is wrong.
 */
int public_keys_find(
	struct ctl *ctl, const char *verb, struct str domain, struct str selector, struct public_keys *ret_keys);

#endif
