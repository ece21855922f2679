/*
 * PidFile: the master's process id, for init scripts.
 */
#ifndef TRIMILTER_MILTER_PIDFILE_H
#define TRIMILTER_MILTER_PIDFILE_H

#include "base/str.h"

struct pidfile {
	int fd; /* kept open: UserID may not be allowed to remove the file, but can still empty it */
	char *path;
};

/** None: to be called first, so that pidfile_remove() may always be. */
void pidfile_init(struct pidfile *pidfile);
/** @path  empty: none. 0, or an exit status of sysexits.h with the reason in the log. */
int pidfile_write(struct pidfile *pidfile, struct str path);
/**
 * A configuration has come into force that was read within the last PIDFILE_TOUCH_MS: the file's modification time
 * tells `trimilterctl reload` and `key advance`. By writing it again, since UserID may not set the times of root's
 * file.
 */
void pidfile_touch(const struct pidfile *pidfile);
#define PIDFILE_TOUCH_MS 5000
/** Remove it, or empty it where it cannot be removed. */
void pidfile_remove(struct pidfile *pidfile);

#endif
