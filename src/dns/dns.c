#include "dns/dns.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "dns/cache.h"
#include "dns/dns_loop.h"
#include "dns/dns_zone.h"
#include "dns/inflight.h"

#define TIMEOUT_MS 5000
#define CACHE_BYTES ((size_t)16 << 20)
#define MAXIMUM_IN_FLIGHT 4000
#define MAXIMUM_PER_DOMAIN 50
#define GIVEN_UP 4 /* times as many as may be in flight: these have no more than half a kilobyte each */

/* Answers that need no memory when they are needed. */
enum fixed {
	FIXED_TIMEOUT,
	FIXED_UNREACHABLE,
	FIXED_LIMIT,
	FIXED_NOMEM,
	FIXED_CLOSED,
	FIXED_NO_THREAD,
	FIXED_NXDOMAIN,
	N_FIXED
};

struct dns {
	unsigned timeout_ms;
	char *zone_path, *keys_path; /* NULL: none */
	pthread_rwlock_t files;      /* of the two below, which are there or not for good */
	struct dns_zone *keys;       /* TestPublicKeys; NULL: none */
	struct dns_zone *zone;       /* then the three below are NULL */
	struct cache *cache;
	struct inflight *inflight;
	struct dns_loop *loop;
	struct dns_answer *fixed[N_FIXED];
	atomic_uint_fast64_t zone_questions, sent, timeouts, failures, refused_by_limit, crowded_out;
};

static bool make_fixed_answers(struct dns *dns)
{
	static const char *const reasons[N_FIXED] = {
		[FIXED_TIMEOUT] = "timeout",
		[FIXED_UNREACHABLE] = "nameserver unreachable",
		[FIXED_LIMIT] = "too many questions in flight",
		[FIXED_NOMEM] = "out of memory",
		[FIXED_CLOSED] = "shutting down",
		[FIXED_NO_THREAD] = "cannot start the resolver",
	};
	for (size_t i = 0; i < N_FIXED; i++) {
		dns->fixed[i] = dns_answer_new(reasons[i] != NULL ? DNS_FAILED : DNS_NXDOMAIN, NULL, 0);
		if (dns->fixed[i] == NULL)
			return false;
		dns->fixed[i]->why = reasons[i];
	}
	return true;
}

static void on_answered(void *context, struct dns_ask *ask, struct dns_answer *answer)
{
	struct dns *dns = context;
	int64_t now_ms = clock_monotonic_ms();
	if (answer != NULL) {
		/* First the cache, then out of flight: who looks in both in that order finds it in one of them (but see
		 * ask()). */
		cache_stamp(answer, now_ms);
		cache_put(dns->cache, &ask->question, answer, now_ms);
	} else {
		answer = dns_answer_ref(dns->fixed[FIXED_NOMEM]);
	}
	if (answer->status == DNS_FAILED)
		dns->failures++;
	inflight_answer(dns->inflight, ask, answer);
	dns_answer_unref(answer);
}

/* Nothing is known of the name, so the cache gets nothing: whoever asks next may have more luck. */
static void on_crowded_out(void *context, struct dns_ask *ask)
{
	struct dns *dns = context;
	dns->crowded_out++;
	if (!inflight_give_up(dns->inflight, ask))
		inflight_answer(dns->inflight, ask, dns->fixed[FIXED_LIMIT]);
}

static int64_t on_due(void *context, int64_t now_ms)
{
	struct dns *dns = context;
	uint64_t n;
	int64_t next_ms = inflight_expire(dns->inflight, now_ms, dns->fixed[FIXED_TIMEOUT], &n);
	dns->timeouts += n;
	return next_ms;
}

static void on_unreachable(void *context)
{
	struct dns *dns = context;
	uint64_t n;
	inflight_expire(dns->inflight, INT64_MAX, dns->fixed[FIXED_UNREACHABLE], &n);
	dns->failures += n;
}

static void on_stopped(void *context)
{
	struct dns *dns = context;
	inflight_close(dns->inflight, dns->fixed[FIXED_CLOSED]);
}

typedef enum err zone_read(const char *path, struct dns_zone **ret_zone, char *error, size_t error_size);

/* *ret_path is malloc'd, NULL where there is no file. */
static enum err keep_path(struct str file, char **ret_path, char error[DNS_ERROR_SIZE])
{
	*ret_path = file.n > 0 ? strndup(file.p, file.n) : NULL;
	if (file.n == 0 || *ret_path != NULL)
		return ERR_OK;
	snprintf(error, DNS_ERROR_SIZE, "out of memory");
	return ERR_NOMEM;
}

static enum err read_zone(const char *path, zone_read *read, struct dns_zone **ret_zone, char error[DNS_ERROR_SIZE])
{
	return path != NULL ? read(path, ret_zone, error, DNS_ERROR_SIZE) : ERR_OK;
}

