/*
 * What becomes of counted messages: reports, deliveries, failures, bounces; lists, another try, and forgetting.
 */
#include "store_lab.h"

#include <stdlib.h>

#include "base/buf.h"
#include "report/line.h"

#define NOW (LAB_DAY + 100000)
#define DAY ((int64_t)86400)

static struct store_report lab_report(const char *id, int64_t batch)
{
	return (struct store_report){
		.batch = batch,
		.report_id = str_of(id),
		.domain = STR("a.example"),
		.begin = LAB_DAY,
		.end = LAB_DAY + DAY - 1,
		.messages = 3,
		.rows = 2,
		.built = NOW,
		.file_name = STR("mx.example!a.example!1!2!x.xml.gz"),
		.subject = STR("Report Domain: a.example"),
		.data = STR("\x1f\x8b\0\xff data"),
	};
}

static const struct store_destination two[] = {
	{STR_INIT("rua@a.example"), NOW + 60, NULL},
	{STR_INIT("rua@third.example"), NOW + 60, "no consent"},
};

static int64_t new_batch(struct store *store, struct arena *arena, const char *domain)
{
	lab_count(store, domain, "192.0.2.1");
	const struct store_batch *batches;
	size_t n;
	lab_ok(store, store_batches(store, arena, LAB_DAY + 1, false, 0, 1000, &batches, &n));
	for (size_t i = 0; i < n; i++)
		if (str_eq(batches[i].policy.domain, str_of(domain)))
			return batches[i].id;
	fail();
	return 0;
}

static bool is_unreported(struct store *store, struct arena *arena, int64_t batch)
{
	const struct store_batch *batches;
	size_t n;
	lab_ok(store, store_batches(store, arena, LAB_DAY + 1, false, batch - 1, 1, &batches, &n));
	return n == 1 && batches[0].id == batch;
}

/* "REPORT:ADDRESS=STATE", newest first; "-" without deliveries. */
static const char *list_text(struct store *store, struct arena *arena, const char *domain)
{
	static const char *const states[] = {"pending", "sent", "refused", "expired"};
	const struct store_listing *listings;
	struct buf out = buf_in(arena);
	size_t n;
	lab_ok(store, store_list(store, arena, str_of(domain), STORE_ANY_STATE, 100, &listings, &n));
	for (size_t i = 0; i < n; i++) {
		const struct store_delivery *delivery = &listings[i].delivery;
		buf_printf(&out, "%s%.*s:", i > 0 ? " " : "", STR_ARG(listings[i].report.report_id));
		if (delivery->id == 0)
			buf_add_char(&out, '-');
		else
			buf_printf(&out, "%.*s=%s", STR_ARG(delivery->address), states[delivery->state]);
	}
	return buf_cstr(&out);
}

static size_t due(
	struct store *store, struct arena *arena, int64_t now, size_t limit, const struct store_delivery **ret)
{
	size_t n;
	lab_ok(store, store_due(store, arena, now, now, STR(""), 600, limit, ret, &n));
	return n;
}

/* ---- reports ---- */

static void a_report_is_kept_once(enum db_kind kind)
{
	struct store *one = lab_open(kind), *other = lab_open(kind);
	struct arena *arena = arena_new(0);
	int64_t batch = new_batch(one, arena, "a.example");
	struct store_report first = lab_report("part1", batch), last = lab_report("part2", batch), got;
	lab_ok(one, store_add_report(one, &first, two, 2, false));
	assert_true(is_unreported(one, arena, batch));
	/* As after a kill between the two parts: they are built again. */
	lab_ok(other, store_add_report(other, &first, two, 2, false));
	lab_ok(other, store_add_report(other, &last, two, 1, true));
	assert_false(is_unreported(one, arena, batch));
	/* One whose lease was over without its knowing. */
	struct store_report third = lab_report("part3", batch);
	lab_ok(one, store_add_report(one, &last, two, 1, true));
	lab_ok(one, store_add_report(one, &third, two, 1, true));
	assert_string_equal(list_text(one, arena, ""),
		"part2:rua@a.example=pending part1:rua@a.example=pending part1:rua@third.example=refused");

	const struct store_listing *listings;
	size_t n;
	lab_ok(one, store_list(one, arena, STR("A.Example"), STORE_ANY_STATE, 1, &listings, &n));
	assert_int_equal(n, 1);
	assert_int_equal(listings[0].report.data.n, 0);
	lab_ok(one, store_report_get(one, arena, listings[0].report.id, &got));
	assert_int_equal(got.id, listings[0].report.id);
	assert_int_equal(got.batch, batch);
	check_str("id", got.report_id, "part2");
	check_str("domain", got.domain, "a.example");
	check_int("begin", got.begin, last.begin);
	check_int("end", got.end, last.end);
	check_int("messages", (long long)got.messages, 3);
	check_int("rows", (long long)got.rows, 2);
	check_int("built", got.built, NOW);
	check_str("file", got.file_name, "mx.example!a.example!1!2!x.xml.gz");
	check_str("subject", got.subject, "Report Domain: a.example");
	assert_true(str_eq(got.data, last.data));
	lab_ok(one, store_report_get(one, arena, 4711, &got));
	assert_int_equal(got.id, 0);
	/* What comes late is another report. */
	lab_count(one, "a.example", "192.0.2.9");
	assert_true(lab_batch(one, arena, LAB_DAY + 1).id > batch);
	arena_free(arena);
	store_close(one);
	store_close(other);
}

