#include "auth/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"

/* A PEM of RSA-4096 has 3.3 KB. */
#define KEY_SIZE_MAX 65536

struct keyfile_checker {
	struct arena *arena;
	const struct keyring_options *options;
	struct map *directories; /* path -> struct directory */
};

struct directory {
	const char *unsafe; /* the directory at or above it that others may write to; NULL: none */
	unsigned mode;
	uid_t owner;
	bool is_foreign; /* they may since it is theirs */
};

struct keyfile_checker *keyfile_checker_new(struct arena *arena, const struct keyring_options *options)
{
	struct keyfile_checker *checker = ARENA_NEW(arena, struct keyfile_checker);
	checker->arena = arena;
	checker->options = options;
	checker->directories = map_new(arena);
	return checker;
}

static const char *user_name(uid_t uid, char text[64])
{
	struct passwd entry, *found = NULL;
	char room[4096];
	if (getpwuid_r(uid, &entry, room, sizeof(room), &found) == 0 && found != NULL)
		snprintf(text, 64, "%s", entry.pw_name);
	else
		snprintf(text, 64, "%u", (unsigned)uid);
	return text;
}

/*
 * Who may write to a directory may replace what is in it. The sticky bit keeps files of others safe (/tmp); a group
 * of our own is ourselves (user private groups, umask 002).
 */
