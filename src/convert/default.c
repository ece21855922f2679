/*
 * /etc/default/opendkim and its like: assignments of a shell, read and never executed; and the command lines in them.
 */
#include "base/map.h"
#include "convert/collect.h"

struct shell {
	struct conversion *conversion;
	struct map *values; /* struct str of each name */
	struct diag_place place;
};

static bool is_name_char(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || c == '_';
}

/* $NAME or ${NAME} at the front of *@rest, which is moved behind it. */
static bool expand(const struct shell *shell, struct str *rest, struct buf *out)
{
	struct str name = str_skip(*rest, 1);
	bool braces = name.n > 0 && name.p[0] == '{';
	name = braces ? str_skip(name, 1) : name;
	size_t n = 0;
	while (n < name.n && is_name_char(name.p[n]))
		n++;
	if (n == 0 || (braces && (n == name.n || name.p[n] != '}')))
		return false;
	const struct str *value = map_get(shell->values, str_head(name, n));
	if (value == NULL)
		return false;
	buf_add(out, *value);
	*rest = str_skip(name, n + (braces ? 1 : 0));
	return true;
}

/* The word that @text is; false: it takes a shell to tell. */
static bool read_word(const struct shell *shell, struct str text, struct buf *out)
{
	char quote = '\0';
	while (text.n > 0) {
		char c = text.p[0];
		if (quote == '\0' && str_is_space(c))
			break;
		if (c == quote || (quote == '\0' && (c == '"' || c == '\''))) {
			quote = c == quote ? '\0' : c;
		} else if (quote != '\'' && c == '$') {
			if (!expand(shell, &text, out))
				return false;
			continue;
		} else if (quote != '\'' &&
			   (c == '`' || c == '\\' || (quote == '\0' && strchr(";&|<>()*?[]{}~!", c) != NULL))) {
			return false;
		} else {
			buf_add_char(out, c);
		}
		text = str_skip(text, 1);
	}
	text = str_trim(text);
	return quote == '\0' && (text.n == 0 || text.p[0] == '#');
}

static struct str value_of(const struct shell *shell, const char *name)
{
	const struct str *value = map_get(shell->values, str_of(name));
	return value != NULL ? *value : STR("");
}

static void set_user(const struct shell *shell, struct str user, struct diag_place place)
{
	struct str group = value_of(shell, "GROUP");
	convert_set(shell->conversion, "UserID",
		group.n > 0 ? arena_printf(shell->conversion->arena, "%.*s:%.*s", STR_ARG(user), STR_ARG(group)) : user,
		place);
}

static void take(const struct shell *shell, const struct dataset_row *row, bool dmarc)
{
	static const char *const silent[] = {"NAME", "RUNDIR", "GROUP", "EXTRAAFTER", "DAEMON", "DESC"};
	struct conversion *conversion = shell->conversion;
	if (row->value.n == 0)
		return;
	for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
		if (str_eq(row->key, str_of(silent[i])))
			return;
	if (str_eq(row->key, STR("SOCKET")))
		convert_set(conversion, "Socket", row->value, row->place);
	else if (str_eq(row->key, STR("PIDFILE")))
		convert_set(conversion, "PidFile", row->value, row->place);
	else if (str_eq(row->key, STR("USER")))
		set_user(shell, row->value, row->place);
	else if (str_eq(row->key, STR("DAEMON_OPTS")) || str_eq(row->key, STR("OPTIONS")))
		convert_command_line(conversion, row->value, dmarc, row->place);
	else
		diag_warning(conversion->diag, row->place, "%.*s is not known and not used", STR_ARG(row->key));
}

