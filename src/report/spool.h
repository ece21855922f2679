/*
 * The spool: files of records, written by workers, read and removed by the
 * importer.
 *
 * One file to a worker incarnation, locked (flock) by it while it writes. A record
 * is one write(2) in append mode, so it survives kill -9 of the worker; after a
 * short write (full disk) the file is truncated back to the last whole line. The
 * mail path never waits for anything else: a record that cannot be written is
 * dropped, counted, and said in the log once a minute. Files rotate by size and
 * age; the importer takes files that nobody locks. docs/report-records.md
 */
#ifndef TRIMILTER_REPORT_SPOOL_H
#define TRIMILTER_REPORT_SPOOL_H

#include "base/err.h"
#include "report/record.h"

/* ---- writing ---- */

struct spool;

#define SPOOL_ERROR_SIZE 4224 /* a path and what is wrong with it */

/**
 * Could a spool be kept in @directory? @create  make it (0700), and the directories above it, where they are missing;
 * without, look only whether that could be done. ERR_IO: @error says what cannot be done, with which path.
 */
enum err spool_probe(struct str directory, bool create, char error[SPOOL_ERROR_SIZE]);

/**
 * ERR_IO: as spool_probe() with create; *ret_spool is there all the same, and its records are dropped and counted
 * until the directory can be written. ERR_NOMEM: it is NULL. Nothing is in the directory before the first record.
 */
enum err spool_new(struct str directory, struct spool **ret_spool, char error[SPOOL_ERROR_SIZE]);
/** Closes, and so gives its file to the importer. When no thread uses it any more; accepts NULL. */
void spool_free(struct spool *spool);

/**
 * Write one record; fills in its id. @scratch is for id and line (jumps to its boundary for want of memory; say it
 * with spool_drop() then). False: it was dropped and counted. Any thread; one write at a time, no fsync.
 */
bool spool_append(struct spool *spool, struct arena *scratch, struct report_record *record);

const char *spool_directory(const struct spool *spool);

/** Count a record that did not get as far as spool_append(). Any thread. */
void spool_drop(struct spool *spool);

/**
 * For a timer, once a minute: begin a new file if the present one has records, so that the importer gets it; make the
 * directory again where it has gone. Any thread.
 */
void spool_tick(struct spool *spool);

struct spool_counters {
	uint64_t written, dropped;
};
struct spool_counters spool_counters(const struct spool *spool);

/* ---- reading ---- */

/** A file that no worker writes any more. Opened, locked against other importers. */
struct spool_file;

/** The files that were in a spool when it was looked into, by name, so those begun first come first. One thread. */
struct spool_reader;

/**
 * No directory is a spool without files. ERR_IO: it cannot be read, errno says why; ERR_NOMEM. *ret_reader is NULL
 * then.
 */
enum err spool_reader_new(struct str directory, struct spool_reader **ret_reader);
/** Accepts NULL. Files that it gave out stay open. */
void spool_reader_free(struct spool_reader *reader);

/**
 * The next file that is free; each at most once. *ret_file NULL: there is none. To be freed with spool_file_close(),
 * which does not remove it. ERR_NOMEM: that file is passed over, the call may be repeated.
 */
enum err spool_reader_next(struct spool_reader *reader, struct spool_file **ret_file);
struct str spool_file_name(const struct spool_file *file); /* unique among all hosts and restarts */

/**
 * The next line that has come whole, from byte *@position on, which then points behind it; torn or foreign lines are
 * passed over and counted in *@bad. False: the end, or it cannot be read any further. The line is valid until the next
 * call.
 */
bool spool_file_line(struct spool_file *file, uint64_t *position, struct str *ret_line, size_t *bad);

struct spool_backlog {
	uint64_t files, bytes; /* also of files that workers write now */
	int64_t oldest;        /* when the first of them began; 0: there is none */
};
/** What has not been imported. ERR_IO: the directory cannot be read, errno says why; no directory is no backlog. */
enum err spool_backlog(struct str directory, struct spool_backlog *ret_backlog);

/** All of it is in the store for good. ERR_IO too where a line could not be read: the file then stays. */
enum err spool_file_remove(struct spool_file *file);
void spool_file_close(struct spool_file *file);

#endif
