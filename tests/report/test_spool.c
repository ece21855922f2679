/*
 * Files of records: written once, read once, whatever happens to the disk in between.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/line.h"
#include "report/spool.h"

struct fixture {
	struct arena *arena;
	char top[64];
	struct str directory; /* not made yet */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->arena = arena_new(0);
	strcpy(fixture->top, "/tmp/trimilter-spool-XXXXXX");
	*state = fixture;
	if (mkdtemp(fixture->top) == NULL)
		return 1;
	fixture->directory = arena_printf(fixture->arena, "%s/state/spool", fixture->top);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[256];
	snprintf(command, sizeof(command), "chmod -R u+rwx '%s'; rm -rf '%s'", fixture->top, fixture->top);
	int status = system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

static struct report_record example(struct str queue_id)
{
	return (struct report_record){
		.time = 1763740800,
		.reporter = STR("mx.example"),
		.queue_id = queue_id,
		.policy = {STR("example.com"), STR("v=DMARC1; p=none"), STR("treewalk")},
		.row = {.source_ip = STR("192.0.2.1"), .disposition = STR("none"), .header_from = STR("example.com")},
	};
}

static struct spool *open_spool(const struct fixture *fixture)
{
	struct spool *spool;
	char error[SPOOL_ERROR_SIZE];
	assert_int_equal(spool_new(fixture->directory, &spool, error), ERR_OK);
	return spool;
}

static bool append(struct spool *spool, const char *queue_id)
{
	struct arena *scratch = arena_new(0);
	struct report_record record = example(str_of(queue_id));
	bool written = spool_append(spool, scratch, &record);
	arena_free(scratch);
	return written;
}

/* NULL: none is free. */
static struct spool_file *first_free(const struct fixture *fixture)
{
	struct spool_reader *reader;
	struct spool_file *file;
	assert_int_equal(spool_reader_new(fixture->directory, &reader), ERR_OK);
	assert_int_equal(spool_reader_next(reader, &file), ERR_OK);
	spool_reader_free(reader);
	return file;
}

/* Queue ids of all lines of all free files, in order; "|" between files. Removes them if @remove. */
static const char *read_all(const struct fixture *fixture, bool remove, size_t *bad)
{
	struct buf ids = buf_in(fixture->arena);
	struct spool_reader *reader;
	struct spool_file *file;
	*bad = 0;
	assert_int_equal(spool_reader_new(fixture->directory, &reader), ERR_OK);
	while (spool_reader_next(reader, &file) == ERR_OK && file != NULL) {
		uint64_t position = 0;
		struct str line;
		buf_add_cstr(&ids, ids.n > 0 ? "|" : "");
		while (spool_file_line(file, &position, &line, bad)) {
			struct report_record record;
			assert_null(report_record_read(fixture->arena, line, &record));
			buf_printf(&ids, "%.*s ", STR_ARG(record.queue_id));
		}
		if (remove)
			assert_int_equal(spool_file_remove(file), ERR_OK);
		spool_file_close(file);
	}
	spool_reader_free(reader);
	return buf_cstr(&ids);
}

static void check_read(const struct fixture *fixture, bool remove, const char *wanted, size_t wanted_bad)
{
	size_t bad;
	check_str("lines", str_of(read_all(fixture, remove, &bad)), wanted);
	assert_int_equal(bad, wanted_bad);
}

static void what_is_written_can_be_read(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool = open_spool(fixture);
	check_read(fixture, false, "", 0); /* no file before the first record */
	assert_true(append(spool, "a"));
	assert_true(append(spool, "b"));
	check_read(fixture, false, "", 0); /* the writer's */
	spool_tick(spool);
	check_read(fixture, false, "a b ", 0);
	assert_true(append(spool, "c"));
	spool_tick(spool);
	spool_tick(spool); /* nothing new */
	check_read(fixture, true, "a b |c ", 0);
	check_read(fixture, false, "", 0);
	assert_true(append(spool, "d"));
	spool_free(spool);
	check_read(fixture, true, "d ", 0);
	assert_null(first_free(&(struct fixture){.directory = STR("/nonexistent/spool")}));
}

