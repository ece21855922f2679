/*
 * Who wrote it: each row is a rule of RFC 5322, 6531, 6854, an oddity of real mail (docs/wild-mail.md), or a try to
 * make a mail reader show another author than the one that is judged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "message/address.h"

struct row {
	struct str value;
	enum author_outcome outcome;
	const char *domains; /* joined by blanks */
	const char *reason;
};

#define ONE(value, domain)                                                                                             \
	{                                                                                                              \
		STR_INIT(value), AUTHOR_ONE, domain, NULL                                                              \
	}
#define SEVERAL(value, domains)                                                                                        \
	{                                                                                                              \
		STR_INIT(value), AUTHOR_SEVERAL, domains, "several author domains"                                     \
	}
#define NONE(value)                                                                                                    \
	{                                                                                                              \
		STR_INIT(value), AUTHOR_NONE, "", "no address in From"                                                 \
	}
#define MALFORMED(value, domains, reason)                                                                              \
	{                                                                                                              \
		STR_INIT(value), AUTHOR_MALFORMED, domains, reason                                                     \
	}

/* RFC 5322 sections 3.2 to 3.4 */
static const struct row standard_rows[] = {
	ONE("joe@example.com", "example.com"),
	ONE(" joe@example.com", "example.com"),
	ONE("<joe@example.com>", "example.com"),
	ONE("Joe Public <joe@example.com>", "example.com"),
	ONE("\"Joe Q. Public\" <joe@example.com>", "example.com"),
	ONE("\"Public, Joe\" <joe@example.com>", "example.com"),
	ONE("\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>", "example.net"),
	ONE("Joe\"Q\"Public<joe@example.com>", "example.com"),
	ONE("joe@EXAMPLE.Com", "example.com"),
	ONE("joe+tag!#$%&'*-/=?^_`{|}~@example.com", "example.com"),
	ONE("\"joe public\"@example.com", "example.com"),
	ONE("\"joe@work\"@example.com", "example.com"),
	ONE("\"joe\\\"@work\"@example.com", "example.com"),
	ONE("\"\"@example.com", "example.com"),
	ONE("joe@localhost", "localhost"),
	ONE("joe@_tcp.example.com", "_tcp.example.com"),
	ONE("joe@example.com, ann@example.com", "example.com"),
	ONE("joe@example.com,Ann <ann@EXAMPLE.COM.>", "example.com"),
	SEVERAL("joe@example.com, ann@example.net", "example.com example.net"),
	SEVERAL("a@x.example, b@y.example, c@x.example", "x.example y.example"),
	MALFORMED("joe@[192.0.2.1]", "", "domain literal"),
	MALFORMED("joe@[IPv6:2001:db8::1]", "", "domain literal"),
	MALFORMED("Joe", "", "address without domain"),
	MALFORMED("joe@", "", "address without domain"),
	MALFORMED("@example.com", "example.com", "address without local part"),
	MALFORMED("<@example.com>", "example.com", "address without local part"),
	MALFORMED("<>", "", "empty angle brackets"),
	MALFORMED("Joe <>", "", "empty angle brackets"),
	MALFORMED("joe@exa mple.com", "exa", "bad domain"),
	MALFORMED("joe@example..com", "", "bad domain"),
	MALFORMED("joe@.example.com", "example.com", "bad domain"),
	MALFORMED("joe@example.com..", "example.com", "bad domain"),
	MALFORMED("joe@\"example.com\"", "", "bad domain"),
	MALFORMED("joe@exam+ple.com", "exam", "domain is no host name"),
	MALFORMED("joe@a@example.com", "a example.com", "bad domain"),
	MALFORMED("joe public@example.com", "example.com", "two words in a local part"),
	MALFORMED("\"a\"b@example.com", "example.com", "two words in a local part"),
	MALFORMED("joe@example.com ann@example.net", "example.com example.net", "bad domain"),
	MALFORMED("j[o]e@example.com", "example.com", "special character in a local part"),
};

