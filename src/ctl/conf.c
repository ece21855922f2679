/*
 * trimilterctl conf: what the configuration says, whether it is right, and what there is to say.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "auth/runtime.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/generate.h"
#include "ctl/command_line.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl conf show [-c FILE]... [--json]\n"
	"       trimilterctl conf check [-c FILE]...\n"
	"       trimilterctl conf convert [-o DIRECTORY] FILE...\n"
	"       trimilterctl conf sample\n"
	"       trimilterctl conf man\n"
	"       trimilterctl conf migration\n\n"
	"  show     every option, its value in force, and where it was set\n"
	"  check    read configuration, tables and keys as the daemon would, and say what is wrong\n"
	"  convert  from what ran before to one configuration; \"conf convert --help\" tells more\n"
	"  sample   a sample configuration: every option with its default and what it is for\n"
	"  man      trimilter.conf(5)\n"
	"  migration  what becomes of each option of OpenDKIM and OpenDMARC\n\n"
	"  -c FILE  read this configuration; may be repeated\n"
	"  --json   one JSON object instead of text\n";

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct show {
	struct buf *out;
	struct json json;
	bool as_json;
};

static bool show_option(void *context, const char *option, struct str value, struct diag_place place)
{
	struct show *show = context;
	if (show->as_json) {
		json_object_begin(&show->json, option);
		json_str(&show->json, "value", value);
		json_cstr(&show->json, "file", place.file);
		if (place.file != NULL && place.line != 0)
			json_int(&show->json, "line", place.line);
		else
			json_cstr(&show->json, "line", NULL);
		json_object_end(&show->json);
		return true;
	}
	buf_printf(show->out, "%-28s %-36.*s ", option, STR_ARG(value));
	if (place.file != NULL && place.line == 0)
		buf_printf(show->out, "%s\n", place.file);
	else if (place.file != NULL)
		buf_printf(show->out, "%s:%u\n", place.file, place.line);
	else
		buf_add_cstr(show->out, "default\n");
	return true;
}

static int conf_show(struct ctl *ctl)
{
	struct diag diag = diag_in(ctl->arena);
	struct buf out = buf_in(ctl->arena);
	const struct config *config;
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config);
	ctl_print_diag(&diag);
	if (err != ERR_OK)
		return err_exit_status(err);
	struct show show = {&out, json_to(&out), ctl->json};
	if (ctl->json)
		json_object_begin(&show.json, NULL);
	config_each(config, show_option, &show);
	if (ctl->json)
		json_object_end(&show.json);
	else if (out.n > 0)
		out.n--;
	ctl_print(&out);
	return EX_OK;
}

static int conf_check(struct ctl *ctl)
{
	struct diag diag = diag_in(ctl->arena);
	const struct config *config;
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config);
	if (err == ERR_OK)
		err = config_load(config, &diag, &ctl->runtime);
	ctl_print_diag(&diag);
	if (err == ERR_OK)
		printf("configuration is good (%zu warning%s)\n", diag.n, diag.n == 1 ? "" : "s");
	else
		fprintf(stderr, "trimilterctl: %zu error%s: the daemon would not start\n", diag.n_errors,
			diag.n_errors == 1 ? "" : "s");
	return err_exit_status(err);
}

static int print_text(struct ctl *ctl, void (*write)(struct buf *out))
{
	struct buf out = buf_in(ctl->arena);
	write(&out);
	fwrite(out.p, 1, out.n, stdout);
	return EX_OK;
}

static const struct ctl_command command = {"conf", usage, "c:h", options, NULL};

int ctl_conf(int argc, char **argv)
{
	struct ctl ctl;
	if (argc > 1 && strcmp(argv[1], "convert") == 0)
		return ctl_conf_convert(argc - 1, argv + 1);
	ctl_init(&ctl);
	int status = ctl_options(&ctl, &command, argc, argv, NULL);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	const char *what = optind < argc ? argv[optind] : "";
	if (optind + 1 != argc)
		return ctl_close(&ctl,
			ctl_usage_error("conf", "one of show, check, convert, sample, man and migration is needed"));
	if (strcmp(what, "show") == 0)
		return ctl_close(&ctl, conf_show(&ctl));
	if (strcmp(what, "check") == 0)
		return ctl_close(&ctl, conf_check(&ctl));
	if (strcmp(what, "sample") == 0)
		return ctl_close(&ctl, print_text(&ctl, config_write_sample));
	if (strcmp(what, "man") == 0)
		return ctl_close(&ctl, print_text(&ctl, config_write_man));
	if (strcmp(what, "migration") == 0)
		return ctl_close(&ctl, print_text(&ctl, config_write_migration));
	return ctl_close(&ctl,
		ctl_usage_error("conf", "\"%s\" is none of show, check, convert, sample, man and migration", what));
}
