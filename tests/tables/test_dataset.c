/*
 * Lists and tables as OpenDKIM and OpenDMARC write them; the pattern of refile: sets.
 */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "tables/dataset.h"

static struct diag_place nowhere = {"test.conf", 7};

static const struct {
	const char *what;
	const char *spec;
	enum dataset_kind kind;
	const char *rows; /* "key>value|..." */
} lists[] = {
	{"a bare list", "a, b,c", DATASET_LIST, "a>|b>|c>"},
	{"csl:", "csl:a,b", DATASET_LIST, "a>|b>"},
	{"the type in any case", "CSL:a", DATASET_LIST, "a>"},
	{"key=value", "csl:k=d:s:/p, x = y", DATASET_LIST, "k>d:s:/p|x>y"},
	{"the first '=' parts: base64 ends in '='", "k=d:s:AAA=", DATASET_LIST, "k>d:s:AAA="},
	{"an IPv6 address is no type of data set", "::1,fe80::1", DATASET_LIST, "::1>|fe80::1>"},
	{"empty entries are nothing", "a,,b,", DATASET_LIST, "a>|b>"},
	{"a single name", "example.com", DATASET_LIST, "example.com>"},
};

static struct str rows_text(struct arena *arena, const struct dataset *dataset)
{
	struct str text = STR("");
	for (size_t i = 0; i < dataset->n; i++)
		text = arena_printf(arena, "%.*s%s%.*s>%.*s", STR_ARG(text), i > 0 ? "|" : "",
			STR_ARG(dataset->rows[i].key), STR_ARG(dataset->rows[i].value));
	return text;
}

static void lists_are_read(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(lists); i++) {
		struct diag diag = diag_in(arena);
		struct dataset dataset;
		check_int(lists[i].what, dataset_read(arena, str_of(lists[i].spec), nowhere, &diag, &dataset), ERR_OK);
		check_int(lists[i].what, dataset.kind, lists[i].kind);
		check_str(lists[i].what, rows_text(arena, &dataset), lists[i].rows);
		check_int(lists[i].what, (long long)diag.n, 0);
	}
	arena_free(arena);
}

static const struct {
	const char *what;
	const char *text;
	const char *rows;
	unsigned last_line;
} files[] = {
	{"blanks and comments", "# head\n\n a.example   key1 # why\n\tb.example\tk:u@b.example \n",
		"a.example>key1|b.example>k:u@b.example", 4},
	{"no line end at the end", "a b", "a>b", 1},
	{"line ends of Windows", "a b\r\nc d\r\n", "a>b|c>d", 2},
	{"a mark of byte order",
		"\xef\xbb\xbf"
		"a b\n",
		"a>b", 1},
	{"the value is the rest of the line", "a b c  d\n", "a>b c  d", 1},
	{"a key alone", "192.0.2.0/24\n", "192.0.2.0/24>", 1},
	{"an empty file", "", "", 0},
};

static void files_are_read(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(files); i++) {
		struct dataset dataset = {.kind = DATASET_FILE};
		dataset_parse_lines(arena, str_of(files[i].text), "table", &dataset);
		check_str(files[i].what, rows_text(arena, &dataset), files[i].rows);
		if (dataset.n > 0)
			check_int(files[i].what, dataset.rows[dataset.n - 1].place.line, files[i].last_line);
	}
	arena_free(arena);
}

static void a_path_is_a_file(void **state)
{
	(void)state;
	static const char *const prefixes[] = {"", "file:", "refile:"};
	char path[] = "/tmp/trimilter-dataset-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a b\n", 4), 4);
	close(fd);
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		struct diag diag = diag_in(arena);
		struct dataset dataset;
		struct str spec = arena_printf(arena, "%s%s", prefixes[i], path);
		check_int(prefixes[i], dataset_read(arena, spec, nowhere, &diag, &dataset), ERR_OK);
		check_int(prefixes[i], dataset.kind, i == 2 ? DATASET_REFILE : DATASET_FILE);
		check_str(prefixes[i], rows_text(arena, &dataset), "a>b");
		assert_string_equal(dataset.rows[0].place.file, path);
	}
	unlink(path);
	arena_free(arena);
}

