/*
 * Messages counted in the report store: what adds up, what does not, and when.
 */
#include "store_lab.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

/* ---- what is there, as text ---- */

struct listing {
	struct buf out;
	size_t n;
};

static bool list_row(void *context, const struct store_row *row)
{
	struct listing *listing = context;
	buf_printf(&listing->out, "%s%.*sx%llu", listing->n++ > 0 ? " " : "", STR_ARG(row->row.source_ip),
		(unsigned long long)row->count);
	return true;
}

/* "DOMAIN MESSAGES/ROWS", for each batch. */
static const char *batches_text(struct store *store, struct arena *arena, int64_t before, bool all)
{
	const struct store_batch *batches;
	size_t n;
	struct buf out = buf_in(arena);
	lab_ok(store, store_batches(store, arena, before, all, 0, 1000, &batches, &n));
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s%.*s %llu/%llu", i > 0 ? ", " : "", STR_ARG(batches[i].policy.domain),
			(unsigned long long)batches[i].messages, (unsigned long long)batches[i].rows);
	return buf_cstr(&out);
}

static int compare_words(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* "ADDRESSxCOUNT", sorted: the store's own order is that of hashes. */
static const char *rows_text(struct store *store, struct arena *arena, int64_t batch)
{
	struct listing listing = {.out = buf_in(arena)};
	lab_ok(store, store_rows(store, batch, list_row, &listing));
	struct str words[1000], rest = buf_str(&listing.out);
	size_t n = 0;
	while (n < COUNT(words) && str_cut(&rest, ' ', &words[n]))
		n++;
	qsort(words, n, sizeof(*words), compare_words);
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s%.*s", i > 0 ? " " : "", STR_ARG(words[i]));
	return buf_cstr(&out);
}

/* ---- counting ---- */

static void equal_rows_are_one(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	lab_ok(store, store_begin(store));
	lab_count(store, "a.example", "192.0.2.1");
	lab_count(store, "b.example", "192.0.2.1");
	lab_count(store, "a.example", "192.0.2.1");
	lab_count(store, "a.example", "192.0.2.2");
	lab_ok(store, store_commit(store));
	assert_string_equal(batches_text(store, arena, 0, true), "a.example 3/2, b.example 1/1");
	/* In another transaction, and in one of its own. */
	lab_ok(store, store_begin(store));
	lab_count(store, "a.example", "192.0.2.2");
	lab_count(store, "a.example", "192.0.2.3");
	lab_ok(store, store_commit(store));
	lab_count(store, "a.example", "192.0.2.1");
	struct store_batch batch = lab_batch(store, arena, LAB_DAY + 1);
	assert_string_equal(rows_text(store, arena, batch.id), "192.0.2.1x3 192.0.2.2x2 192.0.2.3x1");
	assert_int_equal(batch.messages, 6);
	assert_int_equal(batch.rows, 3);
	assert_int_equal(batch.period, LAB_DAY);
	check_str("record", batch.policy.record, "v=DMARC1; p=none; rua=mailto:d@example.com");
	check_str("discovery", batch.policy.discovery, "treewalk");
	/* Nothing of what was rolled back, nor of who went away. */
	lab_ok(store, store_begin(store));
	lab_count(store, "c.example", "192.0.2.1");
	store_rollback(store);
	lab_ok(store, store_begin(store));
	lab_count(store, "c.example", "192.0.2.1");
	store_close(store);
	store = lab_open(kind);
	assert_string_equal(batches_text(store, arena, 0, true), "a.example 6/3, b.example 1/1");
	arena_free(arena);
	store_close(store);
}

/* What makes another report of it, and what another row. */
static void differences_count(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	const struct report_reason reason = {STR("local_policy"), STR("why")};
	const struct report_dkim dkim = {STR("a.example"), STR("s"), STR("pass"), STR("")};
	struct report_record record = lab_record("a.example", "192.0.2.1");
	lab_ok(store, store_begin(store));
	lab_ok(store, store_count(store, &record, LAB_DAY));
	lab_ok(store, store_count(store, &record, LAB_DAY + 86400));
	record.policy.discovery = STR("psl");
	lab_ok(store, store_count(store, &record, LAB_DAY));
	record.policy.record = STR("v=DMARC1; p=reject");
	lab_ok(store, store_count(store, &record, LAB_DAY));
	/* The same letters, apart at another place. */
	record.policy.domain = STR("a.examplev");
	record.policy.record = STR("=DMARC1; p=reject");
	lab_ok(store, store_count(store, &record, LAB_DAY));
	lab_ok(store, store_commit(store));
	assert_string_equal(batches_text(store, arena, 0, true),
		"a.example 1/1, a.example 1/1, a.example 1/1, a.example 1/1, a.examplev 1/1");

	record = lab_record("b.example", "192.0.2.1");
	for (int i = 0; i < 2; i++) {
		struct report_row row = lab_record("b.example", "192.0.2.1").row;
		record.row = row;
		record.row.dkim_aligned = true;
		lab_ok(store, store_count(store, &record, LAB_DAY));
		record.row = row;
		record.row.spf_aligned = true;
		lab_ok(store, store_count(store, &record, LAB_DAY));
		record.row = row;
		record.row.reasons = &reason;
		record.row.n_reasons = 1;
		lab_ok(store, store_count(store, &record, LAB_DAY));
		record.row = row;
		record.row.dkim = &dkim;
		record.row.n_dkim = 1;
		lab_ok(store, store_count(store, &record, LAB_DAY));
		record.row = row;
		record.row.envelope_to = STR("to.example");
		lab_ok(store, store_count(store, &record, LAB_DAY));
		/* What is not reported makes no difference. */
		record.row = row;
		record.queue_id = i == 0 ? STR("1") : STR("2");
		lab_ok(store, store_count(store, &record, LAB_DAY));
	}
	assert_non_null(strstr(batches_text(store, arena, 0, true), "b.example 12/6"));
	arena_free(arena);
	store_close(store);
}

/* More than one statement takes, and more than one page of the reader. */
static void many_rows(enum db_kind kind)
{
	static const unsigned sizes[] = {1, 63, 64, 65, 256, 257, 700};
	struct arena *arena = arena_new(0);
	struct store *store = lab_open(kind);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		const char *domain = arena_printf(arena, "n%u.example", sizes[i]).p;
		lab_ok(store, store_begin(store));
		for (unsigned j = 0; j < 3 * sizes[i]; j++)
			lab_count(store, domain,
				arena_printf(arena, "10.0.%u.%u", j % sizes[i] / 256, j % sizes[i] % 256).p);
		lab_ok(store, store_commit(store));
	}
	const struct store_batch *batches;
	size_t n;
	lab_ok(store, store_batches(store, arena, LAB_DAY + 1, false, 0, 1000, &batches, &n));
	assert_int_equal(n, COUNT(sizes));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(batches[i].messages, 3 * sizes[i]);
		assert_int_equal(batches[i].rows, sizes[i]);
		struct listing listing = {.out = buf_in(arena)}, again = {.out = buf_in(arena)};
		lab_ok(store, store_rows(store, batches[i].id, list_row, &listing));
		lab_ok(store, store_rows(store, batches[i].id, list_row, &again));
		assert_int_equal(listing.n, sizes[i]);
		assert_true(str_eq(buf_str(&listing.out), buf_str(&again.out)));
		struct str rest = buf_str(&listing.out);
		for (struct str word; str_cut(&rest, ' ', &word);)
			assert_true(str_ends(word, STR("x3")));
	}
	arena_free(arena);
	store_close(store);
}

