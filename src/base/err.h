/*
 * Faults of ours: I/O, configuration, limits. What a message earns (fail,
 * permerror ...) is data and has an enumeration of its own in each module.
 */
#ifndef TRIMILTER_BASE_ERR_H
#define TRIMILTER_BASE_ERR_H

enum err {
	ERR_OK = 0,
	ERR_NOMEM,  /* malloc failed */
	ERR_IO,     /* a system call failed; errno tells */
	ERR_CONFIG, /* the administrator's input is wrong; what was reported says where */
	ERR_LIMIT,  /* a bound of ours was reached */
	ERR_LIBRARY /* a library refused what it should have done */
};

/** "out of memory", "input/output error" ...; never NULL. Static. */
const char *err_text(enum err err);

/** The exit status of sysexits.h for @err, 0 for ERR_OK. */
int err_exit_status(enum err err);

#endif
