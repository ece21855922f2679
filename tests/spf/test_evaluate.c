#include "harness.h"

struct row {
	const char *what;
	const char *zone; /* besides COMMON */
	const char *client;
	const char *result;      /* "fail -all": result and mechanism */
	const char *explanation; /* or the reason of an error; NULL: not looked at */
};

/* The sender is user@example.com, HELO mail.example.net. */
#define TXT "example.com TXT v=spf1 "
#define V4 "192.0.2.3"
#define V6 "2001:db8::3"

static const char common[] = "h.example.org A 192.0.2.3\n"
			     "h.example.org AAAA 2001:db8::3\n"
			     "other.example.org A 198.51.100.1\n"
			     "other.example.org AAAA 2001:db8:1::1\n"
			     "fails.example.org fail \n"
			     "yes.example.org TXT v=spf1 +all\n"
			     "no.example.org TXT v=spf1 -all\n"
			     "soft.example.org TXT v=spf1 ~all\n"
			     "neutral.example.org TXT v=spf1 ?all\n"
			     "broken.example.org TXT v=spf1 moo\n"
			     "text.example.org TXT See %{d} and %{i}\n";

static const struct row rows[] = {
	/* section 4.3 to 4.5: the record */
	{"no record", "example.com TXT other\n", V4, "none", "no SPF record"},
	{"no such domain", "", V4, "none", "no SPF record"},
	{"no answer", "example.com fail \n", V4, "temperror", "DNS look-up failed"},
	{"two records", TXT "-all\n" TXT "-all\n", V4, "permerror", "two or more SPF records"},
	{"another TXT record, in 8 bits", "example.com TXT \\x96\n" TXT "-all\n", V4, "fail -all", NULL},
	{"empty record", "example.com TXT v=spf1\n", V4, "neutral", NULL},
	{"CNAME", "example.com CNAME no.example.org\n", V4, "fail -all", NULL},

	/* section 4.6: evaluation */
	{"an error behind a match", TXT "all moo\n", V4, "permerror", "unknown mechanism"},
	{"left to right", TXT "?all -all\n", V4, "neutral ?all", NULL},
	{"nothing matches", TXT "ip4:198.51.100.1\n", V4, "neutral", NULL},

	/* section 5.2 */
	{"include pass", TXT "-include:yes.example.org ~all\n", V4, "fail -include:yes.example.org", NULL},
	{"include fail", TXT "include:no.example.org ~all\n", V4, "softfail ~all", NULL},
	{"include softfail", TXT "include:soft.example.org ~all\n", V4, "softfail ~all", NULL},
	{"include neutral", TXT "include:neutral.example.org ~all\n", V4, "softfail ~all", NULL},
	{"include temperror", TXT "include:fails.example.org ~all\n", V4, "temperror", "DNS look-up failed"},
	{"include permerror", TXT "include:broken.example.org ~all\n", V4, "permerror", "unknown mechanism"},
	{"include none", TXT "include:h.example.org ~all\n", V4, "permerror", "include leads to no SPF record"},
	{"include that cannot exist", TXT "include:a..b.com\n", V4, "permerror", "include leads to no SPF record"},
	{"include not reached", TXT "all include:fails.example.org\n", V4, "pass all", NULL},
	{"include in include", TXT "include:i.example.org -all\ni.example.org TXT v=spf1 include:yes.example.org\n", V4,
		"pass include:i.example.org", NULL},

	/* section 5.3 */
	{"a", TXT "a -all\nexample.com A 192.0.2.3\n", V4, "pass a", NULL},
	{"a of another", TXT "a:H.example.org. -all\n", V4, "pass a:H.example.org.", NULL},
	{"a by AAAA", TXT "a:h.example.org -all\n", V6, "pass a:h.example.org", NULL},
	{"a, IPv4-mapped client", TXT "a:h.example.org -all\n", "::ffff:192.0.2.3", "pass a:h.example.org", NULL},
	{"a with a prefix", TXT "a:other.example.org/0 -all\n", V4, "pass a:other.example.org/0", NULL},
	{"a, the other family's prefix", TXT "a:other.example.org//0 -all\n", V4, "fail -all", NULL},
	{"a, IPv6 prefix", TXT "a:other.example.org//32 -all\n", V6, "pass a:other.example.org//32", NULL},
	{"a, IPv6 prefix too long", TXT "a:other.example.org//48 -all\n", V6, "fail -all", NULL},
	{"a fails", TXT "a:fails.example.org -all\n", V4, "temperror", "DNS look-up failed"},
	{"a that cannot exist", TXT "a:a..b.com -all\n", V4, "fail -all", NULL},

	/* section 5.4 */
	{"mx", TXT "mx -all\nexample.com MX 10 h.example.org\n", V4, "pass mx", NULL},
	{"mx never means a", TXT "mx -all\nexample.com A 192.0.2.3\n", V4, "fail -all", NULL},
	{"null MX", TXT "mx -all\nexample.com MX 0 .\n", V4, "fail -all", NULL},
	{"mx, a match before an error",
		TXT "mx\nexample.com MX 20 fails.example.org\nexample.com MX 10 h.example.org\n", V4, "pass mx", NULL},
	{"mx, an error before a match",
		TXT "mx\nexample.com MX 10 fails.example.org\nexample.com MX 20 h.example.org\n", V4, "temperror",
		"DNS look-up failed"},

	/* section 5.5 */
	{"ptr", TXT "ptr:example.org -all\n3.2.0.192.in-addr.arpa PTR h.example.org\n", V4, "pass ptr:example.org",
		NULL},
	{"ptr, IPv6",
		TXT
		"ptr:Example.ORG -all\n3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR "
		"h.example.org\n",
		V6, "pass ptr:Example.ORG", NULL},
	{"ptr, a name that is not the client's",
		TXT "ptr:example.org -all\n3.2.0.192.in-addr.arpa PTR other.example.org\n", V4, "fail -all", NULL},
	{"ptr, only part of a label", TXT "ptr:ample.org -all\n3.2.0.192.in-addr.arpa PTR h.example.org\n", V4,
		"fail -all", NULL},
	{"ptr, DNS error: no match", TXT "ptr -all\n3.2.0.192.in-addr.arpa fail \n", V4, "fail -all", NULL},
	{"ptr, DNS error for a name: skipped",
		TXT "ptr:example.org -all\n3.2.0.192.in-addr.arpa PTR fails.example.org\n"
		    "3.2.0.192.in-addr.arpa PTR h.example.org\n",
		V4, "pass ptr:example.org", NULL},

	/* section 5.6 */
	{"ip4", TXT "ip4:192.0.2.0/24 -all\n", V4, "pass ip4:192.0.2.0/24", NULL},
	{"ip4, mapped client", TXT "ip4:192.0.2.3 -all\n", "::ffff:192.0.2.3", "pass ip4:192.0.2.3", NULL},
	{"ip6 never matches a mapped client", TXT "ip6:::/0 ip6:::ffff:192.0.2.3 -all\n", "::ffff:192.0.2.3",
		"fail -all", NULL},
	{"ip6", TXT "ip6:2001:DB8::/32 -all\n", V6, "pass ip6:2001:DB8::/32", NULL},
	{"ip6, mapped network of length 0", TXT "ip6:::ffff:1.2.3.4/0 -all\n", V6, "pass ip6:::ffff:1.2.3.4/0", NULL},
	{"ip4 /0 is IPv4 only", TXT "ip4:0.0.0.0/0 -all\n", V6, "fail -all", NULL},
	{"loopback gets no free pass", TXT "-all\n", "127.0.0.1", "fail -all", NULL},
	{"IPv6 loopback", TXT "-all\n", "::1", "fail -all", NULL},

	/* section 5.7 */
	{"exists", TXT "exists:%{ir}.%{l}.%{d} -all\n3.2.0.192.user.example.com A 127.0.0.2\n", V4,
		"pass exists:%{ir}.%{l}.%{d}", NULL},
	{"exists asks for A, whatever the client", TXT "exists:h.example.org -all\n", V6, "pass exists:h.example.org",
		NULL},
	{"exists, AAAA only", TXT "exists:six.example.org -all\nsix.example.org AAAA ::2\n", V6, "fail -all", NULL},
	{"exists fails", TXT "exists:fails.example.org -all\n", V4, "temperror", "DNS look-up failed"},

	/* section 6.1 */
	{"redirect", TXT "redirect=no.example.org\n", V4, "fail -all", NULL},
	{"redirect stands last wherever it stands", TXT "redirect=no.example.org ?ip4:192.0.2.3\n", V4,
		"neutral ?ip4:192.0.2.3", NULL},
	{"all beats redirect", TXT "redirect=fails.example.org ~all\n", V4, "softfail ~all", NULL},
	{"redirect to nothing", TXT "redirect=h.example.org\n", V4, "permerror", "redirect leads to no SPF record"},
	{"redirect: a means the new domain",
		TXT "redirect=r.example.org\nr.example.org TXT v=spf1 a -all\n"
		    "r.example.org A 192.0.2.3\n",
		V4, "pass a", NULL},
	{"redirect in an include",
		TXT "include:r.example.org -all\nr.example.org TXT v=spf1 redirect=yes.example.org\n", V4,
		"pass include:r.example.org", NULL},

	/* section 6.2 */
	{"exp", TXT "-all exp=text.example.org\n", V4, "fail -all", "See example.com and 192.0.2.3"},
	{"exp only with fail", TXT "~all exp=text.example.org\n", V4, "softfail ~all", ""},
	{"exp of an include is not ours",
		TXT "-include:e.example.org\n"
		    "e.example.org TXT v=spf1 +all exp=text.example.org\n",
		V4, "fail -include:e.example.org", ""},
	{"exp of the redirect's target",
		TXT "redirect=e.example.org exp=no.example.org\n"
		    "e.example.org TXT v=spf1 -all exp=text.example.org\n",
		V4, "fail -all", "See e.example.org and 192.0.2.3"},
	{"exp is lost in a redirect", TXT "redirect=no.example.org exp=text.example.org\n", V4, "fail -all", ""},
	{"exp to nothing", TXT "-all exp=nowhere.example.org\n", V4, "fail -all", ""},
	{"exp fails", TXT "-all exp=fails.example.org\n", V4, "fail -all", ""},
	{"exp, two records", TXT "-all exp=two.example.org\ntwo.example.org TXT 1\ntwo.example.org TXT 2\n", V4,
		"fail -all", ""},
	{"exp, not ASCII", TXT "-all exp=e.example.org\ne.example.org TXT caf\\xc3\\xa9\n", V4, "fail -all", ""},
	{"exp, bad macro", TXT "-all exp=e.example.org\ne.example.org TXT %{x}\n", V4, "fail -all", ""},
	{"exp, time and receiver", TXT "-all exp=e.example.org\ne.example.org TXT %{t} %{r} %{S}\n", V4, "fail -all",
		"1700000000 mx.receiver.example user%40example.com"},
	{"exp by macro", TXT "-all exp=%{ir}.e.%{d2}\n3.2.0.192.e.example.com TXT found\n", V4, "fail -all", "found"},

	/* section 7.3: %{p} */
	{"p, the domain itself",
		TXT "-all exp=e.example.org\ne.example.org TXT %{p}\n"
		    "3.2.0.192.in-addr.arpa PTR h.example.org\n"
		    "3.2.0.192.in-addr.arpa PTR www.example.com\n"
		    "3.2.0.192.in-addr.arpa PTR example.com\nwww.example.com A 192.0.2.3\n"
		    "example.com A 192.0.2.3\n",
		V4, "fail -all", "example.com"},
	{"p, below the domain",
		TXT "-all exp=e.example.org\ne.example.org TXT %{p}\n"
		    "3.2.0.192.in-addr.arpa PTR h.example.org\n"
		    "3.2.0.192.in-addr.arpa PTR www.example.com\nwww.example.com A 192.0.2.3\n",
		V4, "fail -all", "www.example.com"},
	{"p, not below: only its end is like it",
		TXT "-all exp=e.example.org\ne.example.org TXT %{p}\n"
		    "3.2.0.192.in-addr.arpa PTR h.example.org\n"
		    "3.2.0.192.in-addr.arpa PTR myexample.com\n"
		    "myexample.com A 192.0.2.3\n",
		V4, "fail -all", "h.example.org"},
	{"p, none is valid",
		TXT "-all exp=e.example.org\ne.example.org TXT %{p}\n"
		    "3.2.0.192.in-addr.arpa PTR other.example.org\n",
		V4, "fail -all", "unknown"},
	{"p, DNS error", TXT "-all exp=e.example.org\ne.example.org TXT %{p}\n3.2.0.192.in-addr.arpa fail \n", V4,
		"fail -all", "unknown"},
	{"p in a mechanism",
		TXT "exists:%{p}.list.example.com\n3.2.0.192.in-addr.arpa PTR h.example.org\n"
		    "h.example.org.list.example.com A 127.0.0.2\n",
		V4, "pass exists:%{p}.list.example.com", NULL},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct trial trial;
		trial_begin(&trial);
		assert_true(zone_add_lines(trial.zone, str_of(common)));
		assert_true(zone_add_lines(trial.zone, str_of(row->zone)));
		assert_true(ip_parse(str_of(row->client), &trial.query.client));
		trial_run(&trial);
		struct str got = arena_printf(trial.arena, "%s%s%.*s", spf_status_text(trial.result.status),
			trial.result.mechanism.n > 0 ? " " : "", STR_ARG(trial.result.mechanism));
		check_str(row->what, got, row->result);
		struct str text = trial.result.reason != NULL ? str_of(trial.result.reason) : trial.result.explanation;
		if (row->explanation != NULL)
			check_str(row->what, text, row->explanation);
		trial_end(&trial);
	}
}

