/*
 * The look-ups of one message, and the evaluations that go on while the
 * message is still arriving.
 *
 * A job has an arena of its own and two kinds of owners: the message, and each
 * question in flight. When an answer comes, the DNS thread puts it in and runs
 * SPF again over what is there, so that the next depth is asked for at once
 * without a thread that waits. All else happens in the message's thread,
 * between job_lock() and job_unlock(). The message's own arena is never touched
 * on the DNS thread.
 */
#ifndef TRIMILTER_AUTH_JOB_H
#define TRIMILTER_AUTH_JOB_H

#include <setjmp.h>

#include "auth/auth.h"

struct job;

/**
 * @dns, @spf  borrowed; must outlive job_drop()
 * @meter      counts its memory; outlives the questions too. NULL: nowhere
 * @wake       called under the job's lock, after each answer that arrives while job_set_waiting() holds
 * NULL: out of memory.
 */
struct job *job_new(struct dns *dns, unsigned dns_timeout_ms, const struct spf_options *spf, struct arena_meter *meter,
	auth_wake *wake, void *wake_context);

/** The message is gone: nothing is evaluated and nobody woken any more. Look-ups in flight only fill the cache. */
void job_drop(struct job *job);

/**
 * Exclusive use of the answers. Allocations in the job's arena jump to @boundary until job_unlock(), which the
 * boundary must call too.
 */
struct answers *job_lock(struct job *job, jmp_buf *boundary);
void job_unlock(struct job *job);

/* ---- only between job_lock() and job_unlock() ---- */

/** Evaluate SPF for this identity from now on; strings are copied. At most once for each identity. */
void job_start_spf(struct job *job, const struct spf_query *query);

/** The result, NULL while it is not complete or was never started. Borrowed until job_drop(). */
const struct spf_result *job_spf(const struct job *job, enum spf_identity identity);

/**
 * Ask for everything wanted. True: some answers were known at once, so judging again is worth while.
 * Runs SPF as far as the answers reach.
 */
bool job_advance(struct job *job);

/** Nothing that is missing will come: SPF is brought to its end. */
void job_give_up(struct job *job);

/** Whether wake() is wanted. */
void job_set_waiting(struct job *job, bool waiting);

/** Memory ran out on the DNS thread: the message must be treated as after a failure of its own. */
bool job_failed(const struct job *job);

#endif
