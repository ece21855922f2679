/*
 * A session's state: what it carries from the connection into each message, what
 * it forgets between two, and what becomes of a message for which memory ran out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fake_auth.h"
#include "milter/effects.h"
#include "milter/session.h"
#include "report/spool.h"

struct fixture {
	struct service *service;
	struct session *session;
	const char *queue_id, *auth_user;
	unsigned n_wakes;
};

static struct str peer_macro(void *context, const char *name)
{
	const struct fixture *fixture = context;
	if (strcmp(name, "i") == 0)
		return str_of(fixture->queue_id);
	if (strcmp(name, "{auth_authen}") == 0)
		return str_of(fixture->auth_user);
	if (strcmp(name, "j") == 0)
		return STR("mx.example.net");
	return (struct str){0};
}

static void peer_wake(void *context)
{
	__atomic_add_fetch(&((struct fixture *)context)->n_wakes, 1, __ATOMIC_SEQ_CST);
}

static void fixture_session(struct fixture *fixture, bool leading_space)
{
	struct front_peer peer = {peer_macro, peer_wake, fixture};
	session_free(fixture->session);
	fixture->session = session_new(fixture->service, &peer, leading_space);
	assert_non_null(fixture->session);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->service = service_new(NULL);
	service_publish(fixture->service, runtime_new(), false);
	fixture_session(fixture, true);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	session_free(fixture->session);
	assert_int_equal(service_load(fixture->service).sessions, 0);
	assert_int_equal(service_load(fixture->service).messages, 0);
	assert_int_equal(fake_auth_live(), 0);
	service_free(fixture->service);
	free(fixture);
	return 0;
}

static struct ip ip_of(const char *text)
{
	struct ip ip = {0};
	if (text != NULL)
		assert_true(ip_parse(str_of(text), &ip));
	return ip;
}

static void do_connect(struct fixture *fixture, const char *ip_text, const char *name)
{
	struct ip ip = ip_of(ip_text);
	session_connect(fixture->session, &ip, str_of(name));
}

/* End the message; what the fake was told must be @expected. */
static void expect_told(struct fixture *fixture, const char *expected)
{
	const struct verdict *verdict = NULL;
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_DONE);
	assert_int_equal(verdict->n_insertions, 1);
	assert_string_equal(verdict->insertions[0].value.p, expected);
	session_finish(fixture->session, true);
}

static void test_envelope(void **state)
{
	static const struct {
		const char *ip, *name, *helo, *from, *auth_user, *told;
	} rows[] = {
		{"192.0.2.1", "mail.example.org", "mail.example.org", "<a@example.org>", NULL,
			" client=192.0.2.1 name=mail.example.org helo=mail.example.org from=a@example.org auth= "
			"daemon= "
			"mta=mx.example.net eoh body=0 mark="},
		/* The MTA writes these two where it has no verified name. */
		{"192.0.2.1", "[192.0.2.1]", "x", "<a@example.org>", NULL,
			" client=192.0.2.1 name= helo=x from=a@example.org auth= daemon= mta=mx.example.net eoh body=0 "
			"mark="},
		{"192.0.2.1", "unknown", "x", "<a@example.org>", NULL,
			" client=192.0.2.1 name= helo=x from=a@example.org auth= daemon= mta=mx.example.net eoh body=0 "
			"mark="},
		/* No address, no name: from outside, not local submission. */
		{NULL, "unknown", "x", "<a@example.org>", NULL,
			" client=0.0.0.0 name= helo=x from=a@example.org auth= daemon= mta=mx.example.net eoh body=0 "
			"mark="},
		{NULL, "localhost", "x", "<a@example.org>", NULL,
			" client=local name=localhost helo=x from=a@example.org auth= daemon= mta=mx.example.net eoh "
			"body=0 mark="},
		/* The null sender, and an MTA that sends no brackets. */
		{"192.0.2.1", "h", "x", "<>", NULL,
			" client=192.0.2.1 name=h helo=x from= auth= daemon= mta=mx.example.net eoh body=0 mark="},
		{"192.0.2.1", "h", "x", "a@example.org", "joe",
			" client=192.0.2.1 name=h helo=x from=a@example.org auth=joe daemon= mta=mx.example.net eoh "
			"body=0 mark="},
		/* No HELO at all. */
		{"192.0.2.1", "h", NULL, "<a@b>", NULL,
			" client=192.0.2.1 name=h helo= from=a@b auth= daemon= mta=mx.example.net eoh body=0 mark="},
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		do_connect(fixture, rows[i].ip, rows[i].name);
		if (rows[i].helo != NULL)
			session_helo(fixture->session, str_of(rows[i].helo));
		fixture->auth_user = rows[i].auth_user;
		session_mail(fixture->session, str_of(rows[i].from));
		session_eoh(fixture->session);
		expect_told(fixture, rows[i].told);
	}
}

