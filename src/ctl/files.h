/*
 * Files that change together or not at all.
 *
 * What is to become of each is noted first, in an order in which every part of the way is a good state, should the
 * machine stop on it. files_apply() then writes each new text beside its place, syncs it, and moves it there; what was
 * there is kept under a second name, so that files_undo() can put everything back until files_finish().
 *
 * Mistakes are said on standard error as "trimilterctl VERB: ...". One thread.
 */
#ifndef TRIMILTER_CTL_FILES_H
#define TRIMILTER_CTL_FILES_H

#include <sys/types.h>

#include "base/arena.h"

/** Who a new file belongs to, and who may do what with it. (uid_t)-1: this process. */
struct file_rights {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

struct files;

/** In @arena. @verb is borrowed. */
struct files *files_new(struct arena *arena, const char *verb);

/**
 * Let no other trimilterctl change files in @directory until this process ends. False: another one does, or the
 * directory cannot be opened; it has been said.
 */
bool files_lock(struct files *files, const char *directory);

/** A directory that need not exist; nothing is done where it does. */
void files_make_directory(struct files *files, const char *path, const struct file_rights *rights);
/** A file that must not exist ... */
void files_create(struct files *files, const char *path, struct str text, const struct file_rights *rights);
/** ... or may, and then goes. */
void files_overwrite(struct files *files, const char *path, struct str text, const struct file_rights *rights);
/**
 * A file that exists and keeps owner and mode; where @path is a link, what it leads to. If it does not hold @old any
 * more, somebody else has changed it, and nothing is done.
 */
void files_replace(struct files *files, const char *path, struct str old, struct str text);
/** A file that exists. */
void files_remove(struct files *files, const char *path);

/** Do it all. False: the reason has been said, and everything is as before. */
bool files_apply(struct files *files);
/** After files_apply(): put everything back; or forget how it was. */
void files_undo(struct files *files);
void files_finish(struct files *files);

#endif
