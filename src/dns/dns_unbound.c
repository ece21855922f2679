#include "dns/dns_unbound.h"

#include <event2/event.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "dns/anchors.h"
#include "dns/nameservers.h"
#include "dns/packet.h"

#define CLASS_IN 1
#define RESOLV_CONF_CHECK_MS 3000
#define OPTION_SIZE 96

/* One libunbound context. Its options are final after the first question, so other nameservers mean a new one. */
struct dns_unbound_context {
	struct dns_unbound *owner;
	struct ub_ctx *ub;
	size_t n_asked; /* whose answer has not come */
	struct dns_unbound_context *next;
};

struct dns_unbound {
	struct arena *arena;
	struct dns_unbound_hooks hooks;
	struct nameservers servers;
	const char *resolv_conf; /* NULL: the servers were named by the administrator */
	struct file_stamp stamp; /* of resolv.conf when it was read */
	struct anchors anchors;
	unsigned maximum_in_flight;

	/* Shared with the callers, under the mutex. */
	pthread_mutex_t mutex;
	bool started, stopping;
	struct dns_ask *queue, **queue_end;

	pthread_t thread;
	int wake_fd;
	struct event_base *base;
	struct event *wake, *due, *deliver;

	/* The loop thread's own. */
	int64_t checked_ms;
	struct dns_unbound_context *current, *retired;
	struct dns_ask *answered, **answered_end;
};

/* Zones that libunbound would answer by itself (unbound.conf(5), local-zone); our nameserver is to say what is there.
 */
static const char *const opened_zones[] = {
	"test.", "invalid.", "onion.", "home.arpa.", "127.in-addr.arpa.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."
	/* localhost stays: RFC 6761 section 6.3 wants it answered by the resolver. */
};

static bool set_option(struct ub_ctx *ub, const char *name, const char *value)
{
	int rc = ub_ctx_set_option(ub, name, value);
	if (rc != 0)
		log_error("libunbound refuses %s %s: %s", name, value, ub_strerror(rc));
	return rc == 0;
}

static bool open_zones(struct ub_ctx *ub, bool validates)
{
	for (size_t i = 0; i < sizeof(opened_zones) / sizeof(opened_zones[0]); i++) {
		char value[OPTION_SIZE];
		snprintf(value, sizeof(value), "%s transparent", opened_zones[i]);
		if (!set_option(ub, "local-zone:", value))
			return false;
		/* The root proves that they do not exist: what a private nameserver says there is not to be called
		 * bogus. */
		if (validates && !set_option(ub, "domain-insecure:", opened_zones[i]))
			return false;
	}
	return set_option(ub, "unblock-lan-zones:", "yes") && set_option(ub, "insecure-lan-zones:", "yes");
}

static bool set_options(struct ub_ctx *ub, bool validates, unsigned maximum_in_flight)
{
	/*
	 * With the defaults one silent forwarder takes 17 s to SERVFAIL, thirty silent names hold up all others, and
	 * for a while after an outage everything fails: so few retries, and what is learned of a server's speed is
	 * forgotten within a second.
	 */
	static const char *const options[][2] = {
		{"outgoing-range:", "1024"},
		{"outgoing-num-tcp:", "32"},
		{"outbound-msg-retry:", "2"},
		{"infra-host-ttl:", "1"},
		{"infra-keep-probing:", "yes"},
		{"qname-minimisation:", "no"},
		{"minimal-responses:", "yes"},
	};
	char in_flight[16];
	snprintf(in_flight, sizeof(in_flight), "%u", maximum_in_flight);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (!set_option(ub, options[i][0], options[i][1]))
			return false;
	return set_option(ub, "module-config:", validates ? "validator iterator" : "iterator") &&
	       set_option(ub, "num-queries-per-thread:", in_flight) && open_zones(ub, validates);
}

static bool set_servers(struct ub_ctx *ub, const struct nameservers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		int rc = ub_ctx_set_fwd(ub, servers->text[i]);
		if (rc != 0) {
			log_error("nameserver %s: %s", servers->text[i], ub_strerror(rc));
			return false;
		}
	}
	return true;
}

static bool set_anchors(struct ub_ctx *ub, const struct anchors *anchors)
{
	for (size_t i = 0; i < anchors->n; i++)
		if (ub_ctx_add_ta(ub, anchors->items[i].text) != 0)
			return false;
	return true;
}