static void all_parts_or_none(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	int64_t batch = new_batch(store, arena, "a.example");
	struct store_report first = lab_report("part1", batch), last = lab_report("part2", batch);
	lab_ok(store, store_begin(store));
	lab_ok(store, store_add_report(store, &first, two, 2, false));
	lab_ok(store, store_add_report(store, &last, two, 2, true));
	store_rollback(store);
	assert_string_equal(list_text(store, arena, ""), "");
	assert_true(is_unreported(store, arena, batch));
	lab_ok(store, store_begin(store));
	lab_ok(store, store_add_report(store, &first, two, 1, false));
	lab_ok(store, store_add_report(store, &last, NULL, 0, true));
	lab_ok(store, store_commit(store));
	assert_string_equal(list_text(store, arena, "a.example"), "part2:- part1:rua@a.example=pending");
	assert_false(is_unreported(store, arena, batch));
	/* A batch that there is not. */
	struct store_report stray = lab_report("stray", 4711);
	lab_ok(store, store_add_report(store, &stray, two, 1, true));
	assert_string_equal(list_text(store, arena, "a.example"), "part2:- part1:rua@a.example=pending");
	assert_string_equal(list_text(store, arena, "b.example"), "");
	arena_free(arena);
	store_close(store);
}

/* ---- deliveries ---- */

static void one_at_a_time_delivers(enum db_kind kind)
{
	struct store *one = lab_open(kind), *other = lab_open(kind);
	struct arena *arena = arena_new(0);
	const struct store_delivery *mine, *theirs;
	struct store_destination many[10];
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct store_destination){
			arena_printf(arena, "a%zu@a.example", i), NOW + 60 + (int64_t)(i / 5) * 1000, NULL};
	struct store_report report = lab_report("r", 0);
	lab_ok(one, store_add_report(one, &report, many, COUNT(many), false));
	assert_int_equal(due(one, arena, NOW + 59, 100, &mine), 0);
	assert_int_equal(due(one, arena, NOW + 60, 2, &mine), 2);
	assert_int_equal(due(other, arena, NOW + 60, 100, &theirs), 3);
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 3; j++)
			assert_true(mine[i].id != theirs[j].id);
	check_int("attempts", mine[0].attempts, 0);
	check_int("created", mine[0].created, NOW);
	assert_int_equal(mine[0].state, STORE_PENDING);
	/* Nobody else's until the claim is over. */
	assert_int_equal(due(other, arena, NOW + 659, 100, &theirs), 0);
	lab_ok(one, store_delivery_done(one, mine[0].id, STORE_SENT, NOW + 70, 0, STR("250 ok")));
	lab_ok(one, store_delivery_done(one, mine[1].id, STORE_PENDING, NOW + 70, NOW + 300, STR("451 gr\xfc\0y")));
	assert_int_equal(due(other, arena, NOW + 299, 100, &theirs), 0);
	assert_int_equal(due(other, arena, NOW + 300, 100, &theirs), 1);
	assert_int_equal(theirs[0].id, mine[1].id);
	assert_int_equal(theirs[0].attempts, 1);
	check_int("changed", theirs[0].changed, NOW + 70);
	check_str("note", theirs[0].note, "451 gr\xc3\xbc\xef\xbf\xbdy");
	/* Who thought it had failed comes after who has sent it. */
	lab_ok(other, store_delivery_done(other, theirs[0].id, STORE_SENT, NOW + 301, 0, STR("250 ok")));
	lab_ok(one, store_delivery_done(one, theirs[0].id, STORE_PENDING, NOW + 302, NOW + 303, STR("timeout")));
	assert_int_equal(due(one, arena, NOW + 660, 100, &mine), 3);
	assert_int_equal(due(one, arena, NOW + 5000, 100, &mine), 8);
	arena_free(arena);
	store_close(one);
	store_close(other);
}