static bool others_may_write(const struct stat *st)
{
	if (st->st_mode & S_ISVTX)
		return false;
	if (st->st_mode & S_IWOTH)
		return true;
	return (st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && st->st_gid != getegid();
}

static struct str parent_of(struct str path)
{
	ptrdiff_t slash = str_rindex(path, '/');
	if (slash < 0)
		return STR(".");
	return slash == 0 ? STR("/") : str_head(path, (size_t)slash);
}

/* @path is absolute and without symbolic links, so it names every directory on the way. */
static const struct directory *inspect(struct keyfile_checker *checker, struct str path)
{
	struct directory *known = map_get(checker->directories, path);
	if (known != NULL)
		return known;
	struct directory *directory = ARENA_NEW(checker->arena, struct directory);
	const char *name = arena_dup(checker->arena, path).p;
	struct stat st;
	bool is_there = stat(name, &st) == 0;
	bool is_foreign = is_there && st.st_uid != 0 && st.st_uid != checker->options->reader;
	if (is_there && (is_foreign || others_may_write(&st))) {
		*directory = (struct directory){name, (unsigned)st.st_mode & 07777, st.st_uid, is_foreign};
	} else if (path.n > 1) {
		*directory = *inspect(checker, parent_of(path));
	}
	map_put(checker->directories, path, directory);
	return directory;
}

/* The directory as it is written may hold links; both ways to it count, and each is resolved once. */
static const struct directory *inspect_written(struct keyfile_checker *checker, struct str path)
{
	struct directory *known = map_get(checker->directories, path);
	if (known != NULL)
		return known;
	char resolved[PATH_MAX];
	struct directory *directory = ARENA_NEW(checker->arena, struct directory);
	if (realpath(arena_dup(checker->arena, path).p, resolved) != NULL)
		*directory = *inspect(checker, str_of(resolved));
	map_put(checker->directories, path, directory);
	return directory;
}

__attribute__((format(printf, 4, 5))) static bool complain(
	struct keyfile_checker *checker, struct diag *diag, struct diag_place place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char text[1024];
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (checker->options->require_safe_keys) {
		diag_error(diag, place, "%s", text);
		return false;
	}
	diag_warning(diag, place, "%s", text);
	return true;
}

static bool check_directories(
	struct keyfile_checker *checker, const char *path, struct diag_place place, struct diag *diag)
{
	const struct directory *directory = inspect_written(checker, parent_of(str_of(path)));
	char resolved[PATH_MAX], owner[64];
	struct stat link;
	if (directory->unsafe == NULL && lstat(path, &link) == 0 && S_ISLNK(link.st_mode) &&
		realpath(path, resolved) != NULL)
		directory = inspect(checker, parent_of(str_of(resolved)));
	if (directory->unsafe == NULL)
		return true;
	if (directory->is_foreign)
		return complain(checker, diag, place,
			"key file %s is not safe: the directory %s belongs to %s, who may put another key in its "
			"place: "
			"chown root %s",
			path, directory->unsafe, user_name(directory->owner, owner), directory->unsafe);
	return complain(checker, diag, place,
		"key file %s is not safe: others may write to the directory %s (mode %04o) and put another key in its "
		"place: "
		"chmod go-w %s",
		path, directory->unsafe, directory->mode, directory->unsafe);
}

static bool check_rights(struct keyfile_checker *checker, const char *path, const struct stat *st,
	struct diag_place place, struct diag *diag)
{
	char owner[64], user[64];
	uid_t reader = checker->options->reader;
	if (st->st_uid != 0 && st->st_uid != reader &&
		!complain(checker, diag, place,
			"key file %s is not safe: it belongs to %s, but must belong to %s%s: chown %s %s", path,
			user_name(st->st_uid, owner), reader != 0 ? "root or to " : "", user_name(reader, user), user,
			path))
		return false;
	if ((st->st_mode & 077) == 0)
		return true;
	return complain(checker, diag, place, "key file %s is not safe: %s may %s it (mode %04o): chmod 600 %s%s%s%s",
		path, st->st_mode & 007 ? "everybody" : "its group", st->st_mode & 022 ? "write" : "read",
		(unsigned)st->st_mode & 07777, path, st->st_uid != reader ? " && chown " : "",
		st->st_uid != reader ? user_name(reader, user) : "",
		st->st_uid != reader ? arena_printf(diag->arena, " %s", path).p : "");
}

static void report_errno(
	const struct keyring_options *options, const char *path, int error, struct diag_place place, struct diag *diag)
{
	char user[64];
	if (error == ENOENT || error == ENOTDIR)
		diag_error(diag, place,
			"key file %s does not exist: correct the path, or make a key with \"trimilterctl genkey\"",
			path);
	else if (error == EACCES)
		diag_error(diag, place,
			"key file %s cannot be read by user %s: chown %s %s && chmod 600 %s (its directories must be "
			"open to %s too)",
			path, user_name(options->reader, user), user, path, path, user);
	else
		diag_error(diag, place, "key file %s cannot be read: %s", path, strerror(error));
}

/* Root may read anything; the question is then what the user may whom it will become. */
static bool may_read(const struct keyring_options *options, const char *path, const struct stat *st)
{
	if (options->reader == geteuid())
		return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
	errno = EACCES;
	return (st->st_mode & (st->st_uid == options->reader ? S_IRUSR : S_IRGRP | S_IROTH)) != 0;
}

bool keyfile_check(struct keyfile_checker *checker, struct str path, struct diag_place place, struct diag *diag)
{
	const char *name = arena_dup(checker->arena, path).p;
	struct stat st;
	if (stat(name, &st) != 0) {
		report_errno(checker->options, name, errno, place, diag);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		diag_error(diag, place, "key file %s is not a regular file", name);
		return false;
	}
	if (!may_read(checker->options, name, &st)) {
		report_errno(checker->options, name, errno, place, diag);
		return false;
	}
	bool rights = check_rights(checker, name, &st, place, diag);
	return check_directories(checker, name, place, diag) && rights;
}

struct dkim_private_key *keyfile_parse(const struct keyring_options *options, struct str path, struct str text,
	struct diag_place place, struct diag *diag)
{
	const char *what = path.n > 0 ? "key file " : "the key in the table";
	const char *error = NULL;
	struct dkim_private_key *key = dkim_private_key_parse(text, &error);
	if (key == NULL) {
		diag_error(diag, place, "%s%.*s cannot be used: %s%s", what, STR_ARG(path), error,
			path.n > 0 ? "" : " (if it is meant as a path, begin it with / or ./)");
		return NULL;
	}
	unsigned bits = dkim_private_key_bits(key);
	if (dkim_private_key_type(key) != DKIM_KEY_RSA)
		return key;
	if (bits < options->minimum_key_bits) {
		diag_error(diag, place,
			"%s%.*s has %u bits, but at least %u are required (MinimumKeyBits, RFC 8301): make a new one "
			"with "
			"\"trimilterctl genkey\"",
			what, STR_ARG(path), bits, options->minimum_key_bits);
		dkim_private_key_unref(key);
		return NULL;
	}
	if (bits < KEYFILE_RECOMMENDED_BITS)
		diag_warning(diag, place, "%s%.*s has %u bits; RFC 8301 asks signers for at least %d: plan a new key",
			what, STR_ARG(path), bits, KEYFILE_RECOMMENDED_BITS);
	return key;
}

static ssize_t read_whole(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	size_t n = 0;
	ssize_t got = 1;
	while (n < size && got > 0) {
		got = read(fd, text + n, size - n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			n += (size_t)got;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	return got < 0 ? -1 : (ssize_t)n;
}

struct dkim_private_key *keyfile_read(
	const struct keyring_options *options, struct str path, struct diag_place place, struct diag *diag)
{
	const char *name = arena_dup(diag->arena, path).p;
	/* Not in the arena: what held a private key is wiped and given back. */
	char text[KEY_SIZE_MAX];
	ssize_t n = read_whole(name, text, sizeof(text));
	struct dkim_private_key *key = NULL;
	if (n < 0)
		report_errno(options, name, errno, place, diag);
	else
		key = keyfile_parse(options, path, str_from(text, (size_t)n), place, diag);
	explicit_bzero(text, sizeof(text));
	return key;
}
