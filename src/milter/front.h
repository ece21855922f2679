/*
 * The narrow way between a front and the rest.
 *
 * A front speaks the milter protocol with the MTA and knows its library or its
 * sockets; a session (session.h) knows what a message needs. A front calls the
 * session_*() functions in the order in which the MTA brings things, and carries
 * out the verdict. The other way there is only struct front_peer: a macro
 * looked up, and a wake-up.
 *
 * A session that lacks DNS answers at the end of a message says SESSION_WAITING.
 * A front with a thread to each message blocks until wake(); a front with an
 * event loop parks the session and calls session_end() again from the loop.
 * Nothing in a session depends on which it is, nor on the thread that calls.
 */
#ifndef TRIMILTER_MILTER_FRONT_H
#define TRIMILTER_MILTER_FRONT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct service;

/** What a session may ask of the connection that it serves. */
struct front_peer {
	/**
	 * The value that the MTA last gave for @name, spelled as in the protocol ("i", "{auth_authen}").
	 * p is NULL when there is none. Borrowed until the current call into the session returns.
	 */
	struct str (*macro)(void *context, const char *name);
	/**
	 * It is worth calling session_end() again. Any thread, at any time from session_mail() until the
	 * message is dropped, perhaps more than once, perhaps before session_end() has returned. Must not block.
	 */
	void (*wake)(void *context);
	void *context;
};

/** What a front is to the worker. One of them serves in a process. */
struct front {
	const char *name;
	/** Get ready to serve connections of @listener, a listening socket that does not block. */
	enum err (*prepare)(struct service *service, int listener);
	/** Serve; on a thread of its own. Returns only when it cannot go on. */
	enum err (*run)(void);
	/** Close the listening socket, and leave connections to others that have it open, if any; any thread. */
	enum err (*stop_accepting)(void);
};

/** On libmilter; the reference. */
extern const struct front front_libmilter;
/** On event loops; parks what waits for DNS. */
extern const struct front front_native;

#endif
