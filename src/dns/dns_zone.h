/*
 * Answers from a zone file, at once and without any packet: for tests and what-ifs.
 *
 * One record a line, `name TYPE value`; lines that start with '#' or ';' and empty lines are passed over:
 *
 *	example.com            TXT      "v=spf1 mx -all"
 *	example.com            TXT      "two strings " "become one"
 *	plain.example.com      TXT      v=spf1 the rest of the line as it is; no quotes needed
 *	example.com            MX       10 mail.example.com
 *	mail.example.com       A        192.0.2.1
 *	mail.example.com       AAAA     2001:db8::1
 *	1.2.0.192.in-addr.arpa PTR      mail.example.com
 *	www.example.com        CNAME    example.com
 *	*.wild.example.com     A        192.0.2.9
 *	broken.example.com     RCODE    SERVFAIL
 *	slow.example.com       TIMEOUT
 *
 * Names are absolute, with or without a dot at the end; "." is the root. \DDD stands for any byte, \c for c,
 * in names and between quotes. RCODE and TIMEOUT are the answer for the types of which the name has no record.
 * The file is the whole world: a name that is neither in it, nor above one that is (an empty non-terminal: NODATA),
 * nor covered by a wildcard (RFC 4592) does not exist. CNAMEs are followed within the file.
 */
#ifndef TRIMILTER_DNS_DNS_ZONE_H
#define TRIMILTER_DNS_DNS_ZONE_H

#include "base/answer.h"
#include "base/err.h"

struct dns_zone;

/** ERR_IO, ERR_CONFIG: @error says file, line and word. */
enum err dns_zone_read(const char *path, struct dns_zone **ret_zone, char *error, size_t error_size);

/**
 * A file of TXT records alone, `name text`, as OpenDKIM's TestPublicKeys has it: `s._domainkey.example.com v=DKIM1;
 * ...`. Errors as above.
 */
enum err dns_zone_read_keys(const char *path, struct dns_zone **ret_zone, char *error, size_t error_size);

/** The same from memory; @file is what errors call it. */
enum err dns_zone_parse(struct str text, const char *file, struct dns_zone **ret_zone, char *error, size_t error_size);

/** Accepts NULL; answers handed out live on. */
void dns_zone_free(struct dns_zone *zone);

/** With a reference for the caller. Thread-safe: nothing in the zone changes. */
struct dns_answer *dns_zone_lookup(const struct dns_zone *zone, const struct dns_question *question);

#endif
