/*
 * Records that want to crash, to flood, or to be believed: work and questions stay bounded, RFC 7208 section 4.6.4
 * and 11.1. No evaluation may ever want more than 60 questions.
 */
#include "harness.h"

#define QUESTIONS_MAX 60

static void add(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct trial *trial, const char *format, ...)
{
	char line[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_true(zone_add_line(trial->zone, arena_dup(trial->arena, str_of(line))));
}

static void check(struct trial *trial, const char *what, const char *result, const char *reason)
{
	trial_run(trial);
	check_str(what, str_of(spf_status_text(trial->result.status)), result);
	if (reason != NULL)
		check_str(what, str_of(trial->result.reason != NULL ? trial->result.reason : ""), reason);
	assert_in_range(trial->questions, 1, QUESTIONS_MAX);
	trial_end(trial);
}

/* Ten includes to a record, four deep: libspf2 alone asks 11,111 questions. */
static void test_nested_includes(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	char record[512] = "v=spf1";
	for (int i = 0; i < 10; i++)
		snprintf(record + strlen(record), 32, " include:%%{l}%d.%%{d}", i);
	add(&trial, "example.com TXT %s", record);
	for (int i = 0; i < 10; i++)
		for (int j = 0; j < 10; j++) {
			add(&trial, "user%d.example.com TXT %s", i, record);
			add(&trial, "user%d.user%d.example.com TXT %s", j, i, record);
		}
	check(&trial, "nested includes", "permerror", NULL);

	trial_begin(&trial);
	record[6] = '\0';
	for (int i = 0; i < 10; i++)
		snprintf(record + strlen(record), 32, " include:%d.example.com", i);
	add(&trial, "example.com TXT %s", record);
	for (int i = 0; i < 10; i++)
		add(&trial, "%d.example.com TXT %s", i, record);
	check(&trial, "nested includes by name", "permerror", "look-up limit exceeded");
}

static void test_loops(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 include:example.com");
	check(&trial, "include of itself", "permerror", "look-up limit exceeded");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 redirect=example.com");
	check(&trial, "redirect to itself", "permerror", "look-up limit exceeded");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 include:b.example.com");
	add(&trial, "b.example.com TXT v=spf1 redirect=example.com");
	check(&trial, "in a circle", "permerror", "look-up limit exceeded");
}

static void test_limits(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a a a a a a a a a a -all");
	add(&trial, "example.com A 198.51.100.1");
	check(&trial, "ten look-ups", "fail", "");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a a a a a a a a a a a -all");
	add(&trial, "example.com A 198.51.100.1");
	check(&trial, "eleven", "permerror", "look-up limit exceeded");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a a a a a a a a a a ip4:192.0.2.3 a");
	add(&trial, "example.com A 198.51.100.1");
	check(&trial, "the eleventh is not reached", "pass", "");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a a a include:i.example.com a -all");
	add(&trial, "i.example.com TXT v=spf1 a:example.com a:example.com a:example.com a:example.com a:example.com");
	add(&trial, "example.com A 198.51.100.1");
	check(&trial, "ten in two records", "fail", "");
	trial_begin(&trial);
	trial.options.lookup_limit = 3;
	add(&trial, "example.com TXT v=spf1 a a a a -all");
	add(&trial, "example.com A 198.51.100.1");
	check(&trial, "by option", "permerror", "look-up limit exceeded");
	/* More than libspf2 has room for is not taken at the administrator's word. */
	trial_begin(&trial);
	trial.options.lookup_limit = 1000;
	add(&trial, "example.com TXT v=spf1 include:1.example.com -all");
	for (int i = 1; i < 25; i++)
		add(&trial, "%d.example.com TXT v=spf1 include:%d.example.com", i, i + 1);
	add(&trial, "25.example.com TXT v=spf1 all");
	check(&trial, "limit of libspf2", "permerror", "look-up limit exceeded");
}

static void test_voids(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a:x.org mx:y.org -all");
	check(&trial, "two voids", "fail", "");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a:x.org mx:y.org exists:z.org -all");
	check(&trial, "three", "permerror", "void look-up limit exceeded");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 exists:%%{l}1.org exists:%%{l}2.org include:%%{l}3.org -all");
	check(&trial, "an include is one", "permerror", "void look-up limit exceeded");
	trial_begin(&trial);
	trial.options.void_lookup_limit = 5;
	add(&trial, "example.com TXT v=spf1 a:x.org mx:y.org exists:z.org -all");
	check(&trial, "by option", "fail", "");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a:x.org mx:y.org exp=nowhere.org -all");
	check(&trial, "an explanation is none", "fail", "");
	/* The limit is on terms: an MX whose hosts have no IPv6 is no void, or IPv6 clients would fail. */
	trial_begin(&trial);
	assert_true(ip_parse(STR("2001:db8::3"), &trial.query.client));
	add(&trial, "example.com TXT v=spf1 mx ip6:2001:db8::/32 -all");
	for (int i = 0; i < 5; i++) {
		add(&trial, "example.com MX %d m%d.example.com", i, i);
		add(&trial, "m%d.example.com A 192.0.2.9", i);
	}
	check(&trial, "MX without IPv6", "pass", "");
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 a:..x.com a:..y.com a:..z.com -all");
	check(&trial, "names that cannot exist are not asked", "fail", "");
}

static void test_mx_and_ptr_names(void **state)
{
	(void)state;
	for (int match = 9; match <= 10; match++) {
		struct trial trial;
		trial_begin(&trial);
		add(&trial, "example.com TXT v=spf1 mx -all");
		for (int i = 0; i < 11; i++) {
			add(&trial, "example.com MX %d m%d.example.com", 100 - i, i);
			add(&trial, "m%d.example.com A 192.0.2.%d", i, 10 - i == match ? 3 : 100);
		}
		check(&trial, "MX host, by preference", match == 9 ? "pass" : "permerror",
			match == 9 ? "" : "too many MX hosts");

		trial_begin(&trial);
		add(&trial, "example.com TXT v=spf1 ptr:example.org -all");
		for (int i = 0; i < 11; i++) {
			add(&trial, "3.2.0.192.in-addr.arpa PTR p%d.example.org", i);
			add(&trial, "p%d.example.org A 192.0.2.%d", i, i == match ? 3 : 100);
		}
		check(&trial, "PTR name: the eleventh is ignored", match == 9 ? "pass" : "fail", "");
	}

	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 mx:a.org mx:b.org mx:c.org mx:d.org mx:e.org mx:f.org -all");
	for (char c = 'a'; c <= 'f'; c++)
		for (int i = 0; i < 10; i++) {
			add(&trial, "%c.org MX 1 m%d.%c.org", c, i, c);
			add(&trial, "m%d.%c.org A 192.0.2.9", i, c);
		}
	check(&trial, "sixty MX hosts", "permerror", "too many DNS look-ups");
}

/* A record of 64 KiB. */
static struct str fill(struct trial *trial, const char *start, const char *piece, const char *end)
{
	struct str text = {arena_alloc(trial->arena, 65536), 0};
	char *p = (char *)(uintptr_t)text.p;
	size_t n = strlen(start);
	memcpy(p, start, n);
	for (; n + strlen(piece) + strlen(end) < 65500; n += strlen(piece))
		memcpy(p + n, piece, strlen(piece));
	memcpy(p + n, end, strlen(end));
	return str_from(p, n + strlen(end));
}

static void test_large_records(void **state)
{
	(void)state;
	static const struct {
		const char *start, *piece, *end, *result;
	} rows[] = {
		{"example.com TXT v=spf1", " ip4:10.0.0.1", " ip4:192.0.2.3 -all", "pass"},
		{"example.com TXT v=spf1", " ip4:10.0.0.1", " -all", "fail"},
		{"example.com TXT v=spf1", " ip4:10.0.0.1", " moo", "permerror"},
		{"example.com TXT v=spf1", " a", " -all", "permerror"},
		{"example.com TXT v=spf1", " ", "-all", "fail"},
		{"example.com TXT v=spf1", " moo=%{l}", " -all", "fail"},
		{"example.com TXT v=spf1 exists:", "%{s}", ".com -all", "fail"},
		{"example.com TXT v=spf1 exists:", "a.", "com -all", "fail"},
		{"example.com TXT v=spf1 include:", "%{dr}.", "com -all", "permerror"},
		{"example.com TXT v=spf1 a:%{d", "1", "} -all", "fail"},
		{"example.com TXT v=spf1 a:%{d", "-", "} -all", "fail"},
		{"example.com TXT v=spf1 a:%{", "d", "} -all", "permerror"},
		{"example.com TXT v=spf1 a", "/", "24 -all", "permerror"},
		{"example.com TXT v=spf1 ", "-", "all", "permerror"},
		{"example.com TXT v=spf1 ", "\\xff", "", "permerror"},
		{"example.com TXT v=spf1 ", "\\x00", "", "permerror"},
		{"example.com TXT v=spf1 -all exp=", "%{s}", ".com", "fail"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct trial trial;
		trial_begin(&trial);
		assert_true(zone_add_line(trial.zone, fill(&trial, rows[i].start, rows[i].piece, rows[i].end)));
		size_t before = arena_used(trial.arena);
		trial_run(&trial);
		check_str(rows[i].start, str_of(spf_status_text(trial.result.status)), rows[i].result);
		/* The copy that the zone's answer takes is not ours. */
		assert_in_range(arena_used(trial.arena) - before, 1, 256 * 1024);
		assert_in_range(trial.questions, 1, QUESTIONS_MAX);
		trial_end(&trial);
	}
}

/* An exp text of 512 bytes of "%{d}" overruns libspf2's stack. */
static void test_explanations(void **state)
{
	(void)state;
	char text[4 * 128 + 1] = "";
	for (int i = 0; i < 128; i++)
		memcpy(text + 4 * i, "%{d}", 5);
	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 -all exp=e.example.com");
	add(&trial, "e.example.com TXT %s", text);
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_FAIL);
	check_int("length", (long long)trial.result.explanation.n, 128 * 11);
	trial_end(&trial);

	trial_begin(&trial);
	trial.query.mail_from = STR("a\r\nb@example.com");
	add(&trial, "example.com TXT v=spf1 -all exp=e.example.com");
	add(&trial, "e.example.com TXT sent by %%{l}");
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_FAIL);
	check_int("no line of the sender's", (long long)trial.result.explanation.n, 0);
	trial_end(&trial);
}

