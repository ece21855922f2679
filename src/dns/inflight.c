#include "dns/inflight.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/fault.h"
#include "base/hash.h"

#define BUCKETS 4096 /* as many as questions may be in flight by default */
#define SLOW_MS 1000 /* a genuine answer hardly ever takes that long */
#define PER_DOMAIN_IN_ALL 10

struct pending;

struct waiter {
	TAILQ_ENTRY(waiter) of_question;
	TAILQ_ENTRY(waiter) by_deadline;
	struct pending *pending;
	bool is_last; /* of a question that was given up, which goes with it */
	int64_t deadline_ms;
	dns_done *done;
	void *context;
};

TAILQ_HEAD(waiters, waiter);

struct pending {
	struct dns_ask ask; /* first: the DNS thread hands back its address */
	struct pending *next_in_bucket;
	int64_t since_ms;
	bool given_up; /* and no longer in its bucket; the DNS thread's own */
	uint64_t hash; /* of the domain, so that the questions to count together share a bucket */
	struct str domain;
	struct waiters waiters;
	char name[];
};

struct inflight {
	pthread_mutex_t mutex;
	struct inflight_limits limits;
	struct hash_key key;
	size_t n, n_given_up;
	bool closed;
	struct waiters by_deadline; /* the next one first */
	struct pending *buckets[BUCKETS];
};

struct inflight *inflight_new(struct inflight_limits limits)
{
	struct inflight *inflight = calloc(1, sizeof(*inflight));
	if (inflight == NULL)
		return NULL;
	inflight->limits = limits;
	hash_key_init(&inflight->key);
	pthread_mutex_init(&inflight->mutex, NULL);
	TAILQ_INIT(&inflight->by_deadline);
	return inflight;
}

void inflight_free(struct inflight *inflight)
{
	if (inflight == NULL)
		return;
	pthread_mutex_destroy(&inflight->mutex);
	free(inflight);
}

struct str inflight_domain(struct str name)
{
	static const struct str registries[] = {STR_INIT("ac"), STR_INIT("co"), STR_INIT("com"), STR_INIT("edu"),
		STR_INIT("go"), STR_INIT("gov"), STR_INIT("ne"), STR_INIT("net"), STR_INIT("or"), STR_INIT("org")};
	struct str two = domain_last_labels(name, 2);
	/* One provider's silent reverse zone must not silence all others. */
	if (str_eq(two, STR("in-addr.arpa")))
		return domain_last_labels(name, 2 + 2);
	if (str_eq(two, STR("ip6.arpa")))
		return domain_last_labels(name, 2 + 8);
	struct str second = str_head(two, two.n > 3 ? two.n - 3 : 0);
	if (two.n < 4 || two.p[two.n - 3] != '.')
		return two;
	for (size_t i = 0; i < sizeof(registries) / sizeof(registries[0]); i++)
		if (str_eq(second, registries[i]))
			return domain_last_labels(name, 3);
	return two;
}

static struct pending *pending_new(const struct dns_question *question, int64_t now_ms)
{
	struct pending *pending = malloc(sizeof(*pending) + question->name.n);
	if (pending == NULL)
		return NULL;
	*pending = (struct pending){.since_ms = now_ms};
	memcpy(pending->name, question->name.p, question->name.n);
	pending->ask.question = (struct dns_question){question->type, str_from(pending->name, question->name.n)};
	pending->domain = inflight_domain(pending->ask.question.name);
	TAILQ_INIT(&pending->waiters);
	return pending;
}

/* How many questions of a domain are in flight. */
struct share {
	size_t n, n_slow;
};

/* The question's entry, if it is in flight; otherwise what its domain has there. */
static struct pending *find(const struct inflight *inflight, uint64_t hash, struct str domain,
	const struct dns_question *question, int64_t now_ms, struct share *ret_share)
{
	*ret_share = (struct share){0};
	for (struct pending *pending = inflight->buckets[hash % BUCKETS]; pending != NULL;
		pending = pending->next_in_bucket) {
		if (pending->hash != hash || !str_eq(pending->domain, domain))
			continue;
		if (dns_question_eq(&pending->ask.question, question))
			return pending;
		ret_share->n++;
		ret_share->n_slow += now_ms - pending->since_ms > SLOW_MS;
	}
	return NULL;
}