static void batches_come_by_pages(enum db_kind kind)
{
	struct arena *arena = arena_new(0);
	struct store *store = lab_open(kind);
	lab_ok(store, store_begin(store));
	for (int i = 0; i < 25; i++)
		lab_count(store, arena_printf(arena, "d%02d.example", i).p, "192.0.2.1");
	lab_ok(store, store_commit(store));
	unsigned seen = 0;
	int64_t after = 0;
	for (size_t n = 1; n > 0;) {
		const struct store_batch *batches;
		lab_ok(store, store_batches(store, arena, LAB_DAY + 1, false, after, 10, &batches, &n));
		assert_true(n <= 10);
		for (size_t i = 0; i < n; i++) {
			assert_true(batches[i].id > after);
			after = batches[i].id;
			unsigned number = (unsigned)(batches[i].policy.domain.p[1] - '0') * 10 +
					  (unsigned)(batches[i].policy.domain.p[2] - '0');
			assert_int_equal(seen & 1u << number, 0);
			seen |= 1u << number;
		}
	}
	assert_int_equal(seen, (1u << 25) - 1);
	arena_free(arena);
	store_close(store);
}

/* ---- readers ---- */

struct curious {
	struct store *store;
	unsigned seen, stop_after;
};

static bool look_around(void *context, const struct store_row *row)
{
	struct curious *curious = context;
	struct store_statistics statistics;
	int64_t until;
	lab_ok(curious->store, store_statistics(curious->store, LAB_DAY, &statistics));
	lab_ok(curious->store, store_bounced(curious->store, STR("x@example.com"), LAB_DAY, STR("")));
	lab_ok(curious->store, store_suppressed(curious->store, STR("x@example.com"), LAB_DAY, &until));
	check_str("row", row->row.disposition, "none");
	return ++curious->seen != curious->stop_after;
}

