#include "milter/notify.h"

#ifdef HAVE_LIBSYSTEMD

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	/* Type=notify-reload matches the two by this time stamp. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

int64_t notify_watchdog_interval(void)
{
	uint64_t microseconds = 0;
	return sd_watchdog_enabled(0, &microseconds) > 0 ? (int64_t)(microseconds / 2000) : 0;
}

#else

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

void notify_watchdog(void)
{
}

int64_t notify_watchdog_interval(void)
{
	return 0;
}

#endif
