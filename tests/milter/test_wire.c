#include "base/buf.h"
#include "milter/wire.h"

#include "test.h"

/* A packet from a literal: the length is put in front. */
static struct str packet(char *to, const char *data, size_t n)
{
	to[0] = to[1] = 0;
	to[2] = (char)(n >> 8);
	to[3] = (char)n;
	memcpy(to + 4, data, n);
	return str_from(to, n + 4);
}

struct row {
	struct str data;
	const char *text, *value; /* NULL: a violation */
	const char *client;
};

#define DATA(literal) STR_INIT(literal)

static void test_arguments(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{DATA("Chost\0"
		      "4\0\x19"
		      "192.0.2.1\0"),
			"host", "", "192.0.2.1"},
		{DATA("Chost\0"
		      "6\0\x19"
		      "2001:db8::1\0"),
			"host", "", "2001:db8::1"},
		{DATA("Chost\0"
		      "6\0\x19"
		      "IPv6:2001:db8::1\0"),
			"host", "", "2001:db8::1"},
		{DATA("Chost\0"
		      "6\0\x19"
		      "::ffff:192.0.2.1\0"),
			"host", "", "192.0.2.1"},
		{DATA("Chost\0"
		      "L\0\0/run/x\0"),
			"host", "", "local"},
		{DATA("Chost\0U"), "host", "", "local"},
		{DATA("Chost\0Uand more"), "host", "", "local"},
		{DATA("C\0U"), "", "", "local"},
		{DATA("Chost\0"), NULL, NULL, NULL},
		{DATA("Chost"), NULL, NULL, NULL},
		{DATA("C"), NULL, NULL, NULL},
		{DATA("Chost\0"
		      "4\0\x19"
		      "192.0.2.1"),
			NULL, NULL, NULL},
		{DATA("Chost\0"
		      "4\0"),
			NULL, NULL, NULL},
		{DATA("Chost\0"
		      "4\0\x19"
		      "2001:db8::1\0"),
			NULL, NULL, NULL},
		{DATA("Chost\0"
		      "6\0\x19"
		      "192.0.2.1\0"),
			NULL, NULL, NULL},
		{DATA("Chost\0"
		      "4\0\x19"
		      "300.0.2.1\0"),
			NULL, NULL, NULL},
		{DATA("Chost\0"
		      "9\0\x19"
		      "192.0.2.1\0"),
			NULL, NULL, NULL},
		{DATA("Hname\0"), "name", "", NULL},
		{DATA("Hname"), NULL, NULL, NULL},
		{DATA("H"), NULL, NULL, NULL},
		{DATA("M<a@b>\0SIZE=1\0"), "<a@b>", "", NULL},
		{DATA("M<a@b>\0SIZE"), "<a@b>", "", NULL},
		{DATA("M\0"), "", "", NULL},
		{DATA("M<a@b>"), NULL, NULL, NULL},
		{DATA("R<a@b>\0"), "<a@b>", "", NULL},
		{DATA("R"), NULL, NULL, NULL},
		{DATA("LSubject\0 one\n two\0"), "Subject", " one\n two", NULL},
		{DATA("LSubject\0\0"), "Subject", "", NULL},
		/* libmilter hands out C strings: what stands behind a NUL is not seen. */
		{DATA("LSubject\0one\0two\0"), "Subject", "one", NULL},
		{DATA("LSubject\0one"), NULL, NULL, NULL},
		{DATA("LSubject\0"), NULL, NULL, NULL},
		{DATA("L\0value\0"), NULL, NULL, NULL},
		{DATA("L"), NULL, NULL, NULL},
		{DATA("N"), "", "", NULL},
		{DATA("T"), "", "", NULL},
		{DATA("E"), "", "", NULL},
		{DATA("Etext"), "text", "", NULL},
		{DATA("Btext"), "text", "", NULL},
		{DATA("B"), NULL, NULL, NULL},
		{DATA("UXYZZY\0"), NULL, "", NULL},
		{DATA("U"), NULL, NULL, NULL},
		{DATA("A"), "", "", NULL},
		{DATA("Q"), "", "", NULL},
		{DATA("K"), "", "", NULL},
		{DATA("D"), NULL, NULL, NULL},
		{DATA("Oxxxxxxxxxxx"), NULL, NULL, NULL},
		{DATA("Z"), NULL, NULL, NULL},
		{DATA("\xff"), NULL, NULL, NULL},
	};
	char wire[128], ip[IP_TEXT_SIZE];
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_reader reader = {0};
		struct wire_command command;
		const char *why = NULL;
		struct str bytes = packet(wire, rows[i].data.p, rows[i].data.n);
		bool is_bad = rows[i].text == NULL && rows[i].value == NULL;
		enum wire_result result = wire_read(&reader, &bytes, &command, &why);
		check_int(rows[i].data.p, result, is_bad ? WIRE_VIOLATION : WIRE_COMPLETE);
		assert_true(is_bad == (why != NULL));
		if (is_bad)
			continue;
		assert_int_equal(command.code, rows[i].data.p[0]);
		if (rows[i].text != NULL)
			check_str(rows[i].data.p, command.text, rows[i].text);
		check_str(rows[i].data.p, command.value, rows[i].value);
		if (rows[i].client != NULL)
			check_str(rows[i].data.p, str_of(ip_text(&command.client, ip)), rows[i].client);
		assert_int_equal(bytes.n, 0);
	}
}

