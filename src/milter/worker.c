#include "milter/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/control.h"
#include "milter/front.h"
#include "milter/recording.h"
#include "milter/reloader.h"
#include "milter/sandbox.h"
#include "milter/service.h"
#include "milter/statistics.h"
#include "report/spool.h"

/* libmilter writes the reply after our callback has returned: the last verdict needs this long to reach the MTA. */
#define LAST_REPLY_MS 100
/* A connection that was accepted just before we stopped listening is counted from its first word. */
#define FIRST_WORD_MS 1000
#define LOOK_AGAIN_MS 20
/* What was recorded for reports can be seen by the importer after so long; statistics are as late as that. */
#define TICK_MS 60000
/* 4,000 questions to silent name servers and as many connections. */
#define FILES_WANTED 8192

enum leaving { STAYING, DRAINING, STOPPING };

struct worker {
	const struct invocation *invocation;
	struct settings settings; /* as at the start: what only a restart changes */
	const struct front *front;
	struct dns *dns;
	struct service *service;
	struct reloader *reloader;
	enum leaving leaving;
	int64_t leaving_since;
	int64_t quiet_since; /* no message in flight; 0: there is */
	int64_t ticked_at;   /* the spool */
	int64_t started_at;
	int64_t told_at; /* statistics, */
	uint64_t told;   /* and after how many messages */
};

static void reloaded(bool in_force)
{
	control_tell(in_force ? CONTROL_RELOADED : CONTROL_KEPT);
}

/* ---- start ---- */

/* Nothing here calls select(), so that the low limit that programs are started with need not hold for us. */
static void raise_file_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_WANTED)
		return;
	files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < FILES_WANTED)
		log_warning("only %ju files may be open, which bounds connections and questions to the DNS",
			(uintmax_t)files.rlim_cur);
}

static const struct front *front_of(enum milter_engine engine)
{
	switch (engine) {
	case MILTER_ENGINE_LIBMILTER:
		break;
	case MILTER_ENGINE_NATIVE:
		return &front_native;
	}
	return &front_libmilter;
}

