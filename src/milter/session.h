/*
 * One connection of the MTA: what it has told us so far, and the message that
 * is under way on it, if any.
 *
 *	session_new
 *	session_connect, session_helo     in any number, also none
 *	session_mail                      begins a message; ends whatever was left of one before
 *	session_rcpt, session_header, session_eoh, session_body
 *	session_end                       until SESSION_DONE: the verdict
 *	session_finish                    when the verdict has been carried out, or could not be
 *	session_abort                     instead, at any time
 *	session_free
 *
 * Knows no milter library and no socket; fronts bring everything here (front.h).
 * Any order of calls is harmless: what does not belong to a message is ignored,
 * and an end without a message counts as an error of ours. One call at a time;
 * consecutive ones may come from different threads. No call blocks.
 *
 * When memory runs out, or a message's own share of it, the message is dropped
 * and its verdict is what On-InternalError says.
 */
#ifndef TRIMILTER_MILTER_SESSION_H
#define TRIMILTER_MILTER_SESSION_H

#include <stdint.h>

#include "auth/verdict.h"
#include "base/ip.h"
#include "milter/front.h"
#include "milter/service.h"

struct session;

/**
 * @peer           copied; its context outlives the session
 * @leading_space  header values come with the space behind the colon (SMFIP_HDR_LEADSPC)
 * NULL: out of memory.
 */
struct session *session_new(struct service *service, const struct front_peer *peer, bool leading_space);
/** Ends a message under way like session_abort(). Accepts NULL. */
void session_free(struct session *session);

/* All text is borrowed during the call. */

/**
 * @client  IP_NONE: not over the Internet, local submission; with the name "unknown": the MTA does not know the address
 * @name    as the MTA has verified it; "unknown" and "[192.0.2.1]" count as none
 */
void session_connect(struct session *session, const struct ip *client, struct str name);
void session_helo(struct session *session, struct str name);
/** @address, as the next: with or without angle brackets. */
void session_mail(struct session *session, struct str address);
void session_rcpt(struct session *session, struct str address);
void session_header(struct session *session, struct str name, struct str value);
void session_eoh(struct session *session);
/** False: no one needs more of this body. */
bool session_body(struct session *session, struct str chunk);

enum session_step { SESSION_DONE, SESSION_WAITING };

/**
 * SESSION_DONE: *ret_verdict stands until session_finish(), session_abort(), session_mail() or session_free().
 * SESSION_WAITING: call again after the peer's wake(), at the latest at session_deadline().
 */
enum session_step session_end(struct session *session, const struct verdict **ret_verdict);

/** clock_monotonic_ms() at which session_end() waits no longer. */
int64_t session_deadline(const struct session *session);

/**
 * Writes the message's line to the log and forgets the message.
 * @applied  false: the MTA took not all of the verdict, and was answered as On-InternalError says
 */
void session_finish(struct session *session, bool applied);

/** What On-InternalError says; for a verdict that cannot be carried out. Stands as long as the session. */
const struct verdict *session_internal_error(struct session *session);

void session_abort(struct session *session);

/** Bytes that its message holds; 0: there is none. */
size_t session_memory(const struct session *session);

#endif
