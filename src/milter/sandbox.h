/*
 * Which system calls a child of the master may make once it is set up (seccomp).
 *
 * What serves the MTA reads bytes that anybody may send. Should one of them ever
 * take it over, it finds itself without a way to run a program, to look into
 * other processes, or to change who it is: those calls end the process, and
 * everything else that we have no use for gives EPERM.
 */
#ifndef TRIMILTER_MILTER_SANDBOX_H
#define TRIMILTER_MILTER_SANDBOX_H

#include <stdbool.h>

/**
 * For good, and for every thread of the process, those that are there and those to come.
 * PR_SET_NO_NEW_PRIVS must be set. False: the system does not let us; the log says why, and the process goes on as it is.
 * With a sanitizer built in nothing is done, since its runtime needs more than we do.
 */
bool sandbox_enter(void);

#endif
