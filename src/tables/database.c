#include "tables/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"

/* Ten times the largest table that anybody has shown; a wrong join has no end. */
#define ROWS_MAX 5000000

static const struct {
	const char *prefix;
	enum database_type type;
} types[] = {
	{"lmdb:", DATABASE_LMDB},
	{"mdb:", DATABASE_LMDB},
	{"sqlite:", DATABASE_SQLITE},
	{"pgsql:", DATABASE_PGSQL},
	{"postgresql:", DATABASE_PGSQL},
};

static const struct {
	const char *name;
	enum database_type type;
} backends[] = {
	{"sqlite", DATABASE_SQLITE},
	{"sqlite3", DATABASE_SQLITE},
	{"pgsql", DATABASE_PGSQL},
};

#define COUNT_OF(a) (sizeof(a) / sizeof(*(a)))

bool database_is_meant(struct str spec)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (str_istarts(spec, str_of(types[i].prefix)))
			return true;
	return str_istarts(spec, STR("dsn:"));
}

/* ---- the specification ---- */

struct parser {
	struct arena *arena;
	struct diag *diag;
	struct diag_place place;
	struct database *database;
	char escape; /* before two hexadecimal digits: '%' in a URL, '=' in OpenDKIM's DSN */
};

static bool refuse(struct parser *parser, const char *why)
{
	diag_error(parser->diag, parser->place, "%.*s: %s", STR_ARG(parser->database->shown), why);
	return false;
}

