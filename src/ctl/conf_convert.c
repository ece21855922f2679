/*
 * trimilterctl conf convert: from what ran before to one trimilter.conf.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "convert/convert.h"
#include "ctl/command_line.h"
#include "ctl/files.h"
#include "ctl/verbs.h"

#define FILES_MAX 64

static const char usage[] =
	"Usage: trimilterctl conf convert [-o DIRECTORY] [--force] [[--from KIND] FILE...]...\n"
	"Make one trimilter.conf, and tables where they are needed, of what ran before.\n\n"
	"  -o, --output DIRECTORY  where trimilter.conf goes, and its tables in trimilter/ below; they stay there, "
	"since\n"
	"                          it names their paths (default: here)\n"
	"      --from KIND         what the FILEs behind it are, where their form does not tell: opendkim, opendmarc,\n"
	"                          policyd-spf, dkim-filter (also a command line), amavisd, rspamd "
	"(dkim_signing.conf),\n"
	"                          default (as /etc/default/opendkim)\n"
	"      --force             replace files that are there\n\n"
	"Tables and keys that the files name stay where they are. What was not converted stands in trimilter.conf, "
	"and\n"
	"what of it is needed on standard error too: the exit status is then 65.\n";

enum { OPTION_FROM = CTL_OPTION_OWN, OPTION_FORCE };

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'},
	{"from", required_argument, NULL, OPTION_FROM},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct request {
	struct ctl ctl;
	const char *directory;
	bool force;
	struct convert_file files[FILES_MAX];
	size_t n_files;
};

static void print(const struct diag_entry *entry, bool as_error)
{
	fprintf(stderr, "trimilterctl: %s: %.*s\n", as_error ? "error" : "warning", STR_ARG(entry->text));
}

/* With its full path, since tables are named by it. */
static struct str full_path(struct arena *arena, const char *directory)
{
	char here[PATH_MAX];
	struct str path = str_of(directory);
	if (realpath(directory, here) != NULL)
		return arena_dup(arena, str_of(here));
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	if (path.p[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return path;
	return arena_printf(arena, "%s/%.*s", here, STR_ARG(path));
}

static void add_file(const struct request *request, struct files *files, const char *path, struct str text, mode_t mode)
{
	const struct file_rights rights = {(uid_t)-1, (gid_t)-1, mode};
	if (request->force)
		files_overwrite(files, path, text, &rights);
	else
		files_create(files, path, text, &rights);
}

/* NULL: it has been said why not. Else the path of trimilter.conf. */
static const char *write_all(struct request *request, const struct conversion *conversion)
{
	struct arena *arena = request->ctl.arena;
	struct str directory = full_path(arena, request->directory);
	struct str beside = arena_printf(arena, "%.*s/trimilter", STR_ARG(directory));
	struct files *files = files_new(arena, "conf convert");
	const struct file_rights rights = {(uid_t)-1, (gid_t)-1, 0755};
	size_t n_tables;
	const struct convert_table *tables = conversion_tables(conversion, &n_tables);
	struct buf out = buf_in(arena);
	conversion_write(conversion, beside, &out);
	files_make_directory(files, arena_dup(arena, directory).p, &rights);
	for (size_t i = 0; i < n_tables; i++) {
		if (tables[i].text.n == 0)
			continue;
		files_make_directory(files, beside.p, &rights);
		add_file(request, files, arena_printf(arena, "%.*s/%s", STR_ARG(beside), tables[i].name).p,
			tables[i].text, 0644);
	}
	const char *path = arena_printf(arena, "%.*s/trimilter.conf", STR_ARG(directory)).p;
	add_file(request, files, path, buf_str(&out), conversion_is_secret(conversion) ? 0640 : 0644);
	if (!files_apply(files))
		return NULL;
	files_finish(files);
	return path;
}

/* A key that this user may not read may well be one that the daemon may. */
static bool is_about_rights(struct str text)
{
	static const char unreadable[] = " cannot be read by user ";
	return memmem(text.p, text.n, unreadable, sizeof(unreadable) - 1) != NULL;
}

/* As the daemon would read it. The number of errors. */
static size_t check(struct request *request, const char *path)
{
	struct diag diag = diag_in(request->ctl.arena);
	const struct config *config;
	size_t errors = 0;
	if (config_read(request->ctl.arena, &path, 1, &diag, &config) == ERR_OK)
		config_load(config, &diag, &request->ctl.runtime);
	for (size_t i = 0; i < diag.n; i++) {
		bool is_error = diag.entries[i].severity == DIAG_ERROR && !is_about_rights(diag.entries[i].text);
		print(&diag.entries[i], is_error);
		errors += is_error ? 1 : 0;
	}
	return errors;
}

static int convert(struct request *request)
{
	struct diag diag = diag_in(request->ctl.arena);
	const struct conversion *conversion =
		conversion_read(request->ctl.arena, request->files, request->n_files, &diag);
	const char *path = conversion != NULL ? write_all(request, conversion) : NULL;
	for (size_t i = 0; i < diag.n && (conversion == NULL || path != NULL); i++)
		if (diag.entries[i].severity == DIAG_ERROR)
			print(&diag.entries[i], true);
	if (path == NULL)
		return conversion == NULL ? EX_NOINPUT : EX_CANTCREAT;
	size_t not_converted = diag.n_errors, errors = check(request, path);
	printf("%s is written.", path);
	if (diag.n > not_converted)
		printf(" %zu thing%s not converted, or otherwise than it was: its comments tell.",
			diag.n - not_converted, diag.n - not_converted == 1 ? " is" : "s are");
	printf("\nNext: trimilterctl conf check -c %s && trimilterctl testkey -c %s\n", path, path);
	if (not_converted + errors > 0)
		fprintf(stderr,
			"trimilterctl: %zu thing%s that mail needs could not be converted: see to the errors above\n",
			not_converted + errors, not_converted + errors == 1 ? "" : "s");
	return not_converted + errors > 0 ? EX_DATAERR : EX_OK;
}

/* An exit status; -1: go on. */
static int read_arguments(struct request *request, int argc, char **argv)
{
	enum convert_kind kind = CONVERT_EVIDENT;
	/* "-": files come in their order, since --from holds for those behind it. */
	for (int option; (option = getopt_long(argc, argv, "-o:h", options, NULL)) != -1;) {
		if (option == 'h')
			return fputs(usage, stdout), EX_OK;
		if (option == 'o' && optarg[0] != '\0')
			request->directory = optarg;
		else if (option == OPTION_FORCE)
			request->force = true;
		else if (option == 1 && request->n_files < FILES_MAX)
			request->files[request->n_files++] = (struct convert_file){optarg, kind};
		else if (option == OPTION_FROM && convert_kind_parse(str_of(optarg), &kind))
			continue;
		else if (option == OPTION_FROM)
			return ctl_usage_error("conf convert",
				"--from: \"%s\" is none of opendkim, opendmarc, "
				"policyd-spf, dkim-filter, amavisd, rspamd and default",
				optarg);
		else
			return ctl_usage_error("conf convert", "unknown or incomplete option, or too many files");
	}
	for (; optind < argc && request->n_files < FILES_MAX; optind++)
		request->files[request->n_files++] = (struct convert_file){argv[optind], kind};
	return request->n_files > 0 ? -1 : ctl_usage_error("conf convert", "which FILEs?");
}

int ctl_conf_convert(int argc, char **argv)
{
	struct request request = {.directory = "."};
	ctl_init(&request.ctl);
	int status = read_arguments(&request, argc, argv);
	return ctl_close(&request.ctl, status >= 0 ? status : convert(&request));
}
