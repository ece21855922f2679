/*
 * A nameserver on the loopback that answers from a table, rightly or wrongly, as a test wants it.
 * One thread; UDP and TCP on one port that the kernel chose.
 */
#ifndef TRIMILTER_TESTS_DNS_SERVER_H
#define TRIMILTER_TESTS_DNS_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct server;

enum server_way {
	SERVER_ANSWER,
	SERVER_NODATA,   /* with an SOA of rule's ttl */
	SERVER_NXDOMAIN, /* likewise; records go into the answer (a CNAME) */
	SERVER_SERVFAIL,
	SERVER_REFUSED,
	SERVER_DROP,
	SERVER_TRUNCATE, /* over UDP only the head, with TC */
	SERVER_GARBAGE,  /* bytes that are no DNS packet */
	SERVER_WRONG_ID, /* an answer to nobody, then nothing */
};

struct server_record {
	const char *owner; /* NULL: the name asked */
	unsigned type;
	uint32_t ttl;
	const char *value; /* of its type as in a zone file; TXT: the text alone; types unknown here: hexadecimal */
};

#define SERVER_RECORDS_MAX 6

struct server_rule {
	const char *name; /* with \DDD; "*.x": all below x */
	unsigned type;    /* 0: any */
	enum server_way way;
	unsigned delay_ms;             /* from the first time that the name is asked */
	uint32_t soa_ttl, soa_minimum; /* no SOA where both are 0 */
	struct server_record records[SERVER_RECORDS_MAX];
};

/** @rules  borrowed; the first that matches counts, a rule with a NULL name ends them; no match: REFUSED */
struct server *server_start(const struct server_rule *rules);
void server_stop(struct server *server);
void server_set_rules(struct server *server, const struct server_rule *rules);

/** "127.0.0.1@PORT", borrowed. */
const char *server_address(const struct server *server);
/** Questions that came for @name (text as in a rule); over TCP too. NULL: all. */
size_t server_count(struct server *server, const char *name);
size_t server_count_tcp(struct server *server);

#endif