static void ids_and_names_differ(void **state)
{
	const struct fixture *fixture = *state;
	struct str ids[4];
	for (size_t i = 0; i < 2; i++) {
		struct spool *spool = open_spool(fixture);
		for (size_t k = 0; k < 2; k++) {
			struct report_record record = example(STR("q"));
			assert_true(spool_append(spool, fixture->arena, &record));
			ids[2 * i + k] = record.id;
		}
		spool_free(spool);
	}
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < i; k++)
			assert_false(str_eq(ids[i], ids[k]));
	check_read(fixture, true, "q q |q q ", 0);
}

static void two_readers_get_different_files(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool = open_spool(fixture);
	append(spool, "a");
	spool_tick(spool);
	append(spool, "b");
	spool_free(spool);
	struct spool_file *first = first_free(fixture), *second = first_free(fixture);
	assert_non_null(first);
	assert_non_null(second);
	assert_null(first_free(fixture));
	assert_false(str_eq(spool_file_name(first), spool_file_name(second)));
	spool_file_close(first);
	spool_file_close(second);
}

/* ---- lines that are none ---- */

#define LINE "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}}\n"

static const struct {
	const char *what, *text;
	size_t lines, bad;
	uint64_t position; /* behind the last one */
} torn[] = {
	{"empty", "", 0, 0, 0},
	{"one", LINE, 1, 0, 44},
	{"torn at the end", LINE "{\"length\":2,\"crc3", 1, 1, 61},
	{"torn in the middle", "{\"length\":2,\"crc3\n" LINE, 1, 1, 62},
	{"torn without a newline", "{\"length\":2,\"crc3" LINE LINE, 1, 1, 105},
	{"whole but for its newline", "{\"length\":2,\"crc32\":\"a3a6bf43\",\"record\":{}}", 0, 1, 43},
	{"foreign", "#!/bin/sh\n\n" LINE, 1, 2, 55},
};

