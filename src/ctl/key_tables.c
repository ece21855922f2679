#include "ctl/key_tables.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/domain.h"
#include "config/config.h"
#include "ctl/new_key.h"

#define SUFFIXES_MAX 100

/* ---- the options ---- */

struct wanted {
	const char *option;
	struct str value;
};

enum { WANTED_KEYS, WANTED_AUTHORS, WANTED_USER, WANTED_BASE, WANTED_PID, WANTED_MULTIPLE, N_WANTED };

static bool take_value(void *context, const char *option, struct str value, struct diag_place place)
{
	struct wanted *wanted = context;
	(void)place;
	for (size_t i = 0; i < N_WANTED; i++)
		if (strcmp(option, wanted[i].option) == 0)
			wanted[i].value = value;
	return true;
}

/* Empty: it is no file. */
static struct str path_in(struct str spec)
{
	static const struct str prefixes[] = {STR_INIT("file:"), STR_INIT("refile:")};
	for (size_t i = 0; i < 2; i++)
		if (str_starts(spec, prefixes[i]))
			return str_skip(spec, prefixes[i].n);
	return str_starts(spec, STR("/")) ? spec : STR("");
}

/* The path of a table that is a file; NULL: said why it cannot be changed here. */
static const char *path_of(const struct key_tables *tables, const char *option, struct str spec)
{
	struct arena *arena = tables->ctl->arena;
	struct str path = path_in(spec);
	char resolved[PATH_MAX];
	if (spec.n == 0) {
		fprintf(stderr,
			"trimilterctl %s: the configuration sets no %s: set KeyTable and SigningTable to a file each "
			"(file:/etc/trimilter/keytable, file:/etc/trimilter/signingtable) and move Domain, Selector "
			"and "
			"KeyFile or KeyList there\n",
			tables->verb, option);
		return NULL;
	}
	if (path.n == 0) {
		fprintf(stderr,
			"trimilterctl %s: %s is %.*s: only file:, refile: and a bare path can be changed here. Make "
			"the "
			"key with 'trimilterctl genkey' and put the rows that it prints there by hand\n",
			tables->verb, option, STR_ARG(spec));
		return NULL;
	}
	const char *text = arena_dup(arena, path).p;
	return realpath(text, resolved) != NULL ? arena_dup(arena, str_of(resolved)).p : text;
}

static bool read_table(struct key_tables *tables, struct table_file *table, struct str spec)
{
	struct arena *arena = tables->ctl->arena;
	table->path = path_of(tables, table->option, spec);
	if (table->path == NULL)
		return false;
	table->rows.kind = str_starts(spec, STR("refile:")) ? DATASET_REFILE : DATASET_FILE;
	table->exists = dataset_read_file(arena, table->path, &table->text) == ERR_OK;
	if (!table->exists && errno != ENOENT) {
		fprintf(stderr, "trimilterctl %s: %s: cannot read %s: %s\n", tables->verb, table->option, table->path,
			strerror(errno));
		return false;
	}
	if (table->exists)
		dataset_parse_lines(arena, table->text, table->path, &table->rows);
	return true;
}

/* ---- the rows ---- */

static bool is_path(struct str s)
{
	return str_starts(s, STR("/")) || str_starts(s, STR("./")) || str_starts(s, STR("../"));
}

/* Rows that the daemon would refuse are passed over: loading the configuration will tell. */
static void add_row(struct key_tables *tables, const struct dataset_row *from)
{
	struct arena *arena = tables->ctl->arena;
	struct str rest = from->value, domain, selector;
	if (!str_cut(&rest, ':', &domain) || !str_cut(&rest, ':', &selector) || rest.p == NULL)
		return;
	struct key_row row = {
		.name = arena_dup_lower(arena, from->key), .selector = str_trim(selector), .line = from->place.line};
	if (!domain_normalize(arena, str_trim(domain), &row.domain))
		return;
	rest = str_trim(rest);
	if (!is_path(rest))
		row.text = rest;
	else if (str_starts(rest, STR("/")) || tables->base_directory.n == 0)
		row.path = arena_dup(arena, rest);
	else
		row.path = arena_printf(arena, "%.*s/%.*s", STR_ARG(tables->base_directory), STR_ARG(rest));
	tables->rows = arena_grow(arena, tables->rows, &tables->capacity, tables->n_rows + 1, sizeof(*tables->rows));
	tables->rows[tables->n_rows++] = row;
}

static void init_wanted(struct wanted wanted[N_WANTED])
{
	static const char *const names[N_WANTED] = {
		"KeyTable", "SigningTable", "UserID", "BaseDirectory", "PidFile", "MultipleSignatures"};
	for (size_t i = 0; i < N_WANTED; i++)
		wanted[i] = (struct wanted){names[i], STR("")};
}

