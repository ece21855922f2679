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

void pidfile_init(struct pidfile *pidfile);
/** @path  empty: none. 0, or an exit status of sysexits.h with the reason in the log. */
int pidfile_write(struct pidfile *pidfile, struct str path);
/** Remove it, or empty it where it cannot be removed. */
void pidfile_remove(struct pidfile *pidfile);

#endif