static struct dns_unbound_context *context_new(struct dns_unbound *unbound)
{
	struct dns_unbound_context *context = calloc(1, sizeof(*context));
	if (context == NULL)
		return NULL;
	context->owner = unbound;
	context->ub = ub_ctx_create_event(unbound->base);
	if (context->ub == NULL) {
		free(context);
		return NULL;
	}
	/* It would write to standard error, which is not its own. */
	ub_ctx_debugout(context->ub, NULL);
	if (!set_options(context->ub, unbound->anchors.n > 0, unbound->maximum_in_flight) ||
		!set_servers(context->ub, &unbound->servers) || !set_anchors(context->ub, &unbound->anchors)) {
		ub_ctx_delete(context->ub);
		free(context);
		return NULL;
	}
	return context;
}

static void context_free(struct dns_unbound_context *context)
{
	if (context == NULL)
		return;
	ub_ctx_delete(context->ub);
	free(context);
}

/* Retired contexts go when their last answer has come; never from within one of their own callbacks. */
static void free_retired(struct dns_unbound *unbound, bool all)
{
	for (struct dns_unbound_context **place = &unbound->retired; *place != NULL;) {
		struct dns_unbound_context *context = *place;
		if (!all && context->n_asked > 0) {
			place = &context->next;
			continue;
		}
		*place = context->next;
		context_free(context);
	}
}

/* A file that is gone or cannot be read (for a moment, or within a new root directory) changes nothing. */
static void check_resolv_conf(struct dns_unbound *unbound, int64_t now_ms)
{
	if (unbound->resolv_conf == NULL || now_ms - unbound->checked_ms < RESOLV_CONF_CHECK_MS)
		return;
	unbound->checked_ms = now_ms;
	struct file_stamp stamp = file_stamp_of(unbound->resolv_conf), none = {0};
	if (file_stamp_eq(&stamp, &unbound->stamp) || file_stamp_eq(&stamp, &none))
		return;
	struct nameservers servers;
	if (nameservers_read(unbound->resolv_conf, &servers) != ERR_OK)
		return;
	unbound->stamp = stamp;
	if (memcmp(&servers, &unbound->servers, sizeof(servers)) == 0)
		return;
	unbound->servers = servers;
	log_info("%s has changed, the first nameserver is now %s", unbound->resolv_conf, servers.text[0]);
	if (unbound->current != NULL) {
		unbound->current->next = unbound->retired;
		unbound->retired = unbound->current;
		unbound->current = NULL;
	}
	free_retired(unbound, false);
}

/* libunbound reads zone file syntax, in which every byte can be written as a backslash and three digits. */
static void write_escaped(struct str name, char text[4 * DOMAIN_MAX + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (str_is_alpha(c) || str_is_digit(c) || c == '-' || c == '_' || c == '.')
			text[n++] = c;
		else
			n += (size_t)snprintf(text + n, 5, "\\%03u", (unsigned)(unsigned char)c);
	}
	text[n] = '\0';
}

static struct dns_answer *failed(const char *why)
{
	struct dns_answer *answer = dns_answer_new(DNS_FAILED, NULL, 0);
	if (answer != NULL)
		answer->why = why;
	return answer;
}

/* To be given back once no frame of libunbound is below us. */
static void put_answered(struct dns_unbound *unbound, struct dns_ask *ask, struct dns_answer *answer)
{
	ask->answer = answer;
	ask->next = NULL;
	*unbound->answered_end = ask;
	unbound->answered_end = &ask->next;
	event_active(unbound->deliver, 0, 0);
}

static void on_result(void *arg, int rc, void *packet, int n, int sec, char *why_bogus, int was_ratelimited)
{
	struct dns_ask *ask = arg;
	struct dns_unbound *unbound = ask->asked_in->owner;
	struct dns_answer *answer;
	(void)why_bogus;
	(void)was_ratelimited;
	ask->asked_in->n_asked--;
	/* With rc set the packet is left over from another question. */
	if (rc != 0 || packet == NULL || n < 0)
		answer = failed(packet_rcode_text((unsigned)rc));
	else if (sec == 1)
		answer = failed("DNSSEC: bogus");
	else
		answer = packet_read(packet, (size_t)n, &ask->question);
	if (answer != NULL && answer->status != DNS_FAILED && unbound->anchors.n > 0)
		answer->security = sec == 2 ? DNS_SECURE : DNS_INSECURE;
	put_answered(unbound, ask, answer);
}