static void test_incomplete(void **state)
{
	(void)state;
	char wire[32];
	struct str whole = packet(wire, "Hname", 6);
	for (size_t n = 0; n < whole.n; n++) {
		struct wire_reader reader = {0};
		struct wire_command command;
		const char *why = NULL;
		struct str bytes = str_head(whole, n);
		assert_int_equal(wire_read(&reader, &bytes, &command, &why), WIRE_INCOMPLETE);
		assert_int_equal(bytes.n, n);
		assert_int_equal(wire_size(bytes), n < 4 ? 5 : 10);
	}
}

/* Whatever the pieces, the chunk's bytes come in order, and the next command begins behind them. */
static void test_body_in_pieces(void **state)
{
	(void)state;
	char wire[64];
	size_t n = packet(wire, "B0123456789", 11).n;
	n += packet(wire + n, "E", 1).n;
	for (size_t first = 0; first <= n; first++) {
		struct wire_reader reader = {0};
		struct wire_command command;
		const char *why = NULL;
		char got[16] = "";
		size_t n_got = 0, from = 0;
		bool ended = false;
		for (size_t until = first; !ended; until = n) {
			struct str bytes = str_from(wire + from, until - from);
			while (!ended && wire_read(&reader, &bytes, &command, &why) == WIRE_COMPLETE) {
				ended = command.code == WIRE_END;
				memcpy(got + n_got, command.text.p, ended ? 0 : command.text.n);
				n_got += ended ? 0 : command.text.n;
			}
			from = until - bytes.n;
		}
		check_str("body", str_from(got, n_got), "0123456789");
	}
}

static void test_sizes(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		enum wire_result result;
	} rows[] = {
		{"\0\0\0\0Q", WIRE_VIOLATION},
		{"\0\x50\0\0L", WIRE_INCOMPLETE}, /* 5 MiB */
		{"\0\x50\0\1L", WIRE_VIOLATION},
		{"\0\x50\0\1B", WIRE_VIOLATION},
		{"\xff\xff\xff\xffL", WIRE_VIOLATION},
		{"\0\1\0\1D", WIRE_INCOMPLETE}, /* 64 KiB of macros */
		{"\0\1\0\2D", WIRE_VIOLATION},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_reader reader = {0};
		struct wire_command command;
		const char *why = NULL;
		struct str bytes = str_from(rows[i].head, 5);
		check_int("size", wire_read(&reader, &bytes, &command, &why), rows[i].result);
	}
}

