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
	struct str subject;    /* US-ASCII */
	struct str message_id; /* without <> */
	struct str multipart;  /* "mixed", "report; report-type=feedback-report" */
	const struct mail_part *parts;
	size_t n_parts;
};

/**
 * RFC 5322 text, CRLF, with Date, MIME and Auto-Submitted: auto-generated; then signed with the key that
 * the configuration's tables name for From (none: unsigned, *ret_signed false).
 */
enum err mail_write(struct arena *arena, const struct mail *mail, struct runtime *runtime, int64_t now, struct buf *out,
	bool *ret_signed);

/** The envelope sender that carries the recipient, and back: "reports+alice=example.org@host". False: it is none of
 * ours. */
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
 */
enum mail_outcome mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note);

#endif
