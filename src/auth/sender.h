/*
 * Whose name decides about the signature of a message that may be signed. Pure.
 */
#ifndef TRIMILTER_AUTH_SENDER_H
#define TRIMILTER_AUTH_SENDER_H

#include "auth/options.h"
#include "message/address.h"

/**
 * The address that is looked for in the signing table: the author's, or with SenderHeaders the first address of the
 * first of them that the message has. NULL: the message is not to be signed, *ret_why (in @arena) says why.
 */
const struct address *sender_find(struct arena *arena, const struct auth_options *options,
	const struct headers *headers, const struct author *author, struct str *ret_why);

/** May the authenticated @user (empty: nobody has authenticated, which UserDomains does not concern) sign as these? */
bool sender_allowed(struct arena *arena, const struct auth_options *options, struct str user,
	const struct author *author, const struct address *sender);

#endif