enum err dns_reread(struct dns *dns, char error[DNS_ERROR_SIZE])
{
	struct dns_zone *zone = NULL, *keys = NULL, *former_zone, *former_keys;
	enum err err = read_zone(dns->zone_path, dns_zone_read, &zone, error);
	if (err == ERR_OK)
		err = read_zone(dns->keys_path, dns_zone_read_keys, &keys, error);
	if (err != ERR_OK) {
		dns_zone_free(zone);
		return err;
	}
	pthread_rwlock_wrlock(&dns->files);
	former_zone = dns->zone;
	former_keys = dns->keys;
	dns->zone = zone;
	dns->keys = keys;
	pthread_rwlock_unlock(&dns->files);
	dns_zone_free(former_zone);
	dns_zone_free(former_keys);
	return ERR_OK;
}

/* For each question there is a socket; the other half of what may be open is for connections. */
static unsigned affordable(unsigned questions)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur / 2 >= questions)
		return questions;
	return (unsigned)(files.rlim_cur / 2);
}

static enum err open_resolver(struct dns *dns, const struct dns_options *given, char error[DNS_ERROR_SIZE])
{
	struct dns_options options = *given;
	if (options.cache_bytes == 0)
		options.cache_bytes = CACHE_BYTES;
	if (options.maximum_in_flight == 0)
		options.maximum_in_flight = MAXIMUM_IN_FLIGHT;
	if (options.maximum_per_domain == 0)
		options.maximum_per_domain = MAXIMUM_PER_DOMAIN;
	dns->cache = cache_new(options.cache_bytes);
	options.maximum_in_flight = affordable(options.maximum_in_flight);
	/* The loop thread itself sees to it that no more are out; as many again may be on their way to and from it. */
	dns->inflight = inflight_new((struct inflight_limits){.in_all = 2 * (size_t)options.maximum_in_flight,
		.per_domain = options.maximum_per_domain,
		.given_up = GIVEN_UP * (size_t)options.maximum_in_flight});
	if (dns->cache == NULL || dns->inflight == NULL) {
		snprintf(error, DNS_ERROR_SIZE, "out of memory");
		return ERR_NOMEM;
	}
	struct dns_loop_hooks hooks = {on_answered, on_crowded_out, on_due, on_unreachable, on_stopped, dns};
	return dns_loop_new(&options, &hooks, &dns->loop, error, DNS_ERROR_SIZE);
}

enum err dns_new(const struct dns_options *options, struct dns **ret_dns, char error[DNS_ERROR_SIZE])
{
	struct dns *dns = calloc(1, sizeof(*dns));
	if (dns != NULL)
		pthread_rwlock_init(&dns->files, NULL);
	if (dns == NULL || !make_fixed_answers(dns)) {
		dns_free(dns);
		snprintf(error, DNS_ERROR_SIZE, "out of memory");
		return ERR_NOMEM;
	}
	dns->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
	enum err err = keep_path(options->zone_file, &dns->zone_path, error);
	if (err == ERR_OK)
		err = keep_path(options->key_file, &dns->keys_path, error);
	if (err == ERR_OK && dns->zone_path == NULL)
		err = open_resolver(dns, options, error);
	if (err == ERR_OK)
		err = dns_reread(dns, error);
	if (err != ERR_OK) {
		dns_free(dns);
		return err;
	}
	*ret_dns = dns;
	return ERR_OK;
}

void dns_free(struct dns *dns)
{
	if (dns == NULL)
		return;
	dns_loop_free(dns->loop);
	inflight_free(dns->inflight);
	cache_free(dns->cache);
	dns_zone_free(dns->keys);
	dns_zone_free(dns->zone);
	free(dns->zone_path);
	free(dns->keys_path);
	pthread_rwlock_destroy(&dns->files);
	for (size_t i = 0; i < N_FIXED; i++)
		dns_answer_unref(dns->fixed[i]);
	free(dns);
}

static struct dns_answer *no_answer(struct dns *dns, enum fixed fixed, const struct dns_question *question)
{
	inflight_tell(question, dns->fixed[fixed]->why);
	return dns_answer_ref(dns->fixed[fixed]);
}

/*
 * An answer may come between the look into the cache and this: then the question is asked once more, which
 * costs one turn of the loop. That is rarer than it would be dear to hold both locks.
 */
static struct dns_answer *ask(struct dns *dns, const struct dns_question *question, int64_t now_ms, int64_t deadline_ms,
	dns_done *done, void *context)
{
	struct dns_ask *fresh;
	if (dns_loop_start(dns->loop) != ERR_OK)
		return no_answer(dns, FIXED_NO_THREAD, question);
	switch (inflight_add(dns->inflight, question, now_ms, deadline_ms, done, context, &fresh)) {
	case INFLIGHT_NEW:
		dns->sent++;
		dns_loop_ask(dns->loop, fresh);
		return NULL;
	case INFLIGHT_EARLIER:
		dns_loop_wake(dns->loop);
		return NULL;
	case INFLIGHT_JOINED:
		return NULL;
	case INFLIGHT_LIMIT:
		dns->refused_by_limit++;
		return no_answer(dns, FIXED_LIMIT, question);
	case INFLIGHT_NOMEM:
		return no_answer(dns, FIXED_NOMEM, question);
	case INFLIGHT_CLOSED:
		break;
	}
	return no_answer(dns, FIXED_CLOSED, question);
}

