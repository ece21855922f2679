#include "ctl/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tables/dataset.h"

enum deed { DEED_DIRECTORY, DEED_CREATE, DEED_OVERWRITE, DEED_REPLACE, DEED_REMOVE };

struct file {
	struct file *next, *previous;
	enum deed deed;
	const char *path;
	const char *fresh, *former; /* where the new text is written, where the old file is kept */
	struct str old, text;
	struct file_rights rights;
	bool has_former, done;
};

struct files {
	struct arena *arena;
	const char *verb;
	struct file *first, *last;
};

struct files *files_new(struct arena *arena, const char *verb)
{
	struct files *files = ARENA_NEW(arena, struct files);
	*files = (struct files){.arena = arena, .verb = verb};
	return files;
}

static bool complain(const struct files *files, const char *what, const char *path)
{
	fprintf(stderr, "trimilterctl %s: %s %s: %s\n", files->verb, what, path, strerror(errno));
	return false;
}

bool files_lock(struct files *files, const char *directory)
{
	/* The directory itself: a table is replaced by another file, whose lock would be another one. Held until exit.
	 */
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return complain(files, "cannot open", directory);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno == EWOULDBLOCK)
		fprintf(stderr, "trimilterctl %s: another trimilterctl is changing files in %s: try again\n",
			files->verb, directory);
	else
		complain(files, "cannot lock", directory);
	close(fd);
	return false;
}

/* ---- noting ---- */

static struct file *add(struct files *files, enum deed deed, const char *path)
{
	char resolved[PATH_MAX];
	struct file *file = ARENA_NEW(files->arena, struct file);
	if (deed == DEED_REPLACE && realpath(path, resolved) != NULL)
		path = resolved;
	*file = (struct file){.deed = deed, .previous = files->last, .rights = {(uid_t)-1, (gid_t)-1, 0}};
	file->path = arena_dup(files->arena, str_of(path)).p;
	file->fresh = arena_printf(files->arena, "%s.%ld.new", path, (long)getpid()).p;
	file->former = arena_printf(files->arena, "%s.%ld.old", path, (long)getpid()).p;
	*(files->last != NULL ? &files->last->next : &files->first) = file;
	files->last = file;
	return file;
}

void files_make_directory(struct files *files, const char *path, const struct file_rights *rights)
{
	add(files, DEED_DIRECTORY, path)->rights = *rights;
}

static void add_text(
	struct files *files, enum deed deed, const char *path, struct str text, const struct file_rights *rights)
{
	struct file *file = add(files, deed, path);
	file->text = text;
	file->rights = *rights;
}

void files_create(struct files *files, const char *path, struct str text, const struct file_rights *rights)
{
	add_text(files, DEED_CREATE, path, text, rights);
}

void files_overwrite(struct files *files, const char *path, struct str text, const struct file_rights *rights)
{
	add_text(files, DEED_OVERWRITE, path, text, rights);
}

void files_replace(struct files *files, const char *path, struct str old, struct str text)
{
	struct file *file = add(files, DEED_REPLACE, path);
	file->old = old;
	file->text = text;
}

void files_remove(struct files *files, const char *path)
{
	add(files, DEED_REMOVE, path);
}

/* ---- doing ---- */

static bool write_all(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = str_skip(text, (size_t)n);
	}
	return fsync(fd) == 0;
}

/* Never readable to others meanwhile: created with no rights but the owner's. */
static bool write_fresh(const struct files *files, const struct file *file)
{
	const struct file_rights *rights = &file->rights;
	int fd = open(file->fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(files, "cannot create", file->path);
	bool written = (rights->uid == (uid_t)-1 || fchown(fd, rights->uid, rights->gid) == 0) &&
		       fchmod(fd, rights->mode) == 0 && write_all(fd, file->text);
	if (!written)
		complain(files, "cannot write", file->fresh);
	close(fd);
	if (!written)
		unlink(file->fresh);
	return written;
}

static void sync_directory_of(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(directory, sizeof(directory), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		slash != NULL ? path : ".");
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static bool make_directory(const struct files *files, struct file *file)
{
	const struct file_rights *rights = &file->rights;
	if (mkdir(file->path, 0700) != 0)
		return errno == EEXIST || complain(files, "cannot create", file->path);
	file->done = true;
	return ((rights->uid == (uid_t)-1 || chown(file->path, rights->uid, rights->gid) == 0) &&
		       chmod(file->path, rights->mode) == 0) ||
	       complain(files, "cannot set owner and mode of", file->path);
}

static bool is_unchanged(const struct files *files, struct file *file)
{
	struct str text;
	struct stat st;
	if (stat(file->path, &st) != 0 || dataset_read_file(files->arena, file->path, &text) != ERR_OK)
		return complain(files, "cannot read", file->path);
	if (!str_eq(text, file->old)) {
		fprintf(stderr, "trimilterctl %s: %s has been changed meanwhile: try again\n", files->verb, file->path);
		return false;
	}
	file->rights = (struct file_rights){st.st_uid, st.st_gid, st.st_mode & 07777};
	return true;
}

static bool keep_former(const struct files *files, struct file *file, bool must_exist)
{
	file->has_former = link(file->path, file->former) == 0;
	return file->has_former || (errno == ENOENT && !must_exist) ||
	       complain(files, "cannot keep the former", file->path);
}

static bool move_in(const struct files *files, struct file *file)
{
	if (!write_fresh(files, file))
		return false;
	/* link() never replaces what is there. */
	file->done =
		file->deed == DEED_CREATE ? link(file->fresh, file->path) == 0 : rename(file->fresh, file->path) == 0;
	if (!file->done)
		complain(files, errno == EEXIST ? "will not replace" : "cannot create", file->path);
	unlink(file->fresh);
	return file->done;
}

static bool apply_one(const struct files *files, struct file *file)
{
	switch (file->deed) {
	case DEED_DIRECTORY:
		return make_directory(files, file);
	case DEED_CREATE:
		return move_in(files, file);
	case DEED_OVERWRITE:
		return keep_former(files, file, false) && move_in(files, file);
	case DEED_REPLACE:
		return is_unchanged(files, file) && keep_former(files, file, true) && move_in(files, file);
	case DEED_REMOVE:
		if (!keep_former(files, file, true))
			return false;
		file->done = unlink(file->path) == 0;
		return file->done || complain(files, "cannot remove", file->path);
	}
	return false;
}

bool files_apply(struct files *files)
{
	for (struct file *file = files->first; file != NULL; file = file->next) {
		if (!apply_one(files, file)) {
			files_undo(files);
			return false;
		}
		sync_directory_of(file->path);
	}
	return true;
}

static void undo_one(const struct files *files, struct file *file)
{
	bool undone = true;
	if (file->done && file->has_former)
		undone = rename(file->former, file->path) == 0;
	else if (file->done)
		undone = file->deed == DEED_DIRECTORY ? rmdir(file->path) == 0 : unlink(file->path) == 0;
	else if (file->has_former)
		undone = unlink(file->former) == 0;
	if (!undone)
		complain(files, "cannot put back", file->path);
	file->done = file->has_former = false;
}

void files_undo(struct files *files)
{
	for (struct file *file = files->last; file != NULL; file = file->previous)
		undo_one(files, file);
}

void files_finish(struct files *files)
{
	for (struct file *file = files->first; file != NULL; file = file->next)
		if (file->has_former)
			unlink(file->former);
}
