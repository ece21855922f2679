#include "test.h"

#include "base/domain.h"
#include "spf/macro.h"

static struct spf_macros macros_of(const char *client)
{
	struct spf_macros macros = {
		.sender = STR("strong-bad@email.example.com"),
		.local_part = STR("strong-bad"),
		.sender_domain = STR("email.example.com"),
		.domain = STR("email.example.com"),
		.helo = STR("mx.example.org"),
		.validated = STR("mx.example.org"),
		.receiver = STR("receiver.example.net"),
		.now = 1700000000,
	};
	assert_true(ip_parse(str_of(client), &macros.client));
	return macros;
}

struct row {
	const char *spec, *wanted;
};

/* RFC 7208 section 7.4, and the corners of section 7.3. */
static const struct row v4[] = {
	{"%{s}", "strong-bad@email.example.com"},
	{"%{o}", "email.example.com"},
	{"%{d}", "email.example.com"},
	{"%{d4}", "email.example.com"},
	{"%{d3}", "email.example.com"},
	{"%{d2}", "example.com"},
	{"%{d1}", "com"},
	{"%{d99999999999999999999999}", "email.example.com"},
	{"%{dr}", "com.example.email"},
	{"%{d2r}", "example.email"},
	{"%{d1R}", "email"},
	{"%{l}", "strong-bad"},
	{"%{l-}", "strong.bad"},
	{"%{lr}", "strong-bad"},
	{"%{lr-}", "bad.strong"},
	{"%{l1r-}", "strong"},
	{"%{s.-@}", ""}, /* no delimiter of section 7.1: not well formed */
	{"%{s1.-}", "com"},
	{"%{h}", "mx.example.org"},
	{"%{v}", "in-addr"},
	{"%{i}", "192.0.2.3"},
	{"%{S}", "strong-bad%40email.example.com"},
	{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
	{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
	{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
	{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
	{"%{d2}.trusted-domains.example.net.", "example.com.trusted-domains.example.net"},
	{"%{p2}.x.com", "example.org.x.com"},
	{"a%%b%_c%-d.com", "a%b c%20d.com"},
};

static const struct row v6[] = {
	{"%{ir}.%{v}._spf.%{d2}",
		"1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"},
	{"%{i4}", "C.B.0.1"},
};

static void expand_rows(const struct row *rows, size_t n, const char *client)
{
	struct arena *arena = arena_new(0);
	struct spf_macros macros = macros_of(client);
	for (size_t i = 0; i < n; i++) {
		struct str spec = str_of(rows[i].spec);
		check_int(rows[i].spec, spf_macro_check_domain_spec(spec), rows[i].wanted[0] != '\0');
		if (rows[i].wanted[0] != '\0')
			check_str(rows[i].spec, spf_macro_expand_domain(arena, &macros, spec), rows[i].wanted);
	}
	arena_free(arena);
}

static void test_domains(void **state)
{
	(void)state;
	expand_rows(v4, COUNT(v4), "192.0.2.3");
	expand_rows(v6, COUNT(v6), "2001:db8::cb01");
	/* RFC 7208 section 5: an IPv4-mapped client is an IPv4 client, in macros too. */
	expand_rows(v4, COUNT(v4), "::ffff:192.0.2.3");
}

static const struct row values[] = {
	/* local parts, and what %{l1r+.}.x becomes of them */
	{"a+b", "b.a.x"},
	{"a..b", "b..a.x"},
	{"+a", "a..x"},
	{"a+", ".a.x"},
	{"+", "..x"},
	{"", ".x"},
};

/* Empty parts stay: they make a name that exists nowhere, rather than another name. */
static void test_parts(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct spf_macros macros = macros_of("192.0.2.3");
	for (size_t i = 0; i < COUNT(values); i++) {
		macros.local_part = str_of(values[i].spec);
		check_str(values[i].spec, spf_macro_expand_domain(arena, &macros, STR("%{lr+.}.x")), values[i].wanted);
	}
	macros.local_part = (struct str){NULL, 0};
	check_str("NULL", spf_macro_expand_domain(arena, &macros, STR("%{l}%{lr}.x")), ".x");
	arena_free(arena);
}

/* Section 7.3: labels go from the left until 253 bytes are left. */
static void test_truncation(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct spf_macros macros = macros_of("192.0.2.3");
	macros.domain = STR("a12345678.b12345678.c12345678.d12345678.e12345678"); /* 49 bytes */
	struct str name = spf_macro_expand_domain(arena, &macros, STR("%{d}.%{d}.%{d}.%{d}.%{d}.com"));
	check_int("fits as it is", (long long)name.n, 253);
	name = spf_macro_expand_domain(arena, &macros, STR("%{d}.%{d}.%{d}.%{d}.%{d}.info"));
	check_int("one label too many", (long long)name.n, 244);
	assert_true(str_starts(name, STR("b12345678.")));
	name = spf_macro_expand_domain(arena, &macros, STR("%{d}.%{d}.%{d}.%{d}.%{d}.com."));
	check_int("the last dot does not count", (long long)name.n, 253);

	/* One label of 253 bytes and more: nothing is left of it. */
	char spec[16 * 1024 + 8];
	size_t n = 0;
	for (; n < 16 * 1024; n += 4)
		memcpy(spec + n, "%{l}", 4);
	check_str("no dots", spf_macro_expand_domain(arena, &macros, str_from(spec, n)), "");
	size_t before = arena_used(arena);
	for (n = 0; n < 16 * 1024; n += 4)
		memcpy(spec + n, "%{d}", 4);
	memcpy(spec + n, ".com", 4);
	name = spf_macro_expand_domain(arena, &macros, str_from(spec, n + 4));
	assert_true(name.n <= DOMAIN_MAX && str_ends(name, STR(".e12345678.com")));
	assert_true(arena_used(arena) - before < 16 * 1024);
	arena_free(arena);
}

struct text_row {
	const char *text, *wanted; /* NULL: not usable */
};

static const struct text_row texts[] = {
	{"", ""},
	{"See http://%{d}/why.html?s=%{S}&i=%{I}",
		"See http://email.example.com/why.html?s=strong-bad%40email.example.com&i=192.0.2.3"},
	{"%{c} %{r} %{t} %{R}", "192.0.2.3 receiver.example.net 1700000000 receiver.example.net"},
	{"100%% sure%_of%-it", "100% sure of%20it"},
	{"two  blanks ", "two  blanks "},
	{"The %{x}-files.", NULL},
	{"50% off", NULL},
	{"tab\there", NULL},
	{"caf\xc3\xa9", NULL},
	{"%{d0}", NULL},
	{"%", NULL},
};

static void test_explanations(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct spf_macros macros = macros_of("192.0.2.3");
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct str text = str_of(texts[i].text), got;
		check_int(texts[i].text, spf_macro_check(text, SPF_IN_EXPLANATION), texts[i].wanted != NULL);
		bool ok = spf_macro_expand_explanation(arena, &macros, text, &got);
		check_int(texts[i].text, ok, texts[i].wanted != NULL);
		if (ok)
			check_str(texts[i].text, got, texts[i].wanted);
	}
	struct str got;
	macros = macros_of("2001:db8::cb01");
	macros.receiver = (struct str){NULL, 0};
	assert_true(spf_macro_expand_explanation(arena, &macros, STR("%{c} for %{r}"), &got));
	check_str("IPv6, no receiver", got, "2001:db8::cb01 for unknown");
	arena_free(arena);
}

/* Section 6.2: the text is for an SMTP reply. The sender must not add lines to it. */
static void test_hostile_values(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct spf_macros macros = macros_of("192.0.2.3");
	struct str got;
	macros.local_part = STR("a\r\n250 ok");
	assert_false(spf_macro_expand_explanation(arena, &macros, STR("%{l}"), &got));
	assert_true(spf_macro_expand_explanation(arena, &macros, STR("%{L}"), &got));
	check_str("escaped", got, "a%0D%0A250%20ok");
	macros.local_part = STR("~jack&jill=up-a_b3.c/\xff");
	assert_true(spf_macro_expand_explanation(arena, &macros, STR("%{L}"), &got));
	check_str("unreserved", got, "~jack%26jill%3Dup-a_b3.c%2F%FF");
	macros.local_part = STR("\xc3\xa9");
	assert_false(spf_macro_expand_explanation(arena, &macros, STR("%{l}"), &got));

	/* 64 KiB of macros: an error at the bound, not megabytes. */
	char text[64 * 1024];
	for (size_t n = 0; n < sizeof(text); n += 4)
		memcpy(text + n, "%{s}", 4);
	size_t before = arena_used(arena);
	assert_false(spf_macro_expand_explanation(arena, &macros, str_from(text, sizeof(text)), &got));
	assert_true(arena_used(arena) - before < 512 * 1024);
	assert_true(spf_macro_expand_explanation(arena, &macros, str_from(text, 4 * 127), &got));
	check_int("127 macros", (long long)got.n, 127 * 28);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_hostile_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
