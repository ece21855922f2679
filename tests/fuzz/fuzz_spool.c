/*
 * A spool: whatever is in its file, reading ends, positions only grow, every line that is given out is whole, and none
 * that is whole goes missing.
 *
 * Nobody finds a length and a checksum by chance, so the input is a list of lines to make, each begun by a letter: see
 * add_line(). Its first byte says where reading begins and what else is in the directory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/line.h"
#include "report/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BEGIN_MASK 15 /* sixteenths of the file that were read before */
#define LOCKED 16     /* a worker holds an earlier file */
/* This byte alone: a line that is longer than any of ours, and one that is whole. More often would take all the time.
 */
#define OVERLONG 255

static char directory[] = "/dev/shm/trimilter-fuzz-XXXXXX";
static char path[sizeof(directory) + 8], former_path[sizeof(directory) + 8], no_file[sizeof(directory) + 8];

static void clean(void)
{
	unlink(path);
	unlink(former_path);
	rmdir(no_file);
	rmdir(directory);
}

static void prepare(void)
{
	if (path[0] != '\0')
		return;
	if (mkdtemp(directory) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/2.jsonl", directory);
	snprintf(former_path, sizeof(former_path), "%s/1.jsonl", directory);
	snprintf(no_file, sizeof(no_file), "%s/0.jsonl", directory);
	if (mkdir(no_file, 0700) != 0)
		abort();
	atexit(clean);
}

static int put(const char *file, struct str text)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		abort();
	return fd;
}

/* Appends what @line asks for. */
static void add_line(struct str line, struct buf *out)
{
	struct str rest = line.n > 0 ? str_skip(line, 1) : line;
	size_t begin = out->n;
	char what = line.n > 0 ? line.p[0] : 'r';
	if (what == 'r' || what == 'e') /* as it is, with and without its end */
		buf_add(out, rest);
	else
		report_line_write(rest, out);
	if (what == 'r')
		buf_add_char(out, '\n');
	if (what == 't') /* torn: its writer was killed, and the next one goes on behind it */
		out->n = begin + (out->n - begin) / 2;
	if (what == 'c') /* a byte has changed */
		out->p[begin + (out->n - begin) / 2] ^= 1;
	if (what == 'x') /* of another length than it says */
		out->p[begin + 10]++;
}

static void add_overlong(struct buf *out)
{
	static char run[1 << 20];
	memset(run, 'x', sizeof(run));
	/* Twice as long, since the reader's room doubles. */
	for (size_t n = 0; n <= 2 * REPORT_LINE_MAX; n += sizeof(run))
		buf_add(out, str_from(run, sizeof(run)));
	buf_add_char(out, '\n');
	add_line(STR("w{}"), out);
}

static struct spool_file *take_file(bool locked)
{
	struct spool_reader *reader;
	struct spool_file *file;
	struct spool_backlog backlog;
	int former = -1;
	if (locked) {
		former = put(former_path, STR("{}\n"));
		if (flock(former, LOCK_EX) != 0)
			abort();
	}
	if (spool_backlog(str_of(directory), &backlog) != ERR_OK || backlog.files != 2u + locked)
		abort();
	if (spool_reader_new(str_of(directory), &reader) != ERR_OK || spool_reader_next(reader, &file) != ERR_OK ||
		file == NULL || !str_eq(spool_file_name(file), STR("2.jsonl")))
		abort();
	spool_reader_free(reader);
	if (former >= 0) {
		close(former);
		unlink(former_path);
	}
	return file;
}

static size_t count_whole(struct str text)
{
	size_t n = 0;
	struct str json;
	for (struct str line; text.n > 0 && str_cut(&text, '\n', &line) && text.p != NULL;)
		n += report_line_read(line, &json) == NULL;
	return n;
}

static void check_lines(struct spool_file *file, struct str text, uint64_t position)
{
	struct str line, json;
	uint64_t former = position;
	size_t bad = 0, whole = count_whole(str_skip(text, (size_t)position)), n = 0;
	for (; spool_file_line(file, &position, &line, &bad); former = position, n++)
		if (position < former + line.n || position > text.n || report_line_read(line, &json) != NULL ||
			memcmp(line.p, text.p + position - line.n, line.n) != 0)
			abort();
	if (position != text.n || n != whole || (former < text.n && bad == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct buf text = buf_in(arena);
	unsigned options = size > 0 ? data[0] : 0;
	struct str lines = str_from((const char *)data + (size > 0), size > 0 ? size - 1 : 0), line;
	prepare();
	while (str_cut(&lines, '\n', &line))
		add_line(line, &text);
	if (size == 1 && options == OVERLONG) {
		add_overlong(&text);
		options = 0;
	}
	close(put(path, buf_str(&text)));
	struct spool_file *file = take_file((options & LOCKED) != 0);
	check_lines(file, buf_str(&text), (uint64_t)text.n * (options & BEGIN_MASK) / (BEGIN_MASK + 1));
	if (spool_file_remove(file) != ERR_OK)
		abort();
	spool_file_close(file);
	arena_free(arena);
	return 0;
}
