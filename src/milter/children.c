#include "milter/children.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/control.h"

static const char *const role_names[CHILD_ROLES] = {
	[CHILD_WORKER] = "worker",
	[CHILD_COURIER] = "courier",
};

const char *child_role_text(enum child_role role)
{
	return role_names[role];
}

enum child_role child_role_parse(const char *text)
{
	unsigned role = 0;
	while (role < CHILD_ROLES && strcmp(role_names[role], text) != 0)
		role++;
	return (enum child_role)role;
}

bool children_init(struct children *children, const struct invocation *invocation, const char *argv0)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	*children = (struct children){.invocation = invocation};
	path[n > 0 ? n : 0] = '\0';
	children->program = strdup(n > 0 ? path : argv0);
	return children->program != NULL;
}

/* ---- start ---- */

/* "trimilter -W worker [-f] -c FILE ..."; NULL: out of memory. */
static char **child_arguments(const struct children *children, enum child_role role)
{
	const struct invocation *invocation = children->invocation;
	const char **arguments = calloc(2 * invocation->n_paths + 5, sizeof(*arguments));
	if (arguments == NULL)
		return NULL;
	size_t n = 0;
	arguments[n++] = "trimilter";
	arguments[n++] = "-W";
	arguments[n++] = role_names[role];
	if (invocation->foreground)
		arguments[n++] = "-f";
	for (size_t i = 0; i < invocation->n_paths; i++) {
		arguments[n++] = "-c";
		arguments[n++] = invocation->paths[i];
	}
	return (char **)(uintptr_t)arguments;
}

/* In the new process. */
_Noreturn static void become(const struct children *children, char **arguments, int control, int listener)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
	sigset_t none;
	/* Ignored already here: a signal for the whole service may come before the child has set itself up. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* First out of the way of the numbers that they are to have. */
	control = fcntl(control, F_DUPFD, LISTENER_FD + 1);
	listener = listener >= 0 ? fcntl(listener, F_DUPFD, LISTENER_FD + 1) : -1;
	dup2(control, CONTROL_FD);
	if (listener >= 0)
		dup2(listener, LISTENER_FD);
	close_range(listener >= 0 ? LISTENER_FD + 1 : CONTROL_FD + 1, UINT_MAX, 0);
	execv(children->program, arguments);
	log_error("cannot run %s: %s", children->program, strerror(errno));
	_exit(EX_OSERR);
}

static struct child *free_row(struct children *children)
{
	for (size_t i = 0; i < MAX_CHILDREN; i++)
		if (children->rows[i].pid == 0)
			return &children->rows[i];
	return NULL;
}

struct child *children_start(struct children *children, enum child_role role, int listener)
{
	int pair[2];
	struct child *child = free_row(children);
	if (child == NULL) {
		fault_log(LOG_LEVEL_ERROR, STR(""), "cannot start a %s: %d are still finishing", role_names[role],
			MAX_CHILDREN);
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		fault_log(LOG_LEVEL_ERROR, STR("socket pair"), "cannot start a %s: %s", role_names[role],
			strerror(errno));
		return NULL;
	}
	char **arguments = child_arguments(children, role);
	pid_t pid = arguments != NULL ? fork() : -1;
	if (pid == 0)
		become(children, arguments, pair[1], listener);
	int error = errno;
	free(arguments);
	close(pair[1]);
	if (pid < 0) {
		fault_log(LOG_LEVEL_ERROR, STR("fork"), "cannot start a %s: %s", role_names[role], strerror(error));
		close(pair[0]);
		return NULL;
	}
	*child = (struct child){.role = role, .pid = pid, .control = pair[0], .started_ms = clock_monotonic_ms()};
	return child;
}

/* ---- afterwards ---- */

struct child *children_find(struct children *children, enum child_role role, bool ready)
{
	for (size_t i = 0; i < MAX_CHILDREN; i++) {
		struct child *child = &children->rows[i];
		if (child->pid != 0 && child->role == role && child->ready == ready && !child->leaving)
			return child;
	}
	return NULL;
}

bool children_has(const struct children *children, enum child_role role)
{
	for (size_t i = 0; i < MAX_CHILDREN; i++)
		if (children->rows[i].pid != 0 && children->rows[i].role == role)
			return true;
	return false;
}

void child_tell(const struct child *child, char word)
{
	child_tell_times(child, word, 1);
}

void child_tell_times(const struct child *child, char word, unsigned times)
{
	char words[4096];
	size_t n = times < sizeof(words) ? times : sizeof(words);
	memset(words, word, n);
	/* One that does not read, or is gone, is reaped or killed in time. */
	if (child->control >= 0 && n > 0 && send(child->control, words, n, MSG_NOSIGNAL) < 0)
		return;
}

char child_hear(struct child *child)
{
	char word;
	if (child->control < 0)
		return 0;
	ssize_t n = read(child->control, &word, 1);
	if (n == 1)
		return word;
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(child->control);
		child->control = -1;
	}
	return 0;
}

bool children_reap(struct children *children, struct child *ret_child, int *ret_status)
{
	pid_t pid;
	while ((pid = waitpid(-1, ret_status, WNOHANG)) > 0) {
		for (size_t i = 0; i < MAX_CHILDREN; i++) {
			struct child *child = &children->rows[i];
			if (child->pid != pid)
				continue;
			if (child->control >= 0)
				close(child->control);
			*ret_child = *child;
			*child = (struct child){0};
			return true;
		}
	}
	return false;
}

bool children_any(const struct children *children)
{
	for (size_t i = 0; i < MAX_CHILDREN; i++)
		if (children->rows[i].pid != 0)
			return true;
	return false;
}
