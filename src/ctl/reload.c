/*
 * trimilterctl reload: the daemon reads its configuration again, once that is known to be good.
 */
#include <stdio.h>
#include <sysexits.h>

#include "config/config.h"
#include "ctl/command_line.h"
#include "ctl/daemon.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl reload -c FILE [--json]\n"
	"Check the configuration, ask the daemon that PidFile names to reload, and wait until it has.\n\n"
	"  -c FILE  the daemon's configuration; may be repeated\n"
	"  --json   one JSON object instead of text\n";

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

#define TIMEOUT_MS 10000

static int check(struct ctl *ctl, struct str *ret_pid_file)
{
	struct diag diag = diag_in(ctl->arena);
	const struct config *config = NULL;
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config);
	if (err == ERR_OK) {
		*ret_pid_file = config_milter(config)->pid_file;
		err = config_load(config, &diag, &ctl->runtime);
	}
	ctl_print_diag(&diag);
	if (err != ERR_OK)
		fputs("trimilterctl reload: the configuration has errors: the daemon was not told, and goes on with "
		      "the old one\n",
			stderr);
	return err_exit_status(err);
}

static int reload(struct ctl *ctl)
{
	struct str pid_file = STR("");
	int status = check(ctl, &pid_file);
	if (status != EX_OK)
		return status;
	if (pid_file.n == 0) {
		fputs("trimilterctl reload: the configuration sets no PidFile. Where systemd runs the daemon: "
		      "systemctl "
		      "reload trimilter\n",
			stderr);
		return EX_CONFIG;
	}
	enum daemon_reload outcome = daemon_reload("reload", pid_file, TIMEOUT_MS);
	if (outcome == DAEMON_NOT_RUNNING)
		return EX_UNAVAILABLE;
	struct buf out = buf_in(ctl->arena);
	struct json json = json_to(&out);
	if (ctl->json) {
		json_object_begin(&json, NULL);
		json_bool(&json, "reloaded", outcome == DAEMON_RELOADED);
		json_object_end(&json);
	} else if (outcome == DAEMON_RELOADED) {
		buf_add_cstr(&out, "reloaded: the new configuration is in force");
	} else {
		buf_printf(&out, "asked to reload, but not done in %d seconds: its log tells why", TIMEOUT_MS / 1000);
	}
	ctl_print(&out);
	return outcome == DAEMON_RELOADED ? EX_OK : EX_UNAVAILABLE;
}

static const struct ctl_command command = {"reload", usage, "c:h", options, NULL};

int ctl_reload(int argc, char **argv)
{
	struct ctl ctl;
	ctl_init(&ctl);
	int status = ctl_options(&ctl, &command, argc, argv, NULL);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	if (optind != argc || ctl.n_config_paths == 0)
		return ctl_close(&ctl, ctl_usage_error("reload", "-c FILE is needed, and nothing else"));
	return ctl_close(&ctl, reload(&ctl));
}