struct identity_row {
	enum spf_identity identity;
	const char *helo, *mail_from;
	const char *domain, *result;
	const char *explanation; /* "%{l} %{o} %{s} %{h}" of a fail; or the reason */
};

/* Sections 2.3, 2.4 and 4.3. Every domain below example.com publishes the same record. */
static const struct identity_row identities[] = {
	{SPF_MAILFROM, "h", "a@example.com", "example.com", "fail", "a example.com a@example.com h"},
	{SPF_MAILFROM, "h", "a@Example.COM", "example.com", "fail", "a Example.COM a@Example.COM h"},
	{SPF_MAILFROM, "h", "a@example.com.", "example.com", "fail", "a example.com a@example.com h"},
	{SPF_MAILFROM, "h", "@example.com", "example.com", "fail", "postmaster example.com postmaster@example.com h"},
	{SPF_MAILFROM, "h", "example.com", "example.com", "fail", "postmaster example.com postmaster@example.com h"},
	{SPF_MAILFROM, "h", "\"a@b\"@example.com", "example.com", "fail", "\"a@b\" example.com \"a@b\"@example.com h"},
	{SPF_MAILFROM, "h",
		"a@b\xc3\xbc"
		"cher.example.com",
		"xn--bcher-kva.example.com", "fail", "a xn--bcher-kva.example.com a@xn--bcher-kva.example.com h"},
	{SPF_MAILFROM, "example.com", "", "example.com", "fail",
		"postmaster example.com postmaster@example.com example.com"},
	{SPF_HELO, "example.com", "a@example.net", "example.com", "fail",
		"postmaster example.com postmaster@example.com example.com"},
	{SPF_HELO, "", "a@example.com", "", "none", "no domain to check"},
	{SPF_MAILFROM, "", "", "", "none", "no domain to check"},
	{SPF_MAILFROM, "h", "a@", "", "none", "no domain to check"},
	{SPF_HELO, "localhost", "", "localhost", "none", "not a domain name"},
	{SPF_HELO, "[192.0.2.3]", "", "[192.0.2.3]", "none", "not a domain name"},
	{SPF_HELO, "[IPv6:2001:db8::3]", "", "[IPv6:2001:db8::3]", "none", "not a domain name"},
	{SPF_HELO, "192.0.2.3", "", "192.0.2.3", "none", "not a domain name"},
	{SPF_MAILFROM, "h", "a@[192.0.2.3]", "[192.0.2.3]", "none", "not a domain name"},
	{SPF_MAILFROM, "h", "a@b..example.com", "b..example.com", "none", "not a domain name"},
	{SPF_MAILFROM, "h", "a@.example.com", ".example.com", "none", "not a domain name"},
	{SPF_MAILFROM, "h", "a@.", ".", "none", "not a domain name"},
	{SPF_MAILFROM, "h", "a@a12345678901234567890123456789012345678901234567890123456789012.example.com",
		"a12345678901234567890123456789012345678901234567890123456789012.example.com", "fail", NULL},
	{SPF_MAILFROM, "h", "a@a123456789012345678901234567890123456789012345678901234567890123.example.com",
		"a123456789012345678901234567890123456789012345678901234567890123.example.com", "none",
		"not a domain name"},
};

