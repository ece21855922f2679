/*
 * The public RSA key in DER, read strictly by ourselves: OpenSSL's decoder costs
 * several times the verification, and a key from the DNS needs none of its generality. Pure.
 */
#ifndef TRIMILTER_DKIM_RSA_DER_H
#define TRIMILTER_DKIM_RSA_DER_H

#include "base/str.h"

/**
 * SubjectPublicKeyInfo as in RFC 6376's examples, or the bare RSAPublicKey of its text (section 3.6.1).
 * The numbers are big-endian without leading zeros, borrowed from @der, each at least one byte. False: something
 * else, not DER (RFC 8017 appendix A.1.1), or bytes left over.
 */
bool rsa_der_read(struct str der, struct str *ret_modulus, struct str *ret_exponent);

/** Length of a big-endian number without leading zero bytes; 0 for zero. */
unsigned rsa_der_bits(struct str number);

#endif
