/*
 * The writing side of the spool. What an importer may see of a file is settled
 * by the lock alone: it is taken before the first byte is written, and gone when
 * the descriptor is closed, by us or by the end of the process.
 */
#include "report/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "report/line.h"

/* More than this within a minute begins another file, so that import and removal go in steps. */
#define FILE_BYTES ((uint64_t)64 << 20)
/* Names that were taken by somebody else while we made them. */
#define OPEN_ATTEMPTS 10
/* For the name of a file behind the directory's. */
#define NAME_ROOM 80

struct spool {
	char *directory;
	uint64_t incarnation; /* random: no two workers on any host share it */
	atomic_uint_fast64_t next_id, written, dropped;
	pthread_mutex_t lock; /* of all below */
	int fd;               /* -1: none is open */
	uint64_t size;        /* of whole lines in it */
	unsigned sequence;
	bool known_unusable; /* said at the start, and not to be said again */
	int error;           /* errno of the last record, 0 where it was written */
};

/* ---- the directory ---- */

static bool say(char error[SPOOL_ERROR_SIZE], const char *what, const char *path)
{
	snprintf(error, SPOOL_ERROR_SIZE, "cannot %s %s: %s", what, path, strerror(errno));
	return false;
}

/* The nearest one above that is there decides. */
static bool could_make(const char *path, char error[SPOOL_ERROR_SIZE])
{
	char above[PATH_MAX];
	snprintf(above, sizeof(above), "%s", path);
	while (access(above, F_OK) != 0 && errno == ENOENT) {
		char *slash = strrchr(above, '/');
		if (slash == NULL || slash == above)
			snprintf(above, sizeof(above), "%s", slash == NULL ? "." : "/");
		else
			*slash = '\0';
	}
	return faccessat(AT_FDCWD, above, W_OK | X_OK, AT_EACCESS) == 0 || say(error, "make", path);
}

/* Leaves errno alone. */
static bool is_directory(const char *path)
{
	struct stat there;
	int error = errno;
	bool is = stat(path, &there) == 0 && S_ISDIR(there.st_mode);
	errno = error;
	return is;
}

static bool make(const char *path, char error[SPOOL_ERROR_SIZE])
{
	char part[PATH_MAX];
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST && !is_directory(part))
			return say(error, "make", part);
		*slash = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST || say(error, "make", path);
}

enum err spool_probe(struct str directory, bool create, char error[SPOOL_ERROR_SIZE])
{
	char path[PATH_MAX];
	if (directory.n == 0 || directory.n + NAME_ROOM > sizeof(path)) {
		errno = directory.n == 0 ? ENOENT : ENAMETOOLONG;
		say(error, "use", "the spool");
		return ERR_IO;
	}
	snprintf(path, sizeof(path), "%.*s", STR_ARG(directory));
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		if (!create)
			return could_make(path, error) ? ERR_OK : ERR_IO;
		if (!make(path, error))
			return ERR_IO;
	}
	struct stat there;
	bool found = stat(path, &there) == 0;
	if (found && !S_ISDIR(there.st_mode))
		errno = ENOTDIR;
	else if (found && faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
		return ERR_OK;
	say(error, "write", path);
	return ERR_IO;
}

/* ---- the file; all under lock ---- */

/* Locked before anybody else could have; an importer that was faster has found it empty and may have removed it. */
static bool lock_new(int fd)
{
	struct stat there;
	return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &there) == 0 && there.st_nlink > 0;
}

static bool open_file(struct spool *spool)
{
	char path[PATH_MAX];
	for (int i = 0; i < OPEN_ATTEMPTS; i++) {
		snprintf(path, sizeof(path), "%s/%010" PRId64 "-%016" PRIx64 "-%06u.jsonl", spool->directory,
			clock_unix(), spool->incarnation, ++spool->sequence);
		int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return false;
		if (lock_new(fd)) {
			spool->fd = fd;
			spool->size = 0;
			return true;
		}
		close(fd);
	}
	return false;
}

static void close_file(struct spool *spool)
{
	if (spool->fd >= 0)
		close(spool->fd);
	spool->fd = -1;
	spool->size = 0;
}

