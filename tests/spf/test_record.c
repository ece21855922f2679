#include "test.h"

#include "spf/record.h"

struct row {
	const char *record;
	const char *fault; /* NULL: well formed */
};

/* RFC 7208 section 12, and the places where implementations are known to be too kind or too strict. */
static const struct row records[] = {
	{"v=spf1", NULL},
	{"v=spf1 ", NULL},
	{"v=spf1  a  -all ", NULL},
	{"V=SPF1 A MX PTR -ALL", NULL},
	{"v=spf1 +a ?mx ~ptr -all", NULL},
	{"v=spf1 moo", "unknown mechanism"},
	{"v=spf1 ~~all", "unknown mechanism"},
	{"v=spf1 \x80"
	 "a -all",
		"unknown mechanism"},
	{"v=spf1 a\t-all", "unknown mechanism"},
	{"v=spf1 a\r\n-all", "unknown mechanism"},
	{"v=spf1 all.", "unknown mechanism"},
	{"v=spf1 all:x.com", "invalid mechanism"},
	{"v=spf1 all/8", "invalid mechanism"},
	{"v=spf1 include", "mechanism lacks its argument"},
	{"v=spf1 exists", "mechanism lacks its argument"},
	{"v=spf1 ip4", "mechanism lacks its argument"},
	{"v=spf1 include:", "invalid domain"},
	{"v=spf1 a:", "invalid domain"},
	{"v=spf1 ptr/24", "invalid mechanism"},
	{"v=spf1 include:x.com/24", "invalid domain"},
	{"v=spf1 exists:x.com/24", "invalid domain"},

	/* domain-spec, section 7.1 */
	{"v=spf1 a:example.com.", NULL},
	{"v=spf1 a:museum", "invalid domain"},
	{"v=spf1 a:museum.", "invalid domain"},
	{"v=spf1 a:abc.123", "invalid domain"},
	{"v=spf1 a:1.2.3.4", "invalid domain"},
	{"v=spf1 a:example.-com", "invalid domain"},
	{"v=spf1 a:example.com-", "invalid domain"},
	{"v=spf1 a:example.c-m", NULL},
	{"v=spf1 a:example.xn--zckzah", NULL},
	{"v=spf1 a:example.com:8080", "invalid domain"},
	{"v=spf1 a:foo:bar/baz.example.com", NULL},
	{"v=spf1 a:two..dots.example.com", NULL},
	{"v=spf1 a:%{h}", NULL},
	{"v=spf1 a:%{h}com", "invalid domain"},
	{"v=spf1 a:%{h}.com", NULL},
	{"v=spf1 a:foo%%", NULL},
	{"v=spf1 a:\xef\xbb\xbfx.example.com", "invalid domain"},
	{"v=spf1 a:%{a}.com", "invalid domain"},
	{"v=spf1 a:%{c}.com", "invalid domain"},
	{"v=spf1 a:%{d0}", "invalid domain"},
	{"v=spf1 a:%{d00128r.-+,/_=}", NULL},
	{"v=spf1 a:%{d3x}", "invalid domain"},
	{"v=spf1 a:%{}", "invalid domain"},
	{"v=spf1 a:%{d", "invalid domain"},
	{"v=spf1 a:%(d).example.com", "invalid domain"},
	{"v=spf1 a:x%.example.com", "invalid domain"},
	{"v=spf1 a:x.example.com%", "invalid domain"},

	/* prefix lengths, sections 5.3 and 5.6 */
	{"v=spf1 a/0 mx/32 a//0 mx//128 a/24//64", NULL},
	{"v=spf1 a:x.com/24//64", NULL},
	{"v=spf1 a/33", "invalid prefix length"},
	{"v=spf1 a//129", "invalid prefix length"},
	{"v=spf1 a/024", "invalid prefix length"},
	{"v=spf1 a/00", "invalid prefix length"},
	{"v=spf1 a/24/64", "invalid prefix length"},
	{"v=spf1 a/24/8", "invalid mechanism"},
	{"v=spf1 a/", "invalid mechanism"},
	{"v=spf1 a/99999999999999999999", "invalid prefix length"},
	{"v=spf1 ip4:1.2.3.4 ip4:1.2.3.4/0 ip4:1.2.3.4/32", NULL},
	{"v=spf1 ip4:1.2.3.4/33", "invalid prefix length"},
	{"v=spf1 ip4:1.2.3.4/032", "invalid prefix length"},
	{"v=spf1 ip4:1.2.3.4//32", "invalid IP address"},
	{"v=spf1 ip4:1.2.3", "invalid IP address"},
	{"v=spf1 ip4:01.2.3.4", "invalid IP address"},
	{"v=spf1 ip4:1.2.3.4:25", "invalid IP address"},
	{"v=spf1 ip4:2001:db8::1", "invalid IP address"},
	{"v=spf1 ip6:::1 ip6:2001:db8::/32 ip6:::ffff:1.2.3.4/128", NULL},
	{"v=spf1 ip6:2001:db8::/129", "invalid prefix length"},
	{"v=spf1 ip6::cafe::babe", "invalid IP address"},
	{"v=spf1 ip6:1.2.3.4", "invalid IP address"},
	{"v=spf1 ip6:[::1]", "invalid IP address"},

	/* modifiers, section 6 */
	{"v=spf1 redirect=x.com exp=y.com", NULL},
	{"v=spf1 Redirect=x.com redirect=x.com", "modifier given twice"},
	{"v=spf1 exp=x.com all EXP=y.com", "modifier given twice"},
	{"v=spf1 moo=a moo=a default=pass", NULL},
	{"v=spf1 moo.cow-far_out=man:dog/cat", NULL},
	{"v=spf1 moo=", NULL},
	{"v=spf1 moo=%x", "invalid macro"},
	{"v=spf1 moo.cow/far_out=man:dog/cat", "unknown mechanism"},
	{"v=spf1 1up=foo", "unknown mechanism"},
	{"v=spf1 =all", "unknown mechanism"},
	{"v=spf1 -exp=x.com", "unknown mechanism"},
	{"v=spf1 redirect:x.com", "unknown mechanism"},
	{"v=spf1 redirect=", "invalid domain"},
	{"v=spf1 exp=-all", "invalid domain"},
	{"v=spf1 exp=%{r}.x.com", "invalid domain"},
};

