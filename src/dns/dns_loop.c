#include "dns/dns_loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "dns/reach.h"

#define RESOLV_CONF_CHECK_MS 3000
#define OVERDUE_MS 250 /* a question so old lets us see whether anybody listens */
#define REFUSAL_MS 50  /* until the kernel has told us so */
#define REACH_EVERY_MS 1000
#define BUSY 200      /* questions at a time, of 10 KiB each: worth giving back when they are answered */
#define GENERATIONS 4 /* contexts: the present one and those before it that have questions out */

TAILQ_HEAD(asks, dns_ask);

struct dns_loop {
	struct arena *arena;
	struct dns_loop_hooks hooks;
	const char *resolv_conf; /* NULL: the administrator named the servers */
	struct anchors anchors;
	unsigned per_generation; /* questions */

	/* Shared with the callers, under the mutex. */
	pthread_mutex_t mutex;
	bool started, stopping;
	struct dns_ask *queue, **queue_end;

	pthread_t thread;
	int wake_fd;
	struct event_base *base;
	struct event *wake, *due, *deliver, *watch;

	/* The loop thread's own. */
	struct nameservers servers;
	struct file_stamp stamp; /* of resolv.conf when it was read */
	int64_t checked_ms, reached_ms;
	struct dns_unbound *contexts[GENERATIONS]; /* the youngest first, which is asked; NULL: to be made */
	struct reach *reach;
	struct asks outstanding; /* the oldest first */
	bool was_busy;
	struct dns_ask *answered, **answered_end, *crowded_out;
};

static void after(struct event *event, int64_t wait_ms)
{
	struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
	evtimer_add(event, &wait);
}

/* Contexts that are no longer asked go when their last answer has come; never from within one of their callbacks. */
static void free_retired(struct dns_loop *loop)
{
	size_t n = 1;
	bool were_some = loop->contexts[1] != NULL;
	for (size_t i = 1; i < GENERATIONS; i++) {
		struct dns_unbound *unbound = loop->contexts[i];
		loop->contexts[i] = NULL;
		if (unbound != NULL && dns_unbound_outstanding(unbound) > 0)
			loop->contexts[n++] = unbound;
		else
			dns_unbound_free(unbound);
	}
	if (were_some && n == 1)
		dns_unbound_give_memory_back();
}

/* Give back what is out in the oldest context, and free it. */
static void crowd_out(struct dns_loop *loop, struct dns_unbound *oldest)
{
	for (struct dns_ask *ask = TAILQ_FIRST(&loop->outstanding), *next; ask != NULL; ask = next) {
		next = TAILQ_NEXT(ask, outstanding);
		if (ask->asked_in != oldest)
			continue;
		TAILQ_REMOVE(&loop->outstanding, ask, outstanding);
		ask->asked_in = NULL;
		ask->next = loop->crowded_out;
		loop->crowded_out = ask;
	}
	/* Only now may they be freed: until here libunbound may still call for them. */
	dns_unbound_free(oldest);
	event_active(loop->deliver, 0, 0);
}

/* Make room for a younger context; never from within a callback of libunbound. */
static void retire_context(struct dns_loop *loop)
{
	if (loop->contexts[0] == NULL)
		return;
	free_retired(loop);
	if (loop->contexts[GENERATIONS - 1] != NULL)
		crowd_out(loop, loop->contexts[GENERATIONS - 1]);
	memmove(&loop->contexts[1], &loop->contexts[0], (GENERATIONS - 1) * sizeof(loop->contexts[0]));
	loop->contexts[0] = NULL;
}