static void test_without_connect_is_outside(void **state)
{
	struct fixture *fixture = *state;
	session_mail(fixture->session, STR("<a@b>"));
	expect_told(fixture, " client=0.0.0.0 name= helo= from=a@b auth= daemon= mta=mx.example.net eoh body=0 mark=");
}

static void test_nothing_is_carried_over(void **state)
{
	struct fixture *fixture = *state;
	do_connect(fixture, "192.0.2.1", "h");
	session_helo(fixture->session, STR("one"));
	session_mail(fixture->session, STR("<a@b>"));
	session_rcpt(fixture->session, STR("<c@d>"));
	session_header(fixture->session, STR("X"), STR(" 1"));
	/* No abort: MAIL alone begins anew. HELO once more before it. */
	session_helo(fixture->session, STR("two"));
	session_mail(fixture->session, STR("<e@f>"));
	session_rcpt(fixture->session, STR("<g@h>"));
	session_body(fixture->session, STR("12345"));
	expect_told(fixture, " client=192.0.2.1 name=h helo=two from=e@f auth= daemon= mta=mx.example.net rcpt=g@h eoh "
			     "body=5 mark=");
	session_mail(fixture->session, STR("<i@j>"));
	session_abort(fixture->session);
	assert_int_equal(fake_auth_live(), 0);
	session_mail(fixture->session, STR("<k@l>"));
	expect_told(fixture,
		" client=192.0.2.1 name=h helo=two from=k@l auth= daemon= mta=mx.example.net eoh body=0 mark=");
}

static void test_leading_space(void **state)
{
	struct fixture *fixture = *state;
	fixture_session(fixture, false);
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("Subject"), STR("hello"));
	session_eoh(fixture->session);
	expect_told(fixture, " client=0.0.0.0 name= helo= from=a@b auth= daemon= mta=mx.example.net [Subject: hello] "
			     "eoh body=0 mark=");
}

static void test_body_not_needed(void **state)
{
	struct fixture *fixture = *state;
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X-No-Body"), STR(" 1"));
	session_eoh(fixture->session);
	assert_false(session_body(fixture->session, STR("123")));
	/* An MTA that does not understand SKIP sends the rest all the same. */
	assert_false(session_body(fixture->session, STR("456")));
	session_abort(fixture->session);
	session_mail(fixture->session, STR("<a@b>"));
	session_eoh(fixture->session);
	assert_true(session_body(fixture->session, STR("123")));
}

static void expect_internal_error(struct fixture *fixture, enum verdict_action action)
{
	const struct verdict *verdict = NULL;
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_DONE);
	assert_int_equal(verdict->action, action);
	assert_int_equal(verdict->n_insertions, 0);
	if (action == VERDICT_TEMPFAIL)
		assert_int_equal(verdict->reply_code.p[0], '4');
	session_finish(fixture->session, true);
}

