#include "report/aggregate_gzip.h"

#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in is what it is: const */
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* 32 KiB, gzip header and trailer */
#define OUT_STEP ((size_t)64 * 1024)

/* ---- writing ---- */

struct gzip_writer {
	struct arena *arena;
	z_stream stream;
	unsigned char *out; /* malloc: an arena would keep every size that it has grown through */
	size_t n, capacity;
};

static void free_writer(void *object)
{
	struct gzip_writer *writer = object;
	deflateEnd(&writer->stream);
	free(writer->out);
}

struct gzip_writer *gzip_writer_new(struct arena *arena)
{
	struct gzip_writer *writer = ARENA_NEW(arena, struct gzip_writer);
	writer->arena = arena;
	int status =
		deflateInit2(&writer->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
	if (status != Z_OK) /* Not reached: want of memory within zlib */
		arena_fail(arena);
	arena_on_reset(arena, free_writer, writer);
	return writer;
}

static void make_room(struct gzip_writer *writer)
{
	if (writer->capacity - writer->n >= OUT_STEP)
		return;
	size_t capacity = writer->capacity + writer->capacity / 2 + OUT_STEP;
	unsigned char *out = realloc(writer->out, capacity);
	if (out == NULL) /* Not reached: want of memory */
		arena_fail(writer->arena);
	writer->out = out;
	writer->capacity = capacity;
}

static void run(struct gzip_writer *writer, int flush)
{
	int status = Z_OK;
	while (status == Z_OK) {
		make_room(writer);
		writer->stream.next_out = writer->out + writer->n;
		writer->stream.avail_out = (unsigned)OUT_STEP;
		status = deflate(&writer->stream, flush);
		writer->n += OUT_STEP - writer->stream.avail_out;
		if (status == Z_OK && flush != Z_FINISH && writer->stream.avail_out > 0)
			return;
	}
	/* Z_BUF_ERROR: there was nothing to do. */
	if (status != Z_STREAM_END && status != Z_BUF_ERROR) /* Not reached: zlib finds its own state broken */
		arena_fail(writer->arena);
}

void gzip_add(struct gzip_writer *writer, struct str bytes)
{
	while (bytes.n > 0) {
		struct str piece = str_head(bytes, UINT_MAX);
		writer->stream.next_in = (const Bytef *)piece.p;
		writer->stream.avail_in = (unsigned)piece.n;
		run(writer, Z_NO_FLUSH);
		bytes = str_skip(bytes, piece.n);
	}
}

void gzip_flush(struct gzip_writer *writer)
{
	run(writer, Z_SYNC_FLUSH);
}

size_t gzip_size(const struct gzip_writer *writer)
{
	return writer->n;
}

size_t gzip_bound(size_t n)
{
	/* Stored blocks: five bytes to each 16 KiB; then header, a flush's empty block, the last block, trailer. */
	return n + n / 1024 + 64;
}

struct str gzip_end(struct gzip_writer *writer)
{
	run(writer, Z_FINISH);
	return str_from((const char *)writer->out, writer->n);
}

/* ---- reading ---- */

struct gzip_reader {
	enum gzip_format format;
	z_stream stream;
	struct str rest; /* not yet given to the stream; of a stored file: not yet read */
	bool ended;
};

static void free_reader(void *object)
{
	struct gzip_reader *reader = object;
	inflateEnd(&reader->stream);
}

struct gzip_reader *gzip_reader_new(struct arena *arena, enum gzip_format format, struct str data)
{
	struct gzip_reader *reader = ARENA_NEW(arena, struct gzip_reader);
	reader->format = format;
	reader->rest = data;
	if (format == GZIP_STORED)
		return reader;
	int status = inflateInit2(&reader->stream, format == GZIP_FILE ? GZIP_WINDOW : -15);
	if (status != Z_OK) /* Not reached: want of memory within zlib */
		arena_fail(arena);
	arena_on_reset(arena, free_reader, reader);
	return reader;
}

static void refill(struct gzip_reader *reader)
{
	if (reader->stream.avail_in > 0)
		return;
	struct str piece = str_head(reader->rest, UINT_MAX);
	reader->stream.next_in = (const Bytef *)piece.p;
	reader->stream.avail_in = (unsigned)piece.n;
	reader->rest = str_skip(reader->rest, piece.n);
}

/* Another gzip file behind this one? Anything else there (padding of tapes and of mailers) is not ours. */
static bool goes_on(struct gzip_reader *reader)
{
	refill(reader);
	const z_stream *stream = &reader->stream;
	return reader->format == GZIP_FILE && stream->avail_in > 1 && stream->next_in[0] == 0x1f &&
	       stream->next_in[1] == 0x8b && inflateReset(&reader->stream) == Z_OK;
}

static bool read_stored(struct gzip_reader *reader, char *out, size_t capacity, size_t *ret_n)
{
	struct str piece = str_head(reader->rest, capacity);
	if (piece.n > 0)
		memcpy(out, piece.p, piece.n);
	reader->rest = str_skip(reader->rest, piece.n);
	*ret_n = piece.n;
	return true;
}

bool gzip_read(struct gzip_reader *reader, char *out, size_t capacity, size_t *ret_n)
{
	if (reader->format == GZIP_STORED)
		return read_stored(reader, out, capacity, ret_n);
	int status = Z_OK;
	unsigned size = capacity < UINT_MAX ? (unsigned)capacity : UINT_MAX;
	reader->stream.next_out = (Bytef *)out;
	reader->stream.avail_out = size;
	while (!reader->ended && status == Z_OK && reader->stream.avail_out > 0) {
		refill(reader);
		status = inflate(&reader->stream, Z_NO_FLUSH);
		if (status != Z_STREAM_END)
			continue;
		status = Z_OK;
		reader->ended = !goes_on(reader);
	}
	*ret_n = size - reader->stream.avail_out;
	return status == Z_OK;
}
