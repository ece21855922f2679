/*
 * Conversations, byte for byte, over a decision that the message's own fields make (fake_auth.c).
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "fake_auth.h"
#include "milter/front_native_talk.h"
#include "test.h"

struct fixture {
	struct arena *arena;
	struct service *service;
	struct talk talk;
	struct buf bytes; /* of the MTA */
};

static void wake(void *context)
{
	(void)context;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->arena = arena_new(0);
	fixture->service = service_new(NULL);
	service_publish(fixture->service, runtime_new(), true);
	fixture->bytes = buf_in(fixture->arena);
	talk_init(&fixture->talk, fixture->service, wake, NULL);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	talk_finish(&fixture->talk);
	assert_int_equal(service_load(fixture->service).sessions, 0);
	assert_int_equal(fake_auth_live(), 0);
	service_free(fixture->service);
	arena_free(fixture->arena);
	free(fixture);
	return 0;
}

static void say(struct fixture *fixture, char code, struct str arguments)
{
	const char head[] = {0, 0, (char)((arguments.n + 1) >> 8), (char)((arguments.n + 1) & 0xff), code};
	buf_add(&fixture->bytes, str_from(head, sizeof(head)));
	buf_add(&fixture->bytes, arguments);
}

static void negotiate(struct fixture *fixture, bool adds_recipients)
{
	say(fixture, 'O',
		adds_recipients ? STR("\0\0\0\6\0\0\1\xff\0\x1f\xff\xff") : STR("\0\0\0\2\0\0\0\x31\0\0\0\0"));
}

static void say_message(struct fixture *fixture, const char *name, const char *value)
{
	struct buf field = buf_in(fixture->arena);
	buf_printf(&field, "%s%c%s%c", name, 0, value, 0);
	say(fixture, 'M', STR("<a@example.com>\0"));
	say(fixture, 'R', STR("<b@example.com>\0"));
	say(fixture, 'L', buf_str(&field));
	say(fixture, 'N', STR(""));
	say(fixture, 'E', STR(""));
}

/* One turn; its replies go behind those in @out. */
static enum talk_step take_turn(struct fixture *fixture, struct str *said, struct wire_out *out)
{
	struct wire_out turn = {0};
	enum talk_step step = talk_take(&fixture->talk, said, &turn);
	if (turn.n > 0) {
		out->p = realloc(out->p, out->n + turn.n);
		assert_non_null(out->p);
		memcpy(out->p + out->n, turn.p, turn.n);
		out->n += turn.n;
	}
	wire_out_finish(&turn);
	return step;
}

/* The codes of the replies. What was said is used up. */
static enum talk_step hear(struct fixture *fixture, struct wire_out *out, char *ret_codes, size_t size)
{
	struct str said = buf_str(&fixture->bytes);
	enum talk_step step = TALK_GOES_ON;
	size_t n = 0;
	while (step == TALK_GOES_ON || step == TALK_YIELDS)
		step = take_turn(fixture, &said, out);
	for (struct str rest = str_from(out->p, out->n); rest.n > 0; rest = str_skip(rest, wire_size(rest)))
		if (n + 1 < size)
			ret_codes[n++] = rest.p[4];
	ret_codes[n] = '\0';
	fixture->bytes.n = 0;
	return step;
}

/* ---- replies ---- */

static void test_verdicts(void **state)
{
	/* The answers to the negotiation, to MAIL, and to the end of the message. */
	static const struct {
		const char *name, *value, *codes, *text;
	} rows[] = {
		{"X-Action", "reject", "Ocy", "550 5.7.1 100%% refused"},
		{"X-Action", "tempfail", "Ocy", "451 4.7.1 not now"},
		{"X-Action", "discard", "Ocd", ""},
		{"X-Action", "quarantine", "Ociqc", "held"},
		{"X-Action", "accept", "Ocic", ""},
		{"X-Copy", "c@example.com", "Oci+c", "c@example.com"},
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_out out = {0};
		char codes[20];
		negotiate(fixture, true);
		say_message(fixture, rows[i].name, rows[i].value);
		assert_int_equal(hear(fixture, &out, codes, sizeof(codes)), TALK_READS);
		check_str(rows[i].value, str_of(codes), rows[i].codes);
		assert_non_null(memmem(out.p, out.n, rows[i].text, strlen(rows[i].text)));
		wire_out_finish(&out);
		talk_finish(&fixture->talk);
		talk_init(&fixture->talk, fixture->service, wake, NULL);
	}
}

/* An MTA that did not offer recipients to be added gets none; of an old one each command is answered. */
static void test_what_was_not_offered(void **state)
{
	struct fixture *fixture = *state;
	struct wire_out out = {0};
	char codes[20];
	negotiate(fixture, false);
	say_message(fixture, "X-Copy", "c@example.com");
	assert_int_equal(hear(fixture, &out, codes, sizeof(codes)), TALK_READS);
	check_str("codes", str_of(codes), "Occccic");
	wire_out_finish(&out);
}