bool key_tables_are_files(struct ctl *ctl)
{
	struct diag diag = diag_in(ctl->arena);
	const struct config *config = NULL;
	struct wanted wanted[N_WANTED];
	init_wanted(wanted);
	if (config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config) != ERR_OK)
		return false;
	config_each(config, take_value, wanted);
	return path_in(wanted[WANTED_KEYS].value).n > 0 && path_in(wanted[WANTED_AUTHORS].value).n > 0;
}

int key_tables_open(struct key_tables *tables, struct ctl *ctl, const char *verb)
{
	struct diag diag = diag_in(ctl->arena);
	const struct config *config = NULL;
	struct wanted wanted[N_WANTED];
	init_wanted(wanted);
	*tables = (struct key_tables){
		.ctl = ctl, .verb = verb, .keys.option = "KeyTable", .authors.option = "SigningTable"};
	if (ctl->n_config_paths == 0)
		return ctl_usage_error(verb, "-c FILE is needed, the daemon's configuration");
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, &config);
	if (err != ERR_OK) {
		ctl_print_diag(&diag);
		return err_exit_status(err);
	}
	tables->dns = *config_dns(config);
	config_each(config, take_value, wanted);
	tables->user = wanted[WANTED_USER].value;
	tables->base_directory = wanted[WANTED_BASE].value;
	tables->pid_file = wanted[WANTED_PID].value;
	tables->multiple_signatures = str_eq(wanted[WANTED_MULTIPLE].value, STR("yes"));
	if (!read_table(tables, &tables->keys, wanted[WANTED_KEYS].value) ||
		!read_table(tables, &tables->authors, wanted[WANTED_AUTHORS].value))
		return EX_CONFIG;
	for (size_t i = 0; i < tables->keys.rows.n; i++)
		add_row(tables, &tables->keys.rows.rows[i]);
	return EX_OK;
}

static struct str parent_of(struct str path)
{
	ptrdiff_t slash = str_rindex(path, '/');
	return slash > 0 ? str_head(path, (size_t)slash) : STR("/");
}

bool key_tables_lock(const struct key_tables *tables, struct files *files)
{
	return files_lock(files, arena_dup(tables->ctl->arena, parent_of(str_of(tables->keys.path))).p);
}

const struct key_row *key_tables_find(const struct key_tables *tables, struct str domain, struct str selector)
{
	for (size_t i = 0; i < tables->n_rows; i++)
		if (str_eq(tables->rows[i].domain, domain) &&
			(selector.n == 0 || str_ieq(tables->rows[i].selector, selector)))
			return &tables->rows[i];
	return NULL;
}

const struct key_row *key_tables_named(const struct key_tables *tables, struct str name)
{
	for (size_t i = 0; i < tables->n_rows; i++)
		if (str_ieq(tables->rows[i].name, name))
			return &tables->rows[i];
	return NULL;
}

bool signing_row_is_for(const struct dataset_row *row, struct str domain)
{
	struct str key = str_starts(row->key, STR("*@")) ? str_skip(row->key, 2) : row->key;
	return str_ieq(key, domain);
}

struct str signing_row_key(const struct dataset_row *row)
{
	struct str rest = row->value, name = STR("");
	str_cut(&rest, ':', &name);
	return str_trim(name);
}

/* ---- new keys ---- */

static bool is_fixed_file(const struct key_row *row)
{
	return row->path.n > 0 && str_index(row->path, '%') < 0;
}

bool key_tables_rights(const struct key_tables *tables, struct file_rights *ret_rights)
{
	struct stat st;
	/* Only root gives files away; anybody else is the daemon's user already. */
	if (!key_rights(geteuid() == 0 ? tables->user : STR(""), ret_rights)) {
		fprintf(stderr, "trimilterctl %s: UserID %.*s: there is no such user or group\n", tables->verb,
			STR_ARG(tables->user));
		return false;
	}
	for (size_t i = 0; geteuid() == 0 && i < tables->n_rows; i++) {
		if (!is_fixed_file(&tables->rows[i]) || stat(tables->rows[i].path.p, &st) != 0)
			continue;
		ret_rights->uid = st.st_uid;
		ret_rights->gid = st.st_gid;
		break;
	}
	return true;
}

/* Beside the keys there are: DIRECTORY/OTHER-DOMAIN/x.private has its own directory for each domain. */
static struct str directory_for(const struct key_tables *tables, struct str domain)
{
	struct arena *arena = tables->ctl->arena;
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (!is_fixed_file(row))
			continue;
		struct str directory = parent_of(row->path);
		struct str own = arena_printf(arena, "/%.*s", STR_ARG(row->domain));
		if (!str_ends(directory, own))
			return arena_dup(arena, directory);
		return arena_printf(arena, "%.*s/%.*s", STR_ARG(parent_of(directory)), STR_ARG(domain));
	}
	return arena_printf(arena, "%.*s/keys", STR_ARG(parent_of(str_of(tables->keys.path))));
}

