#include "milter/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* As many messages as are likely to be in flight at a time on a busy host; each keeps at most 64 KiB when idle. */
#define MAX_SPARE 16
/* A message that leaves a hole in the heap worth giving back. */
#define LARGE ((size_t)1024 * 1024)

struct service {
	struct dns *dns;
	struct spool *_Atomic spool;
	pthread_mutex_t lock;
	struct runtime *runtime;        /* under lock */
	struct arena *spare[MAX_SPARE]; /* under lock; all with the cap of runtime */
	size_t n_spare;                 /* under lock */
	struct arena_meter meter;
	atomic_bool log_accepted, was_large;
	atomic_uint sessions;
	atomic_uint messages;
	atomic_uint_fast64_t n_connections, n_messages, n_verdicts[VERDICT_ACTIONS], n_faults, n_events[SERVICE_EVENTS];
};

struct service *service_new(struct dns *dns)
{
	struct service *service = calloc(1, sizeof(*service));
	if (service == NULL)
		return NULL;
	service->dns = dns;
	pthread_mutex_init(&service->lock, NULL);
	return service;
}

/* Under lock, or alone. */
static void drop_spare(struct service *service)
{
	while (service->n_spare > 0)
		arena_free(service->spare[--service->n_spare]);
}

void service_free(struct service *service)
{
	if (service == NULL)
		return;
	drop_spare(service);
	runtime_unref(service->runtime);
	pthread_mutex_destroy(&service->lock);
	free(service);
}

struct dns *service_dns(const struct service *service)
{
	return service->dns;
}

struct spool *service_spool(const struct service *service)
{
	return atomic_load(&service->spool);
}

void service_set_spool(struct service *service, struct spool *spool)
{
	atomic_store(&service->spool, spool);
}

void service_publish(struct service *service, struct runtime *runtime, bool log_accepted)
{
	pthread_mutex_lock(&service->lock);
	struct runtime *former = service->runtime;
	service->runtime = runtime;
	drop_spare(service); /* the cap may be another now */
	atomic_store(&service->log_accepted, log_accepted);
	atomic_store(&service->meter.limit, runtime->auth.maximum_memory);
	pthread_mutex_unlock(&service->lock);
	runtime_unref(former);
}

bool service_logs_accepted(const struct service *service)
{
	return atomic_load(&service->log_accepted);
}

void service_message_begin(struct service *service, struct runtime **ret_runtime, struct arena **ret_arena)
{
	struct arena *arena = NULL;
	atomic_fetch_add(&service->messages, 1);
	atomic_fetch_add(&service->n_messages, 1);
	pthread_mutex_lock(&service->lock);
	struct runtime *runtime = service->runtime != NULL ? runtime_ref(service->runtime) : NULL;
	if (service->n_spare > 0)
		arena = service->spare[--service->n_spare];
	pthread_mutex_unlock(&service->lock);
	if (arena == NULL) {
		arena = arena_new(runtime != NULL ? runtime->auth.maximum_message_memory : 0);
		if (arena != NULL)
			arena_set_meter(arena, &service->meter);
	}
	*ret_runtime = runtime;
	*ret_arena = arena;
}

void service_message_end(struct service *service, struct runtime *runtime, struct arena *arena)
{
	if (arena != NULL) {
		if (arena_held(arena) >= LARGE)
			atomic_store(&service->was_large, true);
		arena_reset(arena);
	}
	pthread_mutex_lock(&service->lock);
	if (arena != NULL && runtime == service->runtime && service->n_spare < MAX_SPARE) {
		service->spare[service->n_spare++] = arena;
		arena = NULL;
	}
	pthread_mutex_unlock(&service->lock);
	arena_free(arena);
	runtime_unref(runtime);
	atomic_fetch_sub(&service->messages, 1);
}

bool service_memory_is_short(const struct service *service)
{
	size_t limit = atomic_load(&service->meter.limit);
	return limit != 0 && atomic_load(&service->meter.held) > limit - limit / 4;
}

bool service_memory_was_large(struct service *service)
{
	return atomic_exchange(&service->was_large, false);
}

void service_session_begin(struct service *service)
{
	atomic_fetch_add(&service->sessions, 1);
	atomic_fetch_add(&service->n_connections, 1);
}

void service_session_end(struct service *service)
{
	atomic_fetch_sub(&service->sessions, 1);
}

struct service_load service_load(const struct service *service)
{
	return (struct service_load){
		.sessions = atomic_load(&service->sessions),
		.messages = atomic_load(&service->messages),
	};
}

void service_count(struct service *service, enum verdict_action action, bool fault)
{
	atomic_fetch_add(&service->n_verdicts[action], 1);
	if (fault)
		atomic_fetch_add(&service->n_faults, 1);
}

void service_count_event(struct service *service, enum service_event event)
{
	atomic_fetch_add(&service->n_events[event], 1);
}

struct service_counters service_counters(const struct service *service)
{
	struct service_counters counters = {
		.connections = atomic_load(&service->n_connections),
		.messages = atomic_load(&service->n_messages),
		.faults = atomic_load(&service->n_faults),
	};
	for (size_t i = 0; i < VERDICT_ACTIONS; i++)
		counters.verdicts[i] = atomic_load(&service->n_verdicts[i]);
	for (size_t i = 0; i < SERVICE_EVENTS; i++)
		counters.events[i] = atomic_load(&service->n_events[i]);
	return counters;
}