/* What the envelope says goes into names; a NUL must not cut them, or another name would be asked. */
static void test_envelope_bytes(void **state)
{
	(void)state;
	static const struct str senders[] = {STR_INIT("a\0b@example.com"), STR_INIT("a\0@example.com")};
	for (size_t i = 0; i < COUNT(senders); i++) {
		struct trial trial;
		trial_begin(&trial);
		trial.query.mail_from = senders[i];
		add(&trial, "example.com TXT v=spf1 exists:x.%%{l}.example.com exists:%%{l} -all");
		add(&trial, "a A 127.0.0.2");
		add(&trial, "x.a A 127.0.0.2");
		trial_run(&trial);
		check_int("result", trial.result.status, SPF_FAIL);
		check_int("only the record was asked", (long long)trial.questions, 1);
		trial_end(&trial);
	}
	struct trial trial;
	trial_begin(&trial);
	trial.query.mail_from = STR("\xff\x01 \\.@example.com");
	add(&trial, "example.com TXT v=spf1 exists:%%{l}.example.com -all");
	check(&trial, "8-bit and control bytes", "fail", "");
	trial_begin(&trial);
	trial.query.helo = STR("x\0y");
	add(&trial, "example.com TXT v=spf1 a:%%{h} -all");
	check(&trial, "HELO", "fail", "");
}