const char *key_tables_place(const struct key_tables *tables, struct files *files, const char *directory,
	struct str domain, struct str selector, const struct file_rights *rights)
{
	struct arena *arena = tables->ctl->arena;
	char resolved[PATH_MAX];
	struct stat st;
	struct str where = directory != NULL ? str_of(directory) : directory_for(tables, domain);
	/* The daemon may start elsewhere. */
	if (realpath(where.p, resolved) != NULL)
		where = arena_dup(arena, str_of(resolved));
	if (!str_starts(where, STR("/"))) {
		fprintf(stderr, "trimilterctl %s: -D: %s: there is no such directory\n", tables->verb, where.p);
		return NULL;
	}
	struct file_rights for_directory = {rights->uid, rights->gid, 0700};
	if (stat(where.p, &st) != 0)
		files_make_directory(files, where.p, &for_directory);
	const char *in_own = arena_printf(arena, "/%.*s", STR_ARG(domain)).p;
	const char *path =
		str_ends(where, str_of(in_own))
			? arena_printf(arena, "%s/%.*s.private", where.p, STR_ARG(selector)).p
			: arena_printf(arena, "%s/%.*s.%.*s.private", where.p, STR_ARG(selector), STR_ARG(domain)).p;
	if (access(path, F_OK) != 0)
		return path;
	fprintf(stderr, "trimilterctl %s: %s is there already: choose another selector with -s\n", tables->verb, path);
	return NULL;
}

struct str key_tables_free_selector(const struct key_tables *tables, struct str domain, struct str wanted)
{
	struct str selector = wanted;
	for (int i = 2; i < SUFFIXES_MAX && key_tables_find(tables, domain, selector) != NULL; i++)
		selector = arena_printf(tables->ctl->arena, "%.*s-%d", STR_ARG(wanted), i);
	return selector;
}

/* ---- changing ---- */

struct str table_text_append(struct arena *arena, struct str text, struct str lines)
{
	struct buf out = buf_in(arena);
	buf_add(&out, text);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		buf_add_char(&out, '\n');
	buf_add(&out, lines);
	return buf_str(&out);
}

struct str table_text_change(struct arena *arena, struct str text, unsigned number, struct str line)
{
	struct buf out = buf_in(arena);
	unsigned i = 1;
	for (struct str rest = text, old; rest.n > 0 && str_cut(&rest, '\n', &old); i++) {
		if (i != number)
			buf_add(&out, old);
		else if (line.p != NULL)
			buf_add(&out, line);
		else
			continue;
		if (rest.p != NULL)
			buf_add_char(&out, '\n');
	}
	return buf_str(&out);
}

void table_file_change(struct files *files, const struct table_file *table, struct str text)
{
	static const struct file_rights rights = {(uid_t)-1, (gid_t)-1, 0644};
	if (table->exists)
		files_replace(files, table->path, table->text, text);
	else
		files_create(files, table->path, text, &rights);
}

static bool is_good(
	struct key_tables *tables, bool (*is_right)(void *context, const struct runtime *runtime), void *context)
{
	struct arena *arena = arena_new_within(tables->ctl->arena);
	struct diag diag = diag_in(tables->ctl->arena);
	const struct config *config;
	struct runtime *runtime = NULL;
	enum err err = config_read(arena, tables->ctl->config_paths, tables->ctl->n_config_paths, &diag, &config);
	if (err == ERR_OK)
		err = config_load(config, &diag, &runtime);
	if (err != ERR_OK)
		ctl_print_diag(&diag);
	bool good = err == ERR_OK && (is_right == NULL || is_right(context, runtime));
	runtime_unref(runtime);
	return good;
}

int key_tables_apply(struct key_tables *tables, struct files *files,
	bool (*is_right)(void *context, const struct runtime *runtime), void *context)
{
	if (!files_apply(files))
		return EX_IOERR;
	if (is_good(tables, is_right, context)) {
		files_finish(files);
		return EX_OK;
	}
	files_undo(files);
	fprintf(stderr,
		"trimilterctl %s: with this change the daemon would not do what it should: nothing was changed\n",
		tables->verb);
	return EX_CONFIG;
}

struct str key_tables_reload_command(const struct key_tables *tables)
{
	struct buf out = buf_in(tables->ctl->arena);
	buf_add_cstr(&out, "trimilterctl reload");
	for (size_t i = 0; i < tables->ctl->n_config_paths; i++)
		buf_printf(&out, " -c %s", tables->ctl->config_paths[i]);
	return buf_str(&out);
}
