/*
 * What can be set for the DNS. Filled by config from options.def; a number that is 0 means its default.
 */
#ifndef TRIMILTER_DNS_OPTIONS_H
#define TRIMILTER_DNS_OPTIONS_H

#include <stddef.h>

#include "base/str.h"

struct dns_options {
	const struct str *nameservers; /* "ADDR" or "ADDR@PORT"; none: what resolv.conf says */
	size_t n_nameservers;
	struct str resolv_conf;       /* path; empty: /etc/resolv.conf */
	struct str trust_anchor_file; /* DNSSEC validation where set */
	struct str zone_file;         /* answers come from this file alone (tests, what-ifs); empty: none */
	struct str key_file;          /* TestPublicKeys: TXT records that are not asked for; empty: none */
	unsigned timeout_ms;          /* until a waiter gets DNS_FAILED, "timeout"; 5000 */
	size_t cache_bytes;           /* answers kept; 16 MiB */
	unsigned maximum_in_flight;   /* questions at a time; then the oldest are given up; 4000 */
	unsigned maximum_per_domain;  /* questions that take over a second below one registrable name (last two labels);
					 50 */
};

#endif