static void test_identities(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(identities); i++) {
		const struct identity_row *row = &identities[i];
		struct trial trial;
		trial_begin(&trial);
		const char *names[] = {"example.com", "xn--bcher-kva.example.com",
			"a12345678901234567890123456789012345678901234567890123456789012.example.com"};
		for (size_t n = 0; n < COUNT(names); n++)
			assert_true(zone_add_line(trial.zone,
				arena_printf(trial.arena, "%s TXT v=spf1 -all exp=e.example.org", names[n])));
		assert_true(zone_add_line(trial.zone, STR("e.example.org TXT %{l} %{o} %{s} %{h}")));
		trial.query.identity = row->identity;
		trial.query.helo = str_of(row->helo);
		trial.query.mail_from = str_of(row->mail_from);
		trial_run(&trial);
		check_str(row->mail_from, str_of(spf_status_text(trial.result.status)), row->result);
		check_str(row->mail_from, trial.result.domain, row->domain);
		check_int(row->mail_from, trial.result.identity, row->identity);
		struct str text = trial.result.reason != NULL ? str_of(trial.result.reason) : trial.result.explanation;
		if (row->explanation != NULL)
			check_str(row->mail_from, text, row->explanation);
		trial_end(&trial);
	}
}

/* Names that the record names outright are asked in one round; waiting ends in a result without answers, too. */
static void test_rounds(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	assert_true(
		zone_add_lines(trial.zone, STR(TXT "a:a.example.org mx:m.example.org include:i.example.org "
						   "include:j.example.org redirect=r.example.org\n"
						   "a.example.org A 198.51.100.1\nm.example.org MX 1 a.example.org\n"
						   "i.example.org TXT v=spf1 -all\nj.example.org TXT v=spf1 -all\n"
						   "r.example.org TXT v=spf1 ~all\n")));
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_SOFTFAIL);
	check_int("rounds", trial.rounds, 3); /* the record; all it names; the result */
	check_int("questions", (long long)trial.questions, 6);
	check_int("look-ups", trial.result.lookups, 5);
	trial_end(&trial);

	trial_begin(&trial);
	assert_false(spf_evaluate(trial.arena, &trial.options, &trial.query, trial.answers, &trial.result));
	answers_give_up(trial.answers);
	assert_true(spf_evaluate(trial.arena, &trial.options, &trial.query, trial.answers, &trial.result));
	check_int("given up", trial.result.status, SPF_TEMPERROR);
	check_str("reason", str_of(trial.result.reason), "DNS look-up timed out");
	trial_end(&trial);
}

