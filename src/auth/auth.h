/*
 * One message, from MAIL to its verdict.
 *
 * Nothing here blocks. Look-ups begin as soon as their names are known (SPF and
 * the envelope domain's DMARC records at MAIL, keys as their signature's field
 * arrives); a step that lacks an answer returns AUTH_WAITING, and wake() is
 * called when it is worth trying again.
 *
 *	auth_message_new        at MAIL, with the envelope
 *	auth_rcpt               any number of times
 *	auth_header             each field, top to bottom
 *	auth_headers_done       chooses who signs and what is verified
 *	auth_body               chunks as over SMTP (CRLF), until it returns false
 *	auth_end                until AUTH_DONE
 *	auth_message_drop       always, at any time: done, aborted, or out of memory
 *
 * A message belongs to one thread at a time (consecutive calls may come from
 * different ones). Allocation failure jumps to the boundary of @arena; then apply
 * On-InternalError, drop, reset. The arena's reset drops as well, so that nothing
 * is lost when auth_message_new() itself jumps.
 */
#ifndef TRIMILTER_AUTH_AUTH_H
#define TRIMILTER_AUTH_AUTH_H

#include "auth/runtime.h"
#include "auth/verdict.h"
#include "base/ip.h"
#include "dkim/dkim.h"
#include "dmarc/dmarc.h"
#include "dns/dns.h"
#include "message/headers.h"
#include "spf/spf.h"

/** What the MTA says of a message's sender; borrowed during the call. Empty: the MTA did not say. */
struct auth_envelope {
	struct ip client;       /* IP_NONE: local submission (pickup, sendmail command) */
	struct str client_name; /* as the MTA has verified it */
	struct str helo;
	struct str mail_from;   /* without brackets; empty: null sender */
	struct str auth_user;   /* {auth_authen} */
	struct str daemon_name; /* {daemon_name} */
	struct str mta_name;    /* {j} */
};

/** Called on another thread, perhaps before the call that made it necessary has returned. Must not block. */
typedef void auth_wake(void *context);

struct auth_message;

/**
 * @arena    the message's; must outlive it (drop first, then reset)
 * @runtime  a reference is taken
 * @now      seconds since 1970
 */
struct auth_message *auth_message_new(struct arena *arena, struct runtime *runtime, struct dns *dns, int64_t now,
	const struct auth_envelope *envelope, auth_wake *wake, void *wake_context);
void auth_rcpt(struct auth_message *message, struct str rcpt);
void auth_header(struct auth_message *message, struct str name, struct str value);
void auth_headers_done(struct auth_message *message);
/** False: no one needs more of the body. */
bool auth_body(struct auth_message *message, struct str chunk);

enum auth_step { AUTH_DONE, AUTH_WAITING };

/**
 * @queue_id  {i}, for the log line
 * AUTH_DONE: *ret_verdict is complete, in the message's arena. AUTH_WAITING: wait for wake(), or until
 * auth_deadline(), and call again.
 */
enum auth_step auth_end(struct auth_message *message, struct str queue_id, const struct verdict **ret_verdict);

/** clock_monotonic_ms() from which auth_end() waits no longer: what is missing then is temperror. */
int64_t auth_deadline(const struct auth_message *message);

/** No look-up of it will call wake() after this returns. Accepts NULL. The arena is the caller's to reset. */
void auth_message_drop(struct auth_message *message);

/* ---- what was found, for trimilterctl and reports; complete after AUTH_DONE ---- */

enum auth_origin { AUTH_OUTSIDE, AUTH_AUTHENTICATED, AUTH_INTERNAL, AUTH_PEER };

struct auth_findings {
	enum auth_origin origin;
	bool judged; /* SPF and DMARC were evaluated */
	bool spf_evaluated, dkim_verified, dmarc_evaluated;
	struct spf_result spf; /* MAIL FROM, or postmaster@HELO for the null sender */
	struct spf_result spf_helo;
	struct ip spf_client; /* whom SPF is for: the client, or whom a SecondaryMX names; IP_NONE: not known */
	const struct dkim_result *dkim;
	size_t n_dkim;
	struct dmarc_result dmarc;
	struct author author;
	size_t n_signatures_added;
	size_t n_results_removed; /* forged Authentication-Results of ours */
	struct str results_value; /* of our field; empty: none written */
};

const struct auth_findings *auth_findings(const struct auth_message *message);

/** Message, findings and verdict as one piece of data; borrowed from the message. Complete after AUTH_DONE. */
struct auth_facts {
	const struct runtime *runtime;
	const struct auth_envelope *envelope;
	const struct str *rcpts; /* without brackets; of judged messages alone */
	size_t n_rcpts;
	const struct headers *headers;
	const struct auth_findings *findings;
	const struct verdict *verdict;
	struct str queue_id;
};

struct auth_facts auth_facts(const struct auth_message *message);

#endif
