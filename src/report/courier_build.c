/*
 * Batches whose period is over become reports with destinations.
 */
#include "report/courier_work.h"

#include "base/clock.h"
#include "base/fault.h"
#include "report/aggregate.h"

/* Until every worker has begun a new file and every host has imported the one before. */
#define GRACE_SECONDS 180
/* Hosts that share a store, or a mail server, do not all begin at once. */
#define HOST_JITTER_SECONDS 300
#define RETRY_SECONDS 900
/* Batches whose destinations are looked up at the same time. */
#define PAGE 20
/* Others who want to write into an SQLite store wait for its end. */
#define TRANSACTION_MS 1000

/* ---- documents ---- */

struct writing {
	struct arena *arena;
	struct aggregate_header header;
	size_t maximum_bytes;
	struct aggregate_writer *writer;
	struct store_report *reports;
	size_t n, capacity;
	enum err err;
};

static void begin_document(struct writing *writing)
{
	writing->header.part = (unsigned)writing->n;
	writing->writer = aggregate_begin(writing->arena, &writing->header, writing->maximum_bytes);
}

static bool end_document(struct writing *writing)
{
	writing->reports = arena_grow(
		writing->arena, writing->reports, &writing->capacity, writing->n + 1, sizeof(*writing->reports));
	writing->reports[writing->n] = (struct store_report){0};
	writing->err = aggregate_end(writing->writer, &writing->reports[writing->n]);
	writing->n += writing->err == ERR_OK;
	return writing->err == ERR_OK;
}

static bool add_row(void *context, const struct store_row *row)
{
	struct writing *writing = context;
	if (aggregate_add(writing->writer, row))
		return true;
	if (!end_document(writing))
		return false;
	begin_document(writing);
	return aggregate_add(writing->writer, row);
}

/*
 * Letters and digits, the same for this batch whenever and wherever it is written. A batch's number alone comes again
 * in other stores: those of other reporters, and the one that is made anew here.
 */
static struct str unique_of(struct arena *arena, struct str reporter, const struct store_batch *batch)
{
	uint64_t number = courier_number(arena_printf(arena, "%.*s\n%.*s\n%.*s\n%.*s\n%lld\n%lld", STR_ARG(reporter),
		STR_ARG(batch->policy.domain), STR_ARG(batch->policy.record), STR_ARG(batch->policy.discovery),
		(long long)batch->period, (long long)batch->id));
	return arena_printf(arena, "%016llx", (unsigned long long)number);
}

enum err courier_documents(struct courier *courier, struct arena *arena, const struct store_batch *batch,
	const struct store_report **ret_reports, size_t *ret_n)
{
	const struct report_options *options = &courier->runtime->report;
	struct str domain = courier_domain(options->address);
	struct writing writing = {.arena = arena, .maximum_bytes = options->maximum_bytes};
	writing.header = (struct aggregate_header){
		.format = options->format,
		.organization = options->organization.n > 0 ? options->organization : domain,
		.address = options->address,
		.extra_contact = options->extra_contact,
		.submitter = domain,
		.policy = batch->policy,
		.begin = batch->period,
		.end = batch->period + options->interval - 1,
		.unique = unique_of(arena, domain, batch),
	};
	begin_document(&writing);
	enum err err = store_rows(courier->store, batch->id, add_row, &writing);
	if (err == ERR_OK && writing.err == ERR_OK)
		end_document(&writing);
	for (size_t i = 0; i < writing.n; i++) {
		writing.reports[i].batch = batch->id;
		writing.reports[i].built = courier_time(courier);
	}
	*ret_reports = writing.reports;
	*ret_n = writing.n;
	return err != ERR_OK ? err : writing.err;
}

