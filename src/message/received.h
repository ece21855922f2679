/*
 * The Received field, as far as it names the client from whom a host had a message. Pure.
 *
 * The field's form is every MTA's own affair (RFC 5321 section 4.4 only sketches it), and HELO, which stands in the
 * midst of it, is the client's. So only what Postfix, Sendmail, Exim and Exchange write is read, and to the letter;
 * all else, what they write of authenticated clients included, is refused with a reason.
 */
#ifndef TRIMILTER_MESSAGE_RECEIVED_H
#define TRIMILTER_MESSAGE_RECEIVED_H

#include "base/arena.h"
#include "base/ip.h"

struct received {
	struct ip client; /* never IP_NONE */
	struct str helo;  /* as the field has it; in the arena */
};

/** @value  all behind the colon, folded or not. NULL: *ret_received is filled; else what is wrong (static). */
const char *received_parse(struct arena *arena, struct str value, struct received *ret_received);

#endif
