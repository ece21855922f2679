/*
 * What is kept of a judged message, for reports: data, its JSON line, and the
 * way back.
 *
 * The worker makes one record for each judged message from its findings and
 * verdict and writes it as one line (docs/report-records.md); the importer reads
 * it back. A line carries an identifier, its length and a checksum, so a torn one
 * is noticed, and it is never counted twice.
 *
 * record.c makes, record_json.c writes and reads. Pure. Strings are borrowed: from the findings, or from the line's
 * arena.
 */
#ifndef TRIMILTER_REPORT_RECORD_H
#define TRIMILTER_REPORT_RECORD_H

#include "auth/auth.h"
#include "base/buf.h"
#include "report/options.h"

/* RFC 9990 section 3.1.3: no more signatures than this in a row, the aligned ones first. */
#define REPORT_MAX_DKIM 100

struct report_dkim {
	struct str domain, selector; /* d=, s= */
	struct str result;           /* RFC 8601 section 2.7.1 */
	struct str human_result;     /* the reason where it did not pass; may be empty */
};

struct report_reason {
	struct str type;    /* "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder" */
	struct str comment; /* may be empty */
};

/** Whose report it belongs to: one report for each of these and each period. */
struct report_policy {
	struct str domain;    /* DMARC Policy Domain */
	struct str record;    /* the text of its DMARC record, as published */
	struct str discovery; /* "treewalk", "psl" */
};

/**
 * What a report says of messages, once for all messages of which it says the same: RFC 9990's row, identifiers and
 * auth_results without the count.
 */
struct report_row {
	struct str source_ip;   /* as in RFC 3986 section 3.2.2 */
	struct str disposition; /* "none", "pass", "quarantine", "reject": what was done */
	bool dkim_aligned, spf_aligned;
	const struct report_reason *reasons;
	size_t n_reasons;
	struct str header_from;   /* the author domain */
	struct str envelope_from; /* MAIL FROM's domain; empty: the null sender */
	struct str envelope_to;   /* the recipients' domain; empty: several, or not known */
	const struct report_dkim *dkim;
	size_t n_dkim;
	struct str spf_domain;       /* that was checked for MAIL FROM; empty: none was */
	struct str spf_result;       /* RFC 8601 section 2.7.2 */
	struct str spf_human_result; /* may be empty */
};

/** One signature that failed, for DKIM failure reports and the DKIM fields of DMARC ones. */
struct report_failed_signature {
	struct str domain, selector, identity; /* d=, s=, i= */
	struct str result, reason;
	bool aligned;          /* d= aligns with the author's domain */
	bool report_requested; /* r=y, RFC 6651 section 3.1 */
};

/** What a failure report needs beyond that. Serialised before the message's memory is given back. */
struct report_failure {
	struct str mail_from;   /* without brackets; empty: the null sender */
	struct str rcpt;        /* the first recipient */
	struct str client_name; /* as the MTA verified it; may be empty */
	struct str helo;
	struct str delivery_result; /* RFC 6591 section 3.2.2: "delivered", "spam", "policy", "reject", "other" */
	struct str authentication_results; /* the value of our results field, unfolded */
	struct str headers;                /* the header section as it arrived, CRLF; cut off at failure_header_bytes */
	bool headers_cut;
	const struct report_failed_signature *signatures;
	size_t n_signatures;
};

struct report_record {
	struct str id;       /* unique among all hosts and restarts; of the spool */
	int64_t time;        /* seconds since 1970, when the message was judged */
	struct str reporter; /* AuthservID of the host that judged */
	struct str queue_id;
	struct report_policy policy; /* domain is empty: the author publishes none; only a DKIM failure is recorded */
	struct report_row row;
	const struct report_failure *failure; /* NULL: none is wanted */
};

/**
 * The record of a message after AUTH_DONE; id is left empty. Strings are borrowed from @facts, some are in @arena.
 * @now  when the message was judged
 * False: nothing to record: not judged, no policy, IgnoreMailTo, a report of ours, reports are off. What is deferred
 * (4xx) is not recorded either: it comes again, and counts when it is settled.
 */
bool report_record_make(
	struct arena *arena, const struct auth_facts *facts, int64_t now, struct report_record *ret_record);

/** Append the line, newline included. Jumps to the boundary of @out's arena for want of memory. */
void report_record_write(const struct report_record *record, struct buf *out);

/**
 * Read one line (report/line.h), with or without its newline. Unknown members are ignored, so an older program can read
 * a newer spool. NULL: *ret_record is complete, in @arena. Else what is wrong with the line, static.
 */
const char *report_record_read(struct arena *arena, struct str line, struct report_record *ret_record);

/** The row alone, as JSON: equal rows give equal bytes, so the store can count by them. And back; NULL or what is
 * wrong. */
void report_row_write(const struct report_row *row, struct buf *out);
const char *report_row_read(struct arena *arena, struct str json, struct report_row *ret_row);

#endif