static void test_out_of_memory(void **state)
{
	struct fixture *fixture = *state;
	do_connect(fixture, "192.0.2.1", "h");
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X-Eat"), STR(" 2000000"));
	assert_int_equal(fake_auth_live(), 0);
	/* What comes now belongs to a message that is lost. */
	session_header(fixture->session, STR("X-Crash"), STR(" 1"));
	session_eoh(fixture->session);
	assert_false(session_body(fixture->session, STR("text")));
	expect_internal_error(fixture, VERDICT_TEMPFAIL);
	/* The next one is sound, though it is served from the same memory. */
	session_mail(fixture->session, STR("<c@d>"));
	expect_told(
		fixture, " client=192.0.2.1 name=h helo= from=c@d auth= daemon= mta=mx.example.net eoh body=0 mark=");

	struct runtime *lenient = runtime_new();
	lenient->auth.on_internal_error = AUTH_ON_ERROR_ACCEPT;
	service_publish(fixture->service, lenient, false);
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X-Eat"), STR(" 2000000"));
	expect_internal_error(fixture, VERDICT_ACCEPT);
}

static void test_recorded(void **state)
{
	static const struct {
		const char *bytes, *action;
		uint64_t written, dropped;
	} rows[] = {
		{"10", "reject", 1, 0},
		/* There is no memory for the record; the verdict stands. */
		{"60000", "reject", 0, 1},
		{"60000", "quarantine", 0, 1},
		/* It comes again. */
		{"10", "tempfail", 0, 0},
	};
	struct fixture *fixture = *state;
	char directory[] = "/tmp/trimilter-session-XXXXXX", command[64], error[SPOOL_ERROR_SIZE];
	assert_non_null(mkdtemp(directory));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spool *spool;
		struct runtime *runtime = runtime_new();
		const struct verdict *verdict = NULL;
		runtime->report.failure = true;
		runtime->auth.maximum_message_memory = 300000;
		service_publish(fixture->service, runtime, false);
		assert_int_equal(spool_new(str_of(directory), &spool, error), ERR_OK);
		service_set_spool(fixture->service, spool);
		session_mail(fixture->session, STR("<a@b>"));
		session_header(fixture->session, STR("X-Record"), str_of(rows[i].bytes));
		session_header(fixture->session, STR("X-Action"), str_of(rows[i].action));
		assert_int_equal(session_end(fixture->session, &verdict), SESSION_DONE);
		/* Before the MTA can have its answer. */
		assert_int_equal(spool_counters(spool).written, rows[i].written);
		assert_int_equal(spool_counters(spool).dropped, rows[i].dropped);
		assert_string_equal(verdict_action_text(verdict->action), rows[i].action);
		session_finish(fixture->session, true);
		service_set_spool(fixture->service, NULL);
		spool_free(spool);
	}
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

static void test_a_message_keeps_its_runtime(void **state)
{
	struct fixture *fixture = *state;
	struct runtime *newer = runtime_new();
	newer->auth.authserv_id = STR("newer");
	session_mail(fixture->session, STR("<a@b>"));
	service_publish(fixture->service, newer, false);
	expect_told(fixture, " client=0.0.0.0 name= helo= from=a@b auth= daemon= mta=mx.example.net eoh body=0 mark=");
	session_mail(fixture->session, STR("<a@b>"));
	expect_told(
		fixture, " client=0.0.0.0 name= helo= from=a@b auth= daemon= mta=mx.example.net eoh body=0 mark=newer");
}

static void test_waiting(void **state)
{
	struct fixture *fixture = *state;
	const struct verdict *verdict;
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X-Wait"), STR(" 50"));
	session_eoh(fixture->session);
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_WAITING);
	while (__atomic_load_n(&fixture->n_wakes, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_DONE);
	session_finish(fixture->session, true);
	/* Given up while it waits. */
	session_mail(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X-Wait"), STR(" 50"));
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_WAITING);
	session_abort(fixture->session);
	assert_int_equal(fake_auth_live(), 0);
}

static void test_out_of_order(void **state)
{
	struct fixture *fixture = *state;
	const struct verdict *verdict = NULL;
	session_rcpt(fixture->session, STR("<a@b>"));
	session_header(fixture->session, STR("X"), STR(" 1"));
	session_eoh(fixture->session);
	assert_false(session_body(fixture->session, STR("text")));
	assert_int_equal(session_end(fixture->session, &verdict), SESSION_DONE);
	assert_int_equal(verdict->action, VERDICT_TEMPFAIL);
	session_finish(fixture->session, true);
	session_abort(fixture->session);
	session_abort(fixture->session);
}

