#include "milter/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "milter/children.h"
#include "milter/control.h"
#include "milter/listener.h"
#include "milter/notify.h"
#include "milter/pidfile.h"
#include "milter/state.h"

/* Of a service that has never been ready: whoever starts it is waiting for an answer. */
#define MAX_FIRST_ATTEMPTS 3
/* A worker that lived this long was sound; what kills it now is news. */
#define SOUND_MS 60000
#define FIRST_DELAY_MS 500
/* Of one that has served: mail waits for it. What does not even start would only take the processor from others. */
#define MAX_SERVED_DELAY_MS 800
#define MAX_DELAY_MS 30000
/* Reports can wait; what the courier leaves undone its successor does. */
#define MAX_COURIER_DELAY_MS 300000
/* Beyond the worker's own limit, for a worker that does not end. */
#define KILL_AFTER_MS (STOP_GRACE_MS + 2000)

struct master {
	const struct invocation *invocation;
	const struct milter_options *options;
	struct children children;
	struct listener listener;
	struct pidfile pidfile;
	int64_t reload_ms; /* when it was first asked for since the last answer; 0: not */
	bool reload_again; /* asked for while a worker was starting, that may have read the old files */
	int signals;
	int ready_fd;

	bool was_ready;                         /* the service, ever */
	unsigned attempts;                      /* while it was not */
	int64_t start_at;                       /* when to start a worker; 0: one is there */
	int64_t delay;                          /* before the next restart but this */
	bool reports;                           /* are on: there is to be a courier */
	int64_t courier_at, courier_delay;      /* likewise, for the courier */
	unsigned starts_failed, store_failures; /* that no worker has counted yet, for there was none */
	bool stopping;
	int64_t kill_at; /* what is still there then is killed */
	int64_t watchdog_interval, watchdog_at;
	int status; /* of the whole */
};

/* ---- standing up ---- */

