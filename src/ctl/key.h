/*
 * trimilterctl key: what its verbs share.
 */
#ifndef TRIMILTER_CTL_KEY_H
#define TRIMILTER_CTL_KEY_H

#include "ctl/rotation.h"

struct key_request {
	struct ctl ctl;
	struct key_tables tables;
	struct rotations rotations;
	struct str domain;   /* empty: all */
	struct str selector; /* of the new key; empty: the default */
	unsigned bits;       /* RSA; 0: as the old key, at least 2048 */
	int64_t wait;        /* seconds that a record must have been there, where its time to live is less */
	int64_t keep;        /* seconds that the old record must stay */
	bool reload;         /* tell the daemon where the tables were changed */
	bool reloaded;       /* the user says that it has reloaded */
};

/** Move each rotation one stage on where it is ready for it. Tables and rotations are read, and locked. */
int key_advance(struct key_request *request);

#endif