/* What stands in the list for a batch of which nobody gets a report: why. */
static struct store_report report_for_nobody(
	struct courier *courier, struct arena *arena, const struct store_batch *batch)
{
	const struct report_options *options = &courier->runtime->report;
	return (struct store_report){
		.batch = batch->id,
		.report_id = unique_of(arena, courier_domain(options->address), batch),
		.domain = batch->policy.domain,
		.begin = batch->period,
		.end = batch->period + options->interval - 1,
		.messages = batch->messages,
		.rows = batch->rows,
		.built = courier_time(courier),
		.file_name = STR(""),
		.subject = STR(""),
		.data = STR(""),
	};
}

/* ---- destinations ---- */

const struct store_destination *courier_destinations(struct courier *courier, struct arena *arena,
	const struct courier_recipients *recipients, const struct store_report *report, size_t *ret_n)
{
	const struct report_options *options = &courier->runtime->report;
	struct store_destination *all = ARENA_ARRAY(arena, recipients->n + options->n_bcc, struct store_destination);
	size_t n = 0;
	int64_t jitter = options->jitter_seconds > 0
				 ? (int64_t)(courier_number(report->report_id) % options->jitter_seconds)
				 : 0;
	for (size_t i = 0; i < recipients->n; i++) {
		const struct destination *one = &recipients->destinations[i];
		const char *refused = one->refused;
		/* RFC 9989 section 4.8: an obsolete wish, not to be heeded. */
		if (refused == NULL && options->format == REPORT_RFC7489 && one->maximum_bytes > 0 &&
			report->data.n > one->maximum_bytes)
			refused = "the report is larger than the address takes";
		all[n++] = (struct store_destination){
			.address = one->address.n > 0 ? one->address : one->uri,
			.not_before = report->built + jitter,
			.refused = refused,
		};
	}
	for (size_t i = 0; recipients->n_good > 0 && i < options->n_bcc; i++)
		all[n++] = (struct store_destination){
			.address = options->bcc[i],
			.not_before = report->built + jitter,
		};
	*ret_n = n;
	return all;
}

/* ---- batches ---- */

/* All documents of the batch and where they go: in the caller's transaction, so built whole, or not at all. */
static enum err keep(struct courier *courier, struct arena *arena, const struct courier_recipients *recipients,
	const struct store_report *reports, size_t n)
{
	enum err err = ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		size_t n_destinations;
		const struct store_destination *destinations =
			courier_destinations(courier, arena, recipients, &reports[i], &n_destinations);
		err = store_add_report(courier->store, &reports[i], destinations, n_destinations, i + 1 == n);
	}
	return err;
}

/* *built: the reports that somebody gets are added. */
static enum err build_batch(struct courier *courier, const struct store_batch *batch,
	const struct courier_recipients *recipients, uint64_t *built)
{
	const struct store_report *reports = NULL;
	size_t n = 0;
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return ERR_NOMEM;
	enum err err = ERR_OK;
	if (recipients->n_good == 0) {
		const struct store_report none = report_for_nobody(courier, arena, batch);
		err = keep(courier, arena, recipients, &none, 1);
	} else {
		err = courier_documents(courier, arena, batch, &reports, &n);
		if (err == ERR_OK)
			err = keep(courier, arena, recipients, reports, n);
		if (err == ERR_OK)
			*built += n;
	}
	arena_free(arena);
	return err;
}

/* One pass over all batches. */
struct pass {
	struct courier *courier;
	struct courier_result *result;
	int64_t after;  /* batches up to this one have been looked at */
	bool postponed; /* some of them wait */
	bool stopped;
	int64_t open_ms; /* the transaction's beginning, clock_monotonic_ms(); 0: none is open */
	uint64_t built;  /* in it */
};

/* What was built is kept for good. */
static enum err settle(struct pass *pass)
{
	if (pass->open_ms == 0)
		return ERR_OK;
	pass->open_ms = 0;
	enum err err = store_commit(pass->courier->store);
	if (err == ERR_OK)
		pass->result->built += pass->built;
	return err;
}

