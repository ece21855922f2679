#include <errno.h>
#include <string.h>

#include "config/policyd.h"
#include "config/state.h"
#include "tables/dataset.h"
#include "tables/nearest.h"

/* As many as OpenDKIM takes; a file that includes itself ends here. */
#define INCLUDE_DEPTH_MAX 5
/* Each asks for a walk through all names; whoever has more words that are no option has named the wrong file. */
#define SUGGESTIONS_MAX 20

struct reader {
	struct config *config;
	struct diag *diag;
	size_t file_index;
	unsigned depth;
	unsigned n_unknown;
	bool no_include;
};

static void read_file(struct reader *reader, const char *path, struct diag_place included_at);

static void report_unknown(
	struct reader *reader, struct diag_place place, struct str name, const struct option_row *rows, size_t n_rows)
{
	struct diag *diag = reader->diag;
	struct nearest nearest = nearest_to(name);
	bool suggests = reader->n_unknown++ < SUGGESTIONS_MAX;
	for (size_t i = 0; suggests && i < n_rows; i++)
		if (rows[i].name != NULL)
			nearest_consider(&nearest, str_of(rows[i].name));
	if (nearest.best.n > 0)
		diag_error(diag, place, "unknown option \"%.*s\": did you mean \"%.*s\"?", STR_ARG(name),
			STR_ARG(nearest.best));
	else
		diag_error(diag, place, "unknown option \"%.*s\": \"trimilterctl conf sample\" shows all there are",
			STR_ARG(name));
}

/* ---- options without effect ---- */

bool option_is_harmless(const struct option_row *row, struct str value)
{
	bool is, wanted;
	for (struct str rest = str_of(row->harmless), word; str_cut(&rest, ' ', &word);) {
		if (word.n > 0 && (str_eq(word, STR("*")) || str_ieq(word, value)))
			return true;
		bool is_boolean = str_eq(word, STR("yes")) || str_eq(word, STR("no"));
		if (is_boolean && option_parse_bool(word, &wanted) && option_parse_bool(value, &is) && is == wanted)
			return true;
	}
	return false;
}

static void note_without_effect(
	const struct reader *reader, const struct option_row *row, struct str value, struct diag_place place)
{
	if (option_is_harmless(row, value))
		return;
	if (row->treatment == OPTION_REFUSE)
		diag_error(reader->diag, place, "option %s cannot be used: %s", row->name, row->help);
	else
		diag_warning(reader->diag, place, "option %s has no effect: %s", row->name, row->help);
}

/* ---- options ---- */

/* "a.conf:3", or "the default". */
static const char *place_text(const struct reader *reader, struct diag_place place)
{
	return arena_printf(reader->config->arena, "%s:%u", place.file, place.line).p;
}

/* As it may stand in a log. */
static struct str shown(const struct reader *reader, struct str value)
{
	return dataset_shown(reader->config->arena, value);
}

/* What an earlier line said is still to be held against the later one; false: the earlier one stays. */
/* Octal numbers may have zeros before them. */
static bool says_the_same(const struct option_row *row, struct str a, struct str b)
{
	while (row->type == OPTION_UMASK && a.n > 1 && a.p[0] == '0')
		a = str_skip(a, 1);
	while (row->type == OPTION_UMASK && b.n > 1 && b.p[0] == '0')
		b = str_skip(b, 1);
	return str_eq(a, b);
}

static bool may_replace(const struct reader *reader, const struct option_row *row, const struct config_said *former,
	struct str value, struct diag_place place)
{
	if (former->file_index == 0 || says_the_same(row, former->text, value))
		return true;
	if (former->file_index == reader->file_index) {
		diag_warning(reader->diag, place, "%s is set again: \"%.*s\" takes the place of \"%.*s\" (%s)",
			row->name, STR_ARG(shown(reader, value)), STR_ARG(shown(reader, former->text)),
			place_text(reader, former->place));
		return true;
	}
	if (row->when != OPTION_FIRST)
		return true;
	diag_warning(reader->diag, place, "%s \"%.*s\" is not used: the first file decides, with \"%.*s\" (%s)",
		row->name, STR_ARG(value), STR_ARG(former->text), place_text(reader, former->place));
	return false;
}

static void remember_authserv_id(struct config *config)
{
	config->authserv_ids = arena_grow(config->arena, config->authserv_ids, &config->authserv_ids_capacity,
		config->n_authserv_ids + 1, sizeof(*config->authserv_ids));
	config->authserv_ids[config->n_authserv_ids++] = config->values.auth.authserv_id;
}

static void set_option(
	const struct reader *reader, const struct option_row *row, struct str value, struct diag_place place)
{
	struct config *config = reader->config;
	struct config_said *said = &config->said[row - option_rows];
	if (!may_replace(reader, row, said, value, place))
		return;
	const struct option_setting setting = {row, &config->values, config->arena, reader->diag, place, NULL};
	bool taken = option_set(&setting, value);
	/* Also what was refused was said: nobody is to be told besides that it is missing. */
	*said = (struct config_said){
		.text = arena_dup(config->arena, value),
		.place = place,
		.file_index = reader->file_index,
	};
	if (taken && row->type == OPTION_AUTHSERV_ID)
		remember_authserv_id(config);
}