/* White space, folding and comments: sections 3.2.2, 4.2 */
static const struct row space_rows[] = {
	ONE("Joe\n <joe@example.com>", "example.com"),
	ONE("Joe\r\n\t<joe@example.com>", "example.com"),
	ONE("\n joe@example.com", "example.com"),
	ONE("Joe\r\n \r\n <joe@example.com>", "example.com"),
	ONE("joe@example.com (Joe Public)", "example.com"),
	ONE("joe@example.com (mail to \\) joe@example.net)", "example.com"),
	ONE("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "silly.test"),
	ONE("(a (b (c)) d) joe@example.com", "example.com"),
	ONE("joe@(comment)example.com", "example.com"),
	ONE("joe (c) @ (c) example.com (c)", "example.com"),
	ONE("\"Joe\n Public\" <joe@example.com>", "example.com"),
	ONE("(((((((((((((((())))))))))))))))joe@example.com", "example.com"),
	MALFORMED("((((((((((((((((()))))))))))))))))joe@example.com", "example.com", "comments nested too deep"),
	MALFORMED("joe@example.com (Joe", "example.com", "unterminated comment"),
	MALFORMED("joe@example.com (Joe\\)", "example.com", "unterminated comment"),
	MALFORMED("joe@example.com (Joe\\", "example.com", "backslash at the end"),
	MALFORMED("Joe) <joe@example.com>", "example.com", "special character in a display name"),
	MALFORMED("\"Joe <joe@example.com>", "example.com", "unterminated quoted string"),
	MALFORMED("\"Joe\nPublic\" <joe@example.com>", "example.com", "line break without folding"),
	MALFORMED("joe@example.com\nann@example.net", "example.com example.net", "line break without folding"),
	MALFORMED("joe@example.com\n", "example.com", "line break without folding"),
	MALFORMED("joe@example.com\r ann@example.net", "example.com example.net", "bare CR"),
	MALFORMED("joe@example.com\r", "example.com", "bare CR"),
	MALFORMED("\"a\rb\" <joe@example.com>", "example.com", "bare CR"),
	MALFORMED("joe@example.com\0", "example.com", "NUL byte"),
	MALFORMED("joe@example.com\0.attacker.example", "example.com", "NUL byte"),
	MALFORMED("\"\0\" <joe@example.com>", "example.com", "NUL byte"),
	MALFORMED("\"\\\0\" <joe@example.com>", "example.com", "NUL byte"),
	MALFORMED("(\0) <joe@example.com>", "example.com", "NUL byte"),
	MALFORMED("\x1b$B <joe@example.com>", "example.com", "control byte"),
	MALFORMED("Joe\x7f <joe@example.com>", "example.com", "control byte"),
	MALFORMED("Joe\xc2\x85 <joe@example.com>", "example.com", "control byte"),
};

/* Section 4.4, and the examples of appendix A.6 */
static const struct row obsolete_rows[] = {
	ONE("Joe Q. Public <john.q.public@example.com>", "example.com"),
	ONE("John Doe <jdoe@machine(comment).  example>", "machine.example"),
	ONE("<@node.test:mary@example.net>", "example.net"),
	ONE("Mary <@node.test,@other.test:mary@example.net>", "example.net"),
	ONE("joe . q . public@example.com", "example.com"),
	ONE("\"joe\" . public@example.com", "example.com"),
	ONE(",joe@example.com", "example.com"),
	ONE("joe@example.com,", "example.com"),
	ONE(", ,, joe@example.com,(c), ann@example.com,,", "example.com"),
	ONE("joe@example.com.", "example.com"),
	NONE(","),
	NONE(",(none), ,"),
	MALFORMED("<@node.test mary@example.net>", "node.test example.net", "bad domain"),
	MALFORMED("<node.test:mary@example.net>", "example.net", "bad route"),
	MALFORMED("<:mary@example.net>", "example.net", "bad route"),
	MALFORMED("<,:mary@example.net>", "example.net", "bad route"),
	/* Grammar has them; Python's email and Mail::Address see addresses at victim.example. */
	MALFORMED("<,@victim.example:mary@example.net>", "victim.example example.net", "bad route"),
	MALFORMED("<@victim.example,:mary@example.net>", "victim.example example.net", "bad route"),
	MALFORMED("<@[192.0.2.1]:mary@example.net>", "example.net", "bad domain in a route"),
	MALFORMED("<@a.test:@b.test:mary@example.net>", "a.test b.test example.net", "bad domain"),
	MALFORMED("joe@victim.example .attacker.example", "victim.example", "white space within a domain"),
	MALFORMED("<joe@victim.example(x).attacker.example>", "victim.example", "white space within a domain"),
	MALFORMED("joe@victim.example .", "victim.example", "white space within a domain"),
};

/* RFC 6854 */
static const struct row group_rows[] = {
	ONE("Team: joe@example.com;", "example.com"),
	ONE("Team: Joe <joe@example.com>, ann@example.com;", "example.com"),
	ONE("\"The: Team\":joe@example.com;(c)", "example.com"),
	ONE("Nobody:;, joe@example.com", "example.com"),
	ONE("Team: ,joe@example.com,, ;, ,", "example.com"),
	SEVERAL("A: joe@example.com;, B: ann@example.net;", "example.com example.net"),
	NONE("undisclosed-recipients:;"),
	NONE("Nobody: (really) ;"),
	NONE("Nobody:,,;"),
	MALFORMED("Team: joe@example.com", "example.com", "unterminated group"),
	MALFORMED("Team:", "", "unterminated group"),
	MALFORMED(":joe@example.com;", "example.com", "group without name"),
	MALFORMED("A: B: joe@example.com;;", "example.com", "group within a group"),
	MALFORMED("joe@example.com;", "example.com", "semicolon outside of a group"),
	MALFORMED("joe@example.com; ann@example.net", "example.com example.net", "semicolon outside of a group"),
	MALFORMED("A: joe@example.com; ann@example.net", "example.com example.net", "text behind a group"),
	MALFORMED("A: joe@example.com; B: ann@example.net;", "example.com example.net", "text behind a group"),
	MALFORMED("A: joe@example.com;;", "example.com", "text behind a group"),
	MALFORMED("joe@victim.example: ann@example.net;", "example.net victim.example",
		"another address in a display name"),
};

/* RFC 6531, RFC 6532; U-labels become A-labels */
static const struct row utf8_rows[] = {
	ONE("J\xc3\xb6rg <joerg@example.com>", "example.com"),
	ONE("j\xc3\xb6rg@example.com", "example.com"),
	ONE("joe@b\xc3\xbc"
	    "cher.example",
		"xn--bcher-kva.example"),
	ONE("joe@B\xc3\x9c"
	    "CHER.example",
		"xn--bcher-kva.example"),
	ONE("joe@xn--bcher-kva.example", "xn--bcher-kva.example"),
	ONE("joe@b\xc3\xbc"
	    "cher.example, ann@xn--bcher-kva.example",
		"xn--bcher-kva.example"),
	/* Ideographic and fullwidth stops, fullwidth letters, a soft hyphen: what IDNA maps, a resolver maps. */
	ONE("joe@example\xe3\x80\x82"
	    "com",
		"example.com"),
	ONE("joe@\xef\xbd\x85xample\xef\xbc\x8e"
	    "com",
		"example.com"),
	ONE("joe@exam\xc2\xadple.com", "example.com"),
	MALFORMED("joe@example\xef\xbc\xa0victim.example", "", "domain is no host name"),
	MALFORMED("joe@ex\xc2\xa0"
		  "ample.com",
		"", "domain is no host name"),
	/* Latin-1 and other bytes that are not UTF-8: in names, not in addresses. */
	ONE("J\xf6rg <joerg@example.com>", "example.com"),
	ONE("\"J\xf6rg\" <joerg@example.com>", "example.com"),
	ONE("\"Ren\xe9\" <rene@example.com>", "example.com"),
	ONE("rene@example.com (Ren\xe9)", "example.com"),
	ONE("\xe9\xa0 <rene@example.com>", "example.com"),
	MALFORMED("j\xf6rg@example.com", "example.com", "address is not UTF-8"),
	MALFORMED("\"j\xf6rg\"@example.com", "example.com", "address is not UTF-8"),
	MALFORMED("joe@b\xfc"
		  "cher.example",
		"", "domain is no host name"),
	MALFORMED("\"\x83\\\" <a@victim.example>, \" <b@attacker.example>", "victim.example attacker.example",
		"backslash behind a byte that is not UTF-8"),
};

/* Encoded words are text of a display name, and nothing in them is an address */
static const struct row encoded_rows[] = {
	ONE("=?utf-8?q?J=C3=B6rg?= <joerg@example.com>", "example.com"),
	ONE("=?utf-8?B?YUB2aWN0aW0uZXhhbXBsZQ==?= <b@example.com>", "example.com"),
	ONE("\"=?utf-8?q?J=C3=B6rg?=\" <joerg@example.com>", "example.com"),
	ONE("=?utf-8?q?Joe_Inc.?= <joe@example.com>", "example.com"),
	ONE("=?utf-8?q?Joe_(sales)?= <joe@example.com>", "example.com"),
	ONE("=?utf-8?q?=20Joe?= (=?utf-8?q?sales?=) <joe@example.com>", "example.com"),
	MALFORMED("=?utf-8?B?YUB2aWN0aW0uZXhhbXBsZQ==?=", "", "address without domain"),
	MALFORMED("=?utf-8?q?a=40victim.example?=@example.com", "example.com", "encoded word in an address"),
	MALFORMED("\"=?utf-8?q?a?=\"@example.com", "example.com", "encoded word in an address"),
	MALFORMED("joe@=?utf-8?q?victim.example?=", "", "domain is no host name"),
	MALFORMED("=?utf-8?q?a@victim.example?= <b@example.com>", "victim.example example.com",
		"another address in a display name"),
	MALFORMED("=?utf-8?q?<a@victim.example>?= <b@example.com>", "victim.example example.com",
		"text behind an address"),
	MALFORMED("=?utf-8?q?(?= <a@victim.example>, =?utf-8?q?)?= <b@example.com>", "victim.example example.com",
		"encoded word broken by a comment"),
	MALFORMED("=?utf-8?q? (?= <a@victim.example>, =?utf-8?q? )?= <b@example.com>", "victim.example example.com",
		"encoded word broken by a comment"),
	MALFORMED("=?utf-8?q?\"?= <a@victim.example>, =?utf-8?q?\"?= <b@example.com>", "victim.example example.com",
		"encoded word broken by a quote"),
};

/* Display names: what real mail has, and what could be another author */
static const struct row display_rows[] = {
	ONE("\"joe@victim.example\" <z@example.com>", "example.com"),
	ONE("victim.example <z@example.com>", "example.com"),
	ONE("Joe [sales] <joe@example.com>", "example.com"),
	ONE("joe@example.com <joe@example.com>", "example.com"),
	ONE("'joe@example.com' <joe@example.com>", "example.com"),
	ONE("Joe via list@EXAMPLE.com <joe@example.com>", "example.com"),
	ONE("joe.@example.com", "example.com"),
	ONE("joe..public@example.com", "example.com"),
	ONE(".joe@example.com", "example.com"),
	MALFORMED(
		"a@victim.example <c@example.com>", "victim.example example.com", "another address in a display name"),
	MALFORMED("a@example.com. x@victim.example <c@example.com>", "example.com victim.example",
		"another address in a display name"),
	/* An address in front of more: c-client and Python's email glue it together. */
	MALFORMED("a@example.com\"b@victim.example\" <c@example.com>", "example.com victim.example",
		"another address in a display name"),
	MALFORMED("ceo@bank.co m <ceo@bank.co>", "bank.co", "another address in a display name"),
	MALFORMED(
		"a@example.com.(x)victim.example <c@example.com>", "example.com", "another address in a display name"),
	/* An address behind an encoded word: Python's email decodes it and takes the first address. */
	MALFORMED("=?utf-8?q?a=40victim.example?= b@example.com <c@example.com>", "example.com",
		"another address in a display name"),
	MALFORMED("\"b\"@example.com <c@example.com>", "example.com", "another address in a display name"),
	/* Brackets end an element for Python's email. */
	MALFORMED("\"a@victim.example\"[] <c@example.com>", "example.com victim.example",
		"another address in quotes or a comment"),
	/* Neither to the letter nor without a second address: readers that give up look for one in quotes and comments.
	 */
	MALFORMED(".NET \"x,a@victim.example\" <c@example.com>", "example.com victim.example",
		"another address in quotes or a comment"),
	MALFORMED("Joe [x] (<a@victim.example>,) <c@example.com>", "example.com victim.example",
		"another address in quotes or a comment"),
	MALFORMED("\"a@victim.example\" <c..d@example.com>", "example.com victim.example",
		"another address in quotes or a comment"),
	MALFORMED("(a@victim.example) <c@example.com.>", "example.com victim.example",
		"another address in quotes or a comment"),
	ONE(".NET Team <c@example.com>", "example.com"),
	ONE("\"c..d@example.com\" <c..d@example.com>", "example.com"),
	ONE("Joe [x] (a@example.com) <c@example.com>", "example.com"),
	ONE("\"a@victim.example\" (a@victim.example) <c@example.com>", "example.com"),
	MALFORMED("[x] a@example.com <c@example.com>", "example.com", "another address in a display name"),
	MALFORMED("a@ example.com <c@example.com>", "example.com", "another address in a display name"),
	MALFORMED("@example.com <c@example.com>", "example.com", "another address in a display name"),
	MALFORMED("a@example.com.victim.example <c@example.com>", "example.com.victim.example example.com",
		"another address in a display name"),
	MALFORMED("<a@victim.example> <c@example.com>", "victim.example example.com", "text behind an address"),
	MALFORMED("<a@victim.example>, <c@example.com> x", "victim.example example.com", "text behind an address"),
	MALFORMED("<a@victim.example><c@example.com>", "victim.example example.com", "text behind an address"),
	MALFORMED("<<c@example.com>>", "example.com", "special character in a local part"),
	MALFORMED("<c@example.com>>", "example.com", "text behind an address"),
	MALFORMED("<c@example.com", "example.com", "unterminated angle brackets"),
	MALFORMED("c@example.com>", "example.com", "bad domain"),
	MALFORMED("<a@victim.example, c@example.com>", "victim.example example.com", "bad domain"),
	MALFORMED("Joe, Inc. <joe@example.com>", "example.com", "address without domain"),
	MALFORMED("Joe: sales <joe@example.com>", "example.com", "unterminated group"),
	MALFORMED("Joe \\\"x\\\" <joe@example.com>", "example.com", "unterminated quoted string"),
	MALFORMED("Joe \\x <joe@example.com>", "example.com", "special character in a display name"),
	MALFORMED("Joe [sales <joe@example.com>", "example.com", "special character in a display name"),
	MALFORMED("Joe ]sales[ <joe@example.com>", "example.com", "special character in a display name"),
	MALFORMED("[a@victim.example] <joe@example.com>", "victim.example example.com",
		"another address in a display name"),
};

static const struct row empty_rows[] = {NONE(""), NONE(" "), NONE("(nobody)"), NONE(" (a)\r\n\t(b) ")};

static struct str join_domains(struct arena *arena, const struct author *author)
{
	struct buf joined = buf_in(arena);
	for (size_t i = 0; i < author->n_domains; i++) {
		if (i > 0)
			buf_add_char(&joined, ' ');
		buf_add(&joined, author->domains[i]);
	}
	return str_of(buf_cstr(&joined));
}

/* What must hold of every outcome, whatever the input. */
static void check_consistent(const struct author *author)
{
	assert_int_equal(author->outcome == AUTHOR_ONE, author->reason == NULL);
	if (author->outcome == AUTHOR_ONE)
		assert_int_equal(author->n_domains, 1);
	if (author->outcome == AUTHOR_SEVERAL)
		assert_true(author->n_domains > 1);
	if (author->outcome == AUTHOR_NONE)
		assert_true(author->n_domains == 0 && author->n_addresses == 0);
}

static void check_row(const struct row *row)
{
	struct arena *arena = arena_new(0);
	struct headers headers;
	struct author author;
	headers_init(&headers, arena, 100, 100000);
	headers_add(&headers, STR("From"), row->value);
	author_find(arena, &headers, &author);
	struct str domains = join_domains(arena, &author);
	if (author.outcome != row->outcome || strcmp(domains.p, row->domains) != 0 ||
		strcmp(row->reason != NULL ? row->reason : "", author.reason != NULL ? author.reason : "") != 0)
		fail_msg("From:%.*s\n got outcome %d, domains \"%s\", reason \"%s\"", STR_ARG(row->value),
			(int)author.outcome, domains.p, author.reason != NULL ? author.reason : "");
	check_consistent(&author);
	arena_free(arena);
}

#define CHECK_ROWS(rows)                                                                                               \
	for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)                                                  \
	check_row(&(rows)[i])

