/* A private key's inside, for signing. The rest is in dkim.h. */
#ifndef TRIMILTER_DKIM_PRIVATE_KEY_H
#define TRIMILTER_DKIM_PRIVATE_KEY_H

#include "dkim/crypto.h"
#include "dkim/dkim.h"

const struct crypto_key *dkim_private_key_crypto(const struct dkim_private_key *key);

#endif
