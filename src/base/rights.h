/*
 * UserID: whose rights the daemon has once it is set up, and trimilterctl while it works on what is the daemon's.
 */
#ifndef TRIMILTER_BASE_RIGHTS_H
#define TRIMILTER_BASE_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/str.h"

struct rights {
	bool change; /* false: stay who we are */
	uid_t uid;
	gid_t gid;
	char user[64]; /* for the groups of which it is a member; empty: only gid */
};

/**
 * @user_id  "user" or "user:group", names or numbers; empty: stay
 * Started without root there is nothing to change: another user than the present one is a warning in the log.
 * False: no such user or group; the log says which.
 */
bool rights_find(struct str user_id, struct rights *ret_rights);

/** Be that user for a while, and root again. False: the system refused; the log says why. */
bool rights_borrow(const struct rights *rights);
bool rights_return(const struct rights *rights);

/** For good. False: the system refused; the log says why, and the process must end. */
bool rights_drop(const struct rights *rights);

#endif