/* What was asked early and not reached counts neither as look-up nor as void, and its failure does no harm. */
static void test_early_questions_do_not_count(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	assert_true(
		zone_add_lines(trial.zone, STR(TXT "a:h.example.org a:x1.example.org a:x2.example.org a:x3.example.org "
						   "include:f.example.org\nh.example.org A 192.0.2.3\n"
						   "f.example.org fail \n")));
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_PASS);
	check_int("look-ups", trial.result.lookups, 1);
	check_int("voids", trial.result.voids, 0);
	trial_end(&trial);
}

/* What stands behind a match that needs no question is not asked for. */
static void test_nothing_asked_behind_a_match(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	assert_true(zone_add_lines(trial.zone, STR(TXT "ip4:192.0.2.3 a:h.example.org redirect=yes.example.org\n")));
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_PASS);
	check_int("questions", (long long)trial.questions, 1);
	trial_end(&trial);
}

static void test_no_client(void **state)
{
	(void)state;
	struct trial trial;
	trial_begin(&trial);
	trial.query.client = (struct ip){.family = IP_NONE};
	trial_run(&trial);
	check_int("result", trial.result.status, SPF_NONE);
	check_int("questions", (long long)trial.questions, 0);
	trial_end(&trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_early_questions_do_not_count),
		cmocka_unit_test(test_nothing_asked_behind_a_match),
		cmocka_unit_test(test_no_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
