#include "milter/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"

int settings_read(const struct invocation *invocation, bool tell_warnings, struct settings *ret_settings)
{
	*ret_settings = (struct settings){.arena = arena_new(0)};
	if (ret_settings->arena == NULL) {
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	struct diag diag = diag_in(ret_settings->arena);
	enum err err =
		config_read(ret_settings->arena, invocation->paths, invocation->n_paths, &diag, &ret_settings->config);
	if (err != ERR_OK || tell_warnings)
		diag_log(&diag);
	if (err != ERR_OK) {
		if (diag.n_errors == 0)
			log_error("cannot read the configuration: %s", err_text(err));
		return err_exit_status(err);
	}
	ret_settings->milter = config_milter(ret_settings->config);
	return 0;
}

void settings_release(struct settings *settings)
{
	arena_free(settings->arena);
	*settings = (struct settings){0};
}

/* Under systemd standard error may be the journal already; then syslog would say everything twice. */
static bool stderr_is_journal(void)
{
	struct stat there;
	unsigned long device, inode;
	const char *stream = getenv("JOURNAL_STREAM");
	return stream != NULL && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &there) == 0 &&
	       there.st_dev == device && there.st_ino == inode;
}

void settings_log(const struct settings *settings, bool foreground)
{
	const struct milter_options *options = settings->milter;
	char name[32];
	snprintf(name, sizeof(name), "%.*s", STR_ARG(options->syslog_facility));
	int facility = log_facility(name);
	bool use_stderr = foreground && !(options->use_syslog && stderr_is_journal());
	log_open("trimilter", options->use_syslog, facility >= 0 ? facility : LOG_MAIL, use_stderr,
		options->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

void settings_leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
}

int settings_load(const struct settings *settings, struct runtime **ret_runtime)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL) {
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	struct diag diag = diag_in(arena);
	enum err err = config_load(settings->config, &diag, ret_runtime);
	diag_log(&diag);
	if (err != ERR_OK && diag.n_errors == 0)
		log_error("cannot put the configuration in force: %s", err_text(err));
	arena_free(arena);
	return err_exit_status(err);
}
