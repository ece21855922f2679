#include "report/courier_work.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"

#define LEASE_RENEW_SECONDS 60
#define EXPIRE_EVERY_SECONDS 3600
/* Of destinations: the policy's organization, the destination's, its consent; the tree walk asks them all at once. */
#define LOOKUP_ROUNDS_MAX 10

void courier_begin(struct courier *courier, int64_t now)
{
	courier->own.now = now;
	courier->own.since_ms = clock_monotonic_ms();
	courier->own.clock = clock_unix();
}

static int64_t seconds_since_begin(const struct courier *courier)
{
	return (clock_monotonic_ms() - courier->own.since_ms) / 1000;
}

int64_t courier_time(const struct courier *courier)
{
	return courier->own.now + seconds_since_begin(courier);
}

int64_t courier_clock(const struct courier *courier)
{
	return courier->own.clock + seconds_since_begin(courier);
}

struct str courier_domain(struct str address)
{
	ptrdiff_t at = str_rindex(address, '@');
	return at >= 0 ? str_skip(address, (size_t)at + 1) : STR("");
}

uint64_t courier_number(struct str text)
{
	static const struct hash_key any = {{0, 0}};
	return hash_bytes(&any, 0, text);
}

enum err courier_write(struct courier *courier, struct arena *arena, const struct mail *mail, struct buf *out)
{
	bool is_signed;
	enum err err = mail_write(arena, mail, courier->runtime, courier_time(courier), out, &is_signed);
	if (err == ERR_OK && !is_signed && !courier->own.said_unsigned) {
		log_warning("reports leave unsigned: no key is configured for %.*s, so they may not pass DMARC; see "
			    "ReportAddress",
			STR_ARG(mail->from));
		courier->own.said_unsigned = true;
	}
	return err;
}

/* ---- one at a time among all hosts ---- */

static enum err take_lease(struct courier *courier, bool *ret_mine)
{
	int64_t now = courier_clock(courier);
	enum err err =
		store_lease(courier->store, COURIER_LEASE, courier->holder, now, COURIER_LEASE_SECONDS, ret_mine);
	courier->own.lease_at = err == ERR_OK && *ret_mine ? now : 0;
	return err;
}

void courier_leave(struct courier *courier)
{
	if (courier->own.lease_at != 0)
		store_lease_release(courier->store, COURIER_LEASE, courier->holder);
	courier->own.lease_at = 0;
}

bool courier_goes_on(struct courier *courier)
{
	bool mine = true;
	if (courier->stop != NULL && courier->stop(courier->context))
		return false;
	if (courier->own.lease_at == 0 || courier_clock(courier) - courier->own.lease_at < LEASE_RENEW_SECONDS)
		return true;
	return take_lease(courier, &mine) == ERR_OK && mine;
}

/* ---- destinations ---- */

/* False: some look-up is missing for one of them. */
static bool verify_all(struct courier *courier, struct arena *arena, const struct report_policy *policies, size_t n,
	bool failure, struct answers *answers, struct courier_recipients *recipients)
{
	bool complete = true;
	struct destination_query query = {
		.options = &courier->runtime->report,
		.dmarc = &courier->runtime->dmarc,
		.failure = failure,
	};
	for (size_t i = 0; i < n; i++) {
		if (recipients[i].destinations != NULL)
			continue;
		query.policy = policies[i];
		struct courier_recipients found = {0};
		if (destination_verify(arena, &query, answers, &found.destinations, &found.n, &found.retry))
			recipients[i] = found;
		else
			complete = false;
	}
	return complete;
}

void courier_verify(struct courier *courier, struct arena *arena, const struct report_policy *policies, size_t n,
	bool failure, struct courier_recipients *ret_recipients)
{
	struct answers *answers = answers_new(arena);
	memset(ret_recipients, 0, n * sizeof(*ret_recipients));
	for (unsigned round = 1; !verify_all(courier, arena, policies, n, failure, answers, ret_recipients); round++) {
		dns_fetch(courier->dns, answers, 0);
		if (round == LOOKUP_ROUNDS_MAX)
			answers_give_up(answers);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < ret_recipients[i].n; j++)
			ret_recipients[i].n_good += ret_recipients[i].destinations[j].refused == NULL;
}

/* ---- the turn ---- */

/* What was sent or given up stays visible for some days. */
static enum err forget(struct courier *courier)
{
	uint64_t n;
	int64_t now = courier_time(courier);
	if (now < courier->own.expire_after)
		return ERR_OK;
	enum err err = store_expire(courier->store, now - (int64_t)courier->runtime->report.keep_days * 86400, &n);
	if (err == ERR_OK)
		courier->own.expire_after = now + EXPIRE_EVERY_SECONDS;
	return err;
}

static enum err work(struct courier *courier, struct courier_result *result)
{
	bool mine = false;
	enum err err = import_run(courier->store, &courier->runtime->report, courier_time(courier), courier->stop,
		courier->context, &result->imported);
	/* Told to stop, it must not begin what the next one then has to wait for. */
	if (err == ERR_OK && !courier_goes_on(courier))
		return ERR_OK;
	if (err == ERR_OK)
		err = take_lease(courier, &mine);
	result->elsewhere = err == ERR_OK && !mine;
	if (err != ERR_OK || !mine)
		return err;
	err = courier_failures(courier, courier_time(courier), result);
	if (err == ERR_OK)
		err = courier_build(courier, courier_time(courier), result);
	if (err == ERR_OK)
		err = courier_send(courier, courier_time(courier), result);
	if (err == ERR_OK)
		err = forget(courier);
	/* Between two turns trimilterctl, or another host, may have it. */
	courier_leave(courier);
	return err;
}

enum err courier_turn(struct courier *courier, int64_t now, struct courier_result *ret_result)
{
	*ret_result = (struct courier_result){0};
	courier_begin(courier, now);
	enum err err = work(courier, ret_result);
	if (err == ERR_IO)
		fault_log(LOG_LEVEL_WARNING, str_of(store_error(courier->store)), "report store: %s",
			store_error(courier->store));
	return err;
}
