#include "auth/job.h"

#include <pthread.h>
#include <stdlib.h>

/* The answers' list and the scratch space of SPF; a record of 64 KiB fits many times. */
#define JOB_ARENA_CAP ((size_t)4 * 1024 * 1024)

struct spf_run {
	struct arena *arena; /* scratch of the latest run; keeps the result's strings when done */
	struct spf_query query;
	struct spf_result result;
	bool started, done;
};

struct job {
	pthread_mutex_t lock;
	unsigned references; /* guarded by lock: the message, and each question in flight */
	struct dns *dns;
	unsigned dns_timeout_ms;
	const struct spf_options *spf_options;
	auth_wake *wake;
	void *wake_context;
	struct arena *arena;
	struct answers *answers;
	struct spf_run spf[2]; /* by enum spf_identity */
	bool dropped, waiting, failed;
};

static void job_free(struct job *job)
{
	arena_free(job->spf[SPF_MAILFROM].arena);
	arena_free(job->spf[SPF_HELO].arena);
	arena_free(job->arena);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

/* Expects the lock; gives it up. */
static void release(struct job *job)
{
	bool last = --job->references == 0;
	pthread_mutex_unlock(&job->lock);
	if (last)
		job_free(job);
}

struct job *job_new(struct dns *dns, unsigned dns_timeout_ms, const struct spf_options *spf, struct arena_meter *meter,
	auth_wake *wake, void *wake_context)
{
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL)
		return NULL;
	jmp_buf boundary;
	pthread_mutex_init(&job->lock, NULL);
	job->references = 1;
	job->dns = dns;
	job->dns_timeout_ms = dns_timeout_ms;
	job->spf_options = spf;
	job->wake = wake;
	job->wake_context = wake_context;
	job->arena = arena_new(JOB_ARENA_CAP);
	if (job->arena == NULL) {
		job_free(job);
		return NULL;
	}
	/* A condition of its own: C11 section 7.13.1.1 knows setjmp() in no larger one. */
	if (setjmp(boundary) != 0) {
		job_free(job);
		return NULL;
	}
	arena_set_meter(job->arena, meter);
	arena_set_boundary(job->arena, &boundary);
	job->answers = answers_new(job->arena);
	arena_set_boundary(job->arena, NULL);
	return job;
}

void job_drop(struct job *job)
{
	if (job == NULL)
		return;
	pthread_mutex_lock(&job->lock);
	job->dropped = true;
	release(job);
}

static void set_boundary(struct job *job, jmp_buf *boundary)
{
	arena_set_boundary(job->arena, boundary);
	for (size_t i = 0; i < 2; i++)
		if (job->spf[i].arena != NULL)
			arena_set_boundary(job->spf[i].arena, boundary);
}

struct answers *job_lock(struct job *job, jmp_buf *boundary)
{
	pthread_mutex_lock(&job->lock);
	set_boundary(job, boundary);
	return job->answers;
}

void job_unlock(struct job *job)
{
	set_boundary(job, NULL);
	pthread_mutex_unlock(&job->lock);
}

void job_start_spf(struct job *job, const struct spf_query *query)
{
	struct spf_run *run = &job->spf[query->identity];
	run->arena = arena_new(JOB_ARENA_CAP);
	if (run->arena == NULL)
		arena_fail(job->arena);
	arena_set_meter(run->arena, arena_meter(job->arena));
	run->query = *query;
	run->query.helo = arena_dup(job->arena, query->helo);
	run->query.mail_from = arena_dup(job->arena, query->mail_from);
	run->started = true;
}

const struct spf_result *job_spf(const struct job *job, enum spf_identity identity)
{
	const struct spf_run *run = &job->spf[identity];
	return run->done ? &run->result : NULL;
}

static void evaluate_spf(struct job *job, jmp_buf *boundary)
{
	for (size_t i = 0; i < 2; i++) {
		struct spf_run *run = &job->spf[i];
		if (!run->started || run->done)
			continue;
		arena_reset(run->arena);
		arena_set_boundary(run->arena, boundary);
		run->done = spf_evaluate(run->arena, job->spf_options, &run->query, job->answers, &run->result);
	}
}

static dns_done on_answer;

/* Ask what is wanted; true when an answer was known at once. */
static bool ask_wanted(struct job *job)
{
	bool progress = false;
	struct dns_question question;
	while (answers_next_wanted(job->answers, &question)) {
		job->references++;
		struct dns_answer *answer = dns_lookup(job->dns, &question, job->dns_timeout_ms, on_answer, job);
		if (answer == NULL)
			continue;
		job->references--;
		answers_put(job->answers, &question, answer);
		progress = true;
	}
	return progress;
}

/* Once round for each depth that the cache can answer. */
static bool advance(struct job *job, jmp_buf *boundary)
{
	bool progress = false;
	do {
		evaluate_spf(job, boundary);
		if (!ask_wanted(job))
			return progress;
		progress = true;
	} while (true);
}

bool job_advance(struct job *job)
{
	/* The boundary that job_lock() has set stays in force. */
	jmp_buf *boundary = arena_set_boundary(job->arena, NULL);
	arena_set_boundary(job->arena, boundary);
	return advance(job, boundary);
}

void job_give_up(struct job *job)
{
	answers_give_up(job->answers);
	job_advance(job);
}

void job_set_waiting(struct job *job, bool waiting)
{
	job->waiting = waiting;
}

bool job_failed(const struct job *job)
{
	return job->failed;
}

/* On the DNS thread. Owns one reference to the job, which it gives up. */
static void on_answer(void *context, const struct dns_question *question, struct dns_answer *answer)
{
	struct job *job = context;
	jmp_buf boundary;
	pthread_mutex_lock(&job->lock);
	if (job->dropped) {
		dns_answer_unref(answer);
		release(job);
		return;
	}
	set_boundary(job, &boundary);
	if (setjmp(boundary) == 0) {
		answers_put(job->answers, question, answer);
		advance(job, &boundary);
	} else {
		job->failed = true;
	}
	set_boundary(job, NULL);
	if (job->waiting)
		job->wake(job->wake_context);
	release(job);
}