/* Several batches to a transaction: a commit waits for the disk, ten thousand of them for minutes. */
static enum err build_one(
	struct pass *pass, const struct store_batch *batch, const struct courier_recipients *recipients)
{
	struct courier *courier = pass->courier;
	enum err err = ERR_OK;
	if (pass->open_ms == 0) {
		err = store_begin(courier->store);
		pass->open_ms = clock_monotonic_ms();
		pass->built = 0;
	}
	if (err == ERR_OK)
		err = build_batch(courier, batch, recipients, &pass->built);
	if (err == ERR_OK && clock_monotonic_ms() - pass->open_ms >= TRANSACTION_MS)
		err = settle(pass);
	return err;
}

/* A domain that cannot be written about does not hold up the others; a store that does not work does. */
static enum err build_page(struct pass *pass, struct arena *arena, const struct store_batch *batches, size_t n)
{
	struct courier *courier = pass->courier;
	struct report_policy *policies = ARENA_ARRAY(arena, n, struct report_policy);
	struct courier_recipients *recipients = ARENA_ARRAY(arena, n, struct courier_recipients);
	for (size_t i = 0; i < n; i++)
		policies[i] = batches[i].policy;
	courier_verify(courier, arena, policies, n, false, recipients);
	for (size_t i = 0; i < n; i++) {
		int64_t over = batches[i].period + courier->runtime->report.interval;
		pass->stopped = !courier_goes_on(courier);
		if (pass->stopped)
			break;
		if (recipients[i].retry && courier_time(courier) < over + COURIER_PATIENCE_SECONDS) {
			pass->postponed = true;
			continue;
		}
		enum err err = build_one(pass, &batches[i], &recipients[i]);
		if (err == ERR_IO) {
			pass->open_ms = 0;
			store_rollback(courier->store);
			return err;
		}
		if (err != ERR_OK) {
			fault_log(LOG_LEVEL_WARNING, str_of(err_text(err)), "report of %.*s cannot be written: %s",
				STR_ARG(batches[i].policy.domain), err_text(err));
			pass->postponed = true;
		}
	}
	return settle(pass);
}

/* Of a page those that are wanted. */
static enum err build_some(struct pass *pass, struct arena *arena, const struct store_batch *batches, size_t n)
{
	struct str only = pass->courier->only;
	struct store_batch *wanted = ARENA_ARRAY(arena, n, struct store_batch);
	size_t n_wanted = 0;
	pass->after = batches[n - 1].id;
	for (size_t i = 0; i < n; i++)
		if (only.n == 0 || str_ieq(batches[i].policy.domain, only))
			wanted[n_wanted++] = batches[i];
	return build_page(pass, arena, wanted, n_wanted);
}

/* Periods that began before this are over, and have been for a while. */
static int64_t due_before(const struct courier *courier)
{
	const struct report_options *options = &courier->runtime->report;
	unsigned range = options->interval / 4 < HOST_JITTER_SECONDS ? options->interval / 4 : HOST_JITTER_SECONDS;
	int64_t jitter = (int64_t)(courier_number(courier->runtime->auth.authserv_id) % (range + 1));
	return import_period(options, courier_time(courier) - GRACE_SECONDS - jitter);
}

enum err courier_build(struct courier *courier, int64_t now, struct courier_result *result)
{
	struct pass pass = {.courier = courier, .result = result};
	enum err err = ERR_OK;
	size_t n = 1;
	courier_begin(courier, now);
	if (now < courier->own.build_after)
		return ERR_OK;
	int64_t before = due_before(courier);
	while (err == ERR_OK && n > 0 && !pass.stopped) {
		const struct store_batch *batches;
		struct arena *arena = arena_new(0);
		if (arena == NULL)
			return ERR_NOMEM;
		err = store_batches(courier->store, arena, before, false, pass.after, PAGE, &batches, &n);
		if (err == ERR_OK && n > 0)
			err = build_some(&pass, arena, batches, n);
		arena_free(arena);
	}
	if (err == ERR_OK && pass.postponed && !pass.stopped)
		courier->own.build_after = courier_time(courier) + RETRY_SECONDS;
	return err;
}
