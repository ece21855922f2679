/*
 * trimilterctl domain: what its verbs share. domain.c has the command line, remove and list, domain_add.c has add.
 */
#ifndef TRIMILTER_CTL_DOMAIN_H
#define TRIMILTER_CTL_DOMAIN_H

#include "ctl/key_tables.h"
#include "ctl/new_key.h"

/* One of each type. */
#define DOMAIN_KEYS_MAX 2

struct domain_request {
	struct ctl ctl;
	struct key_tables tables; /* read, and for add and remove locked */
	struct files *files;
	struct str domain, selector; /* selector empty: the default */
	bool types[DOMAIN_KEYS_MAX]; /* by enum dkim_key_type */
	unsigned bits;
	const char *directory;
	bool delete_keys;
	/* What add makes. */
	struct new_key keys[DOMAIN_KEYS_MAX];
	struct str names[DOMAIN_KEYS_MAX]; /* in KeyTable */
	const char *paths[DOMAIN_KEYS_MAX];
	size_t n_keys;
};

/** Key, rows and records of a new domain, all or nothing. An exit status; what is wrong has then been said on stderr.
 */
int domain_add(struct domain_request *request);

#endif