static void ask_now(struct dns_unbound *unbound, struct dns_ask *ask)
{
	char name[4 * DOMAIN_MAX + 1];
	if (unbound->current == NULL)
		unbound->current = context_new(unbound);
	if (unbound->current == NULL) {
		put_answered(unbound, ask, failed("cannot set up the resolver"));
		return;
	}
	write_escaped(ask->question.name, name);
	ask->asked_in = unbound->current;
	/* Counted before, for the answer may come within the call. */
	unbound->current->n_asked++;
	int rc = ub_resolve_event(unbound->current->ub, name, (int)ask->question.type, CLASS_IN, ask, on_result, NULL);
	if (rc != 0) {
		unbound->current->n_asked--;
		put_answered(unbound, ask, failed(ub_strerror(rc)));
	}
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct dns_unbound *unbound = arg;
	(void)fd;
	(void)what;
	int64_t now_ms = clock_monotonic_ms(), next_ms = unbound->hooks.due(unbound->hooks.context, now_ms);
	if (next_ms == INT64_MAX) {
		evtimer_del(unbound->due);
		return;
	}
	int64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
	struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
	evtimer_add(unbound->due, &wait);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct dns_unbound *unbound = arg;
	eventfd_t count;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&unbound->mutex);
	struct dns_ask *ask = unbound->queue;
	unbound->queue = NULL;
	unbound->queue_end = &unbound->queue;
	bool stopping = unbound->stopping;
	pthread_mutex_unlock(&unbound->mutex);
	if (stopping) {
		event_base_loopbreak(unbound->base);
		return;
	}
	check_resolv_conf(unbound, clock_monotonic_ms());
	for (struct dns_ask *next; ask != NULL; ask = next) {
		next = ask->next;
		ask_now(unbound, ask);
	}
	on_due(-1, what, unbound);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
	struct dns_unbound *unbound = arg;
	(void)fd;
	(void)what;
	struct dns_ask *ask = unbound->answered;
	unbound->answered = NULL;
	unbound->answered_end = &unbound->answered;
	for (struct dns_ask *next; ask != NULL; ask = next) {
		next = ask->next;
		unbound->hooks.answered(unbound->hooks.context, ask, ask->answer);
	}
	free_retired(unbound, false);
}

static void *run(void *arg)
{
	struct dns_unbound *unbound = arg;
	pthread_setname_np(pthread_self(), "dns");
	event_base_dispatch(unbound->base);
	for (struct dns_ask *ask = unbound->answered; ask != NULL; ask = ask->next)
		dns_answer_unref(ask->answer);
	context_free(unbound->current);
	free_retired(unbound, true);
	unbound->hooks.stopped(unbound->hooks.context);
	return NULL;
}

static bool create_events(struct dns_unbound *unbound)
{
	unbound->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	unbound->base = event_base_new();
	if (unbound->wake_fd < 0 || unbound->base == NULL)
		return false;
	unbound->wake = event_new(unbound->base, unbound->wake_fd, EV_READ | EV_PERSIST, on_wake, unbound);
	unbound->due = evtimer_new(unbound->base, on_due, unbound);
	unbound->deliver = event_new(unbound->base, -1, 0, on_deliver, unbound);
	return unbound->wake != NULL && unbound->due != NULL && unbound->deliver != NULL &&
	       event_add(unbound->wake, NULL) == 0;
}

static void destroy_events(struct dns_unbound *unbound)
{
	struct event **events[] = {&unbound->wake, &unbound->due, &unbound->deliver};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
	if (unbound->base != NULL)
		event_base_free(unbound->base);
	unbound->base = NULL;
	if (unbound->wake_fd >= 0)
		close(unbound->wake_fd);
	unbound->wake_fd = -1;
}

static enum err start_thread(struct dns_unbound *unbound)
{
	sigset_t all, before;
	if (!create_events(unbound)) {
		destroy_events(unbound);
		return ERR_IO;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&unbound->thread, NULL, run, unbound);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		destroy_events(unbound);
		return ERR_IO;
	}
	unbound->started = true;
	return ERR_OK;
}

enum err dns_unbound_start(struct dns_unbound *unbound)
{
	pthread_mutex_lock(&unbound->mutex);
	enum err err = unbound->started ? ERR_OK : start_thread(unbound);
	pthread_mutex_unlock(&unbound->mutex);
	return err;
}

void dns_unbound_wake(struct dns_unbound *unbound)
{
	eventfd_write(unbound->wake_fd, 1);
}

void dns_unbound_ask(struct dns_unbound *unbound, struct dns_ask *ask)
{
	ask->next = NULL;
	pthread_mutex_lock(&unbound->mutex);
	bool was_empty = unbound->queue == NULL;
	*unbound->queue_end = ask;
	unbound->queue_end = &ask->next;
	pthread_mutex_unlock(&unbound->mutex);
	if (was_empty)
		dns_unbound_wake(unbound);
}