static void write_file(const struct fixture *fixture, const char *name, struct str text)
{
	mkdir(arena_printf(fixture->arena, "%s/state", fixture->top).p, 0700);
	mkdir(fixture->directory.p, 0700);
	int fd = open(arena_printf(fixture->arena, "%s/%s", fixture->directory.p, name).p, O_WRONLY | O_CREAT | O_TRUNC,
		0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static void torn_lines_are_passed_over(void **state)
{
	const struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(torn); i++) {
		struct str line;
		size_t n = 0, bad = 0;
		uint64_t position = 0;
		write_file(fixture, "1.jsonl", str_of(torn[i].text));
		struct spool_file *file = first_free(fixture);
		assert_non_null(file);
		while (spool_file_line(file, &position, &line, &bad)) {
			check_str(torn[i].what, line, LINE);
			n++;
		}
		check_int(torn[i].what, (long long)n, (long long)torn[i].lines);
		check_int(torn[i].what, (long long)bad, (long long)torn[i].bad);
		check_int(torn[i].what, (long long)position, (long long)torn[i].position);
		/* From where it left off there is nothing, and nothing is counted again. */
		assert_false(spool_file_line(file, &position, &line, &bad));
		check_int(torn[i].what, (long long)bad, (long long)torn[i].bad);
		spool_file_close(file);
	}
}

/* From any position that a line ended at, the rest comes: how an import goes on after a crash. */
static void reading_goes_on_anywhere(void **state)
{
	const struct fixture *fixture = *state;
	struct buf text = buf_in(fixture->arena), json = buf_in(fixture->arena);
	size_t ends[50];
	buf_add_cstr(&json, "{\"x\":\"");
	for (size_t i = 0; i < COUNT(ends); i++) {
		/* From some bytes to more than any buffer begins with. */
		for (size_t k = 0; k < i * 100; k++)
			buf_add_char(&json, 'x');
		struct buf whole = buf_in(fixture->arena);
		buf_printf(&whole, "%s\"}", buf_cstr(&json));
		report_line_write(buf_str(&whole), &text);
		ends[i] = text.n;
	}
	write_file(fixture, "1.jsonl", buf_str(&text));
	struct spool_file *file = first_free(fixture);
	for (size_t i = 0; i < COUNT(ends); i++) {
		size_t from = (i * 31) % COUNT(ends), bad = 0;
		uint64_t position = from == 0 ? 0 : ends[from - 1];
		struct str line;
		for (size_t k = from; k < COUNT(ends); k++) {
			assert_true(spool_file_line(file, &position, &line, &bad));
			assert_int_equal(position, ends[k]);
			assert_int_equal(line.n, ends[k] - (k == 0 ? 0 : ends[k - 1]));
		}
		assert_false(spool_file_line(file, &position, &line, &bad));
		assert_int_equal(bad, 0);
	}
	spool_file_close(file);
}

static void a_line_without_end_costs_no_memory(void **state)
{
	const struct fixture *fixture = *state;
	size_t n = REPORT_LINE_MAX * 3;
	char *text = malloc(n + sizeof(LINE));
	memset(text, 'x', n);
	text[n] = '\n';
	memcpy(text + n + 1, LINE, sizeof(LINE) - 1);
	write_file(fixture, "1.jsonl", str_from(text, n + sizeof(LINE)));
	free(text);
	struct str line;
	size_t bad = 0;
	uint64_t position = 0;
	struct spool_file *file = first_free(fixture);
	assert_true(spool_file_line(file, &position, &line, &bad));
	check_str("line", line, LINE);
	assert_int_equal(bad, 1);
	spool_file_close(file);
}

static void other_files_are_left_alone(void **state)
{
	const struct fixture *fixture = *state;
	write_file(fixture, "notes.txt", STR("x"));
	write_file(fixture, ".1.jsonl", STR("x"));
	mkdir(arena_printf(fixture->arena, "%s/2.jsonl", fixture->directory.p).p, 0700);
	assert_int_equal(symlink("/etc/passwd", arena_printf(fixture->arena, "%s/3.jsonl", fixture->directory.p).p), 0);
	assert_int_equal(mkfifo(arena_printf(fixture->arena, "%s/4.jsonl", fixture->directory.p).p, 0600), 0);
	check_read(fixture, true, "", 0);
}

/* ---- a disk without room ---- */

/* What a full disk does, with errno EFBIG: a short write, then none. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static size_t line_size(const struct fixture *fixture)
{
	struct report_record record = example(STR("a"));
	struct buf line = buf_in(fixture->arena);
	record.id = STR("0123456789abcdef-0");
	report_record_write(&record, &line);
	return line.n;
}

static void a_full_disk_drops_whole_records(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool = open_spool(fixture);
	signal(SIGXFSZ, SIG_IGN);
	assert_true(append(spool, "a"));
	assert_true(append(spool, "b"));
	limit_files((rlim_t)(2.5 * (double)line_size(fixture))); /* within the third */
	assert_false(append(spool, "c"));
	assert_false(append(spool, "d"));
	limit_files(RLIM_INFINITY);
	assert_true(append(spool, "e"));
	spool_free(spool);
	check_read(fixture, true, "a b e ", 0);
}

static void counters_tell(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool = open_spool(fixture);
	signal(SIGXFSZ, SIG_IGN);
	append(spool, "a");
	limit_files(0);
	append(spool, "b");
	limit_files(RLIM_INFINITY);
	spool_drop(spool);
	append(spool, "c");
	struct spool_counters counters = spool_counters(spool);
	assert_int_equal(counters.written, 2);
	assert_int_equal(counters.dropped, 2);
	spool_free(spool);
}

/* ---- a directory that cannot be used ---- */

static void check_error(const char *what, const char *error, const char *wanted)
{
	if (strstr(error, wanted) == NULL)
		check_str(what, str_of(error), wanted);
}