static void test_syntax(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(records); i++) {
		struct spf_modifiers modifiers;
		const char *fault = spf_record_check(str_of(records[i].record), &modifiers);
		check_str(records[i].record, str_of(fault != NULL ? fault : "ok"),
			records[i].fault != NULL ? records[i].fault : "ok");
	}
}

/* A NUL ends no term: what stands behind it is part of the record. */
static void test_nul(void **state)
{
	(void)state;
	struct spf_modifiers modifiers;
	assert_non_null(spf_record_check(STR("v=spf1 a:foo.example.com\0"), &modifiers));
	assert_non_null(spf_record_check(STR("v=spf1 -all\0"), &modifiers));
	assert_non_null(spf_record_check(STR("v=spf1 moo=a\0b"), &modifiers));
}

static void test_terms(void **state)
{
	(void)state;
	struct str rest = spf_record_terms(STR("v=spf1 ~Mx:%{d}/24//64  ip6:::ffff:192.0.2.1/100 a//48 exp=e.com"));
	struct spf_term term;
	const char *fault;
	assert_true(spf_record_next(&rest, &term, &fault));
	check_int("kind", term.kind, SPF_MX);
	check_int("qualifier", term.qualifier, '~');
	check_str("text", term.text, "~Mx:%{d}/24//64");
	check_str("domain", term.domain_spec, "%{d}");
	check_int("v4", term.bits4, 24);
	check_int("v6", term.bits6, 64);
	assert_true(spf_record_next(&rest, &term, &fault));
	check_int("family of a mapped network", term.network.address.family, IP_V6);
	check_int("bits", term.network.bits, 100);
	assert_true(spf_record_next(&rest, &term, &fault));
	check_int("v4 by default", term.bits4, 32);
	check_int("v6 alone", term.bits6, 48);
	assert_true(spf_record_next(&rest, &term, &fault));
	check_int("kind", term.kind, SPF_EXP);
	assert_false(spf_record_next(&rest, &term, &fault));
}

/* Section 4.5: "v=spf1" and then a space or the end, in any case. */
static void test_select(void **state)
{
	(void)state;
	const struct dns_record found[] = {
		{.data = STR_INIT("v=spf10 -all")},
		{.data = STR_INIT("v=spf1")},
		{.data = STR_INIT(" v=spf1 -all")},
		{.data = STR_INIT("V=sPf1 +all")},
		{.data = STR_INIT("v=spf1\t-all")},
		{.data = STR_INIT("v=spf1\0-all")},
		{.data = STR_INIT("v=spf")},
		{.data = STR_INIT("")},
		{.data = STR_INIT("\x96 v=spf1 in 8 bits")},
	};
	struct dns_answer *answer = dns_answer_new(DNS_DATA, found, COUNT(found));
	struct str record = {NULL, 0};
	check_int("records", (long long)spf_record_select(answer, &record), 2);
	check_str("the last", record, "V=sPf1 +all");
	dns_answer_unref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_select),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
