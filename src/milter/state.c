#include "milter/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void make(const char *path, const struct rights *rights)
{
	if (mkdir(path, 0700) != 0)
		return;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, rights->uid, rights->gid) != 0)
		log_warning("cannot give %s to UserID: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* False: it has none above it, or is too long for a path. */
static bool find_parent(struct str path, char ret_parent[PATH_MAX])
{
	ptrdiff_t slash = str_rindex(path, '/');
	if (slash <= 0 || (size_t)slash >= PATH_MAX)
		return false;
	snprintf(ret_parent, PATH_MAX, "%.*s", (int)slash, path.p);
	return true;
}

void state_make(const struct report_options *options, const struct rights *rights)
{
	char path[PATH_MAX];
	struct str sqlite = STR("sqlite:");
	if (!rights->change || !report_wanted(options))
		return;
	if (find_parent(options->spool, path))
		make(path, rights);
	if (options->spool.n > 0 && options->spool.n < sizeof(path)) {
		snprintf(path, sizeof(path), "%.*s", STR_ARG(options->spool));
		make(path, rights);
	}
	if (str_istarts(options->store, sqlite) && find_parent(str_skip(options->store, sqlite.n), path))
		make(path, rights);
}
