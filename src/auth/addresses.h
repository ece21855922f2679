/*
 * Sets of addresses and domains: DontSignMailTo, ExemptDomains, IgnoreMailFrom.
 *
 * An entry is what a row of SigningTable may be (signing_table.h): user@host,
 * host, .domain, user@*, *; in refile: sets a pattern. Immutable, any thread.
 */
#ifndef TRIMILTER_AUTH_ADDRESSES_H
#define TRIMILTER_AUTH_ADDRESSES_H

#include "message/address.h"
#include "tables/dataset.h"

struct address_set;

/**
 * What each row of @dataset names: user@domain, domain, .domain; in a refile: set also with '*'. In @arena. What is
 * none of these is said in @diag, with its line.
 */
struct address_set *address_set_new(struct arena *arena, const struct dataset *dataset, struct diag *diag);

/** NULL @set: an empty one. @arena  scratch */
bool address_set_has(const struct address_set *set, struct arena *arena, const struct address *address);

/** Is every one of them in the set? False for none: nobody is no exception. */
bool address_set_has_all(
	const struct address_set *set, struct arena *arena, const struct address *addresses, size_t n_addresses);

#endif