static void a_visitor_may_use_the_store_and_leave(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	lab_ok(store, store_begin(store));
	for (int i = 0; i < 300; i++)
		lab_count(store, "a.example", arena_printf(arena, "10.0.%d.%d", i / 256, i % 256).p);
	lab_ok(store, store_commit(store));
	int64_t batch = lab_batch(store, arena, LAB_DAY + 1).id;
	static const unsigned stops[] = {1, 255, 256, 257, 300, 0};
	for (size_t i = 0; i < COUNT(stops); i++) {
		struct curious curious = {store, 0, stops[i]};
		lab_ok(store, store_rows(store, batch, look_around, &curious));
		assert_int_equal(curious.seen, stops[i] > 0 ? stops[i] : 300);
	}
	struct curious curious = {store, 0, 0};
	lab_ok(store, store_rows(store, batch + 1000, look_around, &curious));
	assert_int_equal(curious.seen, 0);
	arena_free(arena);
	store_close(store);
}

/* Whoever builds a report reads rows that do not change any more. */
static void what_comes_late_gets_a_batch_of_its_own(enum db_kind kind)
{
	struct store *reader = lab_open(kind), *importer = lab_open(kind);
	struct arena *arena = arena_new(0);
	lab_count(importer, "a.example", "192.0.2.1");
	assert_string_equal(batches_text(reader, arena, LAB_DAY, false), "");
	assert_string_equal(batches_text(reader, arena, LAB_DAY, true), "a.example 1/1");
	/* Looking at them does not close them. */
	lab_count(importer, "a.example", "192.0.2.1");
	/* In the middle of an import, where the database lets two at it at once. */
	if (kind == DB_POSTGRESQL)
		lab_ok(importer, store_begin(importer));
	if (kind == DB_POSTGRESQL)
		lab_count(importer, "a.example", "192.0.2.1");
	assert_string_equal(batches_text(reader, arena, LAB_DAY + 1, false), "a.example 2/1");
	if (kind == DB_POSTGRESQL)
		lab_ok(importer, store_commit(importer));
	else
		lab_count(importer, "a.example", "192.0.2.1");
	assert_string_equal(batches_text(reader, arena, LAB_DAY + 1, true), "a.example 2/1, a.example 1/1");
	assert_string_equal(batches_text(reader, arena, LAB_DAY + 1, false), "a.example 2/1, a.example 1/1");
	lab_count(importer, "a.example", "192.0.2.1");
	assert_string_equal(batches_text(reader, arena, LAB_DAY, false), "");
	assert_string_equal(batches_text(reader, arena, LAB_DAY, true), "a.example 2/1, a.example 1/1, a.example 1/1");
	arena_free(arena);
	store_close(reader);
	store_close(importer);
}

/* ---- text that anybody may have written ---- */

static const struct {
	const char *what;
	struct str text;
	const char *wanted; /* as it comes back */
} texts[] = {
	{"quotes", STR_INIT("'; DROP TABLE batch; --\"\\"), "'; DROP TABLE batch; --\"\\"},
	{"Latin-1", STR_INIT("gr\xfc\xdf"), "gr\xc3\xbc\xc3\x9f"},
	{"UTF-8 beyond the BMP", STR_INIT("\xf0\x9f\x93\xa7"), "\xf0\x9f\x93\xa7"},
	{"half a sequence", STR_INIT("\xe2\x82"), "\xc3\xa2\xc2\x82"},
	{"a surrogate", STR_INIT("\xed\xa0\x80"), "\xc3\xad\xc2\xa0\xc2\x80"},
	{"control bytes", STR_INIT("\x01\x1f\x7f\r\n\t"), "\x01\x1f\x7f\r\n\t"},
	{"an escape as text", STR_INIT("\\u0000"), "\\u0000"},
};

static bool keep_row(void *context, const struct store_row *row)
{
	struct buf *out = context;
	buf_printf(out, "%.*s|%.*s|%.*s|%.*s", STR_ARG(row->row.header_from), STR_ARG(row->row.envelope_from),
		STR_ARG(row->row.dkim[0].selector), STR_ARG(row->row.spf_human_result));
	return true;
}

