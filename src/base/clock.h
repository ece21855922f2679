/*
 * The two clocks. The core takes the time as an argument; only the edges
 * (front, DNS, command line) read it here.
 */
#ifndef TRIMILTER_BASE_CLOCK_H
#define TRIMILTER_BASE_CLOCK_H

#include <stdint.h>

/** Seconds since 1970, UTC. */
int64_t clock_unix(void);
/** Milliseconds that never run backwards. */
int64_t clock_monotonic_ms(void);

#endif
