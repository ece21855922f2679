/*
 * The report store by hand, for tests that kill it and for measurements:
 *
 *	store_tool fill SPOOL RECORDS DOMAINS SOURCES [SEED]   records as a worker writes them, every seventh with a
 *failure store_tool import URL SPOOL [once]     import until the spool is empty, through all errors; once: until the
 *first store_tool dump URL                    JSON lines: domain, period, messages, and each row with its count
 *	store_tool failures URL                ids of the failures that wait
 *	store_tool lease URL HOLDER NOW SECONDS
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "report/import.h"

#define DAY_BEGIN 1769817600 /* 2026-01-31 00:00 UTC */

static int die(const char *what)
{
	fprintf(stderr, "store_tool: %s\n", what);
	return 1;
}

/* ---- records ---- */

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static struct report_record make_record(struct arena *arena, uint64_t *state, unsigned domains, unsigned sources)
{
	static const char *const dispositions[] = {"none", "quarantine", "reject"};
	static const char *const results[] = {"pass", "fail", "softfail", "none"};
	uint64_t r = random_next(state);
	/* Half of the mail is of a tenth of the domains. */
	unsigned range = r & 1 ? domains : domains / 10 + 1;
	unsigned domain = (unsigned)(r >> 1 & 0xffffff) % range, source = (unsigned)(r >> 25 & 0xffffff) % sources;
	struct str name = arena_printf(arena, "d%u.example", domain);
	struct report_dkim *dkim = ARENA_NEW(arena, struct report_dkim);
	unsigned kind = (domain + source) % 12;
	*dkim = (struct report_dkim){name, STR("s2026"), str_of(results[kind % 2]), STR("")};
	return (struct report_record){
		.time = DAY_BEGIN + (int64_t)(r >> 49) % 86400,
		.reporter = STR("mx.example.net"),
		.queue_id = arena_printf(arena, "%08" PRIX64, r & 0xffffffff),
		.policy = {name, arena_printf(arena, "v=DMARC1; p=reject; rua=mailto:dmarc@%.*s", STR_ARG(name)),
			STR("treewalk")},
		.row = {.source_ip =
				arena_printf(arena, "10.%u.%u.%u", source >> 16 & 255, source >> 8 & 255, source & 255),
			.disposition = str_of(dispositions[kind % 3]),
			.dkim_aligned = kind % 2 == 0,
			.spf_aligned = kind % 4 == 0,
			.header_from = name,
			.envelope_from = arena_printf(arena, "bounce.%.*s", STR_ARG(name)),
			.dkim = dkim,
			.n_dkim = 1,
			.spf_domain = arena_printf(arena, "bounce.%.*s", STR_ARG(name)),
			.spf_result = str_of(results[kind % 4])},
	};
}

static int fill(struct str directory, unsigned long records, unsigned domains, unsigned sources, uint64_t seed)
{
	static const struct report_failure failure = {.mail_from = {"a@b.example", 11},
		.rcpt = {"c@d.example", 11},
		.delivery_result = {"reject", 6},
		.headers = {"From: x@y.example\r\nSubject: gr\xfc\xdf\r\n", 34}};
	char error[SPOOL_ERROR_SIZE];
	struct spool *spool;
	struct arena *arena = arena_new(0);
	if (spool_new(directory, &spool, error) != ERR_OK)
		return die(error);
	for (unsigned long i = 0; i < records; i++) {
		arena_reset(arena);
		struct report_record record = make_record(arena, &seed, domains, sources);
		if (i % 7 == 0 && records < 100000)
			record.failure = &failure;
		if (!spool_append(spool, arena, &record))
			return die("a record was dropped");
	}
	spool_free(spool);
	arena_free(arena);
	return 0;
}

/* ---- importing ---- */

static bool is_empty(const struct report_options *options)
{
	struct spool_reader *reader;
	struct spool_file *file = NULL;
	bool none = spool_reader_new(options->spool, &reader) == ERR_OK && spool_reader_next(reader, &file) == ERR_OK &&
		    file == NULL;
	spool_file_close(file);
	spool_reader_free(reader);
	return none;
}

static void print_result(const struct import_result *result, int64_t begin)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	printf("{\"files\":%" PRIu64 ",\"records\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"bad_lines\":%" PRIu64
	       ",\"seconds\":%.2f,\"cpu_seconds\":%.2f,\"resident_kib\":%ld}\n",
		result->files, result->records, result->failures, result->bad_lines,
		(double)(clock_monotonic_ms() - begin) / 1e3, cpu, usage.ru_maxrss);
}