static void test_standard(void **state)
{
	(void)state;
	CHECK_ROWS(standard_rows);
}

static void test_space(void **state)
{
	(void)state;
	CHECK_ROWS(space_rows);
}

static void test_obsolete(void **state)
{
	(void)state;
	CHECK_ROWS(obsolete_rows);
}

static void test_groups(void **state)
{
	(void)state;
	CHECK_ROWS(group_rows);
}

static void test_utf8(void **state)
{
	(void)state;
	CHECK_ROWS(utf8_rows);
}

static void test_encoded_words(void **state)
{
	(void)state;
	CHECK_ROWS(encoded_rows);
}

static void test_display_names(void **state)
{
	(void)state;
	CHECK_ROWS(display_rows);
}

static void test_empty(void **state)
{
	(void)state;
	CHECK_ROWS(empty_rows);
}

/* A field that may be laid out with CRLF or LF means the same: the milter gives LF, a file CRLF. */
static void test_line_ends_are_equal(void **state)
{
	(void)state;
	static const struct row rows[] = {
		ONE("Joe\r\n (c\r\n d)\r\n <joe@\r\n example.com>", "example.com"),
		ONE("Joe\n (c\n d)\n <joe@\n example.com>", "example.com"),
	};
	CHECK_ROWS(rows);
}

