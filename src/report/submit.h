/*
 * The two ways to the MTA, behind mail_submit().
 */
#ifndef TRIMILTER_REPORT_SUBMIT_H
#define TRIMILTER_REPORT_SUBMIT_H

#include "report/mail.h"

/**
 * @server       "HOST:PORT", "[ADDRESS]:PORT"
 * @deadline_ms  clock_monotonic_ms() until which all of it must be done
 *
 * One connection, one message. Without TLS: this is for the MTA of this host, or of this network.
 * A server that refuses the connection, EHLO or the sender is out of order for all messages, so 5xx means MAIL_LATER or
 * MAIL_UNREACHABLE there; after RCPT, DATA and the message it means MAIL_REFUSED, and so does a message that is larger
 * than the server's SIZE. Where the connection is lost after the final dot nobody knows what became of the message: it
 * is sent again (MAIL_LATER), with the same Message-ID. RFC 5321, RFC 1870
 */
enum mail_outcome submit_smtp(struct arena *arena, struct str server, const struct mail *mail, struct str text,
	int64_t deadline_ms, struct str *ret_note);

/**
 * ReportCommand, see mail_submit(). Exit status 0 is accepted; 65, 67 and 68 (bad data, no such user or host) are
 * refused; any other, a signal, or no end until the deadline means later.
 * Its group of processes is killed at the deadline; what it printed is in *ret_note, at most SUBMIT_NOTE_MAX bytes.
 */
enum mail_outcome submit_command(struct arena *arena, const struct str *command, size_t n_command,
	const struct mail *mail, struct str text, int64_t deadline_ms, struct str *ret_note);

/* Of a server's or a command's words: enough to see what was wrong, short enough for a log line. */
#define SUBMIT_NOTE_MAX 400

/** One line of printable bytes of it, at most SUBMIT_NOTE_MAX. */
struct str submit_note(struct arena *arena, struct str words);

#endif