static void a_directory_that_is_none(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool;
	char error[SPOOL_ERROR_SIZE];
	write_file(fixture, "file", STR("x"));
	struct str in_file = arena_printf(fixture->arena, "%s/file/spool", fixture->directory.p);
	struct str is_file = arena_printf(fixture->arena, "%s/file", fixture->directory.p);
	assert_int_equal(spool_new(is_file, &spool, error), ERR_IO);
	check_error("file", error, "/state/spool/file: Not a directory");
	assert_false(append(spool, "a"));
	spool_free(spool);
	assert_int_equal(spool_probe(in_file, false, error), ERR_IO);
	check_error("below a file", error, "cannot write ");
	assert_int_equal(spool_new(in_file, &spool, error), ERR_IO);
	assert_int_equal(spool_counters(spool).dropped, 0);
	assert_false(append(spool, "a"));
	assert_int_equal(spool_counters(spool).dropped, 1);
	/* It is mended. */
	assert_int_equal(unlink(is_file.p), 0);
	spool_tick(spool);
	assert_true(append(spool, "b"));
	spool_free(spool);
}

static void a_probe_makes_nothing(void **state)
{
	const struct fixture *fixture = *state;
	char error[SPOOL_ERROR_SIZE];
	assert_int_equal(spool_probe(fixture->directory, false, error), ERR_OK);
	assert_int_not_equal(access(fixture->directory.p, F_OK), 0);
	assert_int_equal(spool_probe(fixture->directory, true, error), ERR_OK);
	struct stat there;
	assert_int_equal(stat(fixture->directory.p, &there), 0);
	assert_int_equal(there.st_mode & 07777, 0700);
	assert_int_equal(spool_probe(STR(""), true, error), ERR_IO);
}

static void a_directory_that_goes_away(void **state)
{
	const struct fixture *fixture = *state;
	struct spool *spool = open_spool(fixture);
	append(spool, "a");
	spool_tick(spool);
	assert_int_equal(rename(fixture->directory.p, arena_printf(fixture->arena, "%s/moved", fixture->top).p), 0);
	assert_false(append(spool, "b"));
	assert_false(append(spool, "c"));
	spool_tick(spool);
	assert_true(append(spool, "d"));
	spool_free(spool);
	check_read(fixture, true, "d ", 0);
}

static void what_waits(void **state)
{
	const struct fixture *fixture = *state;
	struct spool_backlog backlog;
	assert_int_equal(spool_backlog(fixture->directory, &backlog), ERR_OK);
	assert_int_equal(backlog.files, 0);
	write_file(fixture, "1700000100-1.jsonl", STR("12345"));
	write_file(fixture, "1700000000-1.jsonl", STR("123"));
	write_file(fixture, "1700000200-1.jsonl", STR(""));
	write_file(fixture, "1600000000-1.other", STR("1"));
	write_file(fixture, ".1600000000-1.jsonl", STR("1"));
	assert_int_equal(spool_backlog(fixture->directory, &backlog), ERR_OK);
	assert_int_equal(backlog.files, 3);
	assert_int_equal(backlog.bytes, 8);
	assert_int_equal(backlog.oldest, 1700000000);
}

static void check_unreadable(struct str directory, int wanted)
{
	struct spool_backlog backlog;
	struct spool_reader *reader;
	errno = 0;
	assert_int_equal(spool_reader_new(directory, &reader), ERR_IO);
	assert_int_equal(errno, wanted);
	assert_null(reader);
	errno = 0;
	assert_int_equal(spool_backlog(directory, &backlog), ERR_IO);
	assert_int_equal(errno, wanted);
}

static void what_is_no_directory(void **state)
{
	const struct fixture *fixture = *state;
	write_file(fixture, "file", STR(""));
	check_unreadable(arena_printf(fixture->arena, "%.*s/file", STR_ARG(fixture->directory)), ENOTDIR);
}

