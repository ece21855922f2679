/*
 * A file of the spool: whatever is in it, reading ends, positions only grow, and every line that is given out is whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/line.h"
#include "report/spool.h"

static char directory[] = "/dev/shm/trimilter-fuzz-XXXXXX";
static char path[sizeof(directory) + 8];

static void clean(void)
{
	unlink(path);
	rmdir(directory);
}

static void prepare(void)
{
	if (path[0] != '\0')
		return;
	if (mkdtemp(directory) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/1.jsonl", directory);
	atexit(clean);
}

static void put(const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_reader *reader;
	struct spool_file *file;
	struct str line, json;
	uint64_t position = 0, former = 0;
	size_t bad = 0;
	prepare();
	put(data, size);
	if (spool_reader_new(str_of(directory), &reader) != ERR_OK || spool_reader_next(reader, &file) != ERR_OK ||
		file == NULL)
		abort();
	spool_reader_free(reader);
	for (; spool_file_line(file, &position, &line, &bad); former = position)
		if (position < former + line.n || position > size || report_line_read(line, &json) != NULL ||
			memcmp(line.p, data + position - line.n, line.n) != 0)
			abort();
	if (position != size || (former < size && bad == 0))
		abort();
	if (spool_file_remove(file) != ERR_OK)
		abort();
	spool_file_close(file);
	return 0;
}
