#include "report/redaction_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

/* Leaves errno alone. */
static void close_quietly(int fd)
{
	int error = errno;
	close(fd);
	errno = error;
}

/* False with errno 0: what is there is no key. */
static bool read_key(const char *path, char ret_key[REDACTION_KEY_SIZE])
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	errno = 0;
	bool whole = read(fd, ret_key, REDACTION_KEY_SIZE) == REDACTION_KEY_SIZE;
	close_quietly(fd);
	return whole;
}

static bool write_key(const char *path, const char key[REDACTION_KEY_SIZE])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	bool whole = write(fd, key, REDACTION_KEY_SIZE) == REDACTION_KEY_SIZE;
	close_quietly(fd);
	return whole;
}

bool redaction_key_load(struct arena *arena, struct str directory, char ret_key[REDACTION_KEY_SIZE])
{
	const char *path = arena_printf(arena, "%.*s/redaction.key", STR_ARG(directory)).p;
	if (read_key(path, ret_key))
		return true;
	/* One that is there and cannot be read today is not to be overwritten. */
	bool is_missing = errno == ENOENT || errno == 0;
	int error = errno;
	/* It cannot fail: no signal interrupts so few bytes, and the system has long been up. */
	while (getrandom(ret_key, REDACTION_KEY_SIZE, 0) != REDACTION_KEY_SIZE)
		;
	errno = error;
	return is_missing && write_key(path, ret_key);
}
