/*
 * What can be set for the decision about a message. Filled by config from options.def.
 */
#ifndef TRIMILTER_AUTH_OPTIONS_H
#define TRIMILTER_AUTH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct hosts;
struct signers;

enum auth_quarantine_action { AUTH_QUARANTINE_ACCEPT, AUTH_QUARANTINE_HOLD, AUTH_QUARANTINE_REJECT };
enum auth_on_error { AUTH_ON_ERROR_TEMPFAIL, AUTH_ON_ERROR_ACCEPT };

struct auth_options {
	bool mode_sign, mode_verify; /* Mode s, v, sv */
	bool verify_authenticated;   /* verify the signatures of authenticated senders too; for trimilterctl check */
	struct str authserv_id;      /* AuthservID, canonical; the host's name by default */
	const struct str *own_ids;   /* arriving results fields with one of these are removed: authserv_id, the other
					files' AuthservIDs, the host's name; canonical */
	size_t n_own_ids;

	bool enforce;         /* Enforce: no is monitor-only */
	bool reject_failures; /* RejectFailures: p=reject is rejected */
	enum auth_quarantine_action quarantine_action;
	bool ignore_authenticated_clients; /* IgnoreAuthenticatedClients, default yes */
	bool reject_multi_value_from;      /* RejectMultiValueFrom */
	bool required_headers;             /* RequiredHeaders: exactly one From and Date as RFC 5322 section 3.6 asks */
	enum auth_on_error on_dns_error;   /* On-DNSError, default tempfail */
	enum auth_on_error on_internal_error; /* On-InternalError, default tempfail */
	bool result_comments;                 /* ResultComments */
	bool log_why;                         /* LogWhy: why a message was not signed */

	const struct hosts *internal_hosts;  /* InternalHosts; default 127.0.0.1, ::1, local */
	const struct hosts *external_ignore; /* ExternalIgnoreList: silences a log line */
	const struct hosts *ignore_hosts;    /* IgnoreHosts: never judged by SPF and DMARC */
	const struct str *sign_daemons;      /* MTA: {daemon_name}s whose mail may be signed; none: all */
	size_t n_sign_daemons;
	const struct signers *signers;

	unsigned maximum_headers;      /* fields kept per message; 10,000... */
	size_t maximum_header_bytes;   /* MaximumHeaders; bytes kept; 4 MiB */
	size_t maximum_message_memory; /* arena cap; bytes; 16 MiB */
	unsigned evaluation_timeout;   /* seconds from MAIL until what is missing counts as temperror; 20 */
};

#endif