/* A file that is gone or cannot be read (for a moment, or within a new root directory) changes nothing. */
static void check_resolv_conf(struct dns_loop *loop, int64_t now_ms)
{
	struct file_stamp none = {0};
	struct nameservers servers;
	if (loop->resolv_conf == NULL || now_ms - loop->checked_ms < RESOLV_CONF_CHECK_MS)
		return;
	loop->checked_ms = now_ms;
	struct file_stamp stamp = file_stamp_of(loop->resolv_conf);
	if (file_stamp_eq(&stamp, &loop->stamp) || file_stamp_eq(&stamp, &none) ||
		nameservers_read(loop->resolv_conf, &servers) != ERR_OK)
		return;
	if (memcmp(&servers, &loop->servers, sizeof(servers)) != 0) {
		retire_context(loop);
		reach_free(loop->reach);
		loop->reach = NULL;
		loop->servers = servers;
		log_info("%s has changed, the first nameserver is now %s", loop->resolv_conf, servers.text[0]);
	}
	loop->stamp = stamp;
}

/* To be given back once no frame of libunbound is below us. */
static void put_answered(void *context, struct dns_ask *ask, struct dns_answer *answer)
{
	struct dns_loop *loop = context;
	TAILQ_REMOVE(&loop->outstanding, ask, outstanding);
	ask->answer = answer;
	ask->next = NULL;
	*loop->answered_end = ask;
	loop->answered_end = &ask->next;
	event_active(loop->deliver, 0, 0);
}

static struct dns_unbound *context_of(struct dns_loop *loop)
{
	struct dns_unbound *present = loop->contexts[0];
	if (present == NULL || dns_unbound_outstanding(present) >= loop->per_generation) {
		struct dns_unbound_setup setup = {
			&loop->servers, &loop->anchors, loop->per_generation, put_answered, loop};
		struct dns_unbound *fresh = dns_unbound_new(loop->base, &setup);
		/* Without memory for another the full one has to do. */
		if (fresh != NULL) {
			retire_context(loop);
			loop->contexts[0] = fresh;
		}
	}
	if (loop->reach == NULL)
		loop->reach = reach_new(&loop->servers);
	return loop->contexts[0];
}

static void ask_now(struct dns_loop *loop, struct dns_ask *ask, int64_t now_ms)
{
	struct dns_unbound *unbound = context_of(loop);
	ask->asked_ms = now_ms;
	TAILQ_INSERT_TAIL(&loop->outstanding, ask, outstanding);
	if (unbound != NULL) {
		dns_unbound_ask(unbound, ask);
		loop->was_busy |= dns_unbound_outstanding(unbound) >= BUSY;
		return;
	}
	struct dns_answer *answer = dns_answer_new(DNS_FAILED, NULL, 0);
	if (answer != NULL)
		answer->why = "cannot set up the resolver";
	put_answered(loop, ask, answer);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct dns_loop *loop = arg;
	(void)fd;
	(void)what;
	int64_t now_ms = clock_monotonic_ms(), next_ms = loop->hooks.due(loop->hooks.context, now_ms);
	if (next_ms == INT64_MAX)
		evtimer_del(loop->due);
	else
		after(loop->due, next_ms > now_ms ? next_ms - now_ms : 0);
}

/* Nothing is out. A context keeps much of what many questions at a time have taken; a fresh one costs 5 ms. */
static void on_quiet(struct dns_loop *loop)
{
	if (!loop->was_busy)
		return;
	loop->was_busy = false;
	retire_context(loop);
	free_retired(loop);
}

