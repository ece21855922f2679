/*
 * Failure reports: whether one is due, and its text. Pure.
 * RFC 9991, RFC 6591, RFC 5965, RFC 6651; redaction RFC 6590.
 */
#ifndef TRIMILTER_REPORT_FAILURE_H
#define TRIMILTER_REPORT_FAILURE_H

#include "base/answer.h"
#include "report/mail.h"
#include "report/record.h"

/**
 * Is a failure report of this message due? By the policy's fo= (RFC 9989 section 4.7; without ruf= it counts as
 * absent), by FailureReports and FailureReportsOnNone; never where failure_of_report(). Whether there is anybody to get
 * it is destination_verify()'s business.
 */
bool failure_due(struct arena *arena, const struct report_options *options, const struct report_record *record);

/**
 * The message was a report or a bounce itself (multipart/report): a report about it could be answered by the next one
 * for ever, where two hosts fail at each other's. RFC 9991 section 5.1
 */
bool failure_of_report(struct arena *arena, const struct report_failure *failure);

struct failure_context {
	const struct report_options *options;
	struct str spf_record; /* of failure_spf_record(); empty: none */
	uint64_t incidents;    /* further ones that were not reported */
	int64_t now;
	struct str reporter;      /* Reporting-MTA */
	struct str redaction_key; /* secret of this host, for RFC 6590; where options->redact */
};

/**
 * What SPF-DNS tells: the SPF record of the domain that SPF checked, as it is published now; empty: there is none, it
 * cannot be had, or SPF passed. False: it is now wanted in @answers.
 */
bool failure_spf_record(const struct report_record *record, struct answers *answers, struct str *ret_spf_record);

/**
 * The message to @to: From, subject and three parts; its sender is null, or with ReportVERP tells the recipient.
 * Auth-Failure is what fo= asks for: dmarc, else signature or bodyhash or revoked, else spf.
 */
void failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	struct str to, struct mail *ret_mail);

/* ---- DKIM failure reports, RFC 6651 ---- */

enum dkim_report_kind {
	DKIM_REPORT_DNS = 1,           /* rr=d: the key could not be looked up, or is not there */
	DKIM_REPORT_OTHER = 2,         /* o */
	DKIM_REPORT_POLICY = 4,        /* p: not accepted by a rule of ours */
	DKIM_REPORT_SIGNATURE = 8,     /* s: syntax */
	DKIM_REPORT_UNKNOWN = 16,      /* u: unknown tag */
	DKIM_REPORT_VERIFICATION = 32, /* v: hash or signature mismatch */
	DKIM_REPORT_EXPIRED = 64,      /* x */
	DKIM_REPORT_ALL = 127,
};

/** Where a signer wants DKIM failure reports. RFC 6651 section 3.2 */
struct dkim_report_request {
	struct str address; /* ra= "@" domain, decoded */
	unsigned percent;   /* rp=, 0..100 */
	unsigned kinds;     /* rr=; bits of enum dkim_report_kind */
	struct str smtp;    /* rs=, printable US-ASCII; empty: none */
};

/** @domain  d=, canonical. False: nothing can be sent on this record. */
bool dkim_report_request_parse(
	struct arena *arena, struct str domain, struct str record, struct dkim_report_request *ret_request);

/**
 * The request at _report._domainkey.DOMAIN. False: it is now wanted in @answers. True: *ret_found, or there is none, or
 * *ret_retry: the DNS did not tell.
 */
bool dkim_report_request_find(struct arena *arena, struct str domain, struct answers *answers, bool *ret_found,
	bool *ret_retry, struct dkim_report_request *ret_request);

/**
 * Does the signer want a report of this signature? Its r=y, rr= and rp=; the percentage is decided from @record_id, so
 * the same record is decided alike at every attempt.
 */
bool dkim_report_wanted(struct arena *arena, const struct dkim_report_request *request,
	const struct report_failed_signature *signature, struct str record_id);

/** The same kind of message as failure_write()'s; Auth-Failure is signature, bodyhash or revoked. */
void dkim_failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	const struct report_failed_signature *signature, struct str to, struct mail *ret_mail);

#endif
