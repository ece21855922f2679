#include "milter/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"

void pidfile_init(struct pidfile *pidfile)
{
	*pidfile = (struct pidfile){.fd = -1};
}

static int cannot_write(const struct pidfile *pidfile)
{
	log_error("PidFile: %s: %s", pidfile->path, strerror(errno));
	return EX_CONFIG;
}

static bool write_pid(const struct pidfile *pidfile)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	return pwrite(pidfile->fd, text, (size_t)n, 0) == n;
}

int pidfile_write(struct pidfile *pidfile, struct str path)
{
	struct stat there;
	if (path.n == 0)
		return 0;
	pidfile->path = strndup(path.p, path.n);
	if (pidfile->path == NULL) {
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	/* Root writes here, perhaps in UserID's directory: no link may lead elsewhere. */
	pidfile->fd = open(pidfile->path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (pidfile->fd < 0)
		return cannot_write(pidfile);
	if (fstat(pidfile->fd, &there) != 0 || !S_ISREG(there.st_mode) || there.st_nlink != 1) {
		errno = EINVAL;
		return cannot_write(pidfile);
	}
	if (ftruncate(pidfile->fd, 0) != 0 || !write_pid(pidfile))
		return cannot_write(pidfile);
	return 0;
}

void pidfile_touch(const struct pidfile *pidfile)
{
	if (pidfile->fd >= 0 && !write_pid(pidfile))
		log_warning("PidFile: %s: cannot be written again: %s", pidfile->path, strerror(errno));
}

void pidfile_remove(struct pidfile *pidfile)
{
	if (pidfile->fd >= 0) {
		if (unlink(pidfile->path) != 0 && ftruncate(pidfile->fd, 0) != 0)
			log_warning("PidFile: %s is left behind: %s", pidfile->path, strerror(errno));
		close(pidfile->fd);
	}
	free(pidfile->path);
	pidfile_init(pidfile);
}
