/*
 * Report mail that came back: whose address it was. Pure.
 * RFC 3464, RFC 6533; RFC 3834 for what is no bounce.
 */
#ifndef TRIMILTER_REPORT_BOUNCE_H
#define TRIMILTER_REPORT_BOUNCE_H

#include "base/arena.h"
#include "base/str.h"

struct bounce {
	bool failed;          /* delivery was given up; false: delayed, an automatic answer, or no bounce at all */
	struct str recipient; /* usable (mail_address_usable()); empty: it does not tell */
	struct str note;      /* Diagnostic-Code, else Status; one printable line; may be empty */
};

/**
 * @message         as it arrived, CRLF or LF; untrusted. Empty: what @sender says is all there is, and it failed
 * @report_address  ReportAddress: what VERP senders are made of
 * @sender          the address that the message came to, where the MTA has told it; else it is looked for in
 *                  Delivered-To, X-Original-To, Envelope-To and To. Empty: not told
 *
 * A VERP address decides who it was; without one the delivery status does. Everything in it may be forged: who believes
 * it must not lose more by that than some days of reports to one address.
 */
void bounce_read(struct arena *arena, struct str message, struct str report_address, struct str sender,
	struct bounce *ret_bounce);

#endif
