#include "milter/courier.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/control.h"
#include "milter/sandbox.h"
#include "report/courier.h"

#define TURN_SECONDS 60
/* Less than the master's patience. */
#define FINISH_MS 3000
#define UNREADY_MS 100

struct post {
	struct settings settings;
	struct dns *dns;
	struct courier courier;
	struct courier_result total; /* since the start */
	atomic_bool stop;
	atomic_bool ready; /* turns are taken */
	pthread_t turns;
	pthread_mutex_t lock; /* of those below */
	pthread_cond_t changed;
	bool leave;
	bool left; /* the last turn has ended */
};

/* ---- turns ---- */

static bool asked_to_stop(void *context)
{
	struct post *post = context;
	return atomic_load(&post->stop);
}

static bool open_store(struct post *post)
{
	char error[STORE_ERROR_SIZE];
	if (post->courier.store != NULL)
		return true;
	enum err err = store_open(post->courier.runtime->report.store, &post->courier.store, error);
	if (err != ERR_OK)
		fault_log(LOG_LEVEL_WARNING, str_of(error), "report store: %s", error);
	return err == ERR_OK;
}

static void add_up(struct courier_result *total, const struct courier_result *turn)
{
	total->imported.records += turn->imported.records;
	total->imported.bad_lines += turn->imported.bad_lines;
	total->built += turn->built;
	total->failures += turn->failures;
	total->sent += turn->sent;
	total->deferred += turn->deferred;
	total->refused += turn->refused;
	total->expired += turn->expired;
}

/* What has been done, where anything was. */
static void tell(const char *when, const struct courier_result *result)
{
	if (result->imported.bad_lines > 0)
		log_warning("reports: %" PRIu64 " torn or foreign lines in the spool", result->imported.bad_lines);
	if (result->imported.records + result->built + result->failures + result->sent + result->deferred +
			result->refused + result->expired >
		0)
		log_info("reports%s: records=%" PRIu64 " built=%" PRIu64 " failures=%" PRIu64 " sent=%" PRIu64
			 " deferred=%" PRIu64 " refused=%" PRIu64 " expired=%" PRIu64,
			when, result->imported.records, result->built, result->failures, result->sent, result->deferred,
			result->refused, result->expired);
}

static void take_turn(struct post *post)
{
	struct courier_result result;
	if (!open_store(post)) {
		control_tell(CONTROL_STORE_FAILED);
		return;
	}
	if (courier_turn(&post->courier, clock_unix(), &result) == ERR_IO)
		control_tell(CONTROL_STORE_FAILED);
	/* A transaction's records take some MiB, and the next turn is far away. */
	malloc_trim(0);
	tell("", &result);
	add_up(&post->total, &result);
	fault_log_rest(false);
}

/* Until the next turn, or until there is none. */
static bool rest(struct post *post, int64_t until_ms)
{
	struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
	pthread_mutex_lock(&post->lock);
	while (!post->leave && clock_monotonic_ms() < until_ms)
		pthread_cond_clockwait(&post->changed, &post->lock, CLOCK_MONOTONIC, &until);
	bool leave = post->leave;
	pthread_mutex_unlock(&post->lock);
	return !leave;
}

/* Keys and tables may be in a database that does not answer. 0, or an exit status: not now, the log says why. */
static int prepare(struct post *post)
{
	char error[DNS_ERROR_SIZE];
	if (post->dns == NULL) {
		enum err err = dns_new(config_dns(post->settings.config), &post->dns, error);
		if (err != ERR_OK) {
			log_error("DNS: %s", error);
			return err_exit_status(err);
		}
	}
	int status = settings_load(&post->settings, &post->courier.runtime);
	if (status != 0)
		return status;
	post->courier.dns = post->dns;
	post->courier.holder = arena_printf(
		post->settings.arena, "%.*s/%d", STR_ARG(runtime_host_name(post->settings.arena)), (int)getpid());
	post->courier.stop = asked_to_stop;
	post->courier.context = post;
	return 0;
}

