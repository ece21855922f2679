#include "tables/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* What opendkim(8) knows besides. */
static const char *const unsupported[] = {
	"db:",
	"bdb:",
	"dsn:",
	"ldap:",
	"ldaps:",
	"ldapi:",
	"lua:",
	"erlang:",
	"mdb:",
	"lmdb:",
	"memcache:",
	"repute:",
	"socket:",
	"sqlite:",
	"pgsql:",
	"mysql:",
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

static void add_row(struct arena *arena, struct dataset *dataset, size_t *capacity, struct dataset_row row)
{
	dataset->rows = arena_grow(arena, dataset->rows, capacity, dataset->n + 1, sizeof(*dataset->rows));
	dataset->rows[dataset->n++] = row;
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
	size_t capacity = dataset->n;
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
		add_row(arena, dataset, &capacity,
			(struct dataset_row){str_head(s, key), str_trim(str_skip(s, key)), {file, line}});
	}
}

void dataset_parse_list(struct arena *arena, struct str list, struct diag_place place, struct dataset *dataset)
{
	size_t capacity = dataset->n;
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
		add_row(arena, dataset, &capacity, row);
	}
}

static bool report_unknown_type(struct str spec, struct diag_place place, struct diag *diag)
{
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(*unsupported); i++) {
		if (!str_istarts(spec, str_of(unsupported[i])))
			continue;
		diag_error(diag, place,
			"data sets of type \"%s\" are not supported: write the entries to a text file, one \"key "
			"value\" a line, "
			"and name it as file:/path (or refile:/path where keys contain '*')",
			unsupported[i]);
		return true;
	}
	/* "refil:/etc/..." is no list of one odd word. */
	ptrdiff_t colon = str_index(spec, ':');
	if (colon <= 0 || (size_t)colon + 1 >= spec.n || spec.p[colon + 1] != '/')
		return false;
	struct nearest nearest = nearest_to(str_head(spec, (size_t)colon + 1));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		nearest_consider(&nearest, str_of(kinds[i].prefix));
	diag_error(diag, place, "unknown type of data set \"%.*s\": %s%.*s%s", STR_ARG(nearest.word),
		nearest.best.n > 0 ? "did you mean \"" : "known are file:, refile: and csl:", STR_ARG(nearest.best),
		nearest.best.n > 0 ? "\"?" : "");
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
	*ret_kind = spec->n > 0 && spec->p[0] == '/' ? DATASET_FILE : DATASET_LIST;
	return false;
}

enum err dataset_read(
	struct arena *arena, struct str spec, struct diag_place place, struct diag *diag, struct dataset *ret_dataset)
{
	struct str rest = str_trim(spec);
	*ret_dataset = (struct dataset){.name = arena_dup(arena, rest)};
	rest = ret_dataset->name;
	bool typed = kind_of(&rest, &ret_dataset->kind);
	if (!typed && report_unknown_type(rest, place, diag))
		return ERR_CONFIG;
	if (ret_dataset->kind == DATASET_LIST) {
		dataset_parse_list(arena, rest, place, ret_dataset);
		return ERR_OK;
	}
	if (rest.n == 0) {
		diag_error(diag, place, "\"%.*s\" names no file", STR_ARG(ret_dataset->name));
		return ERR_CONFIG;
	}
	const char *path = arena_dup(arena, rest).p;
	struct str text;
	if (dataset_read_file(arena, path, &text) != ERR_OK) {
		diag_error(diag, place, "cannot read the table %s: %s%s", path, strerror(errno),
			errno == EACCES ? " (tables are read as UserID)" : "");
		return ERR_CONFIG;
	}
	if (memchr(text.p, '\0', text.n) != NULL) {
		diag_error(diag, (struct diag_place){path, 0}, "not a text file: it contains NUL bytes");
		return ERR_CONFIG;
	}
	dataset_parse_lines(arena, text, path, ret_dataset);
	return ERR_OK;
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