/* All of it or nothing; errno tells. */
static bool write_line(struct spool *spool, struct str line)
{
	struct str rest = line;
	while (rest.n > 0) {
		ssize_t n = write(spool->fd, rest.p, rest.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		rest = str_skip(rest, (size_t)n);
	}
	if (rest.n == 0) {
		spool->size += line.n;
		if (spool->size >= FILE_BYTES)
			close_file(spool);
		return true;
	}
	int error = errno;
	/* Where the piece cannot be taken back the file ends with it. */
	if (rest.n < line.n && ftruncate(spool->fd, (off_t)spool->size) != 0)
		close_file(spool);
	errno = error;
	return false;
}

static void drop(struct spool *spool, int error)
{
	atomic_fetch_add(&spool->dropped, 1);
	spool->error = error;
	if (!spool->known_unusable)
		fault_log(LOG_LEVEL_WARNING, STR(""),
			"reports: messages could not be recorded in %s: %s. Mail goes on as always; reports will lack "
			"them",
			spool->directory, strerror(error));
}

static void note_written(struct spool *spool)
{
	atomic_fetch_add(&spool->written, 1);
	spool->error = 0;
	if (!spool->known_unusable)
		return;
	log_info("reports: %s can be written now, so messages are recorded", spool->directory);
	spool->known_unusable = false;
}

/* ---- what others call ---- */

enum err spool_new(struct str directory, struct spool **ret_spool, char error[SPOOL_ERROR_SIZE])
{
	struct spool *spool = calloc(1, sizeof(*spool));
	char *copy = strndup(directory.n > 0 ? directory.p : "", directory.n);
	*ret_spool = NULL;
	if (spool == NULL || copy == NULL) {
		snprintf(error, SPOOL_ERROR_SIZE, "out of memory");
		free(spool);
		free(copy);
		return ERR_NOMEM;
	}
	spool->directory = copy;
	spool->fd = -1;
	pthread_mutex_init(&spool->lock, NULL);
	/* It cannot fail: no signal interrupts so few bytes, and the system has long been up. */
	while (getrandom(&spool->incarnation, sizeof(spool->incarnation), 0) != sizeof(spool->incarnation))
		;
	enum err err = spool_probe(directory, true, error);
	spool->known_unusable = err != ERR_OK;
	*ret_spool = spool;
	return err;
}

void spool_free(struct spool *spool)
{
	if (spool == NULL)
		return;
	close_file(spool);
	pthread_mutex_destroy(&spool->lock);
	free(spool->directory);
	free(spool);
}

const char *spool_directory(const struct spool *spool)
{
	return spool->directory;
}

bool spool_append(struct spool *spool, struct arena *scratch, struct report_record *record)
{
	struct buf line = buf_in(scratch);
	record->id = arena_printf(
		scratch, "%016" PRIx64 "-%" PRIx64, spool->incarnation, (uint64_t)atomic_fetch_add(&spool->next_id, 1));
	report_record_write(record, &line);
	pthread_mutex_lock(&spool->lock);
	errno = EMSGSIZE;
	bool written =
		line.n <= REPORT_LINE_MAX && (spool->fd >= 0 || open_file(spool)) && write_line(spool, buf_str(&line));
	if (written)
		note_written(spool);
	else
		drop(spool, errno);
	pthread_mutex_unlock(&spool->lock);
	return written;
}

void spool_drop(struct spool *spool)
{
	pthread_mutex_lock(&spool->lock);
	drop(spool, ENOMEM);
	pthread_mutex_unlock(&spool->lock);
}

void spool_tick(struct spool *spool)
{
	char error[SPOOL_ERROR_SIZE];
	pthread_mutex_lock(&spool->lock);
	if (spool->size > 0)
		close_file(spool);
	/* A directory that has gone is made anew. */
	if (spool->fd < 0 && spool->error != 0)
		spool_probe(str_of(spool->directory), true, error);
	pthread_mutex_unlock(&spool->lock);
}

struct spool_counters spool_counters(const struct spool *spool)
{
	return (struct spool_counters){
		.written = atomic_load(&spool->written),
		.dropped = atomic_load(&spool->dropped),
	};
}
