#include "convert/convert.h"

#include <errno.h>

#include "base/domain.h"
#include "config/config.h"
#include "config/policyd.h"
#include "config/values.h"
#include "convert/collect.h"

/* ---- kinds ---- */

static const char *const kinds[] = {
	[CONVERT_EVIDENT] = "",
	[CONVERT_OPENDKIM] = "opendkim",
	[CONVERT_OPENDMARC] = "opendmarc",
	[CONVERT_DKIM_FILTER] = "dkim-filter",
	[CONVERT_POLICYD_SPF] = "policyd-spf",
	[CONVERT_AMAVISD] = "amavisd",
	[CONVERT_RSPAMD] = "rspamd",
	[CONVERT_DEFAULT] = "default",
};

bool convert_kind_parse(struct str word, enum convert_kind *ret_kind)
{
	for (size_t i = CONVERT_EVIDENT + 1; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!str_eq(word, str_of(kinds[i])))
			continue;
		*ret_kind = (enum convert_kind)i;
		return true;
	}
	return false;
}

const char *convert_kind_text(enum convert_kind kind)
{
	return kinds[kind];
}

static bool contains(struct str text, struct str what)
{
	return text.n > 0 && memmem(text.p, text.n, what.p, what.n) != NULL;
}

/* NAME=value without blanks, in capitals. */
static bool is_assignment(struct str line)
{
	size_t n = 0;
	while (n < line.n && ((line.p[n] >= 'A' && line.p[n] <= 'Z') || line.p[n] == '_'))
		n++;
	return n > 0 && n < line.n && line.p[n] == '=';
}

static bool is_perl(struct str line)
{
	return line.p[0] == '$' || line.p[0] == '@' || line.p[0] == '%' || str_starts(line, STR("use strict")) ||
	       str_starts(line, STR("dkim_key(")) || str_starts(line, STR("dkim_key "));
}

static bool is_ucl(struct str line)
{
	char last = line.p[line.n - 1];
	return last == ';' || last == '{' || last == '[' || last == '}' || str_starts(line, STR(".include"));
}

enum convert_kind convert_kind_of(struct str path, struct str text)
{
	struct str first = STR(""), line;
	bool perl = false, ucl = false;
	struct str name = str_skip(path, (size_t)(str_rindex(path, '/') + 1));
	for (struct str rest = text; str_cut(&rest, '\n', &line);) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (first.n == 0)
			first = line;
		perl = perl || is_perl(line);
		ucl = ucl || is_ucl(line);
	}
	if (perl)
		return CONVERT_AMAVISD;
	if (first.n > 0 && is_assignment(first))
		return CONVERT_DEFAULT;
	if (ucl || str_eq(name, STR("dkim_signing.conf")) || str_eq(name, STR("arc.conf")))
		return CONVERT_RSPAMD;
	if (policyd_is_line(first))
		return CONVERT_POLICYD_SPF;
	if (contains(name, STR("dkim-filter")) || str_starts(first, STR("-")))
		return CONVERT_DKIM_FILTER;
	return contains(name, STR("opendmarc")) ? CONVERT_OPENDMARC : CONVERT_OPENDKIM;
}

/* ---- what is collected ---- */

static bool is_plain(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == '#' || text.p[i] == '\x7f')
			return false;
	return true;
}

/* "a.conf:3: ", or "a.conf". */
static struct str place_text(const struct conversion *conversion, struct diag_place place)
{
	return place.line != 0 ? arena_printf(conversion->arena, "%s:%u", place.file, place.line) : str_of(place.file);
}

static void note_conflict(const struct conversion *conversion, const char *option, const struct convert_item *item,
	struct str text, struct diag_place place)
{
	struct str former = place_text(conversion, item->place);
	diag_warning(conversion->diag, place,
		"%s \"%.*s\" is not used: %.*s says \"%.*s\"; keep the one that was in force", option,
		STR_ARG(dataset_shown(conversion->arena, text)), STR_ARG(former),
		STR_ARG(dataset_shown(conversion->arena, item->text)));
}

void convert_set(struct conversion *conversion, const char *option, struct str text, struct diag_place place)
{
	const struct option_row *row = option_find(str_of(option));
	struct convert_item *item = &conversion->items[row - option_rows];
	text = str_trim(text);
	if (row->module == NULL) {
		if (option_is_harmless(row, text))
			return;
		if (row->treatment == OPTION_REFUSE)
			diag_error(conversion->diag, place, "%s cannot be used: %s", option, row->help);
		else
			diag_warning(conversion->diag, place, "%s has no effect: %s", option, row->help);
		return;
	}
	if (item->text.p != NULL) {
		if (!str_eq(item->text, text))
			note_conflict(conversion, option, item, text, place);
		return;
	}
	/* "KeyList =x" would be a line of policyd-spf.conf. */
	if (text.n == 0 || text.p[0] == '=' || !is_plain(text)) {
		diag_error(conversion->diag, place,
			"%s: an empty value, one that begins with '=', '#' and control characters cannot be written "
			"down: write the option "
			"yourself",
			option);
		return;
	}
	const struct option_setting setting = {
		row, conversion->values, conversion->arena, conversion->diag, place, NULL};
	if (option_set(&setting, text))
		*item = (struct convert_item){arena_dup(conversion->arena, text), place};
}

static void set_said(void *context, const char *option, struct str text, struct diag_place place)
{
	convert_set(context, option, text, place);
}

/* Case does not count, as in tables. */
static bool is_new(struct map *known, struct arena *arena, struct str key)
{
	return map_put(known, arena_dup_lower(arena, key), known);
}