static enum err import_some(struct str url, struct store **store, const struct report_options *options,
	struct import_result *sum, char error[STORE_ERROR_SIZE])
{
	struct import_result result = {0};
	enum err err = *store == NULL ? store_open(url, store, error) : ERR_OK;
	if (err != ERR_OK)
		return err;
	err = import_run(*store, options, clock_unix(), NULL, NULL, &result);
	sum->files += result.files;
	sum->records += result.records;
	sum->failures += result.failures;
	sum->bad_lines += result.bad_lines;
	if (err != ERR_OK)
		snprintf(error, STORE_ERROR_SIZE, "%s", store_error(*store));
	return err;
}

static int import(struct str url, struct str directory, bool once)
{
	struct report_options options = {.spool = directory, .interval = 86400};
	struct import_result sum = {0};
	struct store *store = NULL;
	char error[STORE_ERROR_SIZE];
	int64_t begin = clock_monotonic_ms();
	int status = 0;
	for (;;) {
		enum err err = import_some(url, &store, &options, &sum, error);
		if (err != ERR_OK)
			fprintf(stderr, "%s\n", error);
		if (err != ERR_OK && once) {
			status = 1;
			break;
		}
		if (err == ERR_OK && is_empty(&options))
			break;
		usleep(20000);
	}
	store_close(store);
	print_result(&sum, begin);
	return status;
}

/* ---- looking ---- */

static bool dump_row(void *context, const struct store_row *row)
{
	struct buf *out = context;
	buf_printf(out, "%s{\"count\":%" PRIu64 ",\"row\":", out->p[out->n - 1] == '[' ? "" : ",", row->count);
	report_row_write(&row->row, out);
	buf_add_char(out, '}');
	return true;
}

static int dump(struct store *store)
{
	const struct store_batch *batches;
	int64_t after = 0;
	for (size_t n = 1; n > 0;) {
		struct arena *arena = arena_new(0);
		if (store_batches(store, arena, 0, true, after, 100, &batches, &n) != ERR_OK)
			return die(store_error(store));
		for (size_t i = 0; i < n; i++) {
			struct buf out = buf_in(arena);
			struct json json = json_to(&out);
			json_object_begin(&json, NULL);
			json_str(&json, "domain", batches[i].policy.domain);
			json_int(&json, "period", batches[i].period);
			json_int(&json, "messages", (int64_t)batches[i].messages);
			json_array_begin(&json, "rows");
			if (store_rows(store, batches[i].id, dump_row, &out) != ERR_OK)
				return die(store_error(store));
			json_array_end(&json);
			json_object_end(&json);
			puts(buf_cstr(&out));
			after = batches[i].id;
		}
		arena_free(arena);
	}
	return 0;
}

static int list_failures(struct store *store)
{
	const struct store_failure *failures;
	struct arena *arena = arena_new(0);
	size_t n;
	if (store_failures(store, arena, clock_unix(), 0, 1000000, &failures, &n) != ERR_OK)
		return die(store_error(store));
	for (size_t i = 0; i < n; i++)
		printf("%.*s\n", STR_ARG(failures[i].record.id));
	arena_free(arena);
	return 0;
}

static int take_lease(struct store *store, const char *holder, const char *now, const char *seconds)
{
	bool mine;
	if (store_lease(store, STR("courier"), str_of(holder), atoll(now), (unsigned)atoi(seconds), &mine) != ERR_OK)
		return die(store_error(store));
	puts(mine ? "mine" : "not mine");
	return 0;
}

int main(int argc, char **argv)
{
	struct str verb = str_of(argc > 2 ? argv[1] : ""), url = str_of(argc > 2 ? argv[2] : "");
	if (str_eq(verb, STR("fill")) && argc >= 6)
		return fill(url, strtoul(argv[3], NULL, 10), (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]),
			argc > 6 ? strtoull(argv[6], NULL, 10) : 1);
	if (str_eq(verb, STR("import")) && argc >= 4)
		return import(url, str_of(argv[3]), argc > 4);
	char error[STORE_ERROR_SIZE];
	struct store *store;
	int status = 64;
	if (verb.n == 0 || store_open(url, &store, error) != ERR_OK)
		return die(verb.n == 0 ? "what? see the comment at its beginning" : error);
	if (str_eq(verb, STR("dump")))
		status = dump(store);
	else if (str_eq(verb, STR("failures")))
		status = list_failures(store);
	else if (str_eq(verb, STR("lease")) && argc == 6)
		status = take_lease(store, argv[3], argv[4], argv[5]);
	store_close(store);
	return status;
}
