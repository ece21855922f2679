/*
 * Aggregate reports: writing ours (RFC 9990, or RFC 7489 for old consumers), and
 * reading those of others. No I/O.
 */
#ifndef TRIMILTER_REPORT_AGGREGATE_H
#define TRIMILTER_REPORT_AGGREGATE_H

#include "base/err.h"
#include "report/store.h"

struct aggregate_header {
	enum report_format format;
	struct str organization, address, extra_contact; /* of the options */
	struct str submitter;                            /* domain of the reporter: file name, subject, report id */
	struct report_policy policy;
	int64_t begin, end; /* seconds since 1970; end is the last second of the period */
	unsigned part;      /* 0: the first, or the only one; then 1, 2 ... of a split report */
	/*
	 * Letters and digits; with the part it is the Report-ID, and unique-id in the file name (RFC 9990 section
	 * 3.1.4): unlike that of any other report of the submitter, and the same for the same report on every attempt.
	 */
	struct str unique;
};

struct aggregate_writer;

/**
 * @maximum_bytes  of the compressed document, whose XML has 128 MiB at most besides; a single row is written however
 *                 large it is
 * The XML is compressed as it is written, so a report of a million rows takes no more memory than its result. Texts may
 * hold any bytes: those that XML cannot have become U+FFFD. Domains become A-labels. @header is borrowed until
 * aggregate_end(). Jumps to @arena's boundary for want of memory, as all of these do.
 */
struct aggregate_writer *aggregate_begin(
	struct arena *arena, const struct aggregate_header *header, size_t maximum_bytes);
/** False: the document is as large as it may get; end it, and begin the next part with this row. */
bool aggregate_add(struct aggregate_writer *writer, const struct store_row *row);
/**
 * Fills report_id, file_name, subject (unfolded; may be folded at any blank), data, messages, rows, begin, end, domain;
 * in the arena. ERR_LIBRARY: libxml2 or zlib refused. A document without a row is none that the schema allows.
 */
enum err aggregate_end(struct aggregate_writer *writer, struct store_report *ret_report);

/** The XML within data, to @out; for previews. ERR_LIBRARY: it is no whole gzip file. */
enum err aggregate_plain(struct arena *arena, const struct store_report *report, struct buf *out);

/* ---- reports of others ---- */

/** What stands in a report beside its rows. Texts are trimmed, words of the RFCs in lower case; empty: absent. */
struct aggregate_document {
	struct str version, organization, address, extra_contact, report_id, generator, error;
	int64_t begin, end; /* 0: absent, or no number */
	struct str domain, p, sp, np, adkim, aspf, fo, testing, discovery, pct;
	uint64_t messages, rows;
};

/**
 * Read a report that somebody has sent.
 *
 * @data   XML, gzip, a zip file with one document, or a mail message with one of these attached; untrusted
 * @visit  gets each row as it is read, valid during the call; false ends the reading
 *
 * Every namespace and none are read, unknown elements passed over, and what reporters get wrong without harm: results
 * in capitals or of former drafts ("hardfail", "unknown"), addresses for domains, missing elements, an encoding that is
 * not kept to, a schema that never ends. Addresses, domains and results in a row are canonical, as far as they can be
 * read; other words stay as they are. No entity is expanded, nothing outside is loaded. Memory is bounded, whatever the
 * number of rows; at most 1 GiB is unpacked, and text beyond 4 KiB in an element is cut off.
 *
 * NULL: all of it was read; *ret_document is in @arena. Else what is wrong, in @arena or static; what was visited
 * before is then part of a damaged report.
 */
const char *aggregate_read(struct arena *arena, struct str data,
	bool (*visit)(void *context, const struct store_row *row), void *context,
	struct aggregate_document *ret_document);

#endif
