/*
 * The socket on which the MTA reaches us. The master opens it once and owns it:
 * workers come and go behind it, and connections wait in its backlog meanwhile.
 */
#ifndef TRIMILTER_MILTER_LISTENER_H
#define TRIMILTER_MILTER_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/str.h"
#include "base/rights.h"

struct listener {
	int fd; /* close-on-exec, non-blocking */
	/* A local socket's: it is removed only if it is still the one that was made. */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t device;
	ino_t inode;
};

/**
 * @spec    "inet:PORT@HOST", "inet6:PORT@HOST", "local:PATH"; without HOST any address of this host
 * @umask   for a local socket; -1u: the process's
 * @rights  a local socket is made with these, so that it belongs to UserID
 * A local socket that is left over, on which nobody listens, is removed first. One that is in use is tried again for
 * two seconds: our predecessor may be just leaving.
 * 0, or an exit status of sysexits.h with the reason in the log: EX_CONFIG what is asked for cannot be, EX_UNAVAILABLE
 * somebody else listens there, EX_OSERR.
 */
int listener_open(struct str spec, unsigned umask, const struct rights *rights, struct listener *ret_listener);

/** Close it; a local socket is removed too. */
void listener_close(struct listener *listener);

#endif