/* Its beginning is a directory, which must not be taken for it. */
static void a_directory_whose_name_is_too_long(void **state)
{
	const struct fixture *fixture = *state;
	char error[SPOOL_ERROR_SIZE];
	struct buf name = buf_in(fixture->arena);
	buf_add(&name, str_of(fixture->top));
	while (name.n < 5000)
		buf_add_char(&name, '/');
	check_unreadable(buf_str(&name), ENAMETOOLONG);
	/* Room for the directory, not for what is to be in it. */
	assert_int_equal(spool_probe(str_head(buf_str(&name), 4050), true, error), ERR_IO);
	assert_non_null(strstr(error, "File name too long"));
	assert_int_equal(spool_probe(str_head(buf_str(&name), 4000), true, error), ERR_OK);
}

/* What somebody else has removed cannot be: whoever counted its lines must hear of it. */
static void a_file_is_removed_once(void **state)
{
	const struct fixture *fixture = *state;
	write_file(fixture, "1-1.jsonl", STR(""));
	struct spool_file *file = first_free(fixture);
	assert_int_equal(spool_file_remove(file), ERR_OK);
	assert_int_equal(spool_file_remove(file), ERR_IO);
	spool_file_close(file);
}

/*
 * Whoever cannot read a file to its end must not remove it. A directory takes the place of the file behind the
 * descriptor, which is the lowest free one; read() of that fails.
 */
static void a_file_that_cannot_be_read_stays(void **state)
{
	const struct fixture *fixture = *state;
	struct str line;
	uint64_t position = 0;
	size_t bad = 0;
	write_file(fixture, "1-1.jsonl", STR(LINE LINE));
	int directory = open(fixture->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next = dup(directory);
	close(next);
	struct spool_file *file = first_free(fixture);
	assert_int_equal(dup2(directory, next), next);
	assert_false(spool_file_line(file, &position, &line, &bad));
	assert_false(spool_file_line(file, &position, &line, &bad));
	assert_int_equal(position, 0);
	assert_int_equal(bad, 0);
	assert_int_equal(spool_file_remove(file), ERR_IO);
	assert_int_equal(errno, EIO);
	spool_file_close(file);
	close(directory);
	file = first_free(fixture);
	assert_true(spool_file_line(file, &position, &line, &bad));
	spool_file_close(file);
}

/* ---- many at once ---- */

struct writers {
	struct spool *spool;
	atomic_uint n_next;
};

static void *write_many(void *context)
{
	struct writers *writers = context;
	char name[16];
	for (unsigned i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "%u", writers->n_next++);
		append(writers->spool, name);
		if (i % 50 == 0)
			spool_tick(writers->spool);
	}
	return NULL;
}

static void threads_write_one_line_at_a_time(void **state)
{
	const struct fixture *fixture = *state;
	struct writers writers = {.spool = open_spool(fixture)};
	pthread_t threads[4];
	bool seen[1000] = {0};
	size_t bad, n = 0;
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	spool_free(writers.spool);
	for (struct str rest = str_of(read_all(fixture, true, &bad)), word; str_cut(&rest, ' ', &word);) {
		if (word.n == 0)
			continue;
		uint64_t number;
		assert_true(str_to_u64(word.p[0] == '|' ? str_skip(word, 1) : word, 999, &number));
		assert_false(seen[number]);
		seen[number] = true;
		n++;
	}
	assert_int_equal(n, 1000);
	assert_int_equal(bad, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_can_be_read),
		TEST(ids_and_names_differ),
		TEST(two_readers_get_different_files),
		TEST(torn_lines_are_passed_over),
		TEST(reading_goes_on_anywhere),
		TEST(a_line_without_end_costs_no_memory),
		TEST(other_files_are_left_alone),
		TEST(a_full_disk_drops_whole_records),
		TEST(counters_tell),
		TEST(a_directory_that_is_none),
		TEST(a_probe_makes_nothing),
		TEST(a_directory_that_goes_away),
		TEST(what_waits),
		TEST(what_is_no_directory),
		TEST(a_directory_whose_name_is_too_long),
		TEST(a_file_is_removed_once),
		TEST(a_file_that_cannot_be_read_stays),
		TEST(threads_write_one_line_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
