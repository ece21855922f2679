/*
 * DNSSEC, with answers that were signed once and for all (Ed25519, valid from 2020 to 2079, by the key whose secret
 * bytes are 0 to 31).
 */
#include "dns/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "server.h"

#define ANCHOR "signed.example. IN DNSKEY 257 3 15 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
#define ANCHOR_DS                                                                                                      \
	"signed.example. 3600 IN DS 34259 15 2 dc2be0e7b4e514f7f1b82b0efd40062058fe15672e02a456223d901e8552b9dc"
#define DNSKEY "0101030f03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define DNSKEY_SIGNATURE                                                                                               \
	"00300f0200000e10cee7b9805e0be10085d3067369676e6564076578616d706c65002bf169bfc9050b22f1a4fe9d6228fb60"         \
	"7ae0a5d47fcead7734a0feddfb7566ea85a1bffeaeece9315533ac4df7333874b32ce2f4c26aa1cebb22adc51f978902"
#define ROOT_ANCHOR ". IN DNSKEY 257 3 15 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
#define ROOT_SIGNATURE                                                                                                 \
	"00300f0000000e10cee7b9805e0be10085d3001b6937d6c6f376cad52e440a9b7c09d940555f8a6b000c152dfb3f45f9b2f5"         \
	"a59fae17589a20fef967366780aad53a8d4a3dfe37d530badcfe4c6cac14d62200"
/* Over a.signed.example 3600 TXT "secure". */
#define TXT_SIGNATURE                                                                                                  \
	"00100f0300000e10cee7b9805e0be10085d3067369676e6564076578616d706c6500f9a337765c2bfea492ae9cd02820aa7b"         \
	"1b94fb5964f072ea686f007a2597c3c266772a456714463796a99d2eb678cbd173e975f3fb6e7ea2f5d8ec28d4c3380d"

static const struct server_rule server_rules[] = {
	{.name = ".", .type = 48, .records = {{NULL, 48, 3600, DNSKEY}, {NULL, 46, 3600, ROOT_SIGNATURE}}},
	{.name = "signed.example",
		.type = 48,
		.records = {{NULL, 48, 3600, DNSKEY}, {NULL, 46, 3600, DNSKEY_SIGNATURE}}},
	{.name = "a.signed.example",
		.type = 16,
		.records = {{NULL, 16, 3600, "secure"}, {NULL, 46, 3600, TXT_SIGNATURE}}},
	{.name = "forged.signed.example",
		.type = 16,
		.records = {{NULL, 16, 3600, "secure"}, {NULL, 46, 3600, TXT_SIGNATURE}}},
	{.name = "bare.signed.example", .type = 16, .records = {{NULL, 16, 3600, "unsigned"}}},
	{.name = "a.elsewhere.example", .type = 16, .records = {{NULL, 16, 3600, "plain"}}},
	{.name = "*.test", .type = 16, .records = {{NULL, 16, 3600, "plain"}}},
	{.name = "*.home.arpa", .type = 16, .records = {{NULL, 16, 3600, "plain"}}},
	{.name = "*.onion", .type = 16, .records = {{NULL, 16, 3600, "plain"}}},
	{.name = "*.10.in-addr.arpa", .type = 16, .records = {{NULL, 16, 3600, "plain"}}},
	{0},
};

static enum err open_with_anchor(const char *anchor, const char *address, struct dns **ret_dns, char *error)
{
	char path[] = "anchor.XXXXXX";
	struct str nameserver = str_of(address);
	FILE *file = fdopen(mkstemp(path), "w");
	fputs(anchor, file);
	fclose(file);
	struct dns_options options = {
		.nameservers = &nameserver, .n_nameservers = 1, .trust_anchor_file = str_of(path)};
	enum err err = dns_new(&options, ret_dns, error);
	/* Read once; it need not stay. */
	unlink(path);
	return err;
}

struct row {
	const char *name;
	enum dns_status status;
	enum dns_security security;
};

static void check(const char *anchor, const struct row *rows, size_t n)
{
	char error[DNS_ERROR_SIZE] = "";
	struct dns *dns = NULL;
	struct server *server = server_start(server_rules);
	if (open_with_anchor(anchor, server_address(server), &dns, error) != ERR_OK)
		fail_msg("%s", error);
	struct arena *arena = arena_new(0);
	struct answers *answers = answers_new(arena);
	for (size_t i = 0; i < n; i++)
		answers_want(answers, DNS_TXT, str_of(rows[i].name));
	dns_fetch(dns, answers, 0);
	for (size_t i = 0; i < n; i++) {
		const struct dns_answer *answer = answers_get(answers, DNS_TXT, str_of(rows[i].name));
		if (answer->status != rows[i].status || answer->security != rows[i].security)
			print_error("%s %s\n", rows[i].name, answer->why);
		assert_int_equal(answer->status, rows[i].status);
		assert_int_equal(answer->security, rows[i].security);
		if (answer->status == DNS_FAILED)
			assert_string_equal(answer->why, "DNSSEC: bogus");
	}
	arena_free(arena);
	dns_free(dns);
	server_stop(server);
}

static void test_security(void **state)
{
	static const struct row rows[] = {
		{"a.signed.example", DNS_DATA, DNS_SECURE},
		{"forged.signed.example", DNS_FAILED, DNS_SECURITY_UNKNOWN},
		{"bare.signed.example", DNS_FAILED, DNS_SECURITY_UNKNOWN},
		{"a.elsewhere.example", DNS_DATA, DNS_INSECURE},
	};
	(void)state;
	check("; comment\n" ANCHOR "\n", rows, sizeof(rows) / sizeof(rows[0]));
	check(ANCHOR_DS, rows, sizeof(rows) / sizeof(rows[0]));
}

/* Below a signed root that knows nothing of them, private zones are what the nameserver says. */
static void test_private_zones(void **state)
{
	static const struct row rows[] = {
		{"a.test", DNS_DATA, DNS_INSECURE},
		{"a.home.arpa", DNS_DATA, DNS_INSECURE},
		{"a.onion", DNS_DATA, DNS_INSECURE},
		{"1.0.0.10.in-addr.arpa", DNS_DATA, DNS_INSECURE},
	};
	(void)state;
	check(ROOT_ANCHOR, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_bad_anchors(void **state)
{
	static const struct {
		const char *text, *error; /* behind the file's name */
	} rows[] = {
		{"", ": no trust anchor in it"},
		{"; nothing\n", ": no trust anchor in it"},
		{ANCHOR "\n\nexample. IN A 192.0.2.1\n", ":3: not a DS or DNSKEY record: example. IN A 192.0.2.1"},
		{"example. IN DS 1 2\n", ":1: not a DS or DNSKEY record: example. IN DS 1 2"},
		{"-----BEGIN CERTIFICATE-----\n", ":1: not a DS or DNSKEY record: -----BEGIN CERTIFICATE-----"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[DNS_ERROR_SIZE] = "";
		struct dns *dns = NULL;
		assert_int_equal(open_with_anchor(rows[i].text, "127.0.0.1", &dns, error), ERR_CONFIG);
		assert_string_equal(strchr(error, ':'), rows[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_private_zones),
		cmocka_unit_test(test_bad_anchors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