static void another_try(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	const struct store_delivery *deliveries;
	uint64_t n;
	static const enum store_delivery_state outcomes[] = {STORE_EXPIRED, STORE_SENT, STORE_REFUSED};
	struct store_report a = lab_report("a", 0), b = lab_report("b", 0), nobody = lab_report("n", 0),
			    c = lab_report("c", 0);
	b.domain = STR("b.example");
	nobody.data = STR("");
	lab_ok(store, store_add_report(store, &a, two, 2, false));
	lab_ok(store, store_add_report(store, &b, two, 2, false));
	lab_ok(store, store_add_report(store, &nobody, two + 1, 1, false));
	lab_ok(store, store_add_report(store, &c, two, 1, false));
	assert_int_equal(due(store, arena, NOW + 60, 100, &deliveries), 3);
	/* Somebody is at it, and the other destination has never qualified. */
	lab_ok(store, store_retry(store, STR("B.example"), NOW + 61, &n));
	assert_int_equal(n, 0);
	for (size_t i = 0; i < 3; i++)
		lab_ok(store, store_delivery_done(store, deliveries[i].id, outcomes[i], NOW + 62, 0, STR("x")));
	lab_ok(store, store_retry(store, STR("nobody.example"), NOW + 63, &n));
	assert_int_equal(n, 0);
	lab_ok(store, store_retry(store, STR(""), NOW + 63, &n));
	assert_int_equal(n, 2);
	assert_int_equal(due(store, arena, NOW + 63, 100, &deliveries), 2);
	for (size_t i = 0; i < 2; i++) {
		check_int("attempts", deliveries[i].attempts, 0);
		check_int("created", deliveries[i].created, NOW + 63);
	}
	assert_non_null(strstr(list_text(store, arena, ""), "n:rua@third.example=refused"));
	arena_free(arena);
	store_close(store);
}

/* ---- failures ---- */

static struct report_record lab_failure(const char *id, const struct report_failure *failure)
{
	struct report_record record = lab_record("a.example", "192.0.2.1");
	record.id = str_of(id);
	record.failure = failure;
	return record;
}

static void failures_wait(enum db_kind kind)
{
	static const struct report_failure failure = {.mail_from = STR_INIT("x@\xfc.example"),
		.rcpt = STR_INIT("y@b.example"),
		.delivery_result = STR_INIT("reject"),
		.headers = STR_INIT("From: gr\xfc\xdf\0\r\n")};
	struct store *store = lab_open(kind), *other = lab_open(kind);
	struct arena *arena = arena_new(0);
	const struct store_failure *failures;
	size_t n;
	static const char *const ids[] = {"h-1", "h-2", "h-1", "h-3"};
	for (size_t i = 0; i < COUNT(ids); i++) {
		struct report_record record = lab_failure(ids[i], &failure);
		lab_ok(store, store_add_failure(store, &record));
	}
	lab_ok(store, store_failures(store, arena, NOW, 600, 2, &failures, &n));
	assert_int_equal(n, 2);
	check_str("record", failures[0].record.policy.domain, "a.example");
	assert_true(str_eq(failures[0].record.failure->headers, STR("From: gr\xc3\xbc\xc3\x9f\0\r\n")));
	int64_t first = failures[0].id;
	lab_ok(other, store_failures(other, arena, NOW, 600, 10, &failures, &n));
	assert_int_equal(n, 1);
	check_str("the third", failures[0].record.id, "h-3");
	lab_ok(store, store_failure_done(store, first));
	lab_ok(other, store_failures(other, arena, NOW + 599, 600, 10, &failures, &n));
	assert_int_equal(n, 0);
	lab_ok(other, store_failures(other, arena, NOW + 600, 600, 10, &failures, &n));
	assert_int_equal(n, 2);
	arena_free(arena);
	store_close(store);
	store_close(other);
}

