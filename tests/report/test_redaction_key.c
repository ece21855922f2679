/*
 * The secret that redacted reports are made with: made once, and the same one ever after.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "report/redaction_key.h"

struct fixture {
	struct arena *arena;
	char directory[64];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->arena = arena_new(0);
	strcpy(fixture->directory, "/tmp/trimilter-redaction-XXXXXX");
	*state = fixture;
	return mkdtemp(fixture->directory) == NULL;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[256];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

static const char *key_path(const struct fixture *fixture, struct str directory)
{
	return arena_printf(fixture->arena, "%.*s/redaction.key", STR_ARG(directory)).p;
}

static void check_kept(const struct fixture *fixture, struct str directory)
{
	char first[REDACTION_KEY_SIZE], second[REDACTION_KEY_SIZE];
	struct stat there;
	assert_true(redaction_key_load(fixture->arena, directory, first));
	assert_true(redaction_key_load(fixture->arena, directory, second));
	assert_memory_equal(first, second, sizeof(first));
	assert_int_equal(stat(key_path(fixture, directory), &there), 0);
	assert_int_equal(there.st_size, REDACTION_KEY_SIZE);
	assert_int_equal(there.st_mode & 0777, 0600);
}

static void it_is_made_once(void **state)
{
	const struct fixture *fixture = *state;
	check_kept(fixture, str_of(fixture->directory));
}

/* As long as any directory may be; a path that is cut leads elsewhere. */
static void in_a_directory_with_a_long_name(void **state)
{
	const struct fixture *fixture = *state;
	struct buf name = buf_in(fixture->arena);
	buf_add_cstr(&name, fixture->directory);
	while (name.n < 2000) {
		buf_add_cstr(&name, "/");
		for (int i = 0; i < 100; i++)
			buf_add_char(&name, 'd');
		assert_int_equal(mkdir(buf_cstr(&name), 0700), 0);
	}
	check_kept(fixture, buf_str(&name));
}

static void what_a_crash_left_is_replaced(void **state)
{
	const struct fixture *fixture = *state;
	int fd = open(key_path(fixture, str_of(fixture->directory)), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "torn", 4), 4);
	close(fd);
	check_kept(fixture, str_of(fixture->directory));
}

/* Somebody else's file, or none that can be read: it may be what earlier reports were made with. */
static void what_cannot_be_read_stays(void **state)
{
	const struct fixture *fixture = *state;
	char first[REDACTION_KEY_SIZE], second[REDACTION_KEY_SIZE];
	const char *path = key_path(fixture, str_of(fixture->directory));
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_false(redaction_key_load(fixture->arena, str_of(fixture->directory), first));
	assert_int_equal(errno, ELOOP);
	assert_false(redaction_key_load(fixture->arena, str_of(fixture->directory), second));
	assert_memory_not_equal(first, second, sizeof(first));
	assert_int_not_equal(access(path, F_OK), 0);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(redaction_key_load(fixture->arena, str_of(fixture->directory), first));
	assert_int_equal(errno, EISDIR);
}

static void without_a_directory(void **state)
{
	const struct fixture *fixture = *state;
	char first[REDACTION_KEY_SIZE], second[REDACTION_KEY_SIZE];
	struct str missing = arena_printf(fixture->arena, "%s/none", fixture->directory);
	assert_false(redaction_key_load(fixture->arena, missing, first));
	assert_int_equal(errno, ENOENT);
	assert_false(redaction_key_load(fixture->arena, missing, second));
	assert_memory_not_equal(first, second, sizeof(first));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_made_once),
		TEST(in_a_directory_with_a_long_name),
		TEST(what_a_crash_left_is_replaced),
		TEST(what_cannot_be_read_stays),
		TEST(without_a_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