static const struct {
	const char *spec;
	const char *message;
} mistakes[] = {
	{"refil:/etc/x", "test.conf:7: unknown type of data set \"refil:\": did you mean \"refile:\"?"},
	{"frob:/etc/x", "test.conf:7: unknown type of data set \"frob:\": known are file:, refile:, csl:, lmdb:, "
			"sqlite: and pgsql:"},
	{"file:/nonexistent/x", "test.conf:7: cannot read the table /nonexistent/x: No such file or directory"},
	{"file:", "test.conf:7: \"file:\" names no file"},
	{"file:/", "test.conf:7: cannot read the table /: Is a directory"},
	{"file:/dev/zero", "test.conf:7: cannot read the table /dev/zero: Invalid argument"},
};

static void mistakes_are_named(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag = diag_in(arena);
		struct dataset dataset;
		check_int(mistakes[i].spec, dataset_read(arena, str_of(mistakes[i].spec), nowhere, &diag, &dataset),
			ERR_CONFIG);
		check_int(mistakes[i].spec, (long long)diag.n, 1);
		check_str(mistakes[i].spec, diag.entries[0].text, mistakes[i].message);
	}
	arena_free(arena);
}

/* opendkim(8), DATA SETS: each that we do not read is refused by name, with what to do. */
static void foreign_types_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *spec, *type, *remedy;
	} foreign[] = {
		{"db:/etc/keys.db", "db:", "db_dump -p"},
		{"bdb:/etc/keys.db", "bdb:", "db_dump -p"},
		{"/etc/keys.db", "db:", "db_dump -p"},
		{"ldap://host/dc=example?a", "ldap:", "ldapsearch"},
		{"ldaps://host/dc=example?a", "ldaps:", "ldapsearch"},
		{"ldapi://host/dc=example?a", "ldapi:", "ldapsearch"},
		{"lua:/etc/keys.lua", "lua:", "let the script write a text file"},
		{"erlang:n@h:cookie:m:f", "erlang:", "text file"},
		{"memcache:localhost/k", "memcache:", "text file"},
		{"repute:rep.example", "repute:", "RejectSPF"},
		{"socket:/run/x", "socket:", "text file"},
		{"mysql://h/d", "mysql:", "write the rows to a text file (the migration guide"},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(foreign); i++) {
		struct diag diag = diag_in(arena);
		struct dataset dataset;
		check_int(foreign[i].spec, dataset_read(arena, str_of(foreign[i].spec), nowhere, &diag, &dataset),
			ERR_CONFIG);
		struct str wanted = arena_printf(
			arena, "test.conf:7: data sets of type \"%s\" are not supported: ", foreign[i].type);
		check_int(foreign[i].spec, str_starts(diag.entries[0].text, wanted), true);
		assert_non_null(strstr(diag.entries[0].text.p, foreign[i].remedy));
	}
	arena_free(arena);
}

static const struct {
	const char *pattern, *text;
	bool matches;
} patterns[] = {
	{"*@example.com", "joe@example.com", true},
	{"*@example.com", "joe@sub.example.com", false},
	{"*@*.example.com", "joe@sub.example.com", true},
	{"*example.com", "joe@badexample.com", true},
	{"*", "", true},
	{"", "", true},
	{"", "a", false},
	{"a*b*c", "aXbXbc", true},
	{"a*b*c", "aXbXb", false},
	{"**a**", "bab", true},
	{"JOE@*", "joe@x", true},
	{"a.c", "abc", false}, /* '*' alone is special */
	{"a?", "ab", false},
};

static void patterns_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++)
		check_int(patterns[i].pattern,
			dataset_pattern_matches(str_of(patterns[i].pattern), str_of(patterns[i].text)),
			patterns[i].matches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(files_are_read),
		cmocka_unit_test(a_path_is_a_file),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(foreign_types_are_refused),
		cmocka_unit_test(patterns_match),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