static int hex(char c)
{
	c = str_lower_char(c);
	return str_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str decode(const struct parser *parser, struct str text)
{
	struct buf out = buf_in(parser->arena);
	for (size_t i = 0; i < text.n; i++) {
		int high = text.p[i] == parser->escape && i + 2 < text.n ? hex(text.p[i + 1]) : -1;
		int low = high >= 0 ? hex(text.p[i + 2]) : -1;
		if (low >= 0)
			i += 2;
		buf_add_char(&out, low >= 0 ? (char)(high * 16 + low) : text.p[i]);
	}
	return arena_dup(parser->arena, buf_str(&out));
}

/* "@separators": the characters of which each ends a pair. */
static bool parse_parameters(struct parser *parser, struct str text, const char *separators)
{
	struct database *database = parser->database;
	size_t capacity = 0;
	while (text.n > 0) {
		size_t n = 0;
		while (n < text.n && strchr(separators, text.p[n]) == NULL)
			n++;
		struct str value = str_head(text, n), name;
		text = str_skip(text, n + 1);
		if (str_trim(value).n == 0)
			continue;
		str_cut(&value, '=', &name);
		struct database_parameter parameter = {
			arena_dup_lower(parser->arena, str_trim(name)), decode(parser, value)};
		if (str_eq(parameter.name, STR("table")))
			database->table = parameter.value;
		else if (str_eq(parameter.name, STR("keycol")))
			database->keys = parameter.value;
		else if (str_eq(parameter.name, STR("datacol")))
			database->values = parameter.value;
		else if (str_eq(parameter.name, STR("filter")))
			database->filter = parameter.value;
		else if (database->type != DATABASE_PGSQL)
			return refuse(parser, "known are table=, keycol=, datacol= and filter=");
		else {
			database->parameters = arena_grow(parser->arena, database->parameters, &capacity,
				database->n_parameters + 1, sizeof(*database->parameters));
			database->parameters[database->n_parameters++] = parameter;
		}
	}
	if (database->table.n > 0 && database->keys.n > 0)
		return true;
	return refuse(parser, "table= and keycol= are needed: write ...table=TABLE, keycol=COLUMN-OF-KEYS, and "
			      "datacol=COLUMNS where rows have values");
}

/* user[:password]@, which is taken off the front of *@rest. */
static void parse_user(struct parser *parser, struct str *rest)
{
	ptrdiff_t at = str_rindex(*rest, '@');
	struct str user, both = at >= 0 ? str_head(*rest, (size_t)at) : STR("");
	if (at < 0)
		return;
	*rest = str_skip(*rest, (size_t)at + 1);
	str_cut(&both, ':', &user);
	parser->database->user = decode(parser, user);
	parser->database->password = decode(parser, both);
}

static bool parse_port(struct parser *parser, struct str port)
{
	uint64_t number;
	parser->database->port = decode(parser, port);
	if (port.n == 0 || str_to_u64(port, 65535, &number))
		return true;
	/* What stands there may be a password without the '@' behind it: it is not repeated. */
	diag_error(parser->diag, parser->place,
		"the port of the database is no number; is a '/', '@', ':' or '?' in the password not written as %s?",
		parser->escape == '=' ? "=2F, =40, =3A, =3F" : "%2F, %40, %3A, %3F");
	return false;
}

/* //[user[:password]@][host[:port]][/name][?parameters]; host may be an IPv6 address in brackets. */
static bool parse_pgsql(struct parser *parser, struct str text)
{
	struct str rest = text, host;
	if (str_starts(rest, STR("//")))
		rest = str_skip(rest, 2);
	else if (rest.n > 0 && rest.p[0] != '?')
		return refuse(parser, "write pgsql://user@host/database?table=...");
	ptrdiff_t mark = str_index(rest, '?');
	struct str parameters = mark >= 0 ? str_skip(rest, (size_t)mark + 1) : STR("");
	rest = mark >= 0 ? str_head(rest, (size_t)mark) : rest;
	parse_user(parser, &rest);
	str_cut(&rest, '/', &host);
	parser->database->name = decode(parser, rest);
	ptrdiff_t colon = str_rindex(host, ':');
	if (host.n > 0 && host.p[host.n - 1] == ']')
		colon = -1;
	struct str port = colon >= 0 ? str_skip(host, (size_t)colon + 1) : STR("");
	host = colon >= 0 ? str_head(host, (size_t)colon) : host;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_from(host.p + 1, host.n - 2);
	parser->database->host = decode(parser, host);
	return parse_port(parser, port) && parse_parameters(parser, parameters, "&?");
}

static bool parse_sqlite(struct parser *parser, struct str text)
{
	struct str rest = text, path;
	str_cut(&rest, '?', &path);
	if (str_starts(path, STR("//")))
		path = str_skip(path, 2);
	parser->database->path = decode(parser, str_trim(path));
	if (path.n == 0)
		return refuse(parser, "names no file");
	return parse_parameters(parser, rest, "&?");
}

/* [user[:password]@][port+]host/name */
static bool parse_dsn_pgsql(struct parser *parser, struct str rest)
{
	struct str host;
	parse_user(parser, &rest);
	ptrdiff_t plus = str_index(rest, '+');
	struct str port = plus >= 0 ? str_head(rest, (size_t)plus) : STR("");
	rest = str_skip(rest, (size_t)(plus + 1));
	str_cut(&rest, '/', &host);
	parser->database->host = decode(parser, host);
	parser->database->name = decode(parser, rest);
	return parse_port(parser, port);
}

static bool parse_dsn(struct parser *parser, struct str text)
{
	struct str rest = text, backend;
	size_t i = 0;
	parser->escape = '=';
	str_cut(&rest, ':', &backend);
	while (i < COUNT_OF(backends) && !str_ieq(backend, str_of(backends[i].name)))
		i++;
	if (i == COUNT_OF(backends)) {
		diag_error(parser->diag, parser->place,
			"%.*s: databases of type \"%.*s\" are not supported: sqlite3 and pgsql are. Write the rows to "
			"a "
			"text file (the migration guide has the commands), or into one of these",
			STR_ARG(parser->database->shown), STR_ARG(backend));
		return false;
	}
	parser->database->type = backends[i].type;
	/* The pairs begin behind the last '/' that comes before the first '?': none of them may hold a plain '/'. */
	ptrdiff_t mark = str_index(rest, '?');
	ptrdiff_t slash = str_rindex(mark >= 0 ? str_head(rest, (size_t)mark) : rest, '/');
	if (!str_starts(rest, STR("//")) || slash < 2)
		return refuse(
			parser, "write dsn:BACKEND://user:password@port+host/database/table=T?keycol=K?datacol=V");
	struct str where = str_from(rest.p + 2, (size_t)slash - 2);
	if (parser->database->type == DATABASE_SQLITE)
		parser->database->path = decode(parser, where);
	else if (!parse_dsn_pgsql(parser, where))
		return false;
	return parse_parameters(parser, str_skip(rest, (size_t)slash + 1), "?");
}

/* Whoever may read the password may read and perhaps write every key in the database. */
static void warn_readable(struct parser *parser)
{
	struct stat st;
	if (parser->database->password.n == 0 || parser->place.file == NULL || stat(parser->place.file, &st) != 0 ||
		(st.st_mode & S_IROTH) == 0)
		return;
	diag_warning(parser->diag, parser->place,
		"%.*s: everybody may read the password here: chmod o-r %s, or put it into a file of libpq's and name "
		"that with passfile=",
		STR_ARG(parser->database->shown), parser->place.file);
}

bool database_parse(
	struct arena *arena, struct str spec, struct diag_place place, struct diag *diag, struct database *ret_database)
{
	struct parser parser = {arena, diag, place, ret_database, '%'};
	size_t i = 0;
	bool ok = false;
	*ret_database = (struct database){.shown = dataset_shown(arena, spec)};
	if (str_istarts(spec, STR("dsn:"))) {
		ok = parse_dsn(&parser, str_skip(spec, 4));
		warn_readable(&parser);
		return ok;
	}
	while (i < COUNT_OF(types) && !str_istarts(spec, str_of(types[i].prefix)))
		i++;
	if (i == COUNT_OF(types))
		return false;
	struct str rest = str_trim(str_skip(spec, strlen(types[i].prefix)));
	ret_database->type = types[i].type;
	switch (types[i].type) {
	case DATABASE_LMDB:
		ret_database->path = arena_dup(arena, rest);
		ok = rest.n > 0 || refuse(&parser, "names no directory");
		break;
	case DATABASE_SQLITE:
		ok = parse_sqlite(&parser, rest);
		break;
	case DATABASE_PGSQL:
		ok = parse_pgsql(&parser, rest);
		break;
	}
	warn_readable(&parser);
	return ok;
}

const char *database_query(struct arena *arena, const struct database *database)
{
	bool has_values = database->values.n > 0, has_filter = database->filter.n > 0;
	return arena_printf(arena, "SELECT %.*s%s%.*s FROM %.*s%s%.*s%s ORDER BY 1%s LIMIT %d", STR_ARG(database->keys),
		has_values ? ", " : "", STR_ARG(database->values), STR_ARG(database->table),
		has_filter ? " WHERE (" : "", STR_ARG(database->filter), has_filter ? ")" : "", has_values ? ", 2" : "",
		ROWS_MAX + 1)
		.p;
}

/* ---- rows ---- */

void database_fail(struct database_rows *rows, const char *format, ...)
{
	char text[512];
	va_list args;
	if (rows->error != NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Libraries like several lines. */
	struct str said = str_trim(str_of(text));
	char *kept = arena_alloc(rows->arena, said.n + 1);
	for (size_t i = 0; i < said.n; i++)
		kept[i] = said.p[i] == '\n' || said.p[i] == '\t' ? ' ' : said.p[i];
	rows->error = kept;
}

/* As postmap(1) writes them, keys and values end in a NUL. */
static struct str without_end(struct str text)
{
	return text.n > 0 && text.p[text.n - 1] == '\0' ? str_head(text, text.n - 1) : text;
}

bool database_add(struct database_rows *rows, struct str key, struct str value)
{
	key = str_trim(without_end(key));
	value = str_trim(without_end(value));
	if (key.n == 0)
		return true;
	if (memchr(key.p, '\0', key.n) != NULL || (value.n > 0 && memchr(value.p, '\0', value.n) != NULL)) {
		database_fail(rows, "the row of \"%.*s\" is not text: it contains NUL bytes", STR_ARG(key));
		return false;
	}
	if (rows->dataset->n == ROWS_MAX) {
		database_fail(rows, "more than %d rows: is the table or the filter right?", ROWS_MAX);
		return false;
	}
	const struct dataset_row row = {
		arena_dup(rows->arena, key), arena_dup(rows->arena, value), {rows->database->shown.p, 0}};
	dataset_add(rows->arena, rows->dataset, &row);
	return true;
}