static void say_ready(struct master *master, int status)
{
	char byte = (char)status;
	if (master->ready_fd < 0)
		return;
	while (write(master->ready_fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(master->ready_fd);
	master->ready_fd = -1;
}

static int open_signals(void)
{
	static const int taken[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Socket, pid file and directories with the rights that we were started with, everything after that as UserID. */
static int stand_up(struct master *master, const struct report_options *reports)
{
	struct rights rights;
	if (!rights_find(master->options->user, &rights))
		return EX_CONFIG;
	int status = listener_open(master->options->socket, master->options->umask, &rights, &master->listener);
	if (status != 0)
		return status;
	if (master->options->umask != -1u)
		umask((mode_t)master->options->umask);
	status = pidfile_write(&master->pidfile, master->options->pid_file);
	if (status != 0)
		return status;
	state_make(reports, &rights);
	if (!rights_drop(&rights))
		return EX_OSERR;
	master->signals = open_signals();
	if (master->signals < 0) {
		log_error("signalfd: %s", strerror(errno));
		return EX_OSERR;
	}
	return 0;
}

/* ---- what the worker's statistics count for us ---- */

static void tell_counts(struct master *master)
{
	const struct child *worker = children_find(&master->children, CHILD_WORKER, true);
	if (worker == NULL)
		return;
	child_tell_times(worker, CONTROL_START_FAILED, master->starts_failed);
	child_tell_times(worker, CONTROL_STORE_FAILED, master->store_failures);
	master->starts_failed = master->store_failures = 0;
}

static void count(struct master *master, unsigned *counter)
{
	++*counter;
	tell_counts(master);
}

/* ---- children ---- */

static void start_worker(struct master *master)
{
	master->start_at = 0;
	master->reload_again = false;
	if (children_start(&master->children, CHILD_WORKER, master->listener.fd) != NULL)
		return;
	count(master, &master->starts_failed);
	master->start_at = clock_monotonic_ms() + FIRST_DELAY_MS;
}

static void start_courier(struct master *master)
{
	master->courier_at = 0;
	if (children_start(&master->children, CHILD_COURIER, -1) == NULL)
		master->courier_at = clock_monotonic_ms() + MAX_DELAY_MS;
}

static void dismiss(struct child *child)
{
	if (child == NULL)
		return;
	child->leaving = true;
	child_tell(child, CONTROL_STOP);
}

/*
 * The configuration, or the program, is another one. What the courier may do follows from the configuration and is
 * settled when it starts, so there is a new one; it starts when the old one has gone.
 */
static void renew_courier(struct master *master)
{
	struct settings settings;
	if (settings_read(master->invocation, false, &settings) == 0)
		master->reports = report_wanted(config_report(settings.config));
	settings_release(&settings);
	dismiss(children_find(&master->children, CHILD_COURIER, true));
	dismiss(children_find(&master->children, CHILD_COURIER, false));
	master->courier_at = 0;
	if (master->reports && !children_has(&master->children, CHILD_COURIER))
		start_courier(master);
}

static void stop(struct master *master, int status)
{
	if (master->stopping)
		return;
	master->stopping = true;
	master->status = status;
	master->start_at = 0;
	master->courier_at = 0;
	master->kill_at = clock_monotonic_ms() + KILL_AFTER_MS;
	notify_stopping();
	/* New connections are refused from here on, and the next start finds the place free. */
	listener_close(&master->listener);
	for (size_t i = 0; i < MAX_CHILDREN; i++) {
		if (master->children.rows[i].pid != 0)
			dismiss(&master->children.rows[i]);
	}
}

/* ---- reload ---- */

static void reload(struct master *master)
{
	const struct child *worker = children_find(&master->children, CHILD_WORKER, true);
	if (master->was_ready)
		notify_reloading();
	if (master->reload_ms == 0)
		master->reload_ms = clock_monotonic_ms();
	/* What kept the next one from starting may have been mended. */
	if (master->start_at != 0)
		master->start_at = clock_monotonic_ms();
	master->reload_again = children_find(&master->children, CHILD_WORKER, false) != NULL;
	if (worker != NULL)
		child_tell(worker, CONTROL_RELOAD);
}

static void reload_answered(struct master *master, bool in_force)
{
	notify_ready();
	/* What changed while it was read may not be in it: who looks at the time has to know how long. */
	if (in_force && clock_monotonic_ms() - master->reload_ms < PIDFILE_TOUCH_MS)
		pidfile_touch(&master->pidfile);
	master->reload_ms = 0;
	if (in_force)
		renew_courier(master);
}

/* ---- what children say ---- */

static void ready_at_last(struct master *master)
{
	log_info("trimilter " TRIMILTER_VERSION " ready on %.*s", STR_ARG(master->options->socket));
	master->was_ready = true;
	notify_ready();
	say_ready(master, 0);
	if (!master->invocation->foreground)
		settings_leave_terminal();
	renew_courier(master);
}

static void worker_ready(struct master *master, struct child *child)
{
	/* The one before it has had its time: this one serves now. */
	struct child *former = children_find(&master->children, CHILD_WORKER, true);
	child->ready = true;
	fault_log_rest(true);
	if (child->leaving)
		return;
	if (former != NULL) {
		log_info("worker %d serves, worker %d finishes its sessions", (int)child->pid, (int)former->pid);
		former->leaving = true;
		child_tell(former, CONTROL_DRAIN);
		renew_courier(master);
	} else if (master->was_ready) {
		log_info("worker %d serves", (int)child->pid);
	} else {
		ready_at_last(master);
	}
	tell_counts(master);
	if (master->reload_again)
		reload(master);
	else if (master->reload_ms != 0)
		reload_answered(master, true);
}

static void hear(struct master *master, struct child *child)
{
	for (char word; (word = child_hear(child)) != 0;) {
		switch (word) {
		case CONTROL_READY:
			if (child->role == CHILD_WORKER)
				worker_ready(master, child);
			else
				child->ready = true;
			break;
		case CONTROL_RELOADED:
		case CONTROL_KEPT:
			reload_answered(master, word == CONTROL_RELOADED);
			break;
		case CONTROL_STORE_FAILED:
			count(master, &master->store_failures);
			break;
		}
	}
}

static const char *how_it_ended(int status, char text[64])
{
	if (WIFSIGNALED(status))
		snprintf(text, 64, "died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, 64, "ended with status %d", WEXITSTATUS(status));
	return text;
}

static void worker_failed(struct master *master, const struct child *child, int status)
{
	char text[64];
	int code = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EX_SOFTWARE;
	int64_t now = clock_monotonic_ms();
	/* A mistake of the administrator's does not go away by itself; the worker has said what it is. */
	bool hopeless = code != EX_SOFTWARE && code != EX_OSERR && WIFEXITED(status);
	if (!master->was_ready && (hopeless || ++master->attempts >= MAX_FIRST_ATTEMPTS)) {
		log_error("not started: the worker %s", how_it_ended(status, text));
		stop(master, code);
		return;
	}
	if (!child->ready)
		count(master, &master->starts_failed);
	if (!child->ready && children_find(&master->children, CHILD_WORKER, true) != NULL) {
		log_error("the new worker %s: the old one goes on serving", how_it_ended(status, text));
		return;
	}
	if (child->ready && now - child->started_ms >= SOUND_MS)
		master->delay = 0;
	if (child->ready && master->delay > MAX_SERVED_DELAY_MS)
		master->delay = MAX_SERVED_DELAY_MS;
	/* Who asked for a reload meanwhile has perhaps mended what this one has met. */
	int64_t pause = master->reload_again ? 0 : master->delay;
	master->start_at = now + pause;
	log_error("worker %d %s: the next one starts in %.1f s", (int)child->pid, how_it_ended(status, text),
		(double)pause / 1000);
	master->delay = master->delay == 0 ? FIRST_DELAY_MS : master->delay * 2;
	if (master->delay > MAX_DELAY_MS)
		master->delay = MAX_DELAY_MS;
}

static void courier_ended(struct master *master, const struct child *child, int status)
{
	char text[64];
	int64_t now = clock_monotonic_ms();
	if (child->leaving) {
		if (master->reports && !master->stopping)
			start_courier(master);
		return;
	}
	if (child->ready && now - child->started_ms >= SOUND_MS)
		master->courier_delay = 0;
	master->courier_at = now + master->courier_delay;
	log_error("courier %d %s: the next one starts in %.1f s", (int)child->pid, how_it_ended(status, text),
		(double)master->courier_delay / 1000);
	master->courier_delay = master->courier_delay == 0 ? FIRST_DELAY_MS : master->courier_delay * 2;
	if (master->courier_delay > MAX_COURIER_DELAY_MS)
		master->courier_delay = MAX_COURIER_DELAY_MS;
}

static void reap(struct master *master)
{
	struct child child;
	int status;
	char text[64];
	while (children_reap(&master->children, &child, &status)) {
		bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		const char *role = child_role_text(child.role);
		if (child.leaving && clean)
			log_info("%s %d has finished", role, (int)child.pid);
		else if (child.leaving)
			log_error("%s %d %s while finishing", role, (int)child.pid, how_it_ended(status, text));
		else if (child.role == CHILD_WORKER)
			worker_failed(master, &child, status);
		if (child.role == CHILD_COURIER)
			courier_ended(master, &child, status);
	}
}

/* ---- signals ---- */

static void replace_worker(struct master *master)
{
	if (children_find(&master->children, CHILD_WORKER, false) != NULL) {
		log_warning("a new worker is starting already");
		return;
	}
	log_info("starting a new worker from %s", master->children.program);
	start_worker(master);
}

static void kill_children(struct master *master)
{
	for (size_t i = 0; i < MAX_CHILDREN; i++)
		if (master->children.rows[i].pid != 0)
			kill(master->children.rows[i].pid, SIGKILL);
}

static void take_signals(struct master *master)
{
	struct signalfd_siginfo info;
	while (read(master->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(master);
			break;
		case SIGTERM:
		case SIGINT:
			if (master->stopping)
				kill_children(master);
			else
				log_info("stopping");
			stop(master, 0);
			break;
		case SIGHUP:
		case SIGUSR1:
			if (!master->stopping)
				reload(master);
			break;
		case SIGUSR2:
			if (!master->stopping)
				replace_worker(master);
			break;
		}
	}
}

/* ---- the loop ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static void do_what_is_due(struct master *master)
{
	int64_t now = clock_monotonic_ms();
	if (master->start_at != 0 && now >= master->start_at)
		start_worker(master);
	if (master->courier_at != 0 && now >= master->courier_at)
		start_courier(master);
	if (master->kill_at != 0 && now >= master->kill_at) {
		log_error("children that do not end are killed");
		kill_children(master);
		master->kill_at = 0;
	}
	if (master->watchdog_interval != 0 && now >= master->watchdog_at) {
		notify_watchdog();
		master->watchdog_at = now + master->watchdog_interval;
	}
}

static void wait_for_events(struct master *master)
{
	struct pollfd polled[1 + MAX_CHILDREN] = {{.fd = master->signals, .events = POLLIN}};
	int64_t next =
		earlier(earlier(master->start_at, master->courier_at), earlier(master->kill_at, master->watchdog_at));
	int64_t left = next == 0 ? -1 : next - clock_monotonic_ms();
	for (size_t i = 0; i < MAX_CHILDREN; i++) {
		const struct child *child = &master->children.rows[i];
		polled[1 + i] = (struct pollfd){.fd = child->pid != 0 ? child->control : -1, .events = POLLIN};
	}
	if (poll(polled, 1 + MAX_CHILDREN, next == 0 ? -1 : left < 0 ? 0 : (int)left) <= 0)
		return;
	for (size_t i = 0; i < MAX_CHILDREN; i++)
		if (polled[1 + i].revents != 0)
			hear(master, &master->children.rows[i]);
	if (polled[0].revents != 0)
		take_signals(master);
}

static void serve(struct master *master)
{
	master->watchdog_interval = notify_watchdog_interval();
	master->watchdog_at = master->watchdog_interval != 0 ? clock_monotonic_ms() : 0;
	start_worker(master);
	while (!master->stopping || children_any(&master->children)) {
		do_what_is_due(master);
		wait_for_events(master);
	}
}

int master_run(const struct invocation *invocation, const struct settings *settings, const char *argv0, int ready_fd)
{
	struct master master = {.invocation = invocation,
		.options = settings->milter,
		.ready_fd = ready_fd,
		.listener.fd = -1,
		.signals = -1};
	pidfile_init(&master.pidfile);
	if (!children_init(&master.children, invocation, argv0)) {
		log_error("out of memory");
		return EX_SOFTWARE;
	}
	master.status = stand_up(&master, config_report(settings->config));
	if (master.status == 0)
		serve(&master);
	listener_close(&master.listener);
	pidfile_remove(&master.pidfile);
	say_ready(&master, master.status);
	if (master.was_ready)
		log_info("stopped");
	free(master.children.program);
	if (master.signals >= 0)
		close(master.signals);
	return master.status;
}
