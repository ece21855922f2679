/*
 * Which authors an authenticated user may have signed: UserDomains.
 *
 * Without the table any user of a submission service gets the signature of any
 * of its tenants. Immutable, any thread.
 */
#ifndef TRIMILTER_AUTH_USERS_H
#define TRIMILTER_AUTH_USERS_H

#include "message/address.h"
#include "tables/dataset.h"

struct users;

/**
 * Rows: USER ENTRY[,ENTRY...], where USER is a SASL user, "@realm" for all of a realm, or "*" for those without a row,
 * and an entry is a domain, ".domain", an address, "%" (the domain in the user's own name), or "*" (any). Rows of one
 * user add up. Mistakes go to @diag.
 */
struct users *users_new(struct arena *arena, const struct dataset *dataset, struct diag *diag);

/**
 * May @user have mail of all these authors signed? The user's own row decides, else the realm's, else that of "*".
 * NULL @users: yes. @arena  scratch
 */
bool users_may(const struct users *users, struct arena *arena, struct str user, const struct address *authors,
	size_t n_authors);

#endif
