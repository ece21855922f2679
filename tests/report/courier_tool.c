/*
 * The courier's turns for test_courier.py, over a real store, with the time as an argument:
 *
 *	courier_tool record CONFIG TIME N DOMAIN RECORD [SOURCE-IP]	N judged messages into the spool; behind a "::"
 *									each has another address
 *	courier_tool fail CONFIG TIME N DOMAIN RECORD RCPT HEADERS	N that failed, for failure reports
 *	courier_tool turn CONFIG TIME [COUNT [STEP]]			COUNT turns, STEP seconds (60) apart
 *	courier_tool lease CONFIG TIME					another host's courier: does it get its turn?
 *
 * A turn prints what it did. With DIE_AT=N in the environment the process kills itself before or behind the Nth call
 * that changes the world outside (even: before, odd: behind), and with DIE_LIST=FILE the calls are listed there. With
 * STORE_DOWN=NAME the calls of that function fail from then on; with STORE_SLOW=NAME each takes 12 seconds of the
 *clock.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "report/courier.h"
#include "report/mail.h"
#include "report/spool.h"

/* ---- dying ---- */

static unsigned long n_points;

static void point(const char *call, const char *when)
{
	const char *at = getenv("DIE_AT"), *list = getenv("DIE_LIST");
	if (list != NULL) {
		FILE *file = fopen(list, "a");
		if (file != NULL) {
			fprintf(file, "%lu %s %s\n", n_points, when, call);
			fclose(file);
		}
	}
	if (at != NULL && n_points == strtoul(at, NULL, 10))
		kill(getpid(), SIGKILL);
	n_points++;
}

static bool is_down(const char *call)
{
	const char *down = getenv("STORE_DOWN");
	return down != NULL && strcmp(down, call) == 0;
}

static int64_t slept_ms;

static void sleep_if_slow(const char *call)
{
	const char *slow = getenv("STORE_SLOW");
	if (slow != NULL && strcmp(slow, call) == 0)
		slept_ms += 12000;
}

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void)
{
	return __real_clock_monotonic_ms() + slept_ms;
}

/* The host's clock says what the turn is told; 0: there is none. */
static int64_t turn_at, turn_since_ms;

int64_t __real_clock_unix(void);
int64_t __wrap_clock_unix(void);
int64_t __wrap_clock_unix(void)
{
	return turn_at != 0 ? turn_at + (__wrap_clock_monotonic_ms() - turn_since_ms) / 1000 : __real_clock_unix();
}