static void test_agree(void **state)
{
	(void)state;
	static const struct {
		struct wire_offer offer;
		struct wire_terms terms; /* version 0: refused */
	} rows[] = {
		{{6, 0x1FF, 0x1FFFFF}, {6, 0x135, 0x1CB380}},
		{{7, 0x1FF, 0x1FFFFF}, {6, 0x135, 0x1CB380}},
		{{6, 0x3B, 0x1FFFFF}, {6, 0x31, 0x1CB380}},
		{{4, 0x3F, 0x37F}, {4, 0x35, 0x300}},
		{{3, 0x3F, 0x17F}, {3, 0x35, 0x100}},
		{{2, 0x3F, 0x7F}, {2, 0x35, 0}},
		{{2, 0x3F, 0}, {2, 0x35, 0}},
		{{1, 0x3F, 0x7F}, {0, 0, 0}},
		{{6, 0, 0x1FFFFF}, {0, 0, 0}},
		{{6, 0x2F, 0x1FFFFF}, {0, 0, 0}},
		{{6, 0x1F, 0x1FFFFF}, {0, 0, 0}},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_terms terms = {0};
		check_int("agreed", wire_agree(&rows[i].offer, &terms), rows[i].terms.version != 0);
		check_int("version", terms.version, rows[i].terms.version);
		check_int("actions", terms.actions, rows[i].terms.actions);
		check_int("protocol", terms.protocol, rows[i].terms.protocol);
	}
}

static void test_silence(void **state)
{
	(void)state;
	const struct wire_terms all = {6, 0x131, 0x1CF380}, none = {2, 0x31, 0};
	for (const char *code = "CHMRLNB"; *code != '\0'; code++) {
		assert_true(wire_is_silent(&all, (enum wire_code) * code));
		assert_false(wire_is_silent(&none, (enum wire_code) * code));
	}
	for (const char *code = "TUE"; *code != '\0'; code++)
		assert_false(wire_is_silent(&all, (enum wire_code) * code));
	for (const char *code = "ADQK"; *code != '\0'; code++)
		assert_true(wire_is_silent(&none, (enum wire_code) * code));
}

static void check_out(const struct wire_out *out, const char *bytes, size_t n)
{
	assert_int_equal(out->n, n);
	assert_memory_equal(out->p, bytes, n);
}

static void test_replies(void **state)
{
	(void)state;
	static const char wanted[] = "\0\0\0\1c"
				     "\0\0\0\14i\0\0\0\0X-A\0 b\0"
				     "\0\0\0\12m\0\0\0\2X-A\0\0"
				     "\0\0\0\6qheld\0"
				     "\0\0\0\5y550\0";
	struct wire_out out = {0};
	wire_put(&out, REPLY_CONTINUE);
	assert_true(wire_put_field(&out, REPLY_INSERT, 0, "X-A", " b"));
	assert_true(wire_put_field(&out, REPLY_CHANGE, 2, "X-A", ""));
	assert_true(wire_put_text(&out, REPLY_QUARANTINE, "held"));
	assert_true(wire_put_text(&out, REPLY_TEXT, "550"));
	/* What does not go is refused, and leaves nothing behind. */
	assert_false(wire_put_field(&out, REPLY_INSERT, 0, "", "b"));
	assert_false(wire_put_text(&out, REPLY_QUARANTINE, ""));
	static char large[WIRE_PACKET_MAX + 1];
	memset(large, 'x', sizeof(large) - 1);
	assert_false(wire_put_field(&out, REPLY_INSERT, 0, "X", large));
	assert_false(wire_put_text(&out, REPLY_TEXT, large));
	check_out(&out, wanted, sizeof(wanted) - 1);
	wire_out_finish(&out);
}

static void check_macro(const struct wire_macros *macros, const char *name, const char *wanted)
{
	struct str value = wire_macros_get(macros, name);
	assert_true((value.p == NULL) == (wanted == NULL));
	if (wanted != NULL)
		check_str(name, value, wanted);
}

static void set_macros(struct wire_macros *macros, enum wire_stage stage, struct str pairs)
{
	assert_null(wire_macros_set(macros, stage, pairs));
}