static void what_cannot_be_read_stands_in_nobodys_way(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct db *db = databases_open(kind);
	struct arena *arena = arena_new(0);
	static const struct report_failure failure = {.delivery_result = STR_INIT("reject")};
	for (int64_t i = 0; i < 5; i++)
		assert_int_equal(
			db_run(db, "INSERT INTO failure (record_id, time, claimed, data) VALUES ($1, 0, 0, $2)",
				DB_VALUES(db_text(arena_printf(arena, "bad%d", (int)i)), db_text(STR("{}")))),
			ERR_OK);
	struct report_record record = lab_failure("good", &failure);
	const struct store_failure *failures;
	size_t n;
	lab_ok(store, store_add_failure(store, &record));
	lab_ok(store, store_failures(store, arena, NOW, 600, 1, &failures, &n));
	assert_int_equal(n, 1);
	check_str("id", failures[0].record.id, "good");
	struct store_statistics statistics;
	lab_ok(store, store_statistics(store, NOW, &statistics));
	assert_int_equal(statistics.failures_waiting, 1);
	arena_free(arena);
	db_close(db);
	store_close(store);
}

static void so_many_an_hour(enum db_kind kind)
{
	static const struct {
		const char *what, *domain;
		int64_t now;
		bool allowed;
		uint64_t suppressed;
	} rows[] = {
		{"first", "a.example", LAB_DAY + 3500, true, 0},
		{"second", "a.example", LAB_DAY + 3500, true, 0},
		{"too many", "a.example", LAB_DAY + 3599, false, 0},
		{"still", "a.example", LAB_DAY + 3599, false, 0},
		{"another domain", "b.example", LAB_DAY + 3599, true, 0},
		{"the next hour tells of both", "a.example", LAB_DAY + 3600, true, 2},
		{"once", "a.example", LAB_DAY + 3601, true, 0},
		{"too many again", "a.example", LAB_DAY + 7199, false, 0},
		{"after a quiet day", "a.example", LAB_DAY + 90000, true, 1},
	};
	struct store *store = lab_open(kind);
	bool allowed;
	uint64_t suppressed;
	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_ok(store,
			store_failure_quota(store, str_of(rows[i].domain), rows[i].now, 2, &allowed, &suppressed));
		check_int(rows[i].what, allowed, rows[i].allowed);
		check_int(rows[i].what, (long long)suppressed, (long long)rows[i].suppressed);
	}
	/* With the transaction that was to send it goes the count. */
	for (int i = 0; i < 3; i++) {
		lab_ok(store, store_begin(store));
		lab_ok(store, store_failure_quota(store, STR("c.example"), LAB_DAY, 1, &allowed, &suppressed));
		assert_true(allowed);
		store_rollback(store);
	}
	lab_ok(store, store_failure_quota(store, STR("c.example"), LAB_DAY, 0, &allowed, &suppressed));
	assert_false(allowed);
	store_close(store);
}

/* ---- bounces ---- */

static void bounces_suppress_for_a_growing_time(enum db_kind kind)
{
	static const int64_t days[] = {1, 2, 4, 8, 16, 32, 32, 32};
	struct store *store = lab_open(kind);
	int64_t now = NOW, until;
	for (size_t i = 0; i < COUNT(days); i++) {
		lab_ok(store, store_bounced(store, STR("Rua@A.example"), now, STR("550 no such user")));
		lab_ok(store, store_suppressed(store, STR("rua@a.example"), now, &until));
		check_int("until", until - now, days[i] * DAY);
		lab_ok(store, store_suppressed(store, STR("rua@a.example"), until, &until));
		check_int("over", until, 0);
		now += days[i] * DAY + 5;
	}
	lab_ok(store, store_suppressed(store, STR("else@a.example"), NOW, &until));
	check_int("another", until, 0);
	/* A long time without any: it has been mended, and breaks anew. */
	now += 40 * DAY;
	lab_ok(store, store_bounced(store, STR("rua@a.example"), now, STR("")));
	lab_ok(store, store_suppressed(store, STR("rua@a.example"), now, &until));
	check_int("anew", until - now, DAY);
	store_close(store);
}