struct str convert_key(
	struct conversion *conversion, struct str domain, struct str selector, struct str path, struct diag_place place)
{
	struct arena *arena = conversion->arena;
	struct str name = arena_printf(arena, "%.*s._domainkey.%.*s", STR_ARG(selector),
		STR_ARG(str_eq(domain, STR("%")) ? STR("any") : domain));
	struct str value = arena_printf(arena, "%.*s:%.*s:%.*s", STR_ARG(domain), STR_ARG(selector), STR_ARG(path));
	if (!is_plain(value) || path.n == 0 || path.p[0] != '/') {
		diag_error(conversion->diag, place,
			"key \"%.*s\": its path \"%.*s\" is not one that begins with / and has no "
			"'#': add the row to KeyTable yourself",
			STR_ARG(name), STR_ARG(path));
		return name;
	}
	if (is_new(conversion->known_keys, arena, name)) {
		const struct dataset_row row = {name, value, place};
		dataset_add(arena, &conversion->keys, &row);
	}
	return name;
}

void convert_author(struct conversion *conversion, struct str pattern, struct str key, struct diag_place place)
{
	const struct dataset_row row = {pattern, key, place};
	bool fresh = is_new(conversion->known_authors, conversion->arena, pattern);
	if (fresh || conversion->values->tables.multiple_signatures)
		dataset_add(conversion->arena, &conversion->authors, &row);
}

bool convert_domain(struct conversion *conversion, struct str text, const char *what, struct diag_place place,
	struct str *ret_domain)
{
	if (domain_normalize(conversion->arena, text, ret_domain) && domain_is_hostname(*ret_domain))
		return true;
	diag_error(conversion->diag, place, "%s: \"%.*s\" is not a domain: correct it, or leave it out", what,
		STR_ARG(text));
	return false;
}

/* ---- files ---- */

/* False: the reason is in the diag. */
static bool read_file(struct conversion *conversion, const struct convert_file *file, struct str *ret_text)
{
	const struct diag_place nowhere = {NULL, 0};
	if (!is_plain(str_of(file->path))) {
		diag_error(conversion->diag, nowhere, "a file name with '#' or control characters: call it otherwise");
		return false;
	}
	if (dataset_read_file(conversion->arena, file->path, ret_text) != ERR_OK) {
		diag_error(conversion->diag, nowhere, "cannot read %s: %s", file->path, strerror(errno));
		return false;
	}
	if (memchr(ret_text->p, '\0', ret_text->n) == NULL)
		return true;
	diag_error(conversion->diag, (struct diag_place){file->path, 0}, "not a text file: it contains NUL bytes");
	return false;
}

static bool is_command_line(struct str text)
{
	text = str_trim(text);
	struct str line = STR("");
	str_cut(&text, '\n', &line);
	return str_starts(line, STR("-")) || contains(line, STR("dkim-filter -"));
}

static void convert_file(struct conversion *conversion, const struct convert_file *file, struct str text)
{
	switch (file->kind) {
	case CONVERT_AMAVISD:
		convert_amavisd(conversion, text, file->path);
		break;
	case CONVERT_RSPAMD:
		convert_rspamd(conversion, text, file->path);
		break;
	case CONVERT_DEFAULT:
		convert_default(conversion, text, file->path);
		break;
	case CONVERT_DKIM_FILTER:
		convert_command_line(conversion, text, false, (struct diag_place){file->path, 1});
		break;
	case CONVERT_EVIDENT:
	case CONVERT_OPENDKIM:
	case CONVERT_OPENDMARC:
	case CONVERT_POLICYD_SPF:
		break;
	}
}

/* Of the form that trimilter reads itself. */
static bool is_ours(const struct convert_file *file, struct str text)
{
	return file->kind == CONVERT_OPENDKIM || file->kind == CONVERT_OPENDMARC || file->kind == CONVERT_POLICYD_SPF ||
	       (file->kind == CONVERT_DKIM_FILTER && !is_command_line(text));
}

struct conversion *conversion_new(struct arena *arena, struct diag *diag)
{
	struct conversion *conversion = ARENA_NEW(arena, struct conversion);
	*conversion = (struct conversion){
		.arena = arena, .diag = diag, .known_keys = map_new(arena), .known_authors = map_new(arena)};
	conversion->items = ARENA_ARRAY(arena, n_option_rows, struct convert_item);
	conversion->values = ARENA_NEW(arena, struct config_values);
	conversion->defaults = ARENA_NEW(arena, struct config_values);
	option_set_defaults(arena, runtime_host_name(arena), conversion->defaults);
	*conversion->values = *conversion->defaults;
	return conversion;
}

struct conversion *conversion_read(struct arena *arena, struct convert_file *files, size_t n_files, struct diag *diag)
{
	struct conversion *conversion = conversion_new(arena, diag);
	conversion->files = files;
	conversion->n_files = n_files;
	struct str *texts = ARENA_ARRAY(arena, n_files, struct str);
	const char **ours = ARENA_ARRAY(arena, n_files, const char *);
	size_t n_ours = 0, errors = diag->n_errors;
	for (size_t i = 0; i < n_files; i++) {
		if (!read_file(conversion, &files[i], &texts[i]))
			continue;
		if (files[i].kind == CONVERT_EVIDENT)
			files[i].kind = convert_kind_of(str_of(files[i].path), texts[i]);
		if (is_ours(&files[i], texts[i]))
			ours[n_ours++] = files[i].path;
	}
	if (diag->n_errors != errors)
		return NULL;
	/* What a configuration file says counts more than what /etc/default does, which systemd does not read. */
	config_each_said(arena, ours, n_ours, diag, set_said, conversion);
	for (size_t i = 0; i < n_files; i++)
		if (!is_ours(&files[i], texts[i]))
			convert_file(conversion, &files[i], texts[i]);
	return conversion;
}