static int start_service(struct worker *worker)
{
	char error[DNS_ERROR_SIZE];
	struct runtime *runtime = NULL;
	enum err err = dns_new(config_dns(worker->settings.config), &worker->dns, error);
	if (err != ERR_OK) {
		log_error("DNS: %s", error);
		return err_exit_status(err);
	}
	int status = settings_load(&worker->settings, &runtime);
	if (status != 0)
		return status;
	worker->service = service_new(worker->dns);
	if (worker->service == NULL) {
		runtime_unref(runtime);
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	worker->reloader =
		reloader_new(worker->invocation, worker->service, &worker->settings, runtime->databases, reloaded);
	recording_begin(worker->service, &runtime->report);
	service_publish(worker->service, runtime, worker->settings.milter->syslog_success);
	if (worker->reloader == NULL) {
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	worker->front = front_of(worker->settings.milter->engine);
	err = worker->front->prepare(worker->service, LISTENER_FD);
	if (err != ERR_OK) {
		log_error("cannot serve with %s: %s", worker->front->name, err_text(err));
		return err_exit_status(err);
	}
	return 0;
}

static void *serve(void *context)
{
	const struct worker *worker = context;
	enum err err = worker->front->run();
	log_error("%s has stopped serving: %s", worker->front->name, err_text(err));
	_exit(EX_SOFTWARE);
}

static int start_thread(void *(*run)(void *context), void *context)
{
	pthread_t thread;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	int error = pthread_create(&thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	if (error != 0) {
		log_error("cannot make a thread: %s", strerror(error));
		return EX_OSERR;
	}
	pthread_detach(thread);
	return 0;
}

/* ---- orders ---- */

static void leave(struct worker *worker, enum leaving how)
{
	if (worker->leaving == STAYING) {
		enum err err = worker->front->stop_accepting();
		if (err != ERR_OK)
			log_error("cannot stop taking connections: %s", err_text(err));
	}
	if (worker->leaving < how) {
		worker->leaving = how;
		worker->leaving_since = clock_monotonic_ms();
	}
}

/* False: nothing more to read, the master is gone. */
static bool take_order(struct worker *worker)
{
	switch (control_hear()) {
	case CONTROL_GONE:
		log_error("the master is gone: finishing the messages in flight");
		leave(worker, STOPPING);
		return false;
	case CONTROL_RELOAD:
		reloader_order(worker->reloader);
		break;
	case CONTROL_DRAIN:
		leave(worker, DRAINING);
		break;
	case CONTROL_STOP:
		leave(worker, STOPPING);
		break;
	case CONTROL_START_FAILED:
		service_count_event(worker->service, SERVICE_START_FAILED);
		break;
	case CONTROL_STORE_FAILED:
		service_count_event(worker->service, SERVICE_STORE_FAILED);
		break;
	}
	return true;
}

static bool may_go(struct worker *worker)
{
	int64_t now = clock_monotonic_ms();
	struct service_load load = service_load(worker->service);
	if (worker->leaving == STAYING)
		return false;
	if (load.sessions == 0 && now - worker->leaving_since >= (worker->leaving == DRAINING ? FIRST_WORD_MS : 0))
		return true;
	if (worker->leaving == DRAINING)
		return false;
	if (load.messages > 0)
		worker->quiet_since = 0;
	else if (worker->quiet_since == 0)
		worker->quiet_since = now;
	if (worker->quiet_since != 0 && now - worker->quiet_since >= LAST_REPLY_MS)
		return true;
	if (now - worker->leaving_since < STOP_GRACE_MS)
		return false;
	log_warning("ended with %u messages in flight: the MTA will have them sent again", load.messages);
	return true;
}

static int64_t statistics_ms(const struct worker *worker)
{
	return (int64_t)worker->settings.milter->statistics_interval * 1000;
}

static void tell_statistics(struct worker *worker, int64_t now)
{
	worker->told_at = now;
	worker->told = service_counters(worker->service).messages;
	statistics_log(worker->service, (now - worker->started_at) / 1000);
}

static void tick(struct worker *worker)
{
	int64_t now = clock_monotonic_ms();
	if (statistics_ms(worker) != 0 && now - worker->told_at >= statistics_ms(worker) &&
		service_counters(worker->service).messages != worker->told)
		tell_statistics(worker, now);
	if (now - worker->ticked_at < TICK_MS)
		return;
	worker->ticked_at = now;
	fault_log_rest(false);
	if (service_memory_was_large(worker->service))
		malloc_trim(0);
	if (service_spool(worker->service) != NULL)
		spool_tick(service_spool(worker->service));
}

/* Until there is something to do without an order. */
static int pause_ms(const struct worker *worker)
{
	int64_t statistics = statistics_ms(worker);
	if (worker->leaving != STAYING)
		return LOOK_AGAIN_MS;
	return statistics != 0 && statistics < TICK_MS ? (int)statistics : TICK_MS;
}

int worker_run(const struct invocation *invocation)
{
	struct worker worker = {.invocation = invocation};
	struct pollfd control = {.fd = CONTROL_FD, .events = POLLIN};
	control_begin();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int status = settings_read(invocation, true, &worker.settings);
	if (status == 0) {
		/* Whoever started us in the background still looks at standard error. */
		settings_log(&worker.settings, true);
		raise_file_limit();
		status = start_service(&worker);
	}
	/* Before there is anybody to talk to. What it forbids is warned of, and no reason to refuse mail. */
	if (status == 0 && worker.settings.milter->sandbox)
		sandbox_enter();
	if (status == 0)
		status = start_thread(serve, &worker);
	if (status == 0)
		status = start_thread(reloader_run, worker.reloader);
	if (status != 0) {
		service_free(worker.service);
		dns_free(worker.dns);
		settings_release(&worker.settings);
		return status;
	}
	settings_log(&worker.settings, invocation->foreground);
	if (!invocation->foreground)
		settings_leave_terminal();
	control_tell(CONTROL_READY);
	worker.started_at = worker.told_at = clock_monotonic_ms();
	while (!may_go(&worker)) {
		if (poll(&control, 1, pause_ms(&worker)) > 0 && !take_order(&worker))
			control.fd = -1;
		tick(&worker);
	}
	fault_log_rest(true);
	if (statistics_ms(&worker) != 0)
		tell_statistics(&worker, clock_monotonic_ms());
	/* The front's threads are still there: nothing is torn down under them. */
	_exit(0);
}
