/*
 * What master and child say to each other: single bytes over a socket pair.
 *
 * An upgrade runs children of a newer program under an older master, so a byte
 * keeps its meaning for good, and one that is not known is ignored. The end of
 * the stream means that the other is gone.
 */
#ifndef TRIMILTER_MILTER_CONTROL_H
#define TRIMILTER_MILTER_CONTROL_H

/* To the child. */
#define CONTROL_RELOAD 'R' /* read the configuration again */
#define CONTROL_DRAIN 'D'  /* take no new connections, end when the last has gone */
#define CONTROL_STOP                                                                                                   \
	'S' /* take no new connections, end when no message is in flight, at the latest in STOP_GRACE_MS               \
	     */
/* To the worker, which counts them for its statistics. */
#define CONTROL_START_FAILED 'w' /* another worker could not start */

/* From the courier to the master, and on to the worker. */
#define CONTROL_STORE_FAILED 't' /* the report store did not work in this turn */

/* To the master. */
#define CONTROL_READY 'r'    /* serving */
#define CONTROL_RELOADED 'l' /* the new configuration is in force */
#define CONTROL_KEPT 'k'     /* it was refused, the old one stays */

#define STOP_GRACE_MS 5000

/* Where a child finds its ends; others are closed. */
#define CONTROL_FD 3
#define LISTENER_FD 4

/* ---- for the child ---- */

/** Be one: signals do nothing from now on, and what the child runs gets neither descriptor. */
void control_begin(void);
void control_tell(char word);
/** The master's next word; 0: none at present. */
char control_hear(void);
#define CONTROL_GONE '\1' /* the master is gone: nothing more will come */

#endif
