/* The DKIM-Signature field: RFC 6376 section 3.5, tag by tag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dkim/body.h"
#include "dkim/signature.h"

#define NOW 1700000000
#define DRIFT 300
#define BH "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
#define B "b=dGVzdA=="
#define REST " h=From:To; " BH "; " B
#define GOOD " v=1; a=rsa-sha256; d=example.com; s=sel; " REST

static const struct {
	const char *rule;
	const char *value;
	const char *problem; /* NULL: it could pass */
} rows[] = {
	{"all that is needed", GOOD, NULL},
	{"folded, white space around everything",
		"\n\tv = 1 ;\r\n a = rsa-sha256 ; d = example.com ;s=sel;\n h=From :\n To ; "
		"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6\n"
		" Sn7XIkfJVOzv8= ; b = dGVz\n\tdA== ;",
		NULL},
	{"unknown tags are ignored", GOOD "; xyz=1; x_y=", NULL},
	{"Ed25519", " v=1; a=ed25519-sha256; d=example.com; s=sel;" REST, NULL},

	{"no tags at all", "", "empty list"},
	{"not a tag list", " hello", "tag without '='"},
	{"duplicate tag", GOOD "; d=example.net", "duplicate tag"},
	{"v= missing", " a=rsa-sha256; d=example.com; s=sel;" REST, "no v= in the signature"},
	{"v= of the drafts", " v=0.5; a=rsa-sha256; d=example.com; s=sel;" REST, "unknown signature version"},
	{"v= is no number", " v=01; a=rsa-sha256; d=example.com; s=sel;" REST, "unknown signature version"},
	{"a= missing", " v=1; d=example.com; s=sel;" REST, "no a= in the signature"},
	{"RFC 8301 section 3.1", " v=1; a=rsa-sha1; d=example.com; s=sel;" REST, "rsa-sha1 is not accepted any more"},
	{"a= unknown", " v=1; a=rsa-md5; d=example.com; s=sel;" REST, "unknown signature algorithm"},
	{"a= joined with another hash", " v=1; a=ed25519-sha1; d=example.com; s=sel;" REST,
		"unknown signature algorithm"},

	{"d= missing", " v=1; a=rsa-sha256; s=sel;" REST, "no d= in the signature"},
	{"d= empty", " v=1; a=rsa-sha256; d=; s=sel;" REST, "d= is no domain name"},
	{"d= a single label", " v=1; a=rsa-sha256; d=com; s=sel;" REST, "d= is no domain name"},
	{"d= with an empty label", " v=1; a=rsa-sha256; d=example..com; s=sel;" REST, "d= is no domain name"},
	{"d= with other characters", " v=1; a=rsa-sha256; d=ex(ample).com; s=sel;" REST, "d= is no domain name"},
	{"d= with white space within", " v=1; a=rsa-sha256; d=exa mple.com; s=sel;" REST, "d= is no domain name"},
	{"d= in upper case", " v=1; a=rsa-sha256; d=EXAMPLE.com; s=SEL;" REST, NULL},
	{"s= missing", " v=1; a=rsa-sha256; d=example.com;" REST, "no s= in the signature"},
	{"s= of several labels", " v=1; a=rsa-sha256; d=example.com; s=a.b_c-d.e;" REST, NULL},
	{"s= empty", " v=1; a=rsa-sha256; d=example.com; s=;" REST, "s= is no selector"},
	{"s= with other characters", " v=1; a=rsa-sha256; d=example.com; s=*;" REST, "s= is no selector"},
	{"names too long together",
		" v=1; a=rsa-sha256; d=example.com; s=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;" REST,
		"the key's name is too long for the DNS"},

	{"i= at d=", GOOD "; i=@example.com", NULL},
	{"i= below d=", GOOD "; i=joe@mail.example.COM", NULL},
	{"i= quoted", GOOD "; i=a=3Db=\n\t20c@example.com", "malformed i="},
	{"i= quoted in lower case", GOOD "; i=a=3db@example.com", NULL},
	{"i= outside d=", GOOD "; i=joe@example.net", "i= is not within d="},
	{"i= at a domain that only ends alike", GOOD "; i=joe@badexample.com", "i= is not within d="},
	{"i= above d=", " v=1; a=rsa-sha256; d=mail.example.com; s=sel; i=@example.com;" REST, "i= is not within d="},
	{"i= without @", GOOD "; i=example.com", "malformed i="},
	{"i= empty", GOOD "; i=", "malformed i="},
	{"i= without domain", GOOD "; i=joe@", "malformed i="},
	{"i= with two @: the last counts", GOOD "; i=a@example.net@example.com", NULL},
	{"i= with a broken quote", GOOD "; i=a=4@example.com", "malformed i="},
	{"i= whose domain hides in a quote", GOOD "; i=joe@example.net=00.example.com", "malformed i="},

	{"c= simple alone", GOOD "; c=simple", NULL},
	{"c= relaxed alone", GOOD "; c=relaxed", NULL},
	{"c= both", GOOD "; c=relaxed/relaxed", NULL},
	{"c= unknown for headers", GOOD "; c=nofws/simple", "unknown canonicalization"},
	{"c= unknown for bodies", GOOD "; c=simple/nofws", "unknown canonicalization"},
	{"c= with nothing behind the slash", GOOD "; c=simple/", "unknown canonicalization"},
	{"c= empty", GOOD "; c=", "unknown canonicalization"},

	{"q= the usual", GOOD "; q=dns/txt", NULL},
	{"q= one of them known", GOOD "; q=http : DNS/TXT", NULL},
	{"q= of early signers", GOOD "; q=dns", NULL},
	{"q= unknown", GOOD "; q=http", "unknown key query method"},
	{"q= with unknown arguments", GOOD "; q=dns/special", "unknown key query method"},

	{"h= missing", " v=1; a=rsa-sha256; d=example.com; s=sel; " BH "; " B, "no h= in the signature"},
	{"h= empty", " v=1; a=rsa-sha256; d=example.com; s=sel; h=; " BH "; " B, "no h= in the signature"},
	{"From not in h=", " v=1; a=rsa-sha256; d=example.com; s=sel; h=To:Subject; " BH "; " B, "From is not signed"},
	{"only something like From in h=", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From-x:Fro m; " BH "; " B,
		"From is not signed"},
	{"FROM in h=", " v=1; a=rsa-sha256; d=example.com; s=sel; h=To: \n FROM :Date; " BH "; " B, NULL},

	{"bh= missing", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; " B, "no bh= in the signature"},
	{"bh= is no base64", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; bh=2jUSOH9N*; " B, "malformed bh="},
	{"bh= too short", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; bh=2jUSOH9N; " B, "malformed bh="},
	{"bh= too long", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; " BH "AAAA; " B, "malformed bh="},
	{"b= missing", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; " BH, "no b= in the signature"},
	{"b= empty", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; b=; " BH, "no b= in the signature"},
	{"b= is no base64", " v=1; a=rsa-sha256; d=example.com; s=sel; h=From; b=test*; " BH, "malformed b="},

	{"t= now", GOOD "; t=1700000000", NULL},
	{"t= a clock that is ahead", GOOD "; t=1700000300", NULL},
	{"t= in the future", GOOD "; t=1700000301", "signed in the future"},
	{"t= in the far future", GOOD "; t=999999999999999999999999", "signed in the future"},
	{"t= negative", GOOD "; t=-1", "malformed t="},
	{"t= empty", GOOD "; t=", "malformed t="},
	{"t= not a number", GOOD "; t=yesterday", "malformed t="},
	{"t= folded", GOOD "; t=17000\n\t00000", "malformed t="},
	{"t= hexadecimal", GOOD "; t=0x10", "malformed t="},
	{"x= in the future", GOOD "; x=1700000001", NULL},
	{"x= just over, within the drift of clocks", GOOD "; x=1699999700", NULL},
	{"x= over", GOOD "; x=1699999699", "expired"},
	{"x= without end", GOOD "; t=1; x=99999999999999999999999999999999", NULL},
	{"x= at t=", GOOD "; t=1700000000; x=1700000000", "x= is not after t="},
	{"x= before t=", GOOD "; t=1700000000; x=1699999999", "x= is not after t="},
	{"x= negative", GOOD "; x=-5", "malformed x="},
	{"x= empty", GOOD "; x=", "malformed x="},

	{"l= zero", GOOD "; l=0", NULL},
	{"l= without end: judged by the body", GOOD "; l=99999999999999999999999999999999999", NULL},
	{"l= negative", GOOD "; l=-1", "malformed l="},
	{"l= not a number", GOOD "; l=all", "malformed l="},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_signature signature;
		dkim_signature_parse(arena, str_of(rows[i].value), NOW, DRIFT, &signature);
		if ((signature.problem == NULL) != (rows[i].problem == NULL) ||
			(signature.problem != NULL && strcmp(signature.problem, rows[i].problem) != 0))
			fail_msg("%s: got %s", rows[i].rule,
				signature.problem != NULL ? signature.problem : "no problem");
		arena_free(arena);
	}
}

static void test_values(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_signature signature;
	dkim_signature_parse(arena,
		STR(" v=1; a=RSA-sha256; d=B\xc3\xbc"
		    "cher.Example.; s=S1.x; i= jo=40e@m.b\xc3\xbc"
		    "cher.example;"
		    " c=relaxed; t=12; x=1700000000; l=077; h=to:from; b=A\n\tBCD EFGHIJKL; " BH),
		NOW, DRIFT, &signature);
	assert_null(signature.problem);
	assert_true(str_eq(signature.domain, STR("xn--bcher-kva.example")));
	assert_true(str_eq(signature.selector, STR("s1.x")));
	assert_true(str_eq(signature.key_name, STR("s1.x._domainkey.xn--bcher-kva.example")));
	assert_true(str_eq(signature.identity, STR("jo@e@m.xn--bcher-kva.example")));
	assert_true(str_eq(signature.identity_domain, STR("m.xn--bcher-kva.example")));
	assert_true(str_eq(signature.algorithm, STR("RSA-sha256")));
	assert_true(str_eq(signature.signature_start, STR("ABCDEFGH")));
	assert_int_equal(signature.header_canonicalization, DKIM_RELAXED);
	assert_int_equal(signature.body_canonicalization, DKIM_SIMPLE);
	assert_int_equal(signature.signed_at, 12);
	assert_int_equal(signature.expires_at, 1700000000);
	assert_int_equal(signature.body_length, 77);
	assert_int_equal(signature.signature.n, 9);

	/* Without i= it is "@" d= (section 3.5); without l= all of the body. */
	dkim_signature_parse(arena, STR(GOOD), NOW, DRIFT, &signature);
	assert_true(str_eq(signature.identity, STR("@example.com")));
	assert_true(signature.body_length == BODY_WHOLE);
	assert_int_equal(signature.header_canonicalization, DKIM_SIMPLE);
	assert_int_equal(signature.signed_at, -1);

	/* A result says whose signature it was even where that cannot pass. */
	dkim_signature_parse(arena, STR(GOOD "; d=x.example; v=1"), NOW, DRIFT, &signature);
	assert_non_null(signature.problem);
	assert_true(str_eq(signature.domain, STR("example.com")));
	assert_true(str_eq(signature.signature_start, STR("dGVzdA==")));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_values)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