static void read_line(struct shell *shell, struct str line, struct dataset *rows)
{
	struct conversion *conversion = shell->conversion;
	struct str rest = line, name = STR("");
	struct buf out = buf_in(conversion->arena);
	str_cut(&rest, '=', &name);
	size_t n = 0;
	while (n < name.n && is_name_char(name.p[n]))
		n++;
	bool is_name = n > 0 && n == name.n && rest.p != NULL;
	if (!is_name || !read_word(shell, rest, &out)) {
		diag_error(conversion->diag, shell->place,
			"\"%.*s\" is more than NAME=value, and nothing here is executed: write what it comes to",
			STR_ARG(line));
		return;
	}
	struct str *value = ARENA_NEW(conversion->arena, struct str);
	*value = arena_dup(conversion->arena, buf_str(&out));
	const struct dataset_row row = {name, *value, shell->place};
	dataset_add(conversion->arena, rows, &row);
	if (map_put(shell->values, name, value))
		return;
	*(struct str *)map_get(shell->values, name) = *value;
	for (size_t i = 0; i + 1 < rows->n; i++)
		if (str_eq(rows->rows[i].key, name))
			rows->rows[i].value = STR(""); /* the last one holds */
}

void convert_default(struct conversion *conversion, struct str text, const char *file)
{
	struct str path = str_of(file), daemon = str_skip(path, (size_t)(str_rindex(path, '/') + 1)), line;
	struct shell shell = {conversion, map_new(conversion->arena), {file, 0}};
	struct dataset rows = {0};
	/* The name of the daemon, which the init script sets. */
	map_put(shell.values, STR("NAME"), &daemon);
	for (struct str rest = text; str_cut(&rest, '\n', &line);) {
		shell.place.line++;
		line = str_trim(line);
		if (line.n > 0 && line.p[0] != '#')
			read_line(&shell, line, &rows);
	}
	for (size_t i = 0; i < rows.n; i++)
		take(&shell, &rows.rows[i], str_starts(daemon, STR("opendmarc")));
}

/* ---- command lines ---- */

struct flag {
	char letter;
	bool dkim, dmarc; /* whose */
	bool has_argument;
	const char *option; /* NULL: nothing follows from it */
	const char *value;  /* NULL: the argument */
};

/* dkim-filter(8), opendkim(8), opendmarc(8). -C, -k, -K, -x and opendmarc's -c are looked at by themselves. */
static const struct flag flags[] = {
	{'a', true, false, true, "PeerList", NULL},
	{'A', true, true, false, NULL, NULL},
	{'b', true, false, true, "Mode", NULL},
	{'c', true, false, true, "Canonicalization", NULL},
	{'c', false, true, true, NULL, NULL},
	{'C', true, false, true, NULL, NULL},
	{'d', true, false, true, "Domain", NULL},
	{'D', true, false, false, "SubDomains", "yes"},
	{'f', true, true, false, NULL, NULL},
	{'g', true, false, false, NULL, NULL},
	{'G', true, false, false, NULL, NULL},
	{'h', true, false, false, "X-Header", "yes"},
	{'i', true, false, true, "InternalHosts", NULL},
	{'I', true, false, true, "ExternalIgnoreList", NULL},
	{'k', true, false, true, "KeyFile", NULL},
	{'K', true, false, false, NULL, NULL},
	{'l', true, true, false, "Syslog", "yes"},
	{'L', true, false, true, "Minimum", NULL},
	{'m', true, false, true, "MTA", NULL},
	{'M', true, false, true, "MacroList", NULL},
	{'o', true, false, true, "OmitHeaders", NULL},
	{'p', true, true, true, "Socket", NULL},
	{'P', true, true, true, "PidFile", NULL},
	{'q', true, false, false, "Quarantine", "yes"},
	{'r', true, false, false, "RequiredHeaders", "yes"},
	{'R', true, false, false, "SendReports", "yes"},
	{'s', true, false, true, "Selector", NULL},
	{'S', true, false, true, "SignatureAlgorithm", NULL},
	{'T', true, false, true, "DNSTimeout", NULL},
	{'u', true, true, true, "UserID", NULL},
	{'U', true, false, true, "POPDBFile", NULL},
	{'v', true, true, false, NULL, NULL},
	{'W', true, false, false, "LogWhy", "yes"},
	{'x', true, false, true, NULL, NULL},
	{'X', true, true, false, NULL, NULL},
};