/* What the linker puts in the place of the function (--wrap). */
#define WRAP(name, parameters, arguments)                                                                              \
	enum err __real_##name parameters;                                                                             \
	enum err __wrap_##name parameters;                                                                             \
	enum err __wrap_##name parameters                                                                              \
	{                                                                                                              \
		point(#name, "before");                                                                                \
		if (is_down(#name))                                                                                    \
			return ERR_IO;                                                                                 \
		enum err err = __real_##name arguments;                                                                \
		sleep_if_slow(#name);                                                                                  \
		point(#name, "behind");                                                                                \
		return err;                                                                                            \
	}

WRAP(store_commit, (struct store * store), (store))
WRAP(store_lease,
	(struct store * store, struct str name, struct str holder, int64_t now, unsigned seconds, bool *ret_mine),
	(store, name, holder, now, seconds, ret_mine))
WRAP(store_lease_release, (struct store * store, struct str name, struct str holder), (store, name, holder))
WRAP(store_add_report,
	(struct store * store, const struct store_report *report, const struct store_destination *destinations,
		size_t n, bool last),
	(store, report, destinations, n, last))
WRAP(store_due,
	(struct store * store, struct arena *arena, int64_t due, int64_t now, struct str domain, unsigned claim,
		size_t limit, const struct store_delivery **ret, size_t *ret_n),
	(store, arena, due, now, domain, claim, limit, ret, ret_n))
WRAP(store_batches,
	(struct store * store, struct arena *arena, int64_t before, bool all, int64_t after, size_t limit,
		const struct store_batch **ret, size_t *ret_n),
	(store, arena, before, all, after, limit, ret, ret_n))
WRAP(store_delivery_done,
	(struct store * store, int64_t delivery, enum store_delivery_state state, int64_t now, int64_t next,
		struct str note),
	(store, delivery, state, now, next, note))
WRAP(store_failures,
	(struct store * store, struct arena *arena, int64_t now, unsigned claim, size_t limit,
		const struct store_failure **ret, size_t *ret_n),
	(store, arena, now, claim, limit, ret, ret_n))
WRAP(store_failure_done, (struct store * store, int64_t failure), (store, failure))
WRAP(store_expire, (struct store * store, int64_t before, uint64_t *ret_n), (store, before, ret_n))
WRAP(spool_file_remove, (struct spool_file * file), (file))

enum mail_outcome __real_mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note);
enum mail_outcome __wrap_mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note);
enum mail_outcome __wrap_mail_submit(struct arena *arena, const struct report_options *options, const struct mail *mail,
	struct str text, unsigned timeout, struct str *ret_note)
{
	point("mail_submit", "before");
	enum mail_outcome outcome = __real_mail_submit(arena, options, mail, text, timeout < 2 ? timeout : 2, ret_note);
	point("mail_submit", "behind");
	return outcome;
}

/* ---- records ---- */

static struct report_record make_record(char **argv)
{
	struct str domain = str_of(argv[5]);
	return (struct report_record){
		.time = strtoll(argv[3], NULL, 10),
		.reporter = STR("mx.example"),
		.queue_id = STR("4F2X"),
		.policy = {.domain = domain, .record = str_of(argv[6]), .discovery = STR("treewalk")},
		.row = {.source_ip = STR("192.0.2.1"),
			.disposition = STR("none"),
			.header_from = domain,
			.envelope_from = domain,
			.envelope_to = STR("example.org"),
			.spf_domain = domain,
			.spf_result = STR("fail"),
			.spf_human_result = STR("")},
	};
}

static void append(const struct runtime *runtime, struct report_record *record, unsigned long n)
{
	char error[SPOOL_ERROR_SIZE];
	struct arena *arena = arena_new(0);
	struct spool *spool;
	if (spool_new(runtime->report.spool, &spool, error) != ERR_OK) {
		fprintf(stderr, "%s\n", error);
		exit(74);
	}
	struct str source = record->row.source_ip;
	for (unsigned long i = 0; i < n; i++) {
		if (str_ends(source, STR("::")))
			record->row.source_ip = arena_printf(arena, "%.*s%lx", STR_ARG(source), i * 40503 % 65536);
		if (!spool_append(spool, arena, record))
			exit(74);
	}
	spool_free(spool);
	arena_free(arena);
}

static int do_record(const struct runtime *runtime, int argc, char **argv)
{
	struct report_record record = make_record(argv);
	if (argc > 7)
		record.row.source_ip = str_of(argv[7]);
	append(runtime, &record, strtoul(argv[4], NULL, 10));
	return 0;
}

static int do_fail(const struct runtime *runtime, char **argv)
{
	struct report_record record = make_record(argv);
	const struct report_failed_signature signature = {
		.domain = record.policy.domain,
		.selector = STR("s"),
		.identity = STR(""),
		.result = STR("fail"),
		.reason = STR("body hash did not verify"),
		.aligned = true,
		.report_requested = true,
	};
	const struct report_failure failure = {
		.mail_from = STR("bounce@example.net"),
		.rcpt = str_of(argv[7]),
		.client_name = STR("mail.example.net"),
		.helo = STR("mail.example.net"),
		.delivery_result = STR("delivered"),
		.authentication_results = STR(" mx.example; dmarc=fail header.from=example.com"),
		.headers = str_of(argv[8]),
		.signatures = &signature,
		.n_signatures = 1,
	};
	record.failure = &failure;
	append(runtime, &record, strtoul(argv[4], NULL, 10));
	return 0;
}

/* ---- turns ---- */

static int do_turns(struct runtime *runtime, const struct config *config, int64_t now, unsigned long n, int64_t step)
{
	char error[STORE_ERROR_SIZE], dns_error[DNS_ERROR_SIZE];
	struct courier courier = {.runtime = runtime, .holder = STR("test")};
	if (store_open(runtime->report.store, &courier.store, error) != ERR_OK) {
		fprintf(stderr, "%s\n", error);
		return 74;
	}
	if (dns_new(config_dns(config), &courier.dns, dns_error) != ERR_OK) {
		fprintf(stderr, "%s\n", dns_error);
		return 78;
	}
	for (unsigned long i = 0; i < n; i++) {
		struct courier_result result;
		turn_at = now + (int64_t)i * step;
		turn_since_ms = __wrap_clock_monotonic_ms();
		enum err err = courier_turn(&courier, turn_at, &result);
		printf("%s records=%" PRIu64 " built=%" PRIu64 " failures=%" PRIu64 " sent=%" PRIu64
		       " deferred=%" PRIu64 " refused=%" PRIu64 " expired=%" PRIu64 "\n",
			err_text(err), result.imported.records, result.built, result.failures, result.sent,
			result.deferred, result.refused, result.expired);
	}
	dns_free(courier.dns);
	store_close(courier.store);
	return 0;
}

static int do_lease(const struct runtime *runtime, int64_t now)
{
	char error[STORE_ERROR_SIZE];
	struct store *store;
	bool mine = false;
	if (store_open(runtime->report.store, &store, error) != ERR_OK)
		return 74;
	enum err err = __real_store_lease(store, COURIER_LEASE, STR("other"), now, COURIER_LEASE_SECONDS, &mine);
	store_close(store);
	puts(mine ? "yes" : "no");
	return err == ERR_OK ? 0 : 74;
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	const struct config *config;
	struct runtime *runtime = NULL;
	const char *const paths[] = {argc > 2 ? argv[2] : ""};
	int status = 64;
	if (argc < 4 || config_read(arena, paths, 1, &diag, &config) != ERR_OK ||
		config_load(config, &diag, &runtime) != ERR_OK) {
		diag_log(&diag);
		return 78;
	}
	if (strcmp(argv[1], "record") == 0 && argc >= 7)
		status = do_record(runtime, argc, argv);
	else if (strcmp(argv[1], "fail") == 0 && argc >= 9)
		status = do_fail(runtime, argv);
	else if (strcmp(argv[1], "turn") == 0)
		status = do_turns(runtime, config, strtoll(argv[3], NULL, 10),
			argc > 4 ? strtoul(argv[4], NULL, 10) : 1, argc > 5 ? strtoll(argv[5], NULL, 10) : 60);
	else if (strcmp(argv[1], "lease") == 0)
		status = do_lease(runtime, strtoll(argv[3], NULL, 10));
	runtime_unref(runtime);
	arena_free(arena);
	return status;
}