/* Out of memory anywhere is a jump to the boundary, and leaks nothing of libspf2's (the sanitizer looks). */
static void test_out_of_memory(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	add(&trial, "example.com TXT v=spf1 include:i.example.com mx exists:%%{p}.org -all exp=e.example.com");
	add(&trial, "i.example.com TXT v=spf1 ?a:i.example.com ~all");
	add(&trial, "example.com MX 1 i.example.com");
	add(&trial, "i.example.com A 198.51.100.1");
	add(&trial, "e.example.com TXT No %%{s}");
	trial_run(&trial);
	check_int("with memory", trial.result.status, SPF_FAIL);
	volatile unsigned jumps = 0, results = 0;
	for (volatile size_t cap = 64; results == 0; cap += 64) {
		struct arena *arena = arena_new(cap);
		jmp_buf boundary;
		arena_set_boundary(arena, &boundary);
		if (setjmp(boundary) != 0)
			jumps++;
		else if (spf_evaluate(arena, &trial.options, &trial.query, trial.answers, &trial.result))
			results++;
		arena_free(arena);
	}
	assert_in_range(jumps, 20, 1000);
	check_int("result", trial.result.status, SPF_FAIL);
	trial_end(&trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested_includes),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_voids),
		cmocka_unit_test(test_mx_and_ptr_names),
		cmocka_unit_test(test_large_records),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_envelope_bytes),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