/* The worker goes on with the tables that it has when others cannot be read; we have none yet, and reports can wait. */
static bool prepare_in_time(struct post *post)
{
	int status;
	while ((status = prepare(post)) != 0) {
		/* What OpenSSL had no memory for at its start this process never gets (dkim/crypto.h); the next one
		 * may. */
		if (status == EX_SOFTWARE)
			_exit(status);
		log_warning("reports wait until the configuration can be loaded");
		if (!rest(post, clock_monotonic_ms() + TURN_SECONDS * 1000))
			return false;
	}
	return true;
}

/* Mail to strangers is not to begin without a word. */
static void announce(const struct report_options *options)
{
	log_info("reports are sent from %.*s:%s%s%s", STR_ARG(options->address),
		options->aggregate ? " AggregateReports" : "", options->failure ? " FailureReports" : "",
		options->dkim_failure ? " SendReports" : "");
	if (str_index(options->address, '.') < 0)
		log_warning("reports: %.*s is no address that other hosts know: set ReportAddress, or nobody will take "
			    "them",
			STR_ARG(options->address));
}

static void take_turns(struct post *post)
{
	int64_t next;
	atomic_store(&post->ready, true);
	control_tell(CONTROL_READY);
	announce(&post->courier.runtime->report);
	do {
		next = clock_monotonic_ms() + TURN_SECONDS * 1000;
		take_turn(post);
	} while (rest(post, next));
	courier_leave(&post->courier);
	store_close(post->courier.store);
	tell(" since the start", &post->total);
}

static void *run_turns(void *context)
{
	struct post *post = context;
	if (prepare_in_time(post))
		take_turns(post);
	pthread_mutex_lock(&post->lock);
	post->left = true;
	pthread_cond_signal(&post->changed);
	pthread_mutex_unlock(&post->lock);
	return NULL;
}

/* ---- the process ---- */

/*
 * Without a command nothing is ever run. A command has needs of its own, which our filter, made for us, would forbid to
 * it too; and sendmail must gain the group of its queue.
 */
static void restrict_rights(const struct post *post)
{
	if (config_report(post->settings.config)->n_command > 0)
		return;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (post->settings.milter->sandbox)
		sandbox_enter();
}

static void wait_for_order(void)
{
	struct pollfd control = {.fd = CONTROL_FD, .events = POLLIN};
	for (;;) {
		if (poll(&control, 1, -1) <= 0)
			continue;
		switch (control_hear()) {
		case CONTROL_GONE:
		case CONTROL_DRAIN:
		case CONTROL_STOP:
			return;
		}
	}
}

/* True: the turn has come to its end, or none had begun. */
static bool finish(struct post *post)
{
	/* What is being loaded may take its time, and leaves nothing half done. */
	int64_t end_ms = clock_monotonic_ms() + (atomic_load(&post->ready) ? FINISH_MS : UNREADY_MS);
	struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
	atomic_store(&post->stop, true);
	pthread_mutex_lock(&post->lock);
	post->leave = true;
	pthread_cond_signal(&post->changed);
	while (!post->left && pthread_cond_clockwait(&post->changed, &post->lock, CLOCK_MONOTONIC, &end) == 0)
		;
	bool left = post->left;
	pthread_mutex_unlock(&post->lock);
	if (left)
		pthread_join(post->turns, NULL);
	else
		pthread_detach(post->turns);
	return left || !atomic_load(&post->ready);
}

int courier_run(const struct invocation *invocation)
{
	struct post post = {0};
	control_begin();
	/* The worker has told the warnings. */
	int status = settings_read(invocation, false, &post.settings);
	if (status != 0)
		return status;
	settings_log(&post.settings, invocation->foreground);
	if (!invocation->foreground)
		settings_leave_terminal();
	restrict_rights(&post);
	pthread_mutex_init(&post.lock, NULL);
	pthread_cond_init(&post.changed, NULL);
	int error = pthread_create(&post.turns, NULL, run_turns, &post);
	if (error != 0) {
		log_error("cannot make a thread: %s", strerror(error));
		return EX_OSERR;
	}
	wait_for_order();
	if (!finish(&post))
		log_info("the courier ends in the middle of a step, which the next one begins again");
	/* What DNS and store hold needs no tidying: the process is at its end. */
	_exit(0);
}