/* While the verdict is waited for nothing is answered, and what follows is not looked at. */
static void test_waiting(void **state)
{
	struct fixture *fixture = *state;
	struct wire_out out = {0};
	enum talk_step step;
	negotiate(fixture, true);
	say_message(fixture, "X-Wait", "50");
	say(fixture, 'Q', STR(""));
	struct str said = buf_str(&fixture->bytes);
	while ((step = talk_take(&fixture->talk, &said, &out)) == TALK_YIELDS)
		out.n = 0;
	assert_int_equal(step, TALK_WAITS);
	assert_int_equal(said.n, 5);
	assert_true(talk_deadline(&fixture->talk) > clock_monotonic_ms());
	while ((step = talk_resume(&fixture->talk, &out)) == TALK_WAITS) {
		assert_int_equal(out.n, 0);
		usleep(10000);
	}
	assert_int_equal(step, TALK_GOES_ON);
	assert_int_equal(out.p[4], 'i');
	out.n = 0;
	assert_int_equal(talk_take(&fixture->talk, &said, &out), TALK_ENDS);
	wire_out_finish(&out);
}

/* ---- order ---- */

static void test_order(void **state)
{
	/* What may not come ends the conversation, with nothing said. */
	static const struct {
		const char *before;
		char code;
	} rows[] = {{"", 'C'}, {"", 'H'}, {"", 'M'}, {"", 'U'}, {"O", 'O'}, {"O", 'R'}, {"O", 'N'}, {"O", 'E'},
		{"OM", 'T'}, {"OM", 'N'}, {"OM", 'E'}, {"OMRT", 'R'}, {"OMRN", 'N'}, {"OMRN", 'C'}};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_out out = {0};
		char codes[20];
		for (const char *p = rows[i].before; *p != '\0'; p++) {
			if (*p == 'O')
				negotiate(fixture, true);
			else
				say(fixture, *p, *p == 'M' || *p == 'R' ? STR("<a@example.com>\0") : STR(""));
		}
		say(fixture, rows[i].code,
			rows[i].code == 'O'   ? STR("\0\0\0\6\0\0\1\xff\0\x1f\xff\xff")
			: rows[i].code == 'C' ? STR("h\0U")
					      : STR("x\0"));
		assert_int_equal(hear(fixture, &out, codes, sizeof(codes)), TALK_ENDS);
		assert_string_equal(fixture->talk.violation, "a command that may not come now");
		wire_out_finish(&out);
		talk_finish(&fixture->talk);
		talk_init(&fixture->talk, fixture->service, wake, NULL);
	}
}

static void test_quit(void **state)
{
	struct fixture *fixture = *state;
	struct wire_out out = {0};
	char codes[20];
	/* Before the negotiation too, "another client follows" changes nothing. */
	say(fixture, 'K', STR(""));
	negotiate(fixture, true);
	say(fixture, 'M', STR("<a@example.com>\0"));
	say(fixture, 'K', STR(""));
	say(fixture, 'C', STR("h\0U"));
	say_message(fixture, "X-Action", "discard");
	assert_int_equal(hear(fixture, &out, codes, sizeof(codes)), TALK_READS);
	check_str("codes", str_of(codes), "Occd");
	say(fixture, 'Q', STR(""));
	assert_int_equal(hear(fixture, &out, codes, sizeof(codes)), TALK_ENDS);
	assert_null(fixture->talk.violation);
	wire_out_finish(&out);
}

/* ---- bounds ---- */

/* Behind a command that is answered others have their turn first, for each such command may cost much. */
static void test_a_turn_ends_with_an_answer(void **state)
{
	struct fixture *fixture = *state;
	struct wire_out out = {0};
	negotiate(fixture, true);
	for (size_t i = 0; i < 3; i++) {
		say(fixture, 'H', STR("one\0"));
		say(fixture, 'H', STR("two\0"));
		say(fixture, 'M', STR("<a@example.com>\0"));
	}
	struct str said = buf_str(&fixture->bytes);
	for (size_t answers = 1; answers <= 4; answers++) {
		size_t n = out.n, left = said.n;
		assert_int_equal(take_turn(fixture, &said, &out), TALK_YIELDS);
		assert_int_equal(wire_size(str_from(out.p + n, out.n - n)), out.n - n);
		assert_true(said.n < left);
	}
	assert_int_equal(said.n, 0);
	assert_int_equal(take_turn(fixture, &said, &out), TALK_READS);
	wire_out_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_was_not_offered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_quit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_turn_ends_with_an_answer, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
