/*
 * Files of elsewhere, up to three with form feeds between, the first byte of each saying of which kind: whatever is in
 * them, what comes of it is a configuration of options that there are, unless something is said to be wrong.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/state.h"
#include "convert/collect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES 3

static char directory[] = "/dev/shm/trimilter-fuzz-XXXXXX";
static char paths[FILES][sizeof(directory) + 16];

static void clean(void)
{
	for (size_t i = 0; i < FILES; i++)
		unlink(paths[i]);
	rmdir(directory);
}

/* Where nothing but the text tells of which kind a file is, its name does. */
static void prepare(void)
{
	static const char *const names[FILES] = {"opendmarc.conf", "dkim-filter", "opendkim.conf"};
	if (paths[0][0] != '\0')
		return;
	if (mkdtemp(directory) == NULL)
		abort();
	for (size_t i = 0; i < FILES; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", directory, names[i]);
	atexit(clean);
}

static void put(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		abort();
	close(fd);
}

static enum convert_kind kind_of(char letter)
{
	static const struct {
		char letter;
		enum convert_kind kind;
	} kinds[] = {
		{'a', CONVERT_AMAVISD},
		{'r', CONVERT_RSPAMD},
		{'d', CONVERT_DEFAULT},
		{'o', CONVERT_OPENDKIM},
		{'M', CONVERT_OPENDMARC},
		{'p', CONVERT_POLICYD_SPF},
		{'e', CONVERT_EVIDENT},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].letter == letter)
			return kinds[i].kind;
	return CONVERT_DKIM_FILTER;
}

static struct conversion *read_files(struct arena *arena, struct str rest, struct diag *diag)
{
	struct convert_file *files = ARENA_ARRAY(arena, FILES, struct convert_file);
	size_t n = 0;
	for (struct str text; n < FILES && str_cut(&rest, '\f', &text); n++) {
		files[n] = (struct convert_file){paths[n], kind_of(text.n > 0 ? text.p[0] : 'e')};
		put(paths[n], str_skip(text, text.n > 0));
	}
	struct conversion *conversion = conversion_read(arena, files, n, diag);
	for (size_t i = 0; conversion != NULL && i < n; i++)
		if (files[i].kind == CONVERT_EVIDENT)
			abort();
	return conversion;
}

/* opendmarc's own command line stands in a file of assignments alone. */
static struct conversion *read_command_line(struct arena *arena, struct str text, struct diag *diag)
{
	struct conversion *conversion = conversion_new(arena, diag);
	convert_command_line(conversion, text, true, (struct diag_place){"file", 1});
	return conversion;
}

static void check(struct arena *arena, const struct conversion *conversion)
{
	struct diag diag = diag_in(arena);
	struct buf out = buf_in(arena);
	size_t n;
	const struct convert_table *tables = conversion_tables(conversion, &n);
	for (size_t i = 0; i < n; i++)
		if (tables[i].text.n > 0 && tables[i].text.p[tables[i].text.n - 1] != '\n')
			abort();
	conversion_write(conversion, STR("/etc/trimilter"), &out);
	conversion_is_secret(conversion);
	config_read_text(arena, buf_str(&out), &diag);
	for (size_t i = 0; i < diag.n; i++)
		if (memmem(diag.entries[i].text.p, diag.entries[i].text.n, "unknown option", 14) != NULL)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct str text = str_from((const char *)data, size);
	prepare();
	struct conversion *conversion = str_starts(text, STR("m")) ? read_command_line(arena, str_skip(text, 1), &diag)
								   : read_files(arena, text, &diag);
	if (conversion != NULL)
		check(arena, conversion);
	else if (diag.n_errors == 0)
		abort();
	arena_free(arena);
	return 0;
}