static const struct flag *find_flag(char letter, bool dmarc)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (flags[i].letter == letter && (dmarc ? flags[i].dmarc : flags[i].dkim))
			return &flags[i];
	return NULL;
}

/* -C of dkim-filter: RESULT=ACTION,...; a result may be shortened. */
static void take_actions(struct conversion *conversion, struct str text, struct diag_place place)
{
	static const char *const results[] = {
		"BadSignature", "Default", "DNSError", "InternalError", "KeyNotFound", "NoSignature", "Security"};
	for (struct str rest = text, action, result; str_cut(&rest, ',', &action);) {
		size_t i = 0;
		str_cut(&action, '=', &result);
		while (i < sizeof(results) / sizeof(*results) &&
			(result.n < 2 || !str_istarts(str_of(results[i]), result)))
			i++;
		if (i == sizeof(results) / sizeof(*results) || action.n == 0)
			diag_error(conversion->diag, place, "-C \"%.*s\" is not known: write the On- option yourself",
				STR_ARG(result));
		else
			convert_set(conversion, arena_printf(conversion->arena, "On-%s", results[i]).p, action, place);
	}
}

static void need_file(struct conversion *conversion, struct str path, struct diag_place place)
{
	for (size_t i = 0; i < conversion->n_files; i++)
		if (str_eq(str_of(conversion->files[i].path), path))
			return;
	diag_error(
		conversion->diag, place, "the command line reads %.*s: give it to this command as well", STR_ARG(path));
}

static bool next_word(struct str *rest, struct str *ret_word)
{
	*rest = str_trim(*rest);
	size_t n = 0;
	while (n < rest->n && !str_is_space(rest->p[n]))
		n++;
	*ret_word = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	return n > 0;
}

static void take_flag(struct conversion *conversion, const struct flag *flag, struct str argument, bool key_list,
	struct diag_place place)
{
	if (flag->letter == 'C')
		take_actions(conversion, argument, place);
	else if (flag->letter == 'x' || (flag->letter == 'c' && flag->dmarc))
		need_file(conversion, argument, place);
	else if (flag->letter == 'k' && key_list)
		convert_set(conversion, "KeyList", argument, place);
	else if (flag->option != NULL)
		convert_set(conversion, flag->option, flag->value != NULL ? str_of(flag->value) : argument, place);
}

/* One word of flags, "-lD" or "-s mail" or "-smail". */
static void take_word(struct conversion *conversion, struct str word, struct str *rest, bool dmarc, bool key_list,
	struct diag_place place)
{
	for (word = str_skip(word, 1); word.n > 0;) {
		const struct flag *flag = find_flag(word.p[0], dmarc);
		char letter = word.p[0];
		struct str argument = str_skip(word, 1);
		if (flag == NULL) {
			diag_error(conversion->diag, place,
				"-%c of the command line is not known: see its manual, and "
				"trimilter.conf(5)",
				str_is_alpha(letter) ? letter : '?');
			return;
		}
		word = argument;
		if (flag->has_argument) {
			word = STR("");
			if (argument.n == 0 && !next_word(rest, &argument)) {
				diag_error(conversion->diag, place,
					"-%c of the command line lacks its argument: add it", letter);
				return;
			}
		}
		take_flag(conversion, flag, argument, key_list, place);
	}
}

/* -K says what -k is, wherever it stands. */
static bool has_key_list(struct str line)
{
	for (struct str rest = line, word; next_word(&rest, &word);)
		if (str_eq(word, STR("-K")))
			return true;
	return false;
}

void convert_command_line(struct conversion *conversion, struct str line, bool dmarc, struct diag_place place)
{
	bool key_list = has_key_list(line), first = true;
	for (struct str rest = line, word; next_word(&rest, &word); first = false) {
		if (word.n > 1 && word.p[0] == '-')
			take_word(conversion, word, &rest, dmarc, key_list, place);
		else if (!first)
			diag_error(conversion->diag, place,
				"\"%.*s\" of the command line is no option: see to it yourself", STR_ARG(word));
	}
}
