/*
 * Which keys are being replaced, and how far that is: a file beside the KeyTable, KEYTABLE.rotations, of one JSON
 *object a line.
 *
 *	domain, old_selector, new_selector
 *	old_key     the old private key's file; null where it stands in the KeyTable itself
 *	new_key     the new one's
 *	stage       pending    made; its record is not in the DNS on all servers, or not for long enough
 *	            published  the record has been there for its time to live; nothing is signed with it
 *	            signing    the KeyTable names it; the daemon may still have to reload
 *	            retiring   the daemon signs with it; the old record is needed for mail that is under way
 *	            gone       the old private key is removed; the old record may go, and has not yet
 *	since       when the stage began, seconds since 1970
 *	seen        pending: since when the record has been on all servers; 0: it has not
 *	ttl         the largest time to live of it, seconds
 */
#ifndef TRIMILTER_CTL_ROTATION_H
#define TRIMILTER_CTL_ROTATION_H

#include "ctl/key_tables.h"

enum rotation_stage { ROTATION_PENDING, ROTATION_PUBLISHED, ROTATION_SIGNING, ROTATION_RETIRING, ROTATION_GONE };

const char *rotation_stage_text(enum rotation_stage stage);

struct rotation {
	struct str domain, old_selector, new_selector;
	struct str old_key, new_key;
	enum rotation_stage stage;
	int64_t since, seen, ttl;
	bool dropped; /* not written any more */
};

struct rotations {
	struct arena *arena;
	const char *path;
	bool exists;
	struct str text; /* as it was read */
	struct rotation *list;
	size_t n, capacity;
};

/** No file: no rotations. An exit status; said what is wrong. */
int rotations_read(const struct key_tables *tables, struct rotations *ret_rotations);
struct rotation *rotations_add(struct rotations *rotations, const struct rotation *rotation);
/** The first of @domain and, where not empty, @old_selector; NULL: none. */
struct rotation *rotations_find(struct rotations *rotations, struct str domain, struct str old_selector);
/** Note the present state in @files. */
void rotations_change(struct files *files, const struct rotations *rotations);
/** It is in the file now. */
void rotations_changed(struct rotations *rotations);

#endif
