/*
 * Failure reports: whether one is due, and its text. Pure.
 * RFC 9991, RFC 6591, RFC 5965, RFC 6651; redaction RFC 6590.
 */
#ifndef TRIMILTER_REPORT_FAILURE_H
#define TRIMILTER_REPORT_FAILURE_H

#include "report/mail.h"
#include "report/record.h"

/** Does the record's fo= ask for a DMARC failure report of this message? RFC 9989 section 4.7 */
bool failure_due(const struct report_options *options, const struct report_record *record);

struct failure_context {
	const struct report_options *options;
	struct str spf_records; /* SPF-DNS: "txt : DOMAIN : \"RECORD\"", as looked up; empty: none */
	uint64_t incidents;     /* further ones that were not reported */
	int64_t now;
	struct str reporter;      /* Reporting-MTA */
	struct str redaction_key; /* secret of this host, for RFC 6590; where options->redact */
};

/** The message to @to: From, subject and three parts; sender and recipient are set too. */
void failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	struct str to, struct mail *ret_mail);

/** Where a signer wants DKIM failure reports. RFC 6651 section 3.2: the TXT record at _report._domainkey.DOMAIN. */
struct dkim_report_request {
	struct str address; /* ra= "@" domain, decoded */
	unsigned percent;   /* rp= */
	unsigned kinds;     /* rr=; bits of enum dkim_report_kind */
	struct str smtp;    /* rs=; empty: none */
};
enum dkim_report_kind {
	DKIM_REPORT_ALL = 1,
	DKIM_REPORT_DNS = 2,
	DKIM_REPORT_OTHER = 4,
	DKIM_REPORT_POLICY = 8,
	DKIM_REPORT_SIGNATURE = 16,
	DKIM_REPORT_UNKNOWN = 32,
	DKIM_REPORT_VERIFICATION = 64,
	DKIM_REPORT_EXPIRED = 128,
};
bool dkim_report_request_parse(
	struct arena *arena, struct str domain, struct str record, struct dkim_report_request *ret_request);
bool dkim_report_wanted(const struct dkim_report_request *request, const struct report_failed_signature *signature);
/** The same kind of message as failure_write(), Auth-Failure signature, bodyhash, revoked ... */
void dkim_failure_write(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	const struct report_failed_signature *signature, struct str to, struct mail *ret_mail);

#endif
