#include "milter/control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/*
 * Ignored signals are dropped when they are sent, so that libmilter's sigwait() never sees them; for that they must not
 * be blocked in the thread that leads the process.
 */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t none;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void control_begin(void)
{
	ignore_signals();
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(LISTENER_FD, F_SETFD, FD_CLOEXEC);
}

void control_tell(char word)
{
	while (write(CONTROL_FD, &word, 1) < 0 && errno == EINTR)
		;
}

char control_hear(void)
{
	for (char word;;) {
		ssize_t n = read(CONTROL_FD, &word, 1);
		if (n == 1)
			return word;
		if (n == 0 || (errno != EINTR && errno != EAGAIN))
			return CONTROL_GONE;
		if (errno == EAGAIN)
			return 0;
	}
}
