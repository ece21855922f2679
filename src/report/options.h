/*
 * What can be set for reports. Filled by config from options.def.
 */
#ifndef TRIMILTER_REPORT_OPTIONS_H
#define TRIMILTER_REPORT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct address_set;

enum report_format { REPORT_RFC9990, REPORT_RFC7489 };

struct report_options {
	/* What is recorded; read by the worker. */
	bool aggregate;              /* AggregateReports, default yes: record each judged message and send reports */
	bool failure;                /* FailureReports, default no: record what failure reports need */
	bool failure_on_none;        /* FailureReportsOnNone: also where the policy is p=none */
	bool dkim_failure;           /* SendReports: DKIM failure reports to signers that ask (RFC 6651) */
	struct str spool;            /* ReportSpool: directory; "/var/lib/trimilter/spool" */
	size_t failure_header_bytes; /* of the header section kept for a failure report; 65,536 */
	const struct address_set *ignore_mail_to; /* IgnoreMailTo: recipients whose mail is not reported */

	/* What becomes of it; read by the courier and by trimilterctl report. */
	struct str store; /* ReportStore: "sqlite:PATH" or "postgresql://..."; "sqlite:/var/lib/trimilter/reports.db" */
	enum report_format format;     /* ReportFormat */
	unsigned interval;             /* ReportInterval: seconds, divides a day; 86,400. Periods begin at 00:00 UTC */
	unsigned maximum_destinations; /* ReportMaximumDestinations: rua addresses that get one report; 5 */
	size_t maximum_bytes;          /* ReportMaximumSize: of one compressed report; 10 MiB; larger ones are split */
	unsigned keep_days;            /* ReportKeepDays: what was sent stays visible; 7 */
	unsigned expire_hours;         /* ReportExpireHours: until an undeliverable report is given up; 72 */
	unsigned jitter_seconds;       /* ReportJitter: reports of a period leave spread over this time; 3,600 */
	unsigned
		failures_per_hour; /* FailureReportsPerHour: to one domain; further ones are counted as incidents; 10 */
	bool redact;               /* FailureReportsRedact: local parts, RFC 6590 */
	const struct address_set *no_reports;   /* NoReportsList: addresses and domains that never get a report */
	const struct address_set *only_reports; /* ReportOnlyTo: where set, nobody else gets one */

	/* Who sends, and how. */
	struct str organization; /* ReportOrganization: org_name; the domain of the report address by default */
	struct str address;      /* ReportAddress: From of reports, and the contact; "postmaster@HOST" */
	const struct str *bcc;   /* ReportBccAddress: these get a copy of every aggregate report */
	size_t n_bcc;
	struct str failure_from;      /* FailureReportsSentBy; the report address by default */
	const struct str *failure_to; /* FailureReportsTo and FailureReportsBcc: the operator's mailboxes, which get a
					 copy of each failure report; the report address by default, thus never none */
	size_t n_failure_to;
	struct str extra_contact; /* ReportContact: extra_contact_info; empty: none */
	bool verp;                /* ReportVERP: the recipient stands in the envelope sender, else the sender is null */
	struct str smtp_host;     /* ReportServer HOST:PORT, an IPv6 address in brackets; "localhost:25" */
	const struct str *command; /* ReportCommand: argv, message on standard input; none: SMTP */
	size_t n_command;
};

/** Is there anything for a courier to do? */
static inline bool report_wanted(const struct report_options *options)
{
	return options->aggregate || options->failure || options->dkim_failure;
}

#endif
