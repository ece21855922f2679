/*
 * The master: owns the listening socket, the pid file and the signals, starts
 * the children and starts them again. It reads nothing that comes from outside,
 * has one thread, and runs as UserID once the socket is open.
 *
 *	SIGTERM, SIGINT   end; messages in flight have five seconds
 *	SIGHUP, SIGUSR1   reload
 *	SIGUSR2           a new worker from the program's file as it is now; the old one
 *	                  finishes its sessions without a time limit
 */
#ifndef TRIMILTER_MILTER_MASTER_H
#define TRIMILTER_MILTER_MASTER_H

#include "milter/settings.h"

/**
 * @settings    read already; borrowed
 * @ready_fd    gets one byte, the exit status so far: 0 once the service is ready; -1: nobody waits
 * Returns the exit status when the service has ended.
 */
int master_run(const struct invocation *invocation, const struct settings *settings, const char *argv0, int ready_fd);

#endif
