/*
 * The reading side of the spool: files that no worker writes any more, line by
 * line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/line.h"
#include "report/spool.h"

#define FIRST_CAPACITY 65536

struct spool_file {
	char *path;
	const char *name; /* the end of path */
	int fd;
	char *buffer; /* of the bytes from offset on */
	size_t n, capacity;
	uint64_t offset;
	bool overlong; /* what is at hand belongs to a line longer than any of ours */
	bool failed;
};

/* ---- which file ---- */

struct spool_reader {
	char directory[PATH_MAX];
	struct dirent **entries; /* by name */
	int n, next;
};

/* False: it is too long for any path; errno says so. */
static bool path_of(struct str directory, char ret_path[PATH_MAX])
{
	if (directory.n >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	snprintf(ret_path, PATH_MAX, "%.*s", STR_ARG(directory));
	return true;
}

static int is_spool_file(const struct dirent *entry)
{
	return str_ends(str_of(entry->d_name), STR(".jsonl")) && entry->d_name[0] != '.';
}

/* Not alphasort(), which heeds the locale: names begin with the time. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

enum err spool_reader_new(struct str directory, struct spool_reader **ret_reader)
{
	struct spool_reader *reader = calloc(1, sizeof(*reader));
	*ret_reader = reader;
	if (reader == NULL)
		return ERR_NOMEM;
	if (path_of(directory, reader->directory))
		reader->n = scandir(reader->directory, &reader->entries, is_spool_file, compare_names);
	else
		reader->n = -1;
	if (reader->n >= 0)
		return ERR_OK;
	reader->n = 0;
	if (errno == ENOENT)
		return ERR_OK;
	*ret_reader = NULL;
	enum err err = errno == ENOMEM ? ERR_NOMEM : ERR_IO;
	free(reader);
	return err;
}

void spool_reader_free(struct spool_reader *reader)
{
	if (reader == NULL)
		return;
	for (int i = 0; i < reader->n; i++)
		free(reader->entries[i]);
	free(reader->entries);
	free(reader);
}

/* False: somebody writes or reads it, or it has gone while we came. */
static bool take(int fd)
{
	struct stat there;
	return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &there) == 0 && there.st_nlink > 0 &&
	       S_ISREG(there.st_mode);
}

/* Owns @path. NULL: it is not free. */
static struct spool_file *open_file(char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct spool_file *file = fd >= 0 && take(fd) ? calloc(1, sizeof(*file)) : NULL;
	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		free(path);
		return NULL;
	}
	file->path = path;
	file->name = strrchr(path, '/') + 1;
	file->fd = fd;
	return file;
}

enum err spool_reader_next(struct spool_reader *reader, struct spool_file **ret_file)
{
	*ret_file = NULL;
	while (*ret_file == NULL && reader->next < reader->n) {
		char *path;
		if (asprintf(&path, "%s/%s", reader->directory, reader->entries[reader->next++]->d_name) < 0)
			return ERR_NOMEM;
		*ret_file = open_file(path);
	}
	return ERR_OK;
}

enum err spool_backlog(struct str directory, struct spool_backlog *ret_backlog)
{
	char path[PATH_MAX];
	struct dirent *entry;
	struct stat there;
	*ret_backlog = (struct spool_backlog){0};
	if (!path_of(directory, path))
		return ERR_IO;
	DIR *list = opendir(path);
	if (list == NULL)
		return errno == ENOENT ? ERR_OK : ERR_IO;
	while ((entry = readdir(list)) != NULL) {
		/* The name begins with the time that the file was begun at. */
		int64_t begun = strtoll(entry->d_name, NULL, 10);
		if (!is_spool_file(entry) || fstatat(dirfd(list), entry->d_name, &there, 0) != 0)
			continue;
		ret_backlog->files++;
		ret_backlog->bytes += (uint64_t)there.st_size;
		if (ret_backlog->oldest == 0 || begun < ret_backlog->oldest)
			ret_backlog->oldest = begun;
	}
	closedir(list);
	return ERR_OK;
}

struct str spool_file_name(const struct spool_file *file)
{
	return str_of(file->name);
}

/* ---- its lines ---- */

/* More bytes behind those at hand. False: there are none. */
static bool read_more(struct spool_file *file)
{
	if (file->n == file->capacity) {
		size_t capacity = file->capacity > 0 ? 2 * file->capacity : FIRST_CAPACITY;
		char *buffer = realloc(file->buffer, capacity);
		if (buffer == NULL) {
			file->failed = true;
			return false;
		}
		file->buffer = buffer;
		file->capacity = capacity;
	}
	ssize_t n = pread(file->fd, file->buffer + file->n, file->capacity - file->n, (off_t)(file->offset + file->n));
	file->failed |= n < 0;
	file->n += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Bytes before @position are not needed any more. */
static void forget_before(struct spool_file *file, uint64_t position)
{
	if (position < file->offset || position - file->offset > file->n) {
		file->n = 0;
	} else {
		size_t n = (size_t)(position - file->offset);
		if (n > 0)
			memmove(file->buffer, file->buffer + n, file->n - n);
		file->n -= n;
	}
	file->offset = position;
}

/* The bytes up to the next newline, which is included. False: there is none before the end of the file. */
static bool raw_line(struct spool_file *file, uint64_t *position, struct str *ret_line)
{
	for (;;) {
		bool at_hand = *position >= file->offset && *position - file->offset <= file->n;
		size_t skip = at_hand ? (size_t)(*position - file->offset) : 0;
		const char *start = file->buffer + skip;
		const char *end = at_hand && file->n > skip ? memchr(start, '\n', file->n - skip) : NULL;
		if (end != NULL) {
			*ret_line = str_from(start, (size_t)(end - start) + 1);
			*position += ret_line->n;
			return true;
		}
		forget_before(file, *position);
		if (file->n > REPORT_LINE_MAX) {
			file->overlong = true;
			*position += file->n;
			forget_before(file, *position);
		}
		if (!read_more(file))
			return false;
	}
}

bool spool_file_line(struct spool_file *file, uint64_t *position, struct str *ret_line, size_t *bad)
{
	struct str line, json;
	while (!file->failed && raw_line(file, position, &line)) {
		bool good = !file->overlong && report_line_read(line, &json) == NULL;
		file->overlong = false;
		if (good) {
			*ret_line = line;
			return true;
		}
		++*bad;
	}
	/* The last line has no end: its writer was killed. */
	if (!file->failed && (file->n > 0 || file->overlong)) {
		++*bad;
		*position = file->offset + file->n;
		forget_before(file, *position);
		file->overlong = false;
	}
	return false;
}

enum err spool_file_remove(struct spool_file *file)
{
	if (file->failed) {
		errno = EIO;
		return ERR_IO;
	}
	return unlink(file->path) == 0 ? ERR_OK : ERR_IO;
}

void spool_file_close(struct spool_file *file)
{
	if (file == NULL)
		return;
	close(file->fd);
	free(file->buffer);
	free(file->path);
	free(file);
}
