/*
 * trimilter: what the command line asks for, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "dns/dns.h"
#include "milter/children.h"
#include "milter/courier.h"
#include "milter/master.h"
#include "milter/recording.h"
#include "base/rights.h"
#include "milter/settings.h"
#include "milter/worker.h"

#define DEFAULT_CONFIG "/etc/trimilter.conf"

static const char usage_text[] = "usage: trimilter [-f] [-n] [-c FILE]...\n"
				 "Sign and verify mail (DKIM, SPF, DMARC) for Postfix or Sendmail.\n"
				 "\n"
				 "  -c FILE  read FILE (default " DEFAULT_CONFIG "); several are merged\n"
				 "  -f       stay in the foreground\n"
				 "  -n       check the configuration, every key and table, and exit\n"
				 "  -V       show the version and exit\n"
				 "  -h       show this and exit\n";

struct command {
	struct invocation invocation;
	char **paths;
	size_t n_paths;
	bool check;
	enum child_role role; /* CHILD_ROLES: none */
};

/* ---- command line ---- */

/*
 * A reload may come after we have left the directory. Links are kept as they are: they may lead elsewhere by then.
 * NULL: out of memory.
 */
static char *absolute(const char *path)
{
	char directory[PATH_MAX];
	char *joined = NULL;
	if (path[0] == '/' || getcwd(directory, sizeof(directory)) == NULL)
		return strdup(path);
	return asprintf(&joined, "%s/%s", directory, path) < 0 ? NULL : joined;
}

static bool add_path(struct command *command, const char *path)
{
	char *kept = absolute(path);
	if (kept != NULL)
		command->paths[command->n_paths++] = kept;
	return kept != NULL;
}

static int usage(int status)
{
	fputs(usage_text, status == 0 ? stdout : stderr);
	return status;
}

/* -1: go on; else the exit status. */
static int parse_command(int argc, char **argv, struct command *command)
{
	int option;
	*command = (struct command){.role = CHILD_ROLES};
	command->paths = calloc((size_t)argc + 1, sizeof(*command->paths));
	if (command->paths == NULL)
		return EX_SOFTWARE;
	while ((option = getopt(argc, argv, "c:fnVhW:")) != -1) {
		switch (option) {
		case 'c':
			if (!add_path(command, optarg))
				return EX_SOFTWARE;
			break;
		case 'f':
			command->invocation.foreground = true;
			break;
		case 'n':
			command->check = true;
			break;
		case 'V':
			puts("trimilter " TRIMILTER_VERSION);
			return 0;
		case 'h':
			return usage(0);
		case 'W':
			command->role = child_role_parse(optarg);
			if (command->role == CHILD_ROLES)
				return usage(EX_USAGE);
			break;
		default:
			return usage(EX_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "trimilter: \"%s\" is not understood\n", argv[optind]);
		return usage(EX_USAGE);
	}
	if (command->n_paths == 0 && !add_path(command, DEFAULT_CONFIG))
		return EX_SOFTWARE;
	command->invocation.paths = (const char *const *)command->paths;
	command->invocation.n_paths = command->n_paths;
	return -1;
}

/* ---- what it does ---- */

/* -n: everything that a start would look at, with the rights that it would look with. */
static int check(const struct invocation *invocation)
{
	struct settings settings;
	struct runtime *runtime = NULL;
	struct rights rights;
	struct dns *dns = NULL;
	char error[DNS_ERROR_SIZE];
	int status = settings_read(invocation, true, &settings);
	if (status == 0 && (!rights_find(settings.milter->user, &rights) || !rights_drop(&rights)))
		status = EX_CONFIG;
	if (status == 0 && dns_new(config_dns(settings.config), &dns, error) != ERR_OK) {
		log_error("DNS: %s", error);
		status = EX_CONFIG;
	}
	if (status == 0)
		status = settings_load(&settings, &runtime);
	if (status == 0)
		recording_check(&runtime->report, rights.change);
	runtime_unref(runtime);
	dns_free(dns);
	settings_release(&settings);
	return status;
}

/*
 * Go into the background. In the parent it does not return: the parent waits until the service is ready, so that who
 * started it knows. In the child: where to say so.
 */
static int go_to_background(void)
{
	int ready[2];
	char status = EX_SOFTWARE;
	if (pipe2(ready, O_CLOEXEC) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0) {
		close(ready[0]);
		close(ready[1]);
		return -1;
	}
	if (pid == 0) {
		close(ready[0]);
		setsid();
		if (chdir("/") != 0)
			log_warning("chdir /: %s", strerror(errno));
		return ready[1];
	}
	close(ready[1]);
	/* The end of the stream without a word: it died. */
	while (read(ready[0], &status, 1) < 0 && errno == EINTR)
		;
	_exit(status);
}

static int run_master(const struct invocation *given, const char *argv0)
{
	struct settings settings;
	struct invocation invocation = *given;
	int ready_fd = -1;
	/* The worker reads the same and tells the warnings. */
	int status = settings_read(&invocation, false, &settings);
	if (status == 0)
		invocation.foreground |= !settings.milter->background;
	if (status == 0 && !invocation.foreground) {
		ready_fd = go_to_background();
		if (ready_fd < 0) {
			log_error("cannot go into the background: %s", strerror(errno));
			status = EX_OSERR;
		}
	}
	if (status == 0) {
		settings_log(&settings, true);
		status = master_run(&invocation, &settings, argv0, ready_fd);
	}
	settings_release(&settings);
	return status;
}

static int run(const struct command *command, const char *argv0)
{
	/* Until the configuration says otherwise, what goes wrong is said in both places. */
	log_open("trimilter", !command->check, LOG_MAIL, true, LOG_LEVEL_INFO);
	if (command->check)
		return check(&command->invocation);
	switch (command->role) {
	case CHILD_WORKER:
		return worker_run(&command->invocation);
	case CHILD_COURIER:
		return courier_run(&command->invocation);
	case CHILD_ROLES:
		break;
	}
	return run_master(&command->invocation, argv0);
}

int main(int argc, char **argv)
{
	struct command command;
	int status = parse_command(argc, argv, &command);
	if (status < 0)
		status = run(&command, argv[0]);
	for (size_t i = 0; i < command.n_paths; i++)
		free(command.paths[i]);
	free(command.paths);
	return status;
}