/* NULL: not in TestPublicKeys. Under the lock. */
static struct dns_answer *test_key(const struct dns *dns, const struct dns_question *question)
{
	if (dns->keys == NULL || question->type != DNS_TXT)
		return NULL;
	struct dns_answer *answer = dns_zone_lookup(dns->keys, question);
	if (answer->status == DNS_DATA)
		return answer;
	dns_answer_unref(answer);
	return NULL;
}

/* NULL: no file has it, and the DNS is to be asked. */
static struct dns_answer *of_files(struct dns *dns, const struct dns_question *question)
{
	if (dns->zone_path == NULL && dns->keys_path == NULL)
		return NULL;
	pthread_rwlock_rdlock(&dns->files);
	struct dns_answer *answer = test_key(dns, question);
	if (answer == NULL && dns->zone != NULL) {
		dns->zone_questions++;
		answer = dns_zone_lookup(dns->zone, question);
	}
	pthread_rwlock_unlock(&dns->files);
	return answer;
}

struct dns_answer *dns_lookup(
	struct dns *dns, const struct dns_question *question, unsigned timeout_ms, dns_done *done, void *context)
{
	struct dns_answer *answer = of_files(dns, question);
	if (answer != NULL)
		return answer;
	int64_t now_ms = clock_monotonic_ms();
	answer = cache_get(dns->cache, question, now_ms);
	if (answer != NULL)
		return answer;
	/* libunbound loses 300 bytes with each name that has an empty label. */
	if (!domain_is_askable(question->name))
		return dns_answer_ref(dns->fixed[FIXED_NXDOMAIN]);
	return ask(dns, question, now_ms, now_ms + (timeout_ms > 0 ? timeout_ms : dns->timeout_ms), done, context);
}

/* What dns_fetch() waits for. */
struct fetch {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t n_outstanding;
	struct fetched *first;
};

struct fetched {
	struct fetch *fetch;
	struct dns_question question;
	struct dns_answer *answer;
	struct fetched *next;
};

static void on_fetched(void *context, const struct dns_question *question, struct dns_answer *answer)
{
	struct fetched *fetched = context;
	struct fetch *fetch = fetched->fetch;
	(void)question;
	pthread_mutex_lock(&fetch->mutex);
	fetched->answer = answer;
	fetch->n_outstanding--;
	pthread_cond_signal(&fetch->changed);
	pthread_mutex_unlock(&fetch->mutex);
}

static void fetch_one(struct dns *dns, struct fetch *fetch, struct answers *answers,
	const struct dns_question *question, unsigned timeout_ms)
{
	struct fetched *fetched = calloc(1, sizeof(*fetched));
	if (fetched == NULL) {
		answers_put(answers, question, dns_answer_ref(dns->fixed[FIXED_NOMEM]));
		return;
	}
	*fetched = (struct fetched){fetch, *question, NULL, fetch->first};
	pthread_mutex_lock(&fetch->mutex);
	fetch->n_outstanding++;
	pthread_mutex_unlock(&fetch->mutex);
	struct dns_answer *answer = dns_lookup(dns, question, timeout_ms, on_fetched, fetched);
	if (answer == NULL) {
		fetch->first = fetched;
		return;
	}
	pthread_mutex_lock(&fetch->mutex);
	fetch->n_outstanding--;
	pthread_mutex_unlock(&fetch->mutex);
	answers_put(answers, question, answer);
	free(fetched);
}

void dns_fetch(struct dns *dns, struct answers *answers, unsigned timeout_ms)
{
	struct fetch fetch = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct dns_question question;
	while (answers_next_wanted(answers, &question))
		fetch_one(dns, &fetch, answers, &question, timeout_ms);
	/* Each is called by its own deadline at the latest, and all have the same. */
	pthread_mutex_lock(&fetch.mutex);
	while (fetch.n_outstanding > 0)
		pthread_cond_wait(&fetch.changed, &fetch.mutex);
	pthread_mutex_unlock(&fetch.mutex);
	for (struct fetched *fetched = fetch.first, *next; fetched != NULL; fetched = next) {
		next = fetched->next;
		answers_put(answers, &fetched->question, fetched->answer);
		free(fetched);
	}
	pthread_mutex_destroy(&fetch.mutex);
	pthread_cond_destroy(&fetch.changed);
}

void dns_counters(struct dns *dns, struct dns_counters *ret_counters)
{
	*ret_counters = (struct dns_counters){.questions = dns->zone_questions,
		.sent = dns->sent,
		.timeouts = dns->timeouts,
		.failures = dns->failures,
		.refused_by_limit = dns->refused_by_limit,
		.crowded_out = dns->crowded_out};
	if (dns->zone_path != NULL)
		return;
	struct cache_counters cache;
	cache_counters(dns->cache, &cache);
	ret_counters->questions = cache.hits + cache.misses;
	ret_counters->cache_hits = cache.hits;
	ret_counters->cached = cache.answers;
	ret_counters->in_flight = inflight_count(dns->inflight);
}
