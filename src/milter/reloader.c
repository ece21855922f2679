#include "milter/reloader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "milter/recording.h"

struct reloader {
	const struct invocation *invocation;
	struct service *service;
	const struct settings *start;
	void (*reloaded)(bool in_force);
	/* Of the reloader's thread alone. */
	struct settings settings; /* in force; those of the start belong to the worker */
	uint64_t databases;       /* of the runtime in force */
	char *failure;            /* what the last attempt to refresh said; NULL: it was good */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ordered; /* under the lock */
};

struct reloader *reloader_new(const struct invocation *invocation, struct service *service,
	const struct settings *start, uint64_t databases, void (*reloaded)(bool in_force))
{
	pthread_condattr_t attributes;
	struct reloader *reloader = calloc(1, sizeof(*reloader));
	if (reloader == NULL)
		return NULL;
	*reloader = (struct reloader){
		.invocation = invocation,
		.service = service,
		.start = start,
		.reloaded = reloaded,
		.settings = *start,
		.databases = databases,
	};
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&reloader->lock, NULL);
	pthread_cond_init(&reloader->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return reloader;
}

void reloader_order(struct reloader *reloader)
{
	pthread_mutex_lock(&reloader->lock);
	reloader->ordered = true;
	pthread_cond_signal(&reloader->changed);
	pthread_mutex_unlock(&reloader->lock);
}

static void publish(struct reloader *reloader, struct runtime *runtime)
{
	reloader->databases = runtime->databases;
	service_publish(reloader->service, runtime, reloader->settings.milter->syslog_success);
	free(reloader->failure);
	reloader->failure = NULL;
}

/* ---- the whole configuration ---- */

static void adopt(struct reloader *reloader, const struct settings *wanted)
{
	struct diag diag = diag_in(wanted->arena);
	config_warn_restart(reloader->start->config, wanted->config, &diag);
	diag_log(&diag);
	settings_log(wanted, reloader->invocation->foreground);
	if (reloader->settings.arena != reloader->start->arena)
		settings_release(&reloader->settings);
	reloader->settings = *wanted;
}

/* As the last step: it is in force when it returns. 0, or an exit status with the reason in the log. */
static int reread_answers(const struct reloader *reloader)
{
	char error[DNS_ERROR_SIZE];
	enum err err = dns_reread(service_dns(reloader->service), error);
	if (err != ERR_OK)
		log_error("DNS: %s", error);
	return err_exit_status(err);
}

static void reload(struct reloader *reloader)
{
	struct settings wanted;
	struct runtime *runtime = NULL;
	int status = settings_read(reloader->invocation, true, &wanted);
	if (status == 0)
		status = settings_load(&wanted, &runtime);
	if (status == 0)
		status = reread_answers(reloader);
	if (status == 0) {
		adopt(reloader, &wanted);
		recording_begin(reloader->service, &runtime->report);
		publish(reloader, runtime);
		log_info("configuration reloaded");
	} else {
		runtime_unref(runtime);
		settings_release(&wanted);
		log_error("configuration not reloaded: the old one stays in force");
	}
	service_count_event(reloader->service, status == 0 ? SERVICE_RELOADED : SERVICE_RELOAD_FAILED);
	reloader->reloaded(status == 0);
}

/* ---- rows of databases ---- */

/* The same failure is told once, however long it lasts. */
static void keep_old_rows(struct reloader *reloader, enum err err, const struct diag *diag)
{
	struct str why = str_of(err_text(err));
	service_count_event(reloader->service, SERVICE_RELOAD_FAILED);
	for (size_t i = diag->n; i > 0; i--)
		if (diag->entries[i - 1].severity == DIAG_ERROR)
			why = diag->entries[i - 1].text;
	if (reloader->failure != NULL && str_eq(str_of(reloader->failure), why))
		return;
	free(reloader->failure);
	reloader->failure = strndup(why.p, why.n);
	log_error("data sets not refreshed, the old rows stay in force: %.*s", STR_ARG(why));
}

static void refresh(struct reloader *reloader)
{
	struct arena *arena = arena_new(0);
	struct runtime *runtime = NULL;
	if (arena == NULL)
		return;
	struct diag diag = diag_in(arena);
	enum err err = config_load(reloader->settings.config, &diag, &runtime);
	bool had_failed = reloader->failure != NULL;
	if (err != ERR_OK) {
		keep_old_rows(reloader, err, &diag);
	} else if (runtime->databases != reloader->databases) {
		diag_log(&diag);
		publish(reloader, runtime);
		service_count_event(reloader->service, SERVICE_RELOADED);
		log_info("data sets refreshed: rows have changed");
	} else {
		if (had_failed)
			log_info("data sets can be refreshed again: no row has changed");
		free(reloader->failure);
		reloader->failure = NULL;
		runtime_unref(runtime);
	}
	arena_free(arena);
}

/* True: there was an order; false: it is time to refresh. */
static bool await_order(struct reloader *reloader)
{
	struct timespec until;
	unsigned interval = reloader->databases != 0 ? reloader->settings.milter->dataset_refresh : 0;
	int status = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += interval;
	pthread_mutex_lock(&reloader->lock);
	while (!reloader->ordered && status != ETIMEDOUT)
		status = interval == 0 ? pthread_cond_wait(&reloader->changed, &reloader->lock)
				       : pthread_cond_timedwait(&reloader->changed, &reloader->lock, &until);
	bool ordered = reloader->ordered;
	reloader->ordered = false;
	pthread_mutex_unlock(&reloader->lock);
	return ordered;
}

void *reloader_run(void *context)
{
	struct reloader *reloader = context;
	for (;;) {
		if (await_order(reloader))
			reload(reloader);
		else
			refresh(reloader);
	}
	return NULL;
}
