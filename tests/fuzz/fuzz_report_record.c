/*
 * A record out of a spool: the JSON of a line, whose length and checksum are put round it here, since nobody finds
 * those by chance. What can be read can be written, and is then the same.
 */
#include <stdlib.h>

#include "report/line.h"
#include "report/record.h"

static void check_again(struct arena *arena, const struct report_record *record)
{
	struct report_record again;
	struct buf first = buf_in(arena), second = buf_in(arena);
	report_record_write(record, &first);
	if (report_record_read(arena, buf_str(&first), &again) != NULL)
		abort();
	report_record_write(&again, &second);
	if (!str_eq(buf_str(&first), buf_str(&second)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str text = str_from((const char *)data, size);
	struct report_record record;
	struct report_row row;
	struct buf line = buf_in(arena);
	report_line_write(text, &line);
	if (report_record_read(arena, buf_str(&line), &record) == NULL)
		check_again(arena, &record);
	report_row_read(arena, text, &row);
	report_record_read(arena, text, &record);
	arena_free(arena);
	return 0;
}