struct fields_row {
	struct str names[3], values[3];
	enum author_outcome outcome;
	const char *domains, *reason;
	size_t n_fields;
};

static const struct fields_row fields_rows[] = {
	{.names = {STR_INIT("To")},
		.values = {STR_INIT("joe@example.com")},
		.outcome = AUTHOR_NONE,
		.domains = "",
		.reason = "no From field"},
	{.names = {STR_INIT("Sender"), STR_INIT("Resent-From"), STR_INIT("X-From")},
		.values = {STR_INIT("a@example.com"), STR_INIT("a@example.com"), STR_INIT("a@example.com")},
		.outcome = AUTHOR_NONE,
		.domains = "",
		.reason = "no From field"},
	{.names = {STR_INIT("fROM")},
		.values = {STR_INIT("joe@example.com")},
		.outcome = AUTHOR_ONE,
		.domains = "example.com",
		.n_fields = 1},
	{.names = {STR_INIT("From ")},
		.values = {STR_INIT("joe@example.com")},
		.outcome = AUTHOR_ONE,
		.domains = "example.com",
		.n_fields = 1},
	{.names = {STR_INIT("From\t ")},
		.values = {STR_INIT("joe@example.com")},
		.outcome = AUTHOR_ONE,
		.domains = "example.com",
		.n_fields = 1},
	{.names = {STR_INIT("From"), STR_INIT("Subject"), STR_INIT("From")},
		.values = {STR_INIT("a@victim.example"), STR_INIT("x"), STR_INIT("b@example.com")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "victim.example example.com",
		.reason = "two From fields",
		.n_fields = 2},
	{.names = {STR_INIT("From"), STR_INIT("From ")},
		.values = {STR_INIT("a@example.com"), STR_INIT("b@example.com")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "example.com",
		.reason = "two From fields",
		.n_fields = 2},
	{.names = {STR_INIT("From"), STR_INIT("FROM")},
		.values = {STR_INIT(""), STR_INIT("b@example.com")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "example.com",
		.reason = "two From fields",
		.n_fields = 2},
	{.names = {STR_INIT("From"), STR_INIT("From"), STR_INIT("From")},
		.values = {STR_INIT("x <a@victim.example"), STR_INIT("x"), STR_INIT("b@example.com")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "victim.example example.com",
		.reason = "more than two From fields",
		.n_fields = 3},
	{.names = {STR_INIT("Subject"), STR_INIT("From")},
		.values = {STR_INIT(" x\rFrom: a@victim.example"), STR_INIT("b@example.com")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "victim.example example.com",
		.reason = "From behind a line break within another field",
		.n_fields = 2},
	{.names = {STR_INIT("X")},
		.values = {STR_INIT("\n\nfrom : a@victim.example")},
		.outcome = AUTHOR_MALFORMED,
		.domains = "victim.example",
		.reason = "From behind a line break within another field",
		.n_fields = 1},
	{.names = {STR_INIT("Subject"), STR_INIT("From")},
		.values = {STR_INIT("x\n From: a@victim.example"), STR_INIT("b@example.com")},
		.outcome = AUTHOR_ONE,
		.domains = "example.com",
		.n_fields = 1},
};

static void test_fields(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(fields_rows) / sizeof(fields_rows[0]); i++) {
		const struct fields_row *row = &fields_rows[i];
		struct headers headers;
		struct author author;
		headers_init(&headers, arena, 100, 100000);
		for (size_t k = 0; k < 3 && row->names[k].n > 0; k++)
			headers_add(&headers, row->names[k], row->values[k]);
		author_find(arena, &headers, &author);
		assert_int_equal(author.outcome, row->outcome);
		assert_string_equal(join_domains(arena, &author).p, row->domains);
		assert_int_equal(author.n_fields, row->n_fields);
		if (row->reason != NULL)
			assert_string_equal(author.reason, row->reason);
		check_consistent(&author);
	}
	arena_free(arena);
}

/* A From field behind ten thousand others must not go unnoticed. */
static void test_field_beyond_limits(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct headers headers;
	struct author author;
	headers_init(&headers, arena, 2, 1000);
	headers_add(&headers, STR("From"), STR("joe@example.com"));
	headers_add(&headers, STR("To"), STR("x"));
	author_find(arena, &headers, &author);
	assert_int_equal(author.outcome, AUTHOR_ONE);
	headers_add(&headers, STR("from "), STR("ann@example.net"));
	author_find(arena, &headers, &author);
	assert_int_equal(author.outcome, AUTHOR_MALFORMED);
	assert_string_equal(author.reason, "two From fields");

	headers_init(&headers, arena, 1, 1000);
	headers_add(&headers, STR("To"), STR("x"));
	headers_add(&headers, STR("From"), STR("joe@example.com"));
	author_find(arena, &headers, &author);
	assert_int_equal(author.outcome, AUTHOR_MALFORMED);
	assert_string_equal(author.reason, "From field beyond the limits");
	arena_free(arena);
}

static struct str repeat(struct arena *arena, const char *text, size_t n, const char *end)
{
	struct buf buf = buf_in(arena);
	for (size_t i = 0; i < n; i++)
		buf_add_cstr(&buf, text);
	buf_add_cstr(&buf, end);
	return buf_str(&buf);
}

static enum author_outcome outcome_of(struct str value, size_t *ret_n_addresses, size_t *ret_used)
{
	/* The cap proves that a field of 1 MiB does not buy our memory: it would end the program. */
	struct arena *store = arena_new(0), *arena = arena_new(2 << 20);
	struct headers headers;
	struct author author;
	headers_init(&headers, store, 100, 10 << 20);
	headers_add(&headers, STR("From"), value);
	author_find(arena, &headers, &author);
	check_consistent(&author);
	enum author_outcome outcome = author.outcome;
	*ret_n_addresses = author.n_addresses;
	*ret_used = arena_used(arena);
	arena_free(arena);
	arena_free(store);
	return outcome;
}

static void test_limits(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	size_t n, used;
	assert_int_equal(outcome_of(repeat(arena, "a@example.com,", 100, ""), &n, &used), AUTHOR_ONE);
	assert_int_equal(n, 100);
	assert_int_equal(outcome_of(repeat(arena, "a@example.com,", 101, ""), &n, &used), AUTHOR_MALFORMED);
	assert_int_equal(n, 100);
	static const char *const hostile[] = {"a@b,", ",", "(", "()", "(?=)", "=?", "=?x", "\"?=\"", "a:;,", "a@b:;,",
		"a@b.", "@", "a ", "<", "<@a,", "x.", "[]", "\\", "(=?)", "=?(?=)", "\xc3\xa9", "\xff", "a@\xc3\xa9,"};
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		outcome_of(repeat(arena, hostile[i], (1 << 20) / strlen(hostile[i]), " a@example.com"), &n, &used);
	arena_free(arena);
}

static void test_addresses(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	static const struct {
		const char *value, *local_part;
	} rows[] = {
		{"joe@x.example", "joe"},
		{"\"joe \\\"q\\\" public\"@x.example", "joe \"q\" public"},
		{"joe . \"q\" . public @x.example", "joe.q.public"},
		{"Jo <Joe+Tag@x.example>", "Joe+Tag"},
		{"<@r.example:joe@x.example>", "joe"},
		{"\"joe\r\n public\"@x.example", "joe public"},
		{"j\xc3\xb6rg@x.example", "j\xc3\xb6rg"},
		{"(c)joe(c)@x.example", "joe"},
		{"ann@y.example <joe@y.example>", "joe"},
		{"joe..public.@x.example", "joe..public."},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address *addresses;
		size_t n;
		const char *reason;
		assert_true(address_list_is_read(
			address_list_parse(arena, str_of(rows[i].value), &addresses, &n, &reason)));
		assert_int_equal(n, 1);
		assert_true(str_eq(addresses[0].local_part, str_of(rows[i].local_part)));
	}
	arena_free(arena);
}

static void test_list_outcomes(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct address *addresses;
	size_t n;
	const char *reason;
	assert_int_equal(address_list_parse(arena, STR(" (c), g:;"), &addresses, &n, &reason), ADDRESS_LIST_EMPTY);
	assert_null(reason);
	/* What can be read is given even so, before and behind what cannot. */
	assert_int_equal(address_list_parse(arena, STR("a@x.example, b, c@y.example"), &addresses, &n, &reason),
		ADDRESS_LIST_MALFORMED);
	assert_int_equal(n, 2);
	assert_true(str_eq(addresses[1].domain, STR("y.example")));
	assert_int_equal(address_list_parse(arena, str_from(NULL, 0), &addresses, &n, &reason), ADDRESS_LIST_EMPTY);
	static const char *const strict[] = {
		"a@x.example", "A. \"B\" C. (c) <a.b@x.example>", "<@r.example:a@x.example>"};
	static const char *const lax[] = {
		".A <a@x.example>", "[A] <a@x.example>", "<a.@x.example>", "a@x.example.", "a@x.example <a@x.example>"};
	for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++)
		assert_int_equal(
			address_list_parse(arena, str_of(strict[i]), &addresses, &n, &reason), ADDRESS_LIST_OK);
	for (size_t i = 0; i < sizeof(lax) / sizeof(lax[0]); i++)
		assert_int_equal(address_list_parse(arena, str_of(lax[i]), &addresses, &n, &reason), ADDRESS_LIST_LAX);
	arena_free(arena);
}

static void test_path(void **state)
{
	(void)state;
	static const struct {
		struct str path;
		const char *local_part, *domain; /* NULL: bad */
	} rows[] = {
		{STR_INIT("<joe@example.com>"), "joe", "example.com"},
		{STR_INIT("joe@example.com"), "joe", "example.com"},
		{STR_INIT("joe@EXAMPLE.com."), "joe", "example.com"},
		{STR_INIT("\"joe public\"@example.com"), "joe public", "example.com"},
		{STR_INIT("<@a.test,@b.test:joe@example.com>"), "joe", "example.com"},
		{STR_INIT("SRS0=x=y=example.net=joe@example.com"), "SRS0=x=y=example.net=joe", "example.com"},
		{STR_INIT("joe@b\xc3\xbc"
			  "cher.example"),
			"joe", "xn--bcher-kva.example"},
		{STR_INIT(""), NULL, NULL},
		{STR_INIT("<>"), NULL, NULL},
		{STR_INIT("joe"), NULL, NULL},
		{STR_INIT("<joe@example.com"), NULL, NULL},
		{STR_INIT("joe@example.com>"), NULL, NULL},
		{STR_INIT("<joe@example.com> "), NULL, NULL},
		{STR_INIT(" joe@example.com"), NULL, NULL},
		{STR_INIT("joe(c)@example.com"), NULL, NULL},
		{STR_INIT("Joe<joe@example.com>"), NULL, NULL},
		{STR_INIT("joe@example.com,ann@example.com"), NULL, NULL},
		{STR_INIT("joe@example.com,"), NULL, NULL},
		{STR_INIT("g:joe@example.com;"), NULL, NULL},
		{STR_INIT("joe@[192.0.2.1]"), NULL, NULL},
		{STR_INIT("joe@example.com\0"), NULL, NULL},
		{STR_INIT("joe@example.com\n"), NULL, NULL},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address address;
		bool good = address_parse_path(arena, rows[i].path, &address);
		if (good != (rows[i].domain != NULL))
			fail_msg("path %.*s", STR_ARG(rows[i].path));
		if (!good)
			continue;
		assert_true(str_eq(address.local_part, str_of(rows[i].local_part)));
		assert_true(str_eq(address.domain, str_of(rows[i].domain)));
	}
	arena_free(arena);
}

static void test_brackets(void **state)
{
	(void)state;
	static const struct {
		struct str path, inside;
	} rows[] = {
		{STR_INIT("<joe@example.com>"), STR_INIT("joe@example.com")},
		{STR_INIT(" <joe@example.com>\r\n"), STR_INIT("joe@example.com")},
		{STR_INIT("joe@example.com"), STR_INIT("joe@example.com")},
		{STR_INIT("<>"), STR_INIT("")},
		{STR_INIT(""), STR_INIT("")},
		{STR_INIT("<joe@example.com"), STR_INIT("<joe@example.com")},
		{STR_INIT("<"), STR_INIT("<")},
		{STR_INIT("<<joe@example.com>>"), STR_INIT("<joe@example.com>")},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!str_eq(address_without_brackets(rows[i].path), rows[i].inside))
			fail_msg("path %.*s", STR_ARG(rows[i].path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_obsolete),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_encoded_words),
		cmocka_unit_test(test_display_names),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_line_ends_are_equal),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_field_beyond_limits),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_list_outcomes),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_brackets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
