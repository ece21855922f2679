#include "base/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

static bool find_user(const char *name, struct rights *rights)
{
	uint64_t number;
	const struct passwd *entry = getpwnam(name);
	if (entry == NULL && str_to_u64(str_of(name), UINT32_MAX - 1, &number))
		entry = getpwuid((uid_t)number);
	if (entry == NULL) {
		log_error("UserID: there is no user \"%s\"", name);
		return false;
	}
	rights->uid = entry->pw_uid;
	rights->gid = entry->pw_gid;
	snprintf(rights->user, sizeof(rights->user), "%s", entry->pw_name);
	return true;
}

static bool find_group(const char *name, struct rights *rights)
{
	uint64_t number;
	const struct group *entry = getgrnam(name);
	if (entry == NULL && str_to_u64(str_of(name), UINT32_MAX - 1, &number))
		entry = getgrgid((gid_t)number);
	if (entry == NULL) {
		log_error("UserID: there is no group \"%s\"", name);
		return false;
	}
	rights->gid = entry->gr_gid;
	return true;
}

bool rights_find(struct str user_id, struct rights *ret_rights)
{
	char text[128];
	struct str rest = user_id, user, group = STR("");
	*ret_rights = (struct rights){0};
	if (user_id.n == 0) {
		if (geteuid() == 0)
			log_warning("runs as root: set UserID to a user of its own");
		return true;
	}
	str_cut(&rest, ':', &user);
	if (rest.p != NULL)
		group = rest;
	snprintf(text, sizeof(text), "%.*s", STR_ARG(user));
	if (!find_user(text, ret_rights))
		return false;
	snprintf(text, sizeof(text), "%.*s", STR_ARG(group));
	if (group.n > 0 && !find_group(text, ret_rights))
		return false;
	if (geteuid() == 0) {
		ret_rights->change = ret_rights->uid != 0;
		return true;
	}
	if (ret_rights->uid != geteuid())
		log_warning("UserID %.*s has no effect: not started as root", STR_ARG(user_id));
	return true;
}

static bool refused(const char *call)
{
	log_error("cannot change to UserID: %s: %s", call, strerror(errno));
	return false;
}

bool rights_borrow(const struct rights *rights)
{
	if (!rights->change)
		return true;
	if (initgroups(rights->user, rights->gid) != 0)
		return refused("initgroups");
	if (setegid(rights->gid) != 0)
		return refused("setegid");
	if (seteuid(rights->uid) != 0)
		return refused("seteuid");
	return true;
}

bool rights_return(const struct rights *rights)
{
	if (!rights->change)
		return true;
	if (seteuid(0) != 0)
		return refused("seteuid");
	if (setegid(0) != 0)
		return refused("setegid");
	return true;
}

bool rights_drop(const struct rights *rights)
{
	if (!rights->change)
		return true;
	if (initgroups(rights->user, rights->gid) != 0)
		return refused("initgroups");
	if (setgid(rights->gid) != 0)
		return refused("setgid");
	if (setuid(rights->uid) != 0)
		return refused("setuid");
	if (setuid(0) == 0) {
		log_error("cannot change to UserID: root's rights came back");
		return false;
	}
	return true;
}