/* While a question is overdue: send, see shortly afterwards, and so each second. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct dns_loop *loop = arg;
	(void)fd;
	(void)what;
	int64_t now_ms = clock_monotonic_ms();
	const struct dns_ask *oldest = TAILQ_FIRST(&loop->outstanding);
	if (oldest == NULL) {
		on_quiet(loop);
		return;
	}
	if (now_ms - oldest->asked_ms < OVERDUE_MS) {
		after(loop->watch, OVERDUE_MS);
		return;
	}
	if (reach_is_refused(loop->reach)) {
		loop->hooks.unreachable(loop->hooks.context);
		on_due(-1, 0, loop);
	}
	if (now_ms - loop->reached_ms < REACH_EVERY_MS) {
		after(loop->watch, REACH_EVERY_MS - (now_ms - loop->reached_ms));
		return;
	}
	reach_send(loop->reach, &oldest->question);
	loop->reached_ms = now_ms;
	after(loop->watch, REFUSAL_MS);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct dns_loop *loop = arg;
	eventfd_t count;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&loop->mutex);
	struct dns_ask *ask = loop->queue;
	loop->queue = NULL;
	loop->queue_end = &loop->queue;
	bool stopping = loop->stopping;
	pthread_mutex_unlock(&loop->mutex);
	if (stopping) {
		event_base_loopbreak(loop->base);
		return;
	}
	int64_t now_ms = clock_monotonic_ms();
	check_resolv_conf(loop, now_ms);
	for (struct dns_ask *next; ask != NULL; ask = next) {
		next = ask->next;
		ask_now(loop, ask, now_ms);
	}
	if (!evtimer_pending(loop->watch, NULL))
		after(loop->watch, OVERDUE_MS);
	on_due(-1, what, loop);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
	struct dns_loop *loop = arg;
	(void)fd;
	(void)what;
	struct dns_ask *ask = loop->answered, *crowded_out = loop->crowded_out;
	loop->answered = loop->crowded_out = NULL;
	loop->answered_end = &loop->answered;
	for (struct dns_ask *next; ask != NULL; ask = next) {
		next = ask->next;
		loop->hooks.answered(loop->hooks.context, ask, ask->answer);
	}
	for (struct dns_ask *next; crowded_out != NULL; crowded_out = next) {
		next = crowded_out->next;
		loop->hooks.crowded_out(loop->hooks.context, crowded_out);
	}
	free_retired(loop);
}

static void *run(void *arg)
{
	struct dns_loop *loop = arg;
	pthread_setname_np(pthread_self(), "dns");
	event_base_dispatch(loop->base);
	/* Some questions are answered while their context goes; stopped() sees to all alike. */
	for (size_t i = 0; i < GENERATIONS; i++)
		dns_unbound_free(loop->contexts[i]);
	for (struct dns_ask *ask = loop->answered; ask != NULL; ask = ask->next)
		dns_answer_unref(ask->answer);
	reach_free(loop->reach);
	loop->hooks.stopped(loop->hooks.context);
	return NULL;
}

static bool create_events(struct dns_loop *loop)
{
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->base = event_base_new();
	if (loop->wake_fd < 0 || loop->base == NULL)
		return false;
	loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	loop->due = evtimer_new(loop->base, on_due, loop);
	loop->deliver = event_new(loop->base, -1, 0, on_deliver, loop);
	loop->watch = evtimer_new(loop->base, on_watch, loop);
	return loop->wake != NULL && loop->due != NULL && loop->deliver != NULL && loop->watch != NULL &&
	       event_add(loop->wake, NULL) == 0;
}

static void destroy_events(struct dns_loop *loop)
{
	struct event **events[] = {&loop->wake, &loop->due, &loop->deliver, &loop->watch};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
	if (loop->base != NULL)
		event_base_free(loop->base);
	loop->base = NULL;
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	loop->wake_fd = -1;
}

static enum err start_thread(struct dns_loop *loop)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	loop->started = pthread_create(&loop->thread, NULL, run, loop) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return loop->started ? ERR_OK : ERR_IO;
}

enum err dns_loop_start(struct dns_loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	enum err err = loop->started ? ERR_OK : start_thread(loop);
	pthread_mutex_unlock(&loop->mutex);
	return err;
}

void dns_loop_wake(struct dns_loop *loop)
{
	eventfd_write(loop->wake_fd, 1);
}

void dns_loop_ask(struct dns_loop *loop, struct dns_ask *ask)
{
	ask->next = NULL;
	pthread_mutex_lock(&loop->mutex);
	bool was_empty = loop->queue == NULL;
	*loop->queue_end = ask;
	loop->queue_end = &ask->next;
	pthread_mutex_unlock(&loop->mutex);
	if (was_empty)
		dns_loop_wake(loop);
}

