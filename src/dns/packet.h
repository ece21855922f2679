/*
 * The answer packet, read strictly (RFC 1035 section 4).
 *
 * Pure: no I/O, no clock. Every byte may be hostile: nothing is read past the
 * end, compression pointers only lead backwards, chains are bounded.
 */
#ifndef TRIMILTER_DNS_PACKET_H
#define TRIMILTER_DNS_PACKET_H

#include "base/answer.h"

/**
 * What the packet says to @question, with one reference for the caller; NULL when malloc fails.
 *
 * The CNAME chain is followed within the packet (it must be complete); TXT strings come joined, names in the
 * form of base/answer.h. ttl is the least of the chain and the records; for NODATA and NXDOMAIN that of the chain and
 * the SOA's (its minimum or its own, whichever is less, RFC 2308 section 5), 0 without an SOA.
 * A packet that is malformed, truncated or answers another question gives DNS_FAILED with the reason.
 */
struct dns_answer *packet_read(const uint8_t *packet, size_t n, const struct dns_question *question);

/** "SERVFAIL", "REFUSED" ... for a response code other than 0 and 3; static. */
const char *packet_rcode_text(unsigned rcode);

#endif
