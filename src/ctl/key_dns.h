/*
 * Is a key's record in the DNS? Each server is asked by itself: a key is published when all of them have it.
 */
#ifndef TRIMILTER_CTL_KEY_DNS_H
#define TRIMILTER_CTL_KEY_DNS_H

#include "ctl/key_tables.h"
#include "dkim/dkim.h"
#include "dns/dns.h"

struct key_dns;

/** Those of --nameserver, else those of the configuration, else the system's. An exit status; said what is wrong. */
int key_dns_open(const struct key_tables *tables, struct key_dns **ret_dns);
void key_dns_close(struct key_dns *dns); /* accepts NULL */

enum key_presence {
	KEY_EVERYWHERE, /* each server has the record, alone and matching */
	KEY_NOWHERE,    /* each says that there is no record, or a revoked one */
	KEY_UNCERTAIN,  /* anything else */
};

/**
 * @key      NULL: any record counts as there
 * *ret_ttl  seconds, the largest seen
 * *ret_why  for anything but EVERYWHERE: which server says what; in the arena
 */
enum key_presence key_dns_ask(struct key_dns *dns, struct str selector, struct str domain,
	const struct dkim_private_key *key, uint32_t *ret_ttl, struct str *ret_why);

#endif
