/*
 * Public keys ready for use. Making one ready costs half of what a verification does, and most mail comes from few
 * domains, so those used last are kept: by the text of their record, so that nothing here can be out of date.
 */
#ifndef TRIMILTER_DKIM_PUBLIC_KEY_H
#define TRIMILTER_DKIM_PUBLIC_KEY_H

#include "dkim/dkim.h"
#include "dkim/key.h"

/** Immutable; usable from any thread. */
struct dkim_public_key {
	struct dkim_key record;    /* without modulus and exponent, which are in crypto */
	struct crypto_key *crypto; /* NULL: record.problem tells why, or OpenSSL does not take the key */
};

/**
 * The key that @record stands for, kept or made anew; borrowed until the arena's reset.
 * @keys  NULL: nothing is kept
 */
const struct dkim_public_key *dkim_public_key_get(struct dkim_keys *keys, struct arena *arena, struct str record);

#endif