static size_t word_length(struct str s)
{
	size_t i = 0;
	while (i < s.n && !str_is_space(s.p[i]))
		i++;
	return i;
}

/* The help of such an option begins with it. */
static const struct option_row *todays_name(const struct option_row *row)
{
	const struct str called = STR("It is called ");
	struct str rest = str_of(row->help), name;
	if (!str_starts(rest, called))
		return NULL;
	rest = str_skip(rest, called.n);
	str_cut(&rest, ' ', &name);
	return option_find(name);
}

static void read_line(struct reader *reader, struct str line, struct diag_place place)
{
	size_t n = word_length(line);
	struct str name = str_head(line, n), value = str_trim(str_skip(line, n));
	if (str_ieq(name, STR("Include"))) {
		if (value.n == 0 || reader->no_include)
			diag_error(reader->diag, place, "Include names no file%s", reader->no_include ? " here" : "");
		else
			read_file(reader, arena_dup(reader->config->arena, value).p, place);
		return;
	}
	const struct option_row *row = option_find(name);
	if (row != NULL && reader->config->renames && todays_name(row) != NULL)
		row = todays_name(row);
	if (row == NULL)
		report_unknown(reader, place, name, option_rows, n_option_rows);
	else if (value.n == 0)
		diag_error(reader->diag, place, "option %s has no value", row->name);
	else if (row->treatment == OPTION_SUPPORTED)
		set_option(reader, row, value, place);
	else
		note_without_effect(reader, row, value, place);
}

/* ---- policyd-spf.conf ---- */

static void set_by_name(void *context, const char *option, struct str value, struct diag_place place)
{
	set_option(context, option_find(str_of(option)), value, place);
}

static void read_policyd_line(
	struct reader *reader, struct str line, struct diag_place place, struct policyd_said *said)
{
	struct str value = line, name;
	str_cut(&value, '=', &name);
	name = str_trim(name);
	value = str_trim(value);
	const struct option_row *row = policyd_find(name);
	if (!policyd_is_line(line))
		diag_error(reader->diag, place, "\"%.*s\": a line of policyd-spf.conf is NAME = value", STR_ARG(line));
	else if (row == NULL)
		report_unknown(reader, place, name, policyd_rows, n_policyd_rows);
	else if (row->treatment != OPTION_SUPPORTED && value.n > 0)
		note_without_effect(reader, row, value, place);
	else if (row->treatment == OPTION_SUPPORTED)
		said[row - policyd_rows] = (struct policyd_said){arena_dup(reader->config->arena, value), place};
}

/* ---- files ---- */

/* The next line that says something, without its comment. */
static bool next_line(struct str *rest, struct str *ret_line, unsigned *number)
{
	while (str_cut(rest, '\n', ret_line)) {
		++*number;
		ptrdiff_t hash = str_index(*ret_line, '#');
		*ret_line = str_trim(hash < 0 ? *ret_line : str_head(*ret_line, (size_t)hash));
		if (ret_line->n > 0)
			return true;
	}
	return false;
}

static void read_policyd(struct reader *reader, struct str text, const char *path)
{
	struct policyd_said *said = ARENA_ARRAY(reader->config->arena, n_policyd_rows, struct policyd_said);
	unsigned number = 0;
	for (size_t i = 0; i < n_policyd_rows; i++)
		said[i].place.file = path;
	for (struct str rest = text, line; next_line(&rest, &line, &number);)
		read_policyd_line(reader, line, (struct diag_place){path, number}, said);
	policyd_translate(reader->config->arena, said, reader->diag, set_by_name, reader);
}

static void read_text(struct reader *reader, struct str text, const char *path)
{
	unsigned number = 0;
	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_skip(text, 3);
	struct str first = STR(""), rest = text, line;
	next_line(&rest, &first, &number);
	if (policyd_is_line(first)) {
		read_policyd(reader, text, path);
		return;
	}
	number = 0;
	for (rest = text; next_line(&rest, &line, &number);)
		read_line(reader, line, (struct diag_place){path, number});
}

static void read_file(struct reader *reader, const char *path, struct diag_place included_at)
{
	struct str text;
	if (reader->depth > INCLUDE_DEPTH_MAX) {
		diag_error(reader->diag, included_at, "Include goes deeper than %d files: does one include itself?",
			INCLUDE_DEPTH_MAX);
		return;
	}
	if (dataset_read_file(reader->config->arena, path, &text) != ERR_OK) {
		diag_error(reader->diag, included_at, "cannot read %s: %s", path, strerror(errno));
		return;
	}
	if (memchr(text.p, '\0', text.n) != NULL) {
		diag_error(reader->diag, (struct diag_place){path, 0}, "not a text file: it contains NUL bytes");
		return;
	}
	reader->depth++;
	read_text(reader, text, path);
	reader->depth--;
}

void config_read_file(struct config *config, const char *path, size_t file_index, struct diag *diag)
{
	struct reader reader = {.config = config, .diag = diag, .file_index = file_index};
	read_file(&reader, arena_dup(config->arena, str_of(path)).p, (struct diag_place){NULL, 0});
}

void config_read_lines(struct config *config, struct str text, struct diag *diag)
{
	struct reader reader = {.config = config, .diag = diag, .file_index = 1, .no_include = true};
	read_text(&reader, text, "text");
}