void dns_unbound_free(struct dns_unbound *unbound)
{
	if (unbound == NULL)
		return;
	if (unbound->started) {
		pthread_mutex_lock(&unbound->mutex);
		unbound->stopping = true;
		pthread_mutex_unlock(&unbound->mutex);
		dns_unbound_wake(unbound);
		pthread_join(unbound->thread, NULL);
	}
	destroy_events(unbound);
	pthread_mutex_destroy(&unbound->mutex);
	arena_free(unbound->arena);
	free(unbound);
}

static enum err read_servers(
	struct dns_unbound *unbound, const struct dns_options *options, char *error, size_t error_size)
{
	for (size_t i = 0; i < options->n_nameservers; i++) {
		struct str server = options->nameservers[i];
		if (nameservers_add(&unbound->servers, server))
			continue;
		bool full = unbound->servers.n == NAMESERVERS_MAX;
		snprintf(error, error_size,
			full ? "nameserver %.*s: there are too many" : "nameserver %.*s: neither ADDR nor ADDR@PORT",
			STR_ARG(server));
		return ERR_CONFIG;
	}
	if (options->n_nameservers > 0)
		return ERR_OK;
	bool named = options->resolv_conf.n > 0;
	unbound->resolv_conf = named ? arena_dup(unbound->arena, options->resolv_conf).p : "/etc/resolv.conf";
	unbound->stamp = file_stamp_of(unbound->resolv_conf);
	if (nameservers_read(unbound->resolv_conf, &unbound->servers) == ERR_OK)
		return ERR_OK;
	if (named || errno != ENOENT) {
		snprintf(error, error_size, "%s: %s", unbound->resolv_conf, strerror(errno));
		return ERR_IO;
	}
	/* resolv.conf(5): without the file the local machine is asked. */
	nameservers_parse_resolv_conf(STR(""), &unbound->servers);
	return ERR_OK;
}

/* libunbound reads its anchors with the first question; "localhost" it answers itself, without any packet. */
static bool anchor_is_usable(const struct anchor *anchor)
{
	struct ub_result *result = NULL;
	struct ub_ctx *ub = ub_ctx_create();
	if (ub == NULL)
		return false;
	ub_ctx_debugout(ub, NULL);
	bool usable = set_option(ub, "module-config:", "validator iterator") && ub_ctx_add_ta(ub, anchor->text) == 0 &&
		      ub_resolve(ub, "localhost", DNS_A, CLASS_IN, &result) == 0;
	ub_resolve_free(result);
	ub_ctx_delete(ub);
	return usable;
}

static enum err read_anchors(
	struct dns_unbound *unbound, const struct dns_options *options, char *error, size_t error_size)
{
	if (options->trust_anchor_file.n == 0)
		return ERR_OK;
	const char *path = arena_dup(unbound->arena, options->trust_anchor_file).p;
	if (anchors_read(unbound->arena, path, &unbound->anchors) != ERR_OK) {
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		return ERR_IO;
	}
	if (unbound->anchors.n == 0) {
		snprintf(error, error_size, "%s: no trust anchor in it", path);
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < unbound->anchors.n; i++) {
		const struct anchor *anchor = &unbound->anchors.items[i];
		if (anchor_is_usable(anchor))
			continue;
		snprintf(
			error, error_size, "%s:%u: not a DS or DNSKEY record: %.60s", path, anchor->line, anchor->text);
		return ERR_CONFIG;
	}
	return ERR_OK;
}

enum err dns_unbound_new(const struct dns_options *options, const struct dns_unbound_hooks *hooks,
	struct dns_unbound **ret_unbound, char *error, size_t error_size)
{
	struct dns_unbound *unbound = calloc(1, sizeof(*unbound));
	struct arena *arena = arena_new(0);
	if (unbound == NULL || arena == NULL) {
		free(unbound);
		arena_free(arena);
		snprintf(error, error_size, "out of memory");
		return ERR_NOMEM;
	}
	unbound->arena = arena;
	unbound->hooks = *hooks;
	unbound->maximum_in_flight = options->maximum_in_flight;
	unbound->wake_fd = -1;
	unbound->queue_end = &unbound->queue;
	unbound->answered_end = &unbound->answered;
	pthread_mutex_init(&unbound->mutex, NULL);
	enum err err = read_servers(unbound, options, error, error_size);
	if (err == ERR_OK)
		err = read_anchors(unbound, options, error, error_size);
	if (err != ERR_OK) {
		dns_unbound_free(unbound);
		return err;
	}
	*ret_unbound = unbound;
	return ERR_OK;
}