/* ---- forgetting ---- */

static void only_what_is_over_is_forgotten(enum db_kind kind)
{
	struct store *store = lab_open(kind);
	struct arena *arena = arena_new(0);
	struct store_statistics s;
	uint64_t n, position;
	char domain[32];
	/* More than go into one transaction: all sent; one of them later than the others. */
	for (int i = 0; i < 120; i++) {
		snprintf(domain, sizeof(domain), "d%d.example", i);
		struct store_report report =
			lab_report(arena_printf(arena, "r%d", i).p, new_batch(store, arena, domain));
		report.domain = str_of(domain);
		report.built = NOW;
		lab_ok(store, store_add_report(store, &report, two, 1, true));
	}
	const struct store_delivery *deliveries;
	assert_int_equal(due(store, arena, NOW + 60, 1000, &deliveries), 120);
	for (int i = 0; i < 120; i++)
		lab_ok(store, store_delivery_done(store, deliveries[i].id,
				      i == 7   ? STORE_PENDING
				      : i == 8 ? STORE_EXPIRED
					       : STORE_SENT,
				      NOW + (i == 9 ? 5000 : 100), NOW + 9000, STR("")));
	/* One that is still open, one without destinations, and a failure report that was refused. */
	lab_count(store, "open.example", "192.0.2.1");
	struct store_report nobody = lab_report("nobody", new_batch(store, arena, "nobody.example"));
	lab_ok(store, store_add_report(store, &nobody, NULL, 0, true));
	struct store_report failure = lab_report("failure", 0);
	lab_ok(store, store_add_report(store, &failure, two + 1, 1, false));
	lab_ok(store, store_source_set(store, STR("old"), 10, NOW));
	lab_ok(store, store_source_set(store, STR("new"), 10, NOW + 2000));
	lab_ok(store, store_bounced(store, STR("x@a.example"), NOW, STR("")));

	lab_ok(store, store_expire(store, NOW, &n));
	assert_int_equal(n, 0);
	lab_ok(store, store_statistics(store, NOW, &s));
	assert_int_equal(s.reports, 122);
	assert_int_equal(s.messages, 122);
	assert_int_equal(s.rows, 122);
	assert_int_equal(s.batches_open, 1);
	assert_int_equal(s.pending, 1);
	assert_int_equal(s.sent, 118);
	assert_int_equal(s.refused, 1);
	assert_int_equal(s.expired, 1);
	assert_int_equal(s.suppressed, 1);
	check_int("oldest", s.oldest_open, LAB_DAY);

	lab_ok(store, store_expire(store, NOW + 1000, &n));
	assert_int_equal(n, 120);
	lab_ok(store, store_statistics(store, NOW + 2 * DAY, &s));
	assert_int_equal(s.reports, 2);
	assert_int_equal(s.messages, 3);
	assert_int_equal(s.rows, 3);
	assert_int_equal(s.pending, 1);
	assert_int_equal(s.sent, 1);
	assert_int_equal(s.suppressed, 0);
	lab_ok(store, store_source_position(store, STR("old"), &position));
	assert_int_equal(position, 0);
	lab_ok(store, store_source_position(store, STR("new"), &position));
	assert_int_equal(position, 10);
	arena_free(arena);
	store_close(store);
}

ON_BOTH(a_report_is_kept_once)
ON_BOTH(all_parts_or_none)
ON_BOTH(one_at_a_time_delivers)
ON_BOTH(another_try)
ON_BOTH(failures_wait)
ON_BOTH(what_cannot_be_read_stands_in_nobodys_way)
ON_BOTH(so_many_an_hour)
ON_BOTH(bounces_suppress_for_a_growing_time)
ON_BOTH(only_what_is_over_is_forgotten)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_a_report_is_kept_once),
		cmocka_unit_test(both_all_parts_or_none),
		cmocka_unit_test(both_one_at_a_time_delivers),
		cmocka_unit_test(both_another_try),
		cmocka_unit_test(both_failures_wait),
		cmocka_unit_test(both_what_cannot_be_read_stands_in_nobodys_way),
		cmocka_unit_test(both_so_many_an_hour),
		cmocka_unit_test(both_bounces_suppress_for_a_growing_time),
		cmocka_unit_test(both_only_what_is_over_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, databases_finish);
}
