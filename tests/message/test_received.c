/*
 * Whom a Received field names: as Postfix, Sendmail, Exim and Exchange write it, and as somebody writes it who wants
 * to be taken for another.
 */
#include "test.h"

#include "message/received.h"

static const struct {
	const char *what;
	const char *value;
	const char *client; /* NULL: refused */
	const char *helo;
} rows[] = {
	{"Postfix",
		" from mail.example.net (mail.example.net [192.0.2.1])\n\tby mx2.example.com (Postfix) with ESMTP id "
		"4F00"
		"\n\tfor <joe@example.com>; Tue, 14 Nov 2023 22:13:20 +0000 (UTC)",
		"192.0.2.1", "mail.example.net"},
	{"Postfix, TLS, no name, a literal in HELO",
		" from [198.51.100.9] (unknown [192.0.2.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
		"(256/256 "
		"bits)\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\n\t(Client "
		"CN "
		"\"x\", Issuer \"y\" (not verified))\n\tby mx2.example.com (Postfix) with ESMTPS id 4F00; Tue, 14 Nov",
		"192.0.2.1", "[198.51.100.9]"},
	{"Postfix, IPv6", " from a.example (a.example [IPv6:2001:db8::1]) by b with ESMTPS id 1; date", "2001:db8::1",
		"a.example"},
	{"Sendmail",
		" from a.example (b.example [192.0.2.1] (may be forged)) by c (8.17.1.9/8.17.1) with ESMTP id 1 for "
		"<x@y>; date",
		"192.0.2.1", "a.example"},
	{"Sendmail, no name", " from a.example ([192.0.2.1]) by c (8.15.2/8.15.2) with SMTP id 1; date", "192.0.2.1",
		"a.example"},
	{"Exim",
		" from b.example ([192.0.2.1] helo=a.example) by c with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 "
		"(Exim "
		"4.96) (envelope-from <x@y>) id 1r2; date",
		"192.0.2.1", "a.example"},
	{"Exim, HELO is the name", " from b.example ([192.0.2.1]) by c with esmtp (Exim 4.96) id 1; date", "192.0.2.1",
		"b.example"},
	{"Exim, no name", " from [192.0.2.1] (helo=a.example) by c with esmtp (Exim 4.96) id 1; date", "192.0.2.1",
		"a.example"},
	{"Exim, with ports", " from [192.0.2.1]:4711 (helo=[198.51.100.9]) by c with smtp (Exim 4) id 1; date",
		"192.0.2.1", "[198.51.100.9]"},
	{"Exim, old form of ports", " from [192.0.2.1] (port=4711 helo=a) by c with smtp id 1; date", "192.0.2.1", "a"},
	{"Exim, IPv6", " from b.example ([2001:db8::1]:25 helo=a.example) by c with esmtps id 1; date", "2001:db8::1",
		"a.example"},
	{"Exchange",
		" from a.example (192.0.2.1) by EX01.corp.example (10.0.0.5) with Microsoft SMTP Server "
		"(version=TLS1_2, cipher=TLS_ECDHE) id 15.1.2507.6 via Frontend Transport; date",
		"192.0.2.1", "a.example"},
	{"Exchange, IPv6",
		" from a.example (2001:db8::1) by b.example (2001:db8:1::5) with Microsoft SMTP Server id 15.20; date",
		"2001:db8::1", "a.example"},
	{"amavis",
		" from a.example ([127.0.0.1]) by localhost (a.example [127.0.0.1]) (amavisd-new, port 10024) with "
		"LMTP "
		"id 1; date",
		"127.0.0.1", "a.example"},
	{"blanks", " from  a.example\t (b [192.0.2.1])   by c with SMTP id 1; date", "192.0.2.1", "a.example"},

	{"authenticated", " from a (b [192.0.2.1]) (using TLSv1.3) by c (Postfix) with ESMTPSA id 1; date", NULL, NULL},
	{"authenticated, Exim", " from b ([192.0.2.1] helo=a) by c with esmtpa (Exim 4.96) id 1; date", NULL, NULL},
	{"authenticated, told by Postfix",
		" from a (b [192.0.2.1]) (Authenticated sender: joe) by c (Postfix) with ESMTP id 1; date", NULL, NULL},
	{"local", " by c (Postfix, from userid 1000) id 1; date", NULL, NULL},
	{"qmail", " from unknown (HELO a.example) (192.0.2.1) by c with SMTP; date", NULL, NULL},
	{"HELO alone", " from [192.0.2.1] by c with ESMTP id 1; date", NULL, NULL},
	{"a name alone", " from a.example by c with ESMTP id 1; date", NULL, NULL},
	{"ident", " from a.example (joe@b.example [192.0.2.1]) by c with ESMTP id 1; date", NULL, NULL},
	{"no date", " from a (b [192.0.2.1]) by c with ESMTP id 1", NULL, NULL},
	{"no host", " from a (b [192.0.2.1]) with ESMTP id 1; date", NULL, NULL},
	{"no protocol", " from a (b [192.0.2.1]) by c id 1; date", NULL, NULL},
	{"an address alone, not of Exchange", " from a (192.0.2.1) by c with ESMTP id 1; date", NULL, NULL},
	{"no address", " from a (b) by c with ESMTP id 1; date", NULL, NULL},
	{"half an address", " from a (b [192.0.2]) by c with ESMTP id 1; date", NULL, NULL},
	{"two addresses", " from a (b [192.0.2.1] [192.0.2.2]) by c with ESMTP id 1; date", NULL, NULL},
	{"two comments with addresses", " from a (b [192.0.2.1]) (c [192.0.2.2]) by d with ESMTP id 1; date", NULL,
		NULL},
	{"a field within HELO, to its protocol",
		" from a ([192.0.2.1]) by b with ESMTP (c [203.0.113.6]) by d with ESMTP id 1; date", NULL, NULL},
	{"a field within HELO, to its date",
		" from a ([192.0.2.1]) by b with ESMTP; date (c [203.0.113.6]) by d with ESMTP id 1; date", NULL, NULL},
	{"a field within HELO, before an address without brackets",
		" from a ([192.0.2.1]) by b with ESMTP; date (203.0.113.6) by d with Microsoft SMTP Server id 1; date",
		NULL, NULL},
	{"a field within HELO, its date a comment",
		" from a ([192.0.2.1]) by b with ESMTP; (c [203.0.113.6]) by d with ESMTP id 1, date", NULL, NULL},
	{"Exim's helo= as the first word of Postfix's", " from helo=a (unknown [192.0.2.1]) by c with ESMTP id 1; date",
		"192.0.2.1", "helo=a"},
	{"an open comment", " from a (b [192.0.2.1] by c with ESMTP id 1; date", NULL, NULL},
	{"an escape", " from a (b [192.0.2.1]\\) by c with ESMTP id 1; date", NULL, NULL},
	{"quotes", " from \"a\" (b [192.0.2.1]) by c with ESMTP id 1; date", NULL, NULL},
	{"8-bit", " from \xc3\xa4 (b [192.0.2.1]) by c with ESMTP id 1; date", NULL, NULL},
	{"a control character", " from a\x01 (b [192.0.2.1]) by c with ESMTP id 1; date", NULL, NULL},
	{"empty", "", NULL, NULL},
	{"nothing but from", " from ", NULL, NULL},
};

static void clients_are_read_to_the_letter(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct received received = {0};
		char text[IP_TEXT_SIZE];
		const char *error = received_parse(arena, str_of(rows[i].value), &received);
		check_int(rows[i].what, error == NULL, rows[i].client != NULL);
		if (rows[i].client == NULL)
			continue;
		check_str(rows[i].what, str_of(ip_text(&received.client, text)), rows[i].client);
		check_str(rows[i].what, received.helo, rows[i].helo);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(clients_are_read_to_the_letter)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
