/*
 * LMDB, read from a copy in memory.
 *
 * A reader that takes part in LMDB's locking must be able to write to the lock
 * file, and one that does not may see pages change under it. Neither is wanted
 * of a daemon that only reads: the pages are copied, and the copy counts if no
 * transaction was committed meanwhile, since until then none of its pages is
 * written to.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "tables/database.h"

#define ATTEMPTS 20
#define PAUSE_US 50000

/* In the arena, so that it is released too when memory runs out between two rows. */
struct handle {
	MDB_env *original, *copy;
	MDB_txn *transaction;
	int fd; /* of the copy */
};

static void release(void *object)
{
	struct handle *handle = object;
	if (handle->transaction != NULL)
		mdb_txn_abort(handle->transaction);
	if (handle->copy != NULL)
		mdb_env_close(handle->copy);
	if (handle->original != NULL)
		mdb_env_close(handle->original);
	if (handle->fd >= 0)
		close(handle->fd);
	*handle = (struct handle){.fd = -1};
}

static int open_environment(const char *path, unsigned flags, MDB_env **ret_env)
{
	int status = mdb_env_create(ret_env);
	return status != 0 ? status : mdb_env_open(*ret_env, path, MDB_RDONLY | MDB_NOLOCK | flags, 0);
}

/* opendkim names a directory, Postfix a file, mostly without its ".lmdb". */
static int open_original(struct database_rows *rows, struct handle *handle)
{
	const char *path = rows->database->path.p;
	struct stat st;
	if (stat(path, &st) != 0 && errno == ENOENT)
		path = arena_printf(rows->arena, "%s.lmdb", path).p;
	if (stat(path, &st) != 0)
		return ENOENT;
	return open_environment(path, S_ISDIR(st.st_mode) ? 0 : MDB_NOSUBDIR, &handle->original);
}

static size_t committed(MDB_env *env)
{
	MDB_envinfo info;
	return mdb_env_info(env, &info) == 0 ? info.me_last_txnid : 0;
}

static int copy_pages(struct handle *handle)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		size_t before = committed(handle->original);
		if (ftruncate(handle->fd, 0) != 0 || lseek(handle->fd, 0, SEEK_SET) != 0)
			return errno;
		int status = mdb_env_copyfd(handle->original, handle->fd);
		if (status != 0 || committed(handle->original) == before)
			return status;
		usleep(PAUSE_US);
	}
	return EBUSY;
}

static int open_copy(struct handle *handle)
{
	char path[64];
	MDB_envinfo info;
	MDB_stat pages;
	struct stat st;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle->fd);
	int status = open_environment(path, MDB_NOSUBDIR, &handle->copy);
	if (status != 0)
		return status;
	/* Cut short, it would end us with SIGBUS. */
	if (mdb_env_info(handle->copy, &info) != 0 || mdb_env_stat(handle->copy, &pages) != 0 ||
		fstat(handle->fd, &st) != 0 || ((size_t)info.me_last_pgno + 1) * pages.ms_psize > (size_t)st.st_size)
		return MDB_CORRUPTED;
	return 0;
}

static struct str text(const MDB_val *value)
{
	return str_from(value->mv_data, value->mv_size);
}

static int read_pairs(struct database_rows *rows, struct handle *handle)
{
	MDB_cursor *cursor = NULL;
	MDB_dbi dbi;
	MDB_val key, value;
	int status = mdb_txn_begin(handle->copy, NULL, MDB_RDONLY, &handle->transaction);
	if (status == 0)
		status = mdb_dbi_open(handle->transaction, NULL, 0, &dbi);
	if (status == 0)
		status = mdb_cursor_open(handle->transaction, dbi, &cursor);
	if (status != 0)
		return status;
	/* The cursor's memory is lost if the arena's is exhausted here; the process then has other troubles. */
	while ((status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
		if (!database_add(rows, text(&key), text(&value)))
			break;
	mdb_cursor_close(cursor);
	return status == MDB_NOTFOUND ? 0 : status;
}

void database_read_lmdb(struct database_rows *rows)
{
	struct handle *handle = ARENA_NEW(rows->arena, struct handle);
	handle->fd = memfd_create("lmdb", MFD_CLOEXEC);
	arena_on_reset(rows->arena, release, handle);
	int status = handle->fd < 0 ? errno : open_original(rows, handle);
	if (status == 0)
		status = copy_pages(handle);
	if (status == 0)
		status = open_copy(handle);
	if (status == 0)
		status = read_pairs(rows, handle);
	if (status != 0)
		database_fail(rows, "%s%s", mdb_strerror(status),
			status == EACCES   ? " (it is read as UserID)"
			: status == ENOENT ? " (a directory must have data.mdb in it)"
					   : "");
	release(handle);
}