/* ---- effects ---- */

static char effects_log[4096];
static bool effects_refuse;

static bool note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool note(const char *format, ...)
{
	va_list args;
	size_t n = strlen(effects_log);
	va_start(args, format);
	vsnprintf(effects_log + n, sizeof(effects_log) - n, format, args);
	va_end(args);
	return !effects_refuse;
}

static bool note_delete(void *context, const char *name, unsigned ordinal)
{
	(void)context;
	return note("-%s:%u|", name, ordinal);
}

static bool note_insert(void *context, const char *name, const char *value)
{
	(void)context;
	return note("+%s:%s|", name, value);
}

static bool note_recipient(void *context, const char *address)
{
	(void)context;
	return note("r:%s|", address);
}

static bool note_quarantine(void *context, const char *reason)
{
	(void)context;
	return note("q:%s|", reason);
}

static bool note_reply(void *context, const char *code, const char *enhanced_code, const char *text)
{
	(void)context;
	return note("y:%s %s %s|", code, enhanced_code, text);
}

static void test_effects(void **state)
{
	static const struct verdict_deletion deletions[] = {{STR_INIT("A"), 3}, {STR_INIT("A"), 1}};
	static const struct verdict_insertion insertions[] = {
		{STR_INIT("B"), STR_INIT(" one\n\ttwo")}, {STR_INIT("C"), STR_INIT(" x")}};
	static const struct {
		enum verdict_action action;
		bool leading_space;
		const char *done;
	} rows[] = {
		{VERDICT_ACCEPT, true, "-A:3|-A:1|+B: one\n\ttwo|+C: x|r:x@example.com|"},
		{VERDICT_ACCEPT, false, "-A:3|-A:1|+B:one\n\ttwo|+C:x|r:x@example.com|"},
		{VERDICT_QUARANTINE, true, "-A:3|-A:1|+B: one\n\ttwo|+C: x|r:x@example.com|q:50% held??|"},
		{VERDICT_REJECT, true, "y:550 5.7.1 100%% no?line|"},
		{VERDICT_TEMPFAIL, true, "y:550 5.7.1 100%% no?line|"},
		{VERDICT_DISCARD, true, ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct effects_port port = {note_delete, note_insert, note_recipient, note_quarantine, note_reply, NULL,
			rows[i].leading_space};
		struct verdict verdict = {
			.action = rows[i].action,
			.reply_code = STR("550"),
			.enhanced_code = STR("5.7.1"),
			.reply_text = STR("100% no\nline"),
			.quarantine_reason = STR("50% held\r\n"),
			.deletions = deletions,
			.n_deletions = 2,
			.insertions = insertions,
			.n_insertions = 2,
			.copy_to = STR("x@example.com"),
		};
		effects_log[0] = '\0';
		assert_true(effects_apply(&port, &verdict));
		assert_string_equal(effects_log, rows[i].done);
	}
	/* The first thing that is not taken ends it; a refusal stands without its text. */
	struct effects_port port = {note_delete, note_insert, note_recipient, note_quarantine, note_reply, NULL, true};
	struct verdict verdict = {.deletions = deletions, .n_deletions = 2};
	effects_refuse = true;
	effects_log[0] = '\0';
	assert_false(effects_apply(&port, &verdict));
	assert_string_equal(effects_log, "-A:3|");
	verdict.action = VERDICT_REJECT;
	assert_true(effects_apply(&port, &verdict));
	effects_refuse = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_envelope, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_connect_is_outside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_is_carried_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leading_space, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_body_not_needed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recorded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_message_keeps_its_runtime, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_order, set_up, tear_down),
		cmocka_unit_test(test_effects),
	};
	log_open("test_session", false, 0, false, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