void dns_loop_free(struct dns_loop *loop)
{
	if (loop == NULL)
		return;
	if (loop->started) {
		pthread_mutex_lock(&loop->mutex);
		loop->stopping = true;
		pthread_mutex_unlock(&loop->mutex);
		dns_loop_wake(loop);
		pthread_join(loop->thread, NULL);
	}
	destroy_events(loop);
	pthread_mutex_destroy(&loop->mutex);
	arena_free(loop->arena);
	free(loop);
}

static enum err read_servers(struct dns_loop *loop, const struct dns_options *options, char *error, size_t error_size)
{
	for (size_t i = 0; i < options->n_nameservers; i++) {
		struct str server = options->nameservers[i];
		if (nameservers_add(&loop->servers, server))
			continue;
		const char *what = loop->servers.n == NAMESERVERS_MAX ? "too many" : "neither ADDR nor ADDR@PORT";
		snprintf(error, error_size, "nameserver %.*s: %s", STR_ARG(str_head(server, NAMESERVER_SIZE)), what);
		return ERR_CONFIG;
	}
	if (options->n_nameservers > 0)
		return ERR_OK;
	bool named = options->resolv_conf.n > 0;
	loop->resolv_conf = named ? arena_dup(loop->arena, options->resolv_conf).p : "/etc/resolv.conf";
	loop->stamp = file_stamp_of(loop->resolv_conf);
	if (nameservers_read(loop->resolv_conf, &loop->servers) == ERR_OK)
		return ERR_OK;
	if (named || errno != ENOENT) {
		snprintf(error, error_size, "%s: %s", loop->resolv_conf, strerror(errno));
		return ERR_IO;
	}
	/* resolv.conf(5): without the file the local machine is asked. */
	nameservers_parse_resolv_conf(STR(""), &loop->servers);
	return ERR_OK;
}

static enum err read_anchors(struct dns_loop *loop, const struct dns_options *options, char *error, size_t error_size)
{
	if (options->trust_anchor_file.n == 0)
		return ERR_OK;
	const char *path = arena_dup(loop->arena, options->trust_anchor_file).p;
	if (anchors_read(loop->arena, path, &loop->anchors) != ERR_OK) {
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		return ERR_IO;
	}
	if (loop->anchors.n == 0) {
		snprintf(error, error_size, "%s: no trust anchor in it", path);
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < loop->anchors.n; i++) {
		const struct anchor *anchor = &loop->anchors.items[i];
		if (dns_unbound_accepts_anchor(anchor))
			continue;
		snprintf(
			error, error_size, "%s:%u: not a DS or DNSKEY record: %.60s", path, anchor->line, anchor->text);
		return ERR_CONFIG;
	}
	return ERR_OK;
}

enum err dns_loop_new(const struct dns_options *options, const struct dns_loop_hooks *hooks, struct dns_loop **ret_loop,
	char *error, size_t error_size)
{
	struct dns_loop *loop = calloc(1, sizeof(*loop));
	struct arena *arena = arena_new(0);
	if (loop == NULL || arena == NULL) {
		free(loop);
		arena_free(arena);
		snprintf(error, error_size, "out of memory");
		return ERR_NOMEM;
	}
	loop->arena = arena;
	loop->hooks = *hooks;
	loop->per_generation = (options->maximum_in_flight + GENERATIONS - 1) / GENERATIONS;
	loop->wake_fd = -1;
	loop->queue_end = &loop->queue;
	loop->answered_end = &loop->answered;
	TAILQ_INIT(&loop->outstanding);
	pthread_mutex_init(&loop->mutex, NULL);
	enum err err = read_servers(loop, options, error, error_size);
	if (err == ERR_OK)
		err = read_anchors(loop, options, error, error_size);
	/* Now, since libevent ends the process where it gets no descriptor, and later there may be none. */
	if (err == ERR_OK && !create_events(loop)) {
		snprintf(error, error_size, "no event loop: %s", strerror(errno));
		err = ERR_IO;
	}
	if (err != ERR_OK) {
		dns_loop_free(loop);
		return err;
	}
	*ret_loop = loop;
	return ERR_OK;
}
