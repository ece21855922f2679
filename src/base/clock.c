#include "base/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t id)
{
	struct timespec now = {0};
	clock_gettime(id, &now);
	return now;
}

int64_t clock_unix(void)
{
	return (int64_t)read_clock(CLOCK_REALTIME).tv_sec;
}

int64_t clock_monotonic_ms(void)
{
	struct timespec now = read_clock(CLOCK_MONOTONIC);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