static void no_text_is_refused(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct str t = texts[i].text;
		struct report_record record = lab_record("a.example", "192.0.2.1");
		const struct report_dkim dkim = {t, t, STR("pass"), t};
		const struct report_reason reason = {STR("other"), t};
		record.policy = (struct report_policy){t, t, t};
		record.row.reasons = &reason;
		record.row.n_reasons = 1;
		record.row.dkim = &dkim;
		record.row.n_dkim = 1;
		record.row.header_from = record.row.envelope_from = record.row.envelope_to = t;
		record.row.spf_domain = record.row.spf_human_result = t;
		lab_ok(store, store_count(store, &record, LAB_DAY + (int64_t)i));
		const struct store_batch *batches;
		size_t n;
		lab_ok(store, store_batches(store, arena, LAB_DAY + 1000, false, (int64_t)i, 1, &batches, &n));
		assert_int_equal(n, 1);
		check_str(texts[i].what, batches[0].policy.domain, texts[i].wanted);
		check_str(texts[i].what, batches[0].policy.record, texts[i].wanted);
		struct buf out = buf_in(arena);
		lab_ok(store, store_rows(store, batches[0].id, keep_row, &out));
		const char *w = texts[i].wanted;
		check_str(texts[i].what, buf_str(&out), arena_printf(arena, "%s|%s|%s|%s", w, w, w, w).p);
	}
	/* NUL is the one byte that PostgreSQL has no place for; and a record longer than its index takes. */
	struct report_record record = lab_record("a.example", "192.0.2.1");
	char *record_text = arena_alloc(arena, 100000);
	memset(record_text, 'x', 100000);
	record_text[50000] = '\0';
	record.policy.record = str_from(record_text, 100000);
	record.row.spf_domain = STR("a\0b");
	record.row.spf_human_result = record.policy.record;
	lab_ok(store, store_count(store, &record, LAB_DAY));
	lab_ok(store, store_count(store, &record, LAB_DAY));
	/* What stands behind the NUL counts. */
	record_text[99999] = 'y';
	lab_ok(store, store_count(store, &record, LAB_DAY));
	assert_non_null(strstr(batches_text(store, arena, 0, true), "a.example 2/1, a.example 1/1"));
	arena_free(arena);
	store_close(store);
}

/* ---- opening ---- */

static void urls(void **state)
{
	(void)state;
	static const struct {
		const char *url, *error;
		enum err err;
	} rows[] = {
		{"", ": write sqlite:/path", ERR_CONFIG},
		{"mysql://a:secret@host/db", "mysql://a:***@host/db: write sqlite:/path", ERR_CONFIG},
		{"sqlite:", "sqlite:: write sqlite:/path", ERR_CONFIG},
		{"/var/lib/reports.db", "/var/lib/reports.db: write sqlite:/path", ERR_CONFIG},
		{"sqlite:/no/where.db", "sqlite:/no/where.db: cannot open or create it: No such file", ERR_IO},
		{"postgresql://a:secret@127.0.0.1:1/db", "postgresql://a:***@127.0.0.1:1/db: connection to server",
			ERR_IO},
		{"postgresql://a:sec/ret@127.0.0.1:1/db", "postgresql://a:***@127.0.0.1:1/db: not a URL", ERR_IO},
		{"postgres://a@127.0.0.1:1/db?password=secret", "password=***: connection to server", ERR_IO},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct store *store;
		char error[STORE_ERROR_SIZE];
		check_int(rows[i].url, store_open(str_of(rows[i].url), &store, error), rows[i].err);
		assert_null(store);
		if (strstr(error, rows[i].error) == NULL || strstr(error, "sec") != NULL)
			fail_msg("%s: %s", rows[i].url, error);
	}
}

static void a_file_that_was_removed_is_made_anew(void **state)
{
	(void)state;
	databases_empty(DB_SQLITE);
	struct arena *arena = arena_new(0);
	struct store *store = lab_open(DB_SQLITE);
	lab_count(store, "a.example", "192.0.2.1");
	assert_int_equal(unlink(databases_url(DB_SQLITE) + strlen("sqlite:")), 0);
	lab_count(store, "b.example", "192.0.2.1");
	assert_string_equal(batches_text(store, arena, 0, true), "b.example 1/1");
	store_close(store);
	store = lab_open(DB_SQLITE);
	assert_string_equal(batches_text(store, arena, 0, true), "b.example 1/1");
	store_close(store);
	arena_free(arena);
}

ON_BOTH(equal_rows_are_one)
ON_BOTH(differences_count)
ON_BOTH(many_rows)
ON_BOTH(batches_come_by_pages)
ON_BOTH(a_visitor_may_use_the_store_and_leave)
ON_BOTH(what_comes_late_gets_a_batch_of_its_own)
ON_BOTH(no_text_is_refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_equal_rows_are_one),
		cmocka_unit_test(both_differences_count),
		cmocka_unit_test(both_many_rows),
		cmocka_unit_test(both_batches_come_by_pages),
		cmocka_unit_test(both_a_visitor_may_use_the_store_and_leave),
		cmocka_unit_test(both_what_comes_late_gets_a_batch_of_its_own),
		cmocka_unit_test(both_no_text_is_refused),
		cmocka_unit_test(urls),
		cmocka_unit_test(a_file_that_was_removed_is_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, databases_finish);
}