/* Most wait equally long, so the place is at or near the end. True: at the front. */
static bool insert_by_deadline(struct inflight *inflight, struct waiter *waiter)
{
	struct waiter *before = TAILQ_LAST(&inflight->by_deadline, waiters);
	while (before != NULL && before->deadline_ms > waiter->deadline_ms)
		before = TAILQ_PREV(before, waiters, by_deadline);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&inflight->by_deadline, before, waiter, by_deadline);
	else
		TAILQ_INSERT_HEAD(&inflight->by_deadline, waiter, by_deadline);
	return before == NULL;
}

/* With the mutex held. *pending: fresh, or NULL without memory; set to NULL once the table has it. */
static enum inflight_outcome add_waiter(struct inflight *inflight, struct waiter *waiter, struct pending **pending,
	const struct dns_question *question, int64_t now_ms, uint64_t hash)
{
	struct share share;
	size_t per_domain = inflight->limits.per_domain;
	if (inflight->closed)
		return INFLIGHT_CLOSED;
	struct pending *found = find(inflight, hash, inflight_domain(question->name), question, now_ms, &share);
	if (found == NULL && (inflight->n >= inflight->limits.in_all || share.n_slow >= per_domain ||
				     share.n >= PER_DOMAIN_IN_ALL * per_domain))
		return INFLIGHT_LIMIT;
	bool fresh = found == NULL;
	if (fresh) {
		found = *pending;
		*pending = NULL;
		found->hash = hash;
		found->next_in_bucket = inflight->buckets[hash % BUCKETS];
		inflight->buckets[hash % BUCKETS] = found;
		inflight->n++;
	}
	waiter->pending = found;
	TAILQ_INSERT_TAIL(&found->waiters, waiter, of_question);
	bool earliest = insert_by_deadline(inflight, waiter);
	if (fresh)
		return INFLIGHT_NEW;
	return earliest ? INFLIGHT_EARLIER : INFLIGHT_JOINED;
}

enum inflight_outcome inflight_add(struct inflight *inflight, const struct dns_question *question, int64_t now_ms,
	int64_t deadline_ms, dns_done *done, void *context, struct dns_ask **ret_ask)
{
	struct waiter *waiter = malloc(sizeof(*waiter));
	struct pending *pending = pending_new(question, now_ms), *fresh = pending;
	if (waiter == NULL || pending == NULL) {
		free(waiter);
		free(pending);
		return INFLIGHT_NOMEM;
	}
	*waiter = (struct waiter){.deadline_ms = deadline_ms, .done = done, .context = context};
	uint64_t hash = hash_bytes(&inflight->key, 0, pending->domain);
	pthread_mutex_lock(&inflight->mutex);
	enum inflight_outcome outcome = add_waiter(inflight, waiter, &pending, question, now_ms, hash);
	pthread_mutex_unlock(&inflight->mutex);
	free(pending);
	if (outcome == INFLIGHT_NEW)
		*ret_ask = &fresh->ask;
	else if (outcome == INFLIGHT_LIMIT || outcome == INFLIGHT_CLOSED)
		free(waiter);
	return outcome;
}

static void remove_pending(struct inflight *inflight, struct pending *pending)
{
	struct pending **place = &inflight->buckets[pending->hash % BUCKETS];
	while (*place != pending)
		place = &(*place)->next_in_bucket;
	*place = pending->next_in_bucket;
	inflight->n--;
}

void inflight_tell(const struct dns_question *question, const char *why)
{
	fault_log(LOG_LEVEL_INFO, str_of(why), "DNS: %s, asked for %s %.*s", why, dns_type_text(question->type),
		STR_ARG(question->name));
}

static void call(const struct waiter *waiter, const struct dns_question *question, struct dns_answer *answer)
{
	if (answer->status == DNS_FAILED)
		inflight_tell(question, answer->why);
	waiter->done(waiter->context, question, dns_answer_ref(answer));
}

