#include "ctl/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define POLL_MS 20
/* PIDFILE_TOUCH_MS of the master, as seconds. */
#define READ_WITHIN 5

static const char *path_text(struct str path, char text[4096])
{
	snprintf(text, 4096, "%.*s", STR_ARG(path));
	return text;
}

/* A file that is left behind may name a process that has nothing to do with us. */
static bool is_ours(long pid)
{
	char path[64], name[32] = "";
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return false;
	bool ours = fgets(name, sizeof(name), file) != NULL && strncmp(name, "trimilter", 9) == 0;
	fclose(file);
	return ours;
}

static pid_t read_pid(const char *verb, const char *path)
{
	long pid = 0;
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		fprintf(stderr, "trimilterctl %s: PidFile %s: %s: is the daemon running?\n", verb, path,
			strerror(errno));
		return 0;
	}
	if (fscanf(file, "%ld", &pid) != 1 || pid <= 1 || !is_ours(pid)) {
		fprintf(stderr, "trimilterctl %s: PidFile %s names no running trimilter\n", verb, path);
		pid = 0;
	}
	fclose(file);
	return (pid_t)pid;
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

enum daemon_reload daemon_reload(const char *verb, struct str pid_file, unsigned timeout_ms)
{
	char text[4096];
	const char *path = path_text(pid_file, text);
	struct stat before, now;
	pid_t pid = read_pid(verb, path);
	if (pid == 0 || stat(path, &before) != 0)
		return DAEMON_NOT_RUNNING;
	if (kill(pid, SIGHUP) != 0) {
		fprintf(stderr, "trimilterctl %s: cannot signal process %ld: %s\n", verb, (long)pid, strerror(errno));
		return DAEMON_NOT_RUNNING;
	}
	for (int64_t end = clock_monotonic_ms() + timeout_ms; clock_monotonic_ms() < end;) {
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
		if (stat(path, &now) == 0 && is_later(now.st_mtim, before.st_mtim))
			return DAEMON_RELOADED;
	}
	return DAEMON_NOT_SO_FAR;
}

bool daemon_has_read(struct str pid_file, const char *file)
{
	char text[4096];
	struct stat read, changed;
	/* ctime: a file that was moved into its place keeps its mtime. */
	if (pid_file.n == 0 || stat(path_text(pid_file, text), &read) != 0 || stat(file, &changed) != 0)
		return false;
	changed.st_ctim.tv_sec += READ_WITHIN;
	return read.st_size > 0 && is_later(read.st_mtim, changed.st_ctim);
}
