/*
 * What can be set for the decision about a message. Filled by config from options.def.
 */
#ifndef TRIMILTER_AUTH_OPTIONS_H
#define TRIMILTER_AUTH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/verdict.h"
#include "base/str.h"

struct address_set;
struct hosts;
struct signature_options;
struct signers;
struct users;

enum auth_quarantine_action { AUTH_QUARANTINE_ACCEPT, AUTH_QUARANTINE_HOLD, AUTH_QUARANTINE_REJECT };
enum auth_on_error { AUTH_ON_ERROR_TEMPFAIL, AUTH_ON_ERROR_ACCEPT };

struct auth_options {
	bool mode_sign, mode_verify;  /* Mode s, v, sv */
	bool verify_authenticated;    /* verify the signatures of authenticated senders too; for trimilterctl check */
	struct str authserv_id;       /* AuthservID, canonical; the host's name by default */
	bool authserv_id_with_job_id; /* AuthservIDWithJobID: "id/queue id" */
	bool keep_results;            /* KeepAuthResults: arriving results in our names stay */
	struct str copy_failures_to;  /* CopyFailuresTo: a recipient of what DMARC finds failed; empty: none */
	const struct str *own_ids;    /* arriving results fields with one of these are removed: authserv_id, the other
					 files' AuthservIDs, the host's name; canonical */
	size_t n_own_ids;

	bool enforce;         /* Enforce: no is monitor-only */
	bool reject_failures; /* RejectFailures: p=reject is rejected */
	enum auth_quarantine_action quarantine_action;
	bool ignore_authenticated_clients; /* IgnoreAuthenticatedClients, default yes */
	bool reject_multi_value_from;      /* RejectMultiValueFrom */
	bool required_from;                /* RequiredFrom: a From with a usable domain */
	bool required_headers;             /* RequiredHeaders: exactly one From and Date as RFC 5322 section 3.6 asks */
	enum auth_on_error on_dns_error;   /* On-DNSError, default tempfail */
	enum auth_on_error on_internal_error; /* On-InternalError, default tempfail */
	enum verdict_action on_security;      /* On-Security: a header over the limits; never accept nor quarantine */
	/* What a judged message's signatures decide by themselves; all accept by default. */
	enum verdict_action on_bad_signature, on_no_signature, on_key_not_found;
	enum verdict_action on_signature_error; /* one that should be signed and cannot be; default tempfail */
	/* RejectSPF, RejectSPFHELO: 1 << enum spf_status for each result that refuses a message; 0 by default. */
	unsigned reject_spf, reject_spf_helo;
	bool received_spf;        /* ReceivedSPF: write that field too */
	struct str reject_string; /* RejectString; "%s" in it is the author's domain */
	bool result_comments;     /* ResultComments */
	bool log_why;             /* LogWhy: why a message was not signed */

	const struct hosts *internal_hosts;          /* InternalHosts; default 127.0.0.1, ::1, local */
	const struct hosts *external_ignore;         /* ExternalIgnoreList: silences a log line */
	const struct hosts *ignore_hosts;            /* IgnoreHosts: never judged by SPF and DMARC */
	const struct hosts *spf_ignore_hosts;        /* SPFIgnoreHosts: never refused for SPF */
	const struct hosts *secondary_mx;            /* SecondaryMX: their Received fields name the client for SPF */
	const struct hosts *trusted_forwarders;      /* TrustedForwarders: refused for nothing that forwarding breaks */
	const struct hosts *peers;                   /* PeerList: nothing is done but the removal of forged results */
	const struct address_set *exempt_domains;    /* ExemptDomains: authors not signed for, nor refused by DKIM */
	const struct address_set *dont_sign_mail_to; /* DontSignMailTo: recipients */
	const struct address_set *body_length_rcpts; /* BodyLengthDB: recipients whose mail gets l= */
	const struct address_set *ignore_mail_from;  /* IgnoreMailFrom: authors whose DMARC policy is not applied */
	/* DomainWhitelist, DomainWhitelistFile: the same for whom these have authenticated */
	const struct address_set *domain_whitelist, *domain_whitelist_file;
	const struct str *local_daemons; /* MacroList: {daemon_name}s whose clients are ours */
	size_t n_local_daemons;
	const struct str *mta_daemons; /* MTA: the same */
	size_t n_mta_daemons;
	const struct str *sign_daemons; /* SignDaemons: {daemon_name}s whose mail may be signed; none: all */
	size_t n_sign_daemons;
	const struct signers *signers;
	const struct signature_options *signature_options; /* SignatureOptions: by sender; NULL: none differ */
	bool resign_all;                                   /* ResignAll: ResignMailTo signs what is not verified too */
	const struct users *users;        /* UserDomains: who may sign as whom; NULL: everybody as anybody */
	const struct str *sender_headers; /* SenderHeaders: the first there is names the signer; none: From */
	size_t n_sender_headers;
	bool remove_old_signatures; /* RemoveOldSignatures: from what we sign */
	bool software_header;       /* SoftwareHeader */

	unsigned maximum_headers;      /* fields kept per message; 10,000... */
	size_t maximum_header_bytes;   /* MaximumHeaders; bytes kept; 4 MiB */
	size_t maximum_message_memory; /* arena cap; bytes; 16 MiB */
	size_t maximum_memory;         /* of all messages that need more than ARENA_SMALL; bytes; 256 MiB */
	unsigned evaluation_timeout;   /* seconds from MAIL until what is missing counts as temperror; 20 */
};

#endif
