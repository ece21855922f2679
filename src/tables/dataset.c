#include "tables/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tables/database.h"
#include "tables/nearest.h"

/* A table of a million rows is 100 MB; what is larger is not a table. */
#define FILE_MAX ((off_t)256 * 1024 * 1024)

static const struct {
	const char *prefix;
	enum dataset_kind kind;
} kinds[] = {
	{"file:", DATASET_FILE},
	{"refile:", DATASET_REFILE},
	{"csl:", DATASET_LIST},
};

/* The other words that report_unknown_type() suggests. */
static const char *const databases[] = {"lmdb:", "mdb:", "sqlite:", "pgsql:", "dsn:"};

/* What opendkim(8) knows besides, and what its administrators write in its place. */
static const struct {
	const char *prefix, *remedy;
} unsupported[] = {
	{"db:", "write its rows (db_dump -p shows them) to a text file, or to lmdb: or sqlite:"},
	{"bdb:", "write its rows (db_dump -p shows them) to a text file, or to lmdb: or sqlite:"},
	{"ldap:", "write the entries (ldapsearch, from cron) to a text file or an sqlite: database"},
	{"ldaps:", "write the entries (ldapsearch, from cron) to a text file or an sqlite: database"},
	{"ldapi:", "write the entries (ldapsearch, from cron) to a text file or an sqlite: database"},
	{"lua:", "let the script write a text file or an sqlite: database"},
	{"erlang:", "let the function's node write a text file or an sqlite: database"},
	{"memcache:", "write the entries to a text file or an sqlite: database"},
	{"repute:", "IgnoreHosts, IgnoreMailFrom and RejectSPF say what is done with whose mail"},
	{"socket:", "let the server behind it write a text file or an sqlite: database"},
	{"mysql:", "write the rows to a text file (the migration guide has the commands), or to sqlite: or pgsql:"},
};

static enum err read_fd(struct arena *arena, int fd, struct str *ret_text)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return ERR_IO;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return ERR_IO;
	}
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return ERR_IO;
	}
	if (st.st_size > FILE_MAX) {
		errno = EFBIG;
		return ERR_IO;
	}
	size_t size = (size_t)st.st_size, n = 0;
	char *text = arena_alloc(arena, size + 1);
	while (n < size) {
		ssize_t got = read(fd, text + n, size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret_text = str_from(text, n);
	return ERR_OK;
}

enum err dataset_read_file(struct arena *arena, const char *path, struct str *ret_text)
{
	/* O_NONBLOCK: a FIFO in the place of a table must not hold up the start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ERR_IO;
	enum err err = read_fd(arena, fd, ret_text);
	int saved = errno;
	close(fd);
	errno = saved;
	return err;
}

void dataset_add(struct arena *arena, struct dataset *dataset, const struct dataset_row *row)
{
	dataset->rows = arena_grow(arena, dataset->rows, &dataset->capacity, dataset->n + 1, sizeof(*dataset->rows));
	dataset->rows[dataset->n++] = *row;
}

static size_t blank_at(struct str s)
{
	size_t i = 0;
	while (i < s.n && !str_is_space(s.p[i]))
		i++;
	return i;
}

void dataset_parse_lines(struct arena *arena, struct str text, const char *file, struct dataset *dataset)
{
	unsigned line = 0;
	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_skip(text, 3);
	for (struct str rest = text, raw; str_cut(&rest, '\n', &raw);) {
		line++;
		ptrdiff_t hash = str_index(raw, '#');
		struct str s = str_trim(hash < 0 ? raw : str_head(raw, (size_t)hash));
		if (s.n == 0)
			continue;
		size_t key = blank_at(s);
		const struct dataset_row row = {str_head(s, key), str_trim(str_skip(s, key)), {file, line}};
		dataset_add(arena, dataset, &row);
	}
}

void dataset_parse_list(struct arena *arena, struct str list, struct diag_place place, struct dataset *dataset)
{
	for (struct str rest = list, word; str_cut(&rest, ',', &word);) {
		word = str_trim(word);
		if (word.n == 0)
			continue;
		ptrdiff_t equals = str_index(word, '=');
		struct dataset_row row = {word, STR(""), place};
		if (equals >= 0) {
			row.key = str_trim(str_head(word, (size_t)equals));
			row.value = str_trim(str_skip(word, (size_t)equals + 1));
		}
		dataset_add(arena, dataset, &row);
	}
}

/* True: @spec is of no type that we read. */
static bool report_unknown_type(struct str spec, struct diag_place place, struct diag *diag)
{
	bool is_berkeley = spec.n > 0 && spec.p[0] == '/' && str_iends(spec, STR(".db"));
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(*unsupported); i++) {
		if (!str_istarts(spec, str_of(unsupported[i].prefix)) && !is_berkeley)
			continue;
		diag_error(diag, place, "data sets of type \"%s\" are not supported: %s; see trimilter-datasets(5)",
			unsupported[i].prefix, unsupported[i].remedy);
		return true;
	}
	/* "refil:/etc/..." is no list of one odd word. */
	ptrdiff_t colon = str_index(spec, ':');
	if (colon <= 0 || (size_t)colon + 1 >= spec.n || spec.p[colon + 1] != '/')
		return false;
	struct nearest nearest = nearest_to(str_head(spec, (size_t)colon + 1));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		nearest_consider(&nearest, str_of(kinds[i].prefix));
	for (size_t i = 0; i < sizeof(databases) / sizeof(*databases); i++)
		nearest_consider(&nearest, str_of(databases[i]));
	diag_error(diag, place, "unknown type of data set \"%.*s\": %s%.*s%s", STR_ARG(nearest.word),
		nearest.best.n > 0 ? "did you mean \"" : "known are file:, refile:, csl:, lmdb:, sqlite: and pgsql:",
		STR_ARG(nearest.best), nearest.best.n > 0 ? "\"?" : "");
	return true;
}

static bool kind_of(struct str *spec, enum dataset_kind *ret_kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!str_istarts(*spec, str_of(kinds[i].prefix)))
			continue;
		*spec = str_trim(str_skip(*spec, strlen(kinds[i].prefix)));
		*ret_kind = kinds[i].kind;
		return true;
	}
	if (database_is_meant(*spec)) {
		*ret_kind = DATASET_DATABASE;
		return true;
	}
	*ret_kind = spec->n > 0 && spec->p[0] == '/' ? DATASET_FILE : DATASET_LIST;
	return false;
}

