#include "report/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"

struct running {
	pid_t pid;
	int pidfd;
	int output; /* our end of its standard output and error */
	char words[SUBMIT_NOTE_MAX];
	size_t n_words;
};

/* ---- start ---- */

static bool write_all(int fd, struct str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = str_skip(bytes, (size_t)n);
	}
	return true;
}

/* A file without a name, so that the command reads as fast or as slowly as it likes. With LF, as on a command line. */
static int message_file(struct arena *arena, struct str text)
{
	struct buf out = buf_in(arena);
	for (struct str rest = text, line; rest.n > 0 && str_cut(&rest, '\n', &line);) {
		buf_add(&out, str_ends(line, STR("\r")) ? str_head(line, line.n - 1) : line);
		buf_add_char(&out, '\n');
	}
	int fd = memfd_create("report", MFD_CLOEXEC);
	if (fd >= 0 && write_all(fd, buf_str(&out)) && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

static bool finds_recipients(const struct str *command, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (str_eq(command[i], STR("-t")))
			return true;
	return false;
}

static char **arguments_of(struct arena *arena, const struct str *command, size_t n, struct str recipient)
{
	char **arguments = ARENA_ARRAY(arena, n + 3, char *);
	for (size_t i = 0; i < n; i++)
		arguments[i] = (char *)(uintptr_t)arena_dup(arena, command[i]).p;
	if (!finds_recipients(command, n)) {
		arguments[n] = (char *)(uintptr_t) "--";
		arguments[n + 1] = (char *)(uintptr_t)arena_dup(arena, recipient).p;
	}
	return arguments;
}

/* A group of its own, so that all of it can be killed; signals as a fresh program expects them; no other descriptor. */
static int spawn(pid_t *ret_pid, char **arguments, int input, int output)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LC_ALL=C";
	char *environment[] = {path, language, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	int error = posix_spawn(ret_pid, arguments[0], &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* 0, or an errno. */
static int start(struct running *running, char **arguments, int input)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	int error = spawn(&running->pid, arguments, input, ends[1]);
	close(ends[1]);
	if (error != 0) {
		close(ends[0]);
		return error;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	running->output = ends[0];
	running->pidfd = pidfd_open(running->pid, 0);
	return 0;
}

/* ---- until it ends ---- */

/* Its first words are kept, all are read. False: there will be no more. */
static bool take_words(struct running *running)
{
	char bytes[4096];
	ssize_t n;
	while ((n = read(running->output, bytes, sizeof(bytes))) > 0) {
		size_t room = sizeof(running->words) - running->n_words, taken = (size_t)n < room ? (size_t)n : room;
		memcpy(running->words + running->n_words, bytes, taken);
		running->n_words += taken;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* False: the time is over, it was killed. What it has left running in the background may go on until then. */
static bool wait_for_end(struct running *running, int64_t deadline_ms, int *ret_status)
{
	struct pollfd polled[] = {
		{.fd = running->pidfd, .events = POLLIN},
		{.fd = running->output, .events = POLLIN},
	};
	bool ended = false;
	while (!ended) {
		int64_t left = deadline_ms - clock_monotonic_ms();
		if (left <= 0) {
			kill(-running->pid, SIGKILL);
			waitpid(running->pid, ret_status, 0);
			return false;
		}
		/* Without pidfd (an old kernel) we look ten times a second. */
		int pause = running->pidfd >= 0 ? 60000 : 100;
		poll(polled, 2, left < pause ? (int)left : pause);
		if (polled[1].fd >= 0 && !take_words(running))
			polled[1].fd = -1;
		ended = waitpid(running->pid, ret_status, WNOHANG) == running->pid;
	}
	if (polled[1].fd >= 0)
		take_words(running);
	return true;
}

static enum mail_outcome outcome_of(int status)
{
	if (!WIFEXITED(status))
		return MAIL_LATER;
	switch (WEXITSTATUS(status)) {
	case 0:
		return MAIL_ACCEPTED;
	case EX_DATAERR:
	case EX_NOUSER:
	case EX_NOHOST:
		return MAIL_REFUSED;
	default:
		return MAIL_LATER;
	}
}

enum mail_outcome submit_command(struct arena *arena, const struct str *command, size_t n_command,
	const struct mail *mail, struct str text, int64_t deadline_ms, struct str *ret_note)
{
	struct running running = {.pid = -1, .pidfd = -1, .output = -1};
	int status = 0;
	int input = message_file(arena, text);
	int error = input < 0 ? errno : 0;
	if (error == 0)
		error = start(&running, arguments_of(arena, command, n_command, mail->to), input);
	if (input >= 0)
		close(input);
	if (error != 0) {
		*ret_note = arena_printf(arena, "%.*s: %s", STR_ARG(command[0]), strerror(error));
		return MAIL_UNREACHABLE;
	}
	bool ended = wait_for_end(&running, deadline_ms, &status);
	struct str words = submit_note(arena, str_from(running.words, running.n_words));
	close(running.output);
	if (running.pidfd >= 0)
		close(running.pidfd);
	if (!ended) {
		*ret_note = arena_printf(arena, "%.*s: killed, it did not end in time", STR_ARG(command[0]));
		return MAIL_UNREACHABLE;
	}
	const char *colon = words.n > 0 ? ": " : "";
	if (WIFSIGNALED(status))
		*ret_note = arena_printf(arena, "%.*s: died of signal %d%s%.*s", STR_ARG(command[0]), WTERMSIG(status),
			colon, STR_ARG(words));
	else
		*ret_note = arena_printf(
			arena, "%.*s: exit %d%s%.*s", STR_ARG(command[0]), WEXITSTATUS(status), colon, STR_ARG(words));
	return outcome_of(status);
}
