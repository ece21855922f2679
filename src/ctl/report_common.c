#include "ctl/report_common.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/domain.h"
#include "base/rights.h"
#include "config/config.h"

/* ---- the command line ---- */

static int take_own(void *context, int option, const char *argument)
{
	struct ctl_report *report = context;
	return report->take != NULL ? report->take(report, option, argument) : CTL_UNKNOWN_OPTION;
}

static int take_domain(struct ctl_report *report, int n_words, char **words)
{
	if (n_words > 1)
		return ctl_usage_error(report->verb, "\"%s\": one DOMAIN at a time", words[1]);
	if (n_words == 0)
		return report->needs_domain ? ctl_usage_error(report->verb, "a DOMAIN is needed") : EX_OK;
	if (!domain_normalize(report->ctl.arena, str_of(words[0]), &report->domain) ||
		!domain_is_askable(report->domain))
		return ctl_usage_error(report->verb, "\"%s\" is not a domain", words[0]);
	return EX_OK;
}

uint64_t ctl_report_number(const struct ctl_report *report, const char *option, const char *argument)
{
	uint64_t number = 0;
	if (!str_to_u64(str_of(argument), INT32_MAX, &number) || number == 0)
		ctl_usage_error(report->verb, "%s: \"%s\" is not a number from 1 on", option, argument);
	return number;
}

/* ---- the store, and who may open it ---- */

static int become_user(const struct ctl_report *report)
{
	struct rights rights;
	struct str user = config_milter(report->config)->user;
	if (geteuid() != 0 || user.n == 0)
		return EX_OK;
	return rights_find(user, &rights) && rights_drop(&rights) ? EX_OK : EX_CONFIG;
}

static const char *user_name(struct arena *arena, uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);
	return entry != NULL ? arena_printf(arena, "%s", entry->pw_name).p : arena_printf(arena, "%u", (unsigned)uid).p;
}

static int refuse(const struct ctl_report *report, int status, struct str text)
{
	fprintf(stderr, "trimilterctl %s: %.*s\n", report->verb, STR_ARG(text));
	return status;
}

/* What a person can do about a file that cannot be opened; SQLite would say "unable to open database file". */
static int look_at_file(struct ctl_report *report, struct str file)
{
	struct stat there;
	struct arena *arena = report->ctl.arena;
	const char *path = arena_printf(arena, "%.*s", STR_ARG(file)).p;
	const char *me = user_name(arena, geteuid());
	if (stat(path, &there) != 0 && errno == ENOENT)
		return report->may_create ? EX_OK
					  : refuse(report, EX_NOINPUT,
						    arena_printf(arena,
							    "there is no store yet at %s: trimilter makes it within a "
							    "minute of its start; "
							    "does it run with this configuration (-c FILE)?",
							    path));
	if (errno == EACCES)
		return refuse(report, EX_NOPERM,
			arena_printf(arena,
				"%s: user %s may not look into its directory; run this as root, or as the UserID of "
				"trimilter",
				path, me));
	if (access(path, R_OK | W_OK) == 0)
		return EX_OK;
	return refuse(report, EX_NOPERM,
		arena_printf(arena, "%s belongs to user %s, and user %s may not write it; %s", path,
			user_name(arena, there.st_uid), me,
			there.st_uid == 0 ? "give it to the UserID of trimilter with chown"
					  : "run this as root, or as that user"));
}

static int open_store(struct ctl_report *report)
{
	char error[STORE_ERROR_SIZE];
	struct str url = report->report->store, file = store_file(report->ctl.arena, url);
	int status = file.n > 0 ? look_at_file(report, file) : EX_OK;
	if (status != EX_OK)
		return status;
	if (store_open(url, &report->store, error) == ERR_OK)
		return EX_OK;
	return refuse(report, EX_TEMPFAIL, arena_printf(report->ctl.arena, "ReportStore: %s", error));
}

int ctl_report_failed(const struct ctl_report *report)
{
	return refuse(report, EX_TEMPFAIL, str_of(store_error(report->store)));
}

/* ---- a verb ---- */

int ctl_report_run(struct ctl_report *report, int argc, char **argv, int (*run)(struct ctl_report *report))
{
	const struct ctl_command command = {report->verb, report->usage, "c:h", report->options, take_own};
	ctl_init(&report->ctl);
	int status = ctl_options(&report->ctl, &command, argc, argv, report);
	if (status != CTL_GO_ON)
		return ctl_close(&report->ctl, status);
	status = take_domain(report, argc - optind, argv + optind);
	if (status == EX_OK)
		status = ctl_read_configuration(&report->ctl, &report->config);
	if (status == EX_OK) {
		report->report = config_report(report->config);
		status = become_user(report);
	}
	if (status == EX_OK)
		status = open_store(report);
	if (status == EX_OK)
		status = run(report);
	store_close(report->store);
	return ctl_close(&report->ctl, status);
}

/* ---- how things are shown ---- */

struct str ctl_report_time(struct arena *arena, int64_t time)
{
	char text[64];
	struct tm tm;
	time_t seconds = (time_t)time;
	if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return arena_printf(arena, "%" PRId64, time);
	return arena_printf(arena, "%s", text);
}

void ctl_report_json_time(struct json *json, const char *key, int64_t time)
{
	if (time > 0)
		json_int(json, key, time);
	else
		json_cstr(json, key, NULL);
}

const char *ctl_report_state(const struct store_delivery *delivery)
{
	switch (delivery->state) {
	case STORE_PENDING:
		return "pending";
	case STORE_SENT:
		return "sent";
	case STORE_REFUSED:
		return "refused";
	case STORE_EXPIRED:
		return "expired";
	}
	return "unknown";
}