bool dataset_is_outside(struct str spec)
{
	enum dataset_kind kind;
	kind_of(&spec, &kind);
	return kind != DATASET_LIST;
}

static enum err read_file(
	struct arena *arena, struct str path, struct diag_place place, struct diag *diag, struct dataset *dataset)
{
	const char *name = arena_dup(arena, path).p;
	struct str text;
	if (path.n == 0) {
		diag_error(diag, place, "\"%.*s\" names no file", STR_ARG(dataset->name));
		return ERR_CONFIG;
	}
	if (dataset_read_file(arena, name, &text) != ERR_OK) {
		diag_error(diag, place, "cannot read the table %s: %s%s", name, strerror(errno),
			errno == EACCES ? " (tables are read as UserID)" : "");
		return ERR_CONFIG;
	}
	if (memchr(text.p, '\0', text.n) != NULL) {
		diag_error(diag, (struct diag_place){name, 0}, "not a text file: it contains NUL bytes");
		return ERR_CONFIG;
	}
	dataset_parse_lines(arena, text, name, dataset);
	return ERR_OK;
}

static enum err read_database(
	struct arena *arena, struct str spec, struct diag_place place, struct diag *diag, struct dataset *dataset)
{
	struct database database;
	if (!database_parse(arena, spec, place, diag, &database))
		return ERR_CONFIG;
	struct database_rows rows = {arena, &database, dataset, NULL};
	switch (database.type) {
	case DATABASE_LMDB:
		database_read_lmdb(&rows);
		break;
	case DATABASE_SQLITE:
		database_read_sqlite(&rows);
		break;
	case DATABASE_PGSQL:
		database_read_pgsql(&rows);
		break;
	}
	if (rows.error == NULL)
		return ERR_OK;
	diag_error(diag, place, "cannot read %.*s: %s", STR_ARG(database.shown), rows.error);
	return ERR_CONFIG;
}

enum err dataset_read(
	struct arena *arena, struct str spec, struct diag_place place, struct diag *diag, struct dataset *ret_dataset)
{
	spec = str_trim(spec);
	*ret_dataset = (struct dataset){.name = dataset_shown(arena, spec)};
	struct str rest = arena_dup(arena, spec);
	bool typed = kind_of(&rest, &ret_dataset->kind);
	if (!typed && report_unknown_type(rest, place, diag))
		return ERR_CONFIG;
	switch (ret_dataset->kind) {
	case DATASET_FILE:
	case DATASET_REFILE:
		return read_file(arena, rest, place, diag, ret_dataset);
	case DATASET_DATABASE:
		return read_database(arena, rest, place, diag, ret_dataset);
	case DATASET_LIST:
		break;
	}
	dataset_parse_list(arena, rest, place, ret_dataset);
	return ERR_OK;
}

/* ---- what others may see of it ---- */

/* "password=..." as a parameter; the name in any case. */
static struct str hide_parameter(struct arena *arena, struct str text)
{
	const struct str name = STR("password=");
	size_t begin = 0;
	while (begin < text.n && !str_istarts(str_skip(text, begin), name))
		begin++;
	if (begin == text.n)
		return text;
	begin += name.n;
	size_t end = begin;
	while (end < text.n && text.p[end] != '&' && text.p[end] != '?')
		end++;
	return arena_printf(arena, "%.*s***%.*s", STR_ARG(str_head(text, begin)), STR_ARG(str_skip(text, end)));
}

struct str dataset_shown(struct arena *arena, struct str spec)
{
	const char *slashes = spec.n > 0 ? memmem(spec.p, spec.n, "//", 2) : NULL;
	struct str text = hide_parameter(arena, arena_dup(arena, spec));
	if (slashes == NULL)
		return text;
	/* Rather too much than too little: a password may hold what should have been encoded. */
	size_t begin = (size_t)(slashes - spec.p) + 2;
	ptrdiff_t at = str_rindex(text, '@'), colon = str_index(str_skip(text, begin), ':');
	if (at < 0 || colon < 0 || begin + (size_t)colon > (size_t)at)
		return text;
	return arena_printf(arena, "%.*s***%.*s", STR_ARG(str_head(text, begin + (size_t)colon + 1)),
		STR_ARG(str_skip(text, (size_t)at)));
}

/* FNV-1a; the length keeps neighbours apart. */
static uint64_t mix(uint64_t hash, struct str text)
{
	hash = (hash ^ text.n) * 0x100000001b3u;
	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) * 0x100000001b3u;
	return hash;
}

uint64_t dataset_fingerprint(const struct dataset *dataset)
{
	uint64_t hash = mix(0xcbf29ce484222325u, dataset->name);
	for (size_t i = 0; i < dataset->n; i++)
		hash = mix(mix(hash, dataset->rows[i].key), dataset->rows[i].value);
	return hash;
}

bool dataset_pattern_matches(struct str pattern, struct str text)
{
	/* On a mismatch only the last star needs another try: what earlier stars took can stay as short as it was. */
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.n && str_lower_char(pattern.p[p]) == str_lower_char(text.p[t])) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}