/* However long and however many: what is kept of them is bounded, and a look-up is as fast as ever. */
static void test_large_macros(void **state)
{
	(void)state;
	struct wire_macros macros = {0};
	struct arena *arena = arena_new(0);
	struct buf pairs = buf_in(arena);
	for (unsigned i = 0; i < 10000; i++)
		buf_add(&pairs, STR("{x}\0y\0"));
	buf_add(&pairs, STR("{i}\0"));
	for (size_t i = 0; i < WIRE_MACRO_VALUE_MAX; i++)
		buf_add_char(&pairs, 'v');
	buf_add_char(&pairs, '\0');
	set_macros(&macros, STAGE_MAIL, buf_str(&pairs));
	assert_int_equal(wire_macros_get(&macros, "i").n, WIRE_MACRO_VALUE_MAX);
	assert_true(macros.sets[STAGE_MAIL].capacity < 2 * WIRE_MACRO_VALUE_MAX);
	pairs.n--;
	buf_add(&pairs, STR("v\0"));
	assert_string_equal(wire_macros_set(&macros, STAGE_MAIL, buf_str(&pairs)), "a macro that is too long");
	wire_macros_finish(&macros);
	arena_free(arena);
}

static void test_macros(void **state)
{
	(void)state;
	struct wire_macros macros = {0};
	check_macro(&macros, "i", NULL);
	set_macros(&macros, STAGE_CONNECT, STR("j\0one\0{i}\0braces\0{auth_authen}\0n\0{x}\0other\0j\0again\0"));
	check_macro(&macros, "j", "one");
	check_macro(&macros, "{j}", "one");
	check_macro(&macros, "i", "braces");
	check_macro(&macros, "{auth_authen}", "n");
	check_macro(&macros, "auth_authen", NULL);
	check_macro(&macros, "one", NULL);
	/* Nobody asks for it: it is not kept. */
	check_macro(&macros, "{x}", NULL);
	/* The latest stage counts, and in it the latest set alone. */
	set_macros(&macros, STAGE_RCPT, STR("j\0two\0i\0id\0"));
	set_macros(&macros, STAGE_MAIL, STR("j\0three\0"));
	check_macro(&macros, "j", "two");
	set_macros(&macros, STAGE_RCPT, STR("i\0\0"));
	check_macro(&macros, "j", "three");
	check_macro(&macros, "i", "");
	/* Without any macro, with half of one, of no stage. */
	set_macros(&macros, STAGE_RCPT, STR(""));
	set_macros(&macros, STAGE_RCPT, STR("i"));
	set_macros(&macros, N_WIRE_STAGES, STR("i\0no\0"));
	check_macro(&macros, "i", "");
	set_macros(&macros, STAGE_END, STR("i\0last\0j\0cut"));
	check_macro(&macros, "i", "last");
	check_macro(&macros, "j", "three");
	wire_macros_clear(&macros, STAGE_MAIL);
	check_macro(&macros, "i", "braces");
	check_macro(&macros, "j", "one");
	wire_macros_finish(&macros);
}

/* ---- no memory ---- */

static bool no_memory;

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return no_memory ? NULL : __real_realloc(p, n);
}

static void test_no_memory(void **state)
{
	(void)state;
	const struct wire_terms terms = {.version = 6};
	struct wire_out out = {0};
	struct wire_macros macros = {0};
	no_memory = true;
	wire_put(&out, REPLY_CONTINUE);
	assert_true(out.failed);
	assert_false(wire_put_field(&out, REPLY_INSERT, 0, "X-A", "b"));
	assert_false(wire_put_text(&out, REPLY_QUARANTINE, "held"));
	wire_put_terms(&out, &terms);
	assert_int_equal(out.n, 0);
	assert_string_equal(wire_macros_set(&macros, STAGE_RCPT, STR("i\0id\0")), "out of memory");
	check_macro(&macros, "i", NULL);
	no_memory = false;
	wire_macros_finish(&macros);
	wire_out_finish(&out);
	assert_false(out.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_body_in_pieces),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_macros),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_large_macros),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