static void call_and_free(struct pending *pending, struct dns_answer *answer)
{
	for (struct waiter *waiter = TAILQ_FIRST(&pending->waiters), *next; waiter != NULL; waiter = next) {
		next = TAILQ_NEXT(waiter, of_question);
		call(waiter, &pending->ask.question, answer);
		free(waiter);
	}
	free(pending);
}

void inflight_answer(struct inflight *inflight, struct dns_ask *ask, struct dns_answer *answer)
{
	struct pending *pending = (struct pending *)ask;
	pthread_mutex_lock(&inflight->mutex);
	remove_pending(inflight, pending);
	for (struct waiter *w = TAILQ_FIRST(&pending->waiters); w != NULL; w = TAILQ_NEXT(w, of_question))
		TAILQ_REMOVE(&inflight->by_deadline, w, by_deadline);
	pthread_mutex_unlock(&inflight->mutex);
	call_and_free(pending, answer);
}

bool inflight_give_up(struct inflight *inflight, struct dns_ask *ask)
{
	struct pending *pending = (struct pending *)ask;
	pthread_mutex_lock(&inflight->mutex);
	bool is_unwanted = TAILQ_EMPTY(&pending->waiters), fits = inflight->n_given_up < inflight->limits.given_up;
	if (is_unwanted || fits)
		remove_pending(inflight, pending);
	if (!is_unwanted && fits) {
		pending->given_up = true;
		inflight->n_given_up++;
	}
	pthread_mutex_unlock(&inflight->mutex);
	if (is_unwanted)
		free(pending);
	return is_unwanted || fits;
}

/* With the mutex held: nobody else joins a question that was given up, so it goes with the last who waits for it. */
static void detach(struct inflight *inflight, struct waiter *waiter)
{
	struct pending *pending = waiter->pending;
	TAILQ_REMOVE(&inflight->by_deadline, waiter, by_deadline);
	TAILQ_REMOVE(&pending->waiters, waiter, of_question);
	waiter->is_last = pending->given_up && TAILQ_EMPTY(&pending->waiters);
	inflight->n_given_up -= waiter->is_last;
}

int64_t inflight_expire(struct inflight *inflight, int64_t now_ms, struct dns_answer *answer, uint64_t *ret_n)
{
	struct waiters over = TAILQ_HEAD_INITIALIZER(over);
	struct waiter *waiter;
	pthread_mutex_lock(&inflight->mutex);
	while ((waiter = TAILQ_FIRST(&inflight->by_deadline)) != NULL && waiter->deadline_ms <= now_ms) {
		detach(inflight, waiter);
		TAILQ_INSERT_TAIL(&over, waiter, by_deadline);
	}
	int64_t next_ms = waiter != NULL ? waiter->deadline_ms : INT64_MAX;
	pthread_mutex_unlock(&inflight->mutex);
	*ret_n = 0;
	/* Only this thread frees questions, so the waiter's is still there. */
	while ((waiter = TAILQ_FIRST(&over)) != NULL) {
		TAILQ_REMOVE(&over, waiter, by_deadline);
		call(waiter, &waiter->pending->ask.question, answer);
		if (waiter->is_last)
			free(waiter->pending);
		free(waiter);
		++*ret_n;
	}
	return next_ms;
}

void inflight_close(struct inflight *inflight, struct dns_answer *answer)
{
	uint64_t n;
	pthread_mutex_lock(&inflight->mutex);
	inflight->closed = true;
	pthread_mutex_unlock(&inflight->mutex);
	inflight_expire(inflight, INT64_MAX, answer, &n);
	pthread_mutex_lock(&inflight->mutex);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct pending *pending; (pending = inflight->buckets[i]) != NULL;) {
			inflight->buckets[i] = pending->next_in_bucket;
			free(pending);
		}
	}
	inflight->n = 0;
	pthread_mutex_unlock(&inflight->mutex);
}

size_t inflight_count(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->mutex);
	size_t n = inflight->n;
	pthread_mutex_unlock(&inflight->mutex);
	return n;
}
