#include "report/import.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"

/* To a transaction: what a failure makes us do again, and what another host waits for. */
#define RECORDS_AT_ONCE 5000
#define BYTES_AT_ONCE ((uint64_t)16 * 1024 * 1024)

struct import {
	struct store *store;
	const struct report_options *options;
	int64_t now;
	struct import_result *result;
	struct spool_file *file;
	struct arena *arena; /* of one record */
};

int64_t import_period(const struct report_options *options, int64_t time)
{
	return time - time % options->interval;
}

/* ---- one transaction ---- */

static enum err import_record(struct import *import, struct str line, struct import_result *part)
{
	struct report_record record;
	arena_reset(import->arena);
	const char *wrong = report_record_read(import->arena, line, &record);
	if (wrong != NULL) {
		part->bad_lines++;
		fault_log(LOG_LEVEL_WARNING, STR(""), "spool file %.*s: a line is passed over: %s",
			STR_ARG(spool_file_name(import->file)), wrong);
		return ERR_OK;
	}
	enum err err = ERR_OK;
	/* Without a policy there is nobody to report to but who signed. */
	if (record.policy.domain.n > 0) {
		part->records++;
		err = store_count(import->store, &record, import_period(import->options, record.time));
	}
	if (err == ERR_OK && record.failure != NULL) {
		part->failures++;
		err = store_add_failure(import->store, &record);
	}
	return err;
}

/* From *position on; *ret_end where there are no more. */
static enum err import_lines(struct import *import, uint64_t *position, struct import_result *part, bool *ret_end)
{
	uint64_t begin = *position;
	size_t n = 0, bad = 0;
	struct str line;
	enum err err = ERR_OK;
	*ret_end = false;
	while (err == ERR_OK && n < RECORDS_AT_ONCE && *position - begin < BYTES_AT_ONCE) {
		if (!spool_file_line(import->file, position, &line, &bad)) {
			*ret_end = true;
			break;
		}
		err = import_record(import, line, part);
		n++;
	}
	part->bad_lines += bad;
	return err;
}

/*
 * The store says how far the file has come, in the transaction that takes it further: whatever happened to the one
 * before (killed, disk full, server gone in the middle of the commit), this one goes on where that one ended.
 */
static enum err import_part(struct import *import, bool *ret_end)
{
	struct str name = spool_file_name(import->file);
	struct import_result part = {0};
	uint64_t position;
	enum err err = store_begin(import->store);
	if (err == ERR_OK)
		err = store_source_position(import->store, name, &position);
	if (err == ERR_OK)
		err = import_lines(import, &position, &part, ret_end);
	/* Also where nothing has come of it: a file that cannot be removed is not to be forgotten and counted again. */
	if (err == ERR_OK)
		err = store_source_set(import->store, name, position, import->now);
	if (err == ERR_OK)
		err = store_commit(import->store);
	if (err != ERR_OK) {
		store_rollback(import->store);
		return err;
	}
	import->result->records += part.records;
	import->result->failures += part.failures;
	import->result->bad_lines += part.bad_lines;
	return ERR_OK;
}

/* ---- files ---- */

static bool stops(bool (*stop)(void *context), void *context)
{
	return stop != NULL && stop(context);
}

/* False in *ret_end: told to stop before the end. */
static enum err import_file(struct import *import, bool (*stop)(void *context), void *context, bool *ret_end)
{
	enum err err = ERR_OK;
	*ret_end = false;
	while (err == ERR_OK && !*ret_end && !stops(stop, context))
		err = import_part(import, ret_end);
	if (err != ERR_OK || !*ret_end)
		return err;
	import->result->files++;
	/* It is in the store for good; where it stays here, the position in the store says that it is done. */
	if (spool_file_remove(import->file) != ERR_OK)
		fault_log(LOG_LEVEL_WARNING, STR(""), "spool file %.*s/%.*s cannot be removed: %s",
			STR_ARG(import->options->spool), STR_ARG(spool_file_name(import->file)), strerror(errno));
	return ERR_OK;
}

static enum err import_files(
	struct import *import, struct spool_reader *reader, bool (*stop)(void *context), void *context)
{
	enum err err = ERR_OK;
	bool end = true;
	while (err == ERR_OK && end && !stops(stop, context)) {
		err = spool_reader_next(reader, &import->file);
		if (import->file == NULL)
			break;
		err = import_file(import, stop, context, &end);
		spool_file_close(import->file);
	}
	return err;
}

enum err import_run(struct store *store, const struct report_options *options, int64_t now, bool (*stop)(void *context),
	void *context, struct import_result *ret_result)
{
	struct import import = {.store = store, .options = options, .now = now, .result = ret_result};
	struct spool_reader *reader;
	*ret_result = (struct import_result){0};
	enum err err = spool_reader_new(options->spool, &reader);
	/* The store is none the worse for it: whatever else the courier has to do goes on. */
	if (err == ERR_IO) {
		fault_log(LOG_LEVEL_WARNING, STR(""), "spool %.*s cannot be read: %s", STR_ARG(options->spool),
			strerror(errno));
		return ERR_OK;
	}
	import.arena = err == ERR_OK ? arena_new(0) : NULL;
	err = import.arena != NULL ? import_files(&import, reader, stop, context) : ERR_NOMEM;
	arena_free(import.arena);
	spool_reader_free(reader);
	return err;
}
