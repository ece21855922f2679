/*
 * A message of ours: composed, signed, handed to the MTA.
 */
#ifndef TRIMILTER_REPORT_MAIL_H
#define TRIMILTER_REPORT_MAIL_H

#include "auth/runtime.h"
#include "base/buf.h"
#include "base/err.h"
#include "report/options.h"

struct mail_part {
	struct str type;      /* "text/plain; charset=utf-8" */
	struct str file_name; /* empty: none; else an attachment, base64 */
	struct str description;
	struct str data;
};

/** Strings are in the arena of whoever made it. */
struct mail {
	struct str from;       /* address; the From field */
	struct str to;         /* recipient of envelope and To */
	struct str sender;     /* envelope; empty: null */
	struct str helo;       /* what we call ourselves to the server */
	struct str subject;    /* one line; what is not US-ASCII is written as RFC 2047 has it */
	struct str message_id; /* without <> */
	struct str multipart;  /* "mixed", "report; report-type=feedback-report" */
	const struct mail_part *parts;
	size_t n_parts;
};

/**
 * Can reports go to, or come from, this address as it stands? local-part@domain, the local part a Dot-string or a
 * Quoted-string of RFC 5321 section 4.1.2 in US-ASCII, the domain a host name, none longer than an MTA must take, no
 * '-' in front. Nothing that passes can end a line, a path or an argument early, or look like an option. Pure.
 */
bool mail_address_usable(struct str address);

/**
 * "Name: value" with CRLF, folded between words; no line is longer than RFC 5322 allows. Whatever @value holds, it is
 * one field: what is not printable US-ASCII is '?'.
 */
void mail_field_write(struct buf *out, const char *name, struct str value);
/** RFC 5322 section 3.3, in UTC. @time  seconds since 1970 */
void mail_date_write(struct buf *out, int64_t time);

/**
 * RFC 5322 text, CRLF, with Date, MIME and Auto-Submitted: auto-generated; then signed with the key that
 * the configuration's tables name for From (none, or Mode v: unsigned, *ret_signed false).
 * ERR_CONFIG: From or To is not usable. ERR_LIBRARY: it should be signed and cannot be, the log says why; never send
 * it unsigned. Parts whose text a mail server might change (long lines, 8-bit) go as base64; those of type message/...
 * may not (RFC 2046 section 5.2), so what is not US-ASCII is '?' there.
 */
enum err mail_write(struct arena *arena, const struct mail *mail, struct runtime *runtime, int64_t now, struct buf *out,
	bool *ret_signed);

/**
 * The envelope sender that carries the recipient, and back: "reports+alice=example.org@host".
 * A local part that would be longer than 64 bytes (RFC 5321 section 4.5.3.1.1) leaves @address as it is: the bounce
 * then names the recipient only in its text. False: it is none of ours. Pure.
 */
struct str mail_verp(struct arena *arena, struct str address, struct str recipient);
bool mail_verp_parse(struct arena *arena, struct str address, struct str sender, struct str *ret_recipient);

enum mail_outcome {
	MAIL_ACCEPTED,
	MAIL_LATER,       /* this message, or this recipient, not now */
	MAIL_REFUSED,     /* never */
	MAIL_UNREACHABLE, /* no server, or none that answers in time: others would fare no better now */
};

/**
 * By SMTP to smtp_host, or through ReportCommand. Blocks, at most @timeout seconds.
 * *ret_note: the server's answer, or what went wrong, in @arena; printable, one line.
 *
 * ReportCommand is run without a shell, the message on its standard input with LF line ends. With "-t" among its
 * arguments it finds the recipient in To; else "--" and the recipient are appended, which mail_address_usable() has
 * checked. Nothing else of a message is ever an argument; the envelope sender is what its arguments say ("-f", "<>").
 */
enum mail_outcome mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note);

#endif
