/*
 * The committed sample file and man page are what the table of options says today; the options that Debian's
 * manuals and the branches of OpenDKIM and OpenDMARC know are known.
 *
 *	test_generate SOURCE-ROOT
 */
#include "test.h"

#include <stdlib.h>

#include "config/generate.h"
#include "config/values.h"
#include "tables/dataset.h"

static const char *root;

static struct str read_source(struct arena *arena, const char *name)
{
	struct str text;
	const char *path = arena_printf(arena, "%s/%s", root, name).p;
	if (dataset_read_file(arena, path, &text) != ERR_OK) {
		print_error("cannot read %s\n", path);
		fail();
	}
	return text;
}

static void check_committed(const char *name, const char *verb, void (*write)(struct buf *out))
{
	struct arena *arena = arena_new(0);
	struct buf out = buf_in(arena);
	write(&out);
	if (!str_eq(buf_str(&out), read_source(arena, name))) {
		print_error("%s is out of date: trimilterctl conf %s > %s\n", name, verb, name);
		fail();
	}
	arena_free(arena);
}

static void the_sample_is_current(void **state)
{
	(void)state;
	check_committed("conf/trimilter.conf.sample", "sample", config_write_sample);
}

static void the_man_page_is_current(void **state)
{
	(void)state;
	check_committed("docs/man/trimilter.conf.5", "man", config_write_man);
}

static void the_migration_guide_is_current(void **state)
{
	(void)state;
	check_committed("docs/migration.md", "migration", config_write_migration);
}

/* With its comment signs removed each option of the sample must be what the table has as default. */
static void the_sample_can_be_read(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct str sample = read_source(arena, "conf/trimilter.conf.sample");
	size_t n = 0;
	for (struct str rest = sample, line; str_cut(&rest, '\n', &line);) {
		if (line.n < 2 || line.p[0] != '#' || line.p[1] == ' ')
			continue;
		struct str value = str_skip(line, 1), name;
		str_cut(&value, ' ', &name);
		const struct option_row *row = option_find(name);
		if (row == NULL)
			check_str("unknown option in the sample", name, "");
		check_str(row->name, value.p != NULL ? value : STR(""), row->default_text);
		n++;
	}
	for (size_t i = 0; i < n_option_rows; i++)
		n -= option_rows[i].module != NULL;
	assert_int_equal(n, 0);
	arena_free(arena);
}

static void the_options_of_others_are_known(void **state)
{
	(void)state;
	static const struct {
		const char *file;
		size_t at_least;
	} lists[] = {
		{"tests/config/opendkim.options", 100},
		{"tests/config/opendmarc.options", 40},
		{"tests/config/dkim-filter.options", 90},
		{"tests/config/opendkim-branches.options", 60},
		{"tests/config/opendmarc-branches.options", 7},
	};
	struct arena *arena = arena_new(0);
	struct str guide = read_source(arena, "docs/migration.md");
	for (size_t i = 0; i < COUNT(lists); i++) {
		size_t n = 0;
		for (struct str rest = read_source(arena, lists[i].file), name; str_cut(&rest, '\n', &name);) {
			name = str_trim(name);
			if (name.n == 0 || name.p[0] == '#' || str_eq(name, STR("Include")))
				continue;
			if (option_find(name) == NULL)
				check_str("unknown option of another program", name, "");
			struct str cell = arena_printf(arena, "\n| %.*s | ", STR_ARG(str_of(option_find(name)->name)));
			if (memmem(guide.p, guide.n, cell.p, cell.n) == NULL)
				check_str("option without a row in docs/migration.md", name, "");
			n++;
		}
		assert_true(n >= lists[i].at_least);
	}
	arena_free(arena);
}

static void every_option_says_what_it_is_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->name == NULL)
			continue;
		size_t n = strlen(row->help);
		check_int(row->name, n > 10 && row->help[n - 1] == '.' && strchr(row->help, '\n') == NULL, true);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_is_current),
		cmocka_unit_test(the_man_page_is_current),
		cmocka_unit_test(the_migration_guide_is_current),
		cmocka_unit_test(the_sample_can_be_read),
		cmocka_unit_test(the_options_of_others_are_known),
		cmocka_unit_test(every_option_says_what_it_is_for),
	};
	root = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
