#include <unistd.h>
#include <stdlib.h>
#include "dns/dns_zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char zone_text[] = "# a comment\n"
				"; another\n"
				"\n"
				"example.com            TXT      \"v=spf1 mx -all\"\n"
				"EXAMPLE.com.           TXT      \"two strings \" \"become one\"\r\n"
				"example.com            MX       10 Mail.Example.com.\n"
				"example.com            MX       0 .\n"
				"plain.example.com      TXT      v=DMARC1; p=reject; rua=mailto:a@example.com\n"
				"empty.example.com      TXT      \"\"\n"
				"quoted.example.com     TXT      \"a \\\"b\\\" \\092 \\255;#\"\n"
				"mail.example.com\tA\t192.0.2.1\n"
				"mail.example.com       AAAA     2001:db8::1\n"
				"mapped.example.com     AAAA     ::ffff:192.0.2.1\n"
				"1.2.0.192.in-addr.arpa PTR      mail.example.com\n"
				"www.example.com        CNAME    plain.example.com\n"
				"far.example.com        cname    www.example.com\n"
				"loop.example.com       CNAME    loop2.example.com\n"
				"loop2.example.com      CNAME    loop.example.com\n"
				"dangling.example.com   CNAME    nowhere.example.org\n"
				"deep.down.example.com  A        192.0.2.3\n"
				"*.wild.example.com     TXT      any\n"
				"known.wild.example.com A        192.0.2.4\n"
				"broken.example.com     RCODE    SERVFAIL\n"
				"refused.example.com    RCODE    refused\n"
				"gone.example.com       RCODE    NXDOMAIN\n"
				"slow.example.com       TIMEOUT\n"
				"half.example.com       TXT      here\n"
				"half.example.com       TIMEOUT\n"
				"*.slow.test            TIMEOUT\n"
				"sp\\032ace.example.com TXT      odd\n"
				"mx.example.com         MX       5 a\\.b.c\\\\.example.com\n";

static struct dns_zone *zone;

static int setup(void **state)
{
	char error[256] = "";
	(void)state;
	if (dns_zone_parse(str_from(zone_text, sizeof(zone_text) - 1), "zone", &zone, error, sizeof(error)) == ERR_OK)
		return 0;
	print_error("%s\n", error);
	return -1;
}

static int teardown(void **state)
{
	(void)state;
	dns_zone_free(zone);
	return 0;
}

static void test_lookups(void **state)
{
	static const struct {
		enum dns_type type;
		const char *name;
		enum dns_status status;
		const char *data; /* of the first record; DNS_FAILED: the reason */
		size_t n;
	} rows[] = {
		{DNS_TXT, "example.com", DNS_DATA, "v=spf1 mx -all", 2},
		{DNS_MX, "example.com", DNS_DATA, "mail.example.com", 2},
		{DNS_A, "example.com", DNS_NODATA, NULL, 0},
		{DNS_TXT, "plain.example.com", DNS_DATA, "v=DMARC1; p=reject; rua=mailto:a@example.com", 1},
		{DNS_TXT, "empty.example.com", DNS_DATA, "", 1},
		{DNS_TXT, "quoted.example.com", DNS_DATA, "a \"b\" \\ \xff;#", 1},
		{DNS_A, "mail.example.com", DNS_DATA, "\xc0\x00\x02\x01", 1},
		{DNS_AAAA, "mail.example.com", DNS_DATA, " \x01\x0d\xb8", 1},
		{DNS_PTR, "1.2.0.192.in-addr.arpa", DNS_DATA, "mail.example.com", 1},
		{DNS_TXT, "www.example.com", DNS_DATA, "v=DMARC1; p=reject; rua=mailto:a@example.com", 1},
		{DNS_TXT, "far.example.com", DNS_DATA, "v=DMARC1; p=reject; rua=mailto:a@example.com", 1},
		{DNS_A, "far.example.com", DNS_NODATA, NULL, 0},
		{DNS_A, "loop.example.com", DNS_FAILED, "CNAME chain too long", 0},
		{DNS_A, "dangling.example.com", DNS_NXDOMAIN, NULL, 0},
		{DNS_A, "nosuch.example.com", DNS_NXDOMAIN, NULL, 0},
		{DNS_A, "org", DNS_NXDOMAIN, NULL, 0},
		/* RFC 8020: what stands above a name exists. */
		{DNS_A, "down.example.com", DNS_NODATA, NULL, 0},
		{DNS_A, "com", DNS_NODATA, NULL, 0},
		{DNS_A, "x.down.example.com", DNS_NXDOMAIN, NULL, 0},
		/* RFC 4592 section 2.2.1: below a name that exists the wildcard further up counts no more. */
		{DNS_TXT, "a.wild.example.com", DNS_DATA, "any", 1},
		{DNS_TXT, "a.b.wild.example.com", DNS_DATA, "any", 1},
		{DNS_A, "a.wild.example.com", DNS_NODATA, NULL, 0},
		{DNS_TXT, "known.wild.example.com", DNS_NODATA, NULL, 0},
		{DNS_TXT, "a.known.wild.example.com", DNS_NXDOMAIN, NULL, 0},
		{DNS_TXT, "wild.example.com", DNS_NODATA, NULL, 0},
		{DNS_TXT, "*.wild.example.com", DNS_DATA, "any", 1},
		{DNS_TXT, "broken.example.com", DNS_FAILED, "SERVFAIL", 0},
		{DNS_TXT, "refused.example.com", DNS_FAILED, "REFUSED", 0},
		{DNS_TXT, "gone.example.com", DNS_NXDOMAIN, NULL, 0},
		{DNS_TXT, "slow.example.com", DNS_FAILED, "timeout", 0},
		{DNS_TXT, "half.example.com", DNS_DATA, "here", 1},
		{DNS_A, "half.example.com", DNS_FAILED, "timeout", 0},
		{DNS_A, "a.b.slow.test", DNS_FAILED, "timeout", 0},
		{DNS_TXT, "sp ace.example.com", DNS_DATA, "odd", 1},
		{DNS_MX, "mx.example.com", DNS_DATA, "a\\046b.c\\092.example.com", 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_question question = {rows[i].type, str_of(rows[i].name)};
		struct dns_answer *answer = dns_zone_lookup(zone, &question);
		if (answer->status != rows[i].status)
			print_error("%s %s\n", rows[i].name, dns_type_text(rows[i].type));
		assert_int_equal(answer->status, rows[i].status);
		assert_int_equal(answer->n_records, rows[i].n);
		if (answer->status == DNS_FAILED)
			assert_string_equal(answer->why, rows[i].data);
		else if (rows[i].type == DNS_A || rows[i].type == DNS_AAAA)
			assert_true(rows[i].data == NULL || memcmp(answer->records[0].data.p, rows[i].data, 4) == 0);
		else if (rows[i].data != NULL)
			assert_true(str_eq(answer->records[0].data, str_of(rows[i].data)));
		dns_answer_unref(answer);
	}
}

static void test_details(void **state)
{
	(void)state;
	struct dns_question mx = {DNS_MX, STR("example.com")}, mapped = {DNS_AAAA, STR("mapped.example.com")};
	struct dns_answer *answer = dns_zone_lookup(zone, &mx);
	assert_int_equal(answer->records[0].preference, 10);
	assert_int_equal(answer->records[1].preference, 0);
	assert_int_equal(answer->records[1].data.n, 0);
	dns_answer_unref(answer);
	answer = dns_zone_lookup(zone, &mapped);
	assert_int_equal(answer->records[0].data.n, 16);
	assert_memory_equal(answer->records[0].data.p, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01", 16);
	dns_answer_unref(answer);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"a.example A 192.0.2.1\nb.example A 192.0.2", "zone:2: not an address: 192.0.2"},
		{"a.example A 2001:db8::1", "zone:1: not an IPv4 address: 2001:db8::1"},
		{"a.example AAAA 192.0.2.1", "zone:1: not an IPv6 address: 192.0.2.1"},
		{"a.example SOA x", "zone:1: unknown type (A, AAAA, CNAME, MX, PTR, TXT, RCODE, TIMEOUT): SOA"},
		{"a.example", "zone:1: unknown type (A, AAAA, CNAME, MX, PTR, TXT, RCODE, TIMEOUT): "},
		{"a.example TXT", "zone:1: TXT without a value (\"\" is the empty one): "},
		{"a.example TXT \"open", "zone:1: no quote at the end of: \"open"},
		{"a.example TXT \"a\" b", "zone:1: expected a string in quotes: b"},
		{"a.example TXT \"\\256\"", "zone:1: bad escape in: \"\\256\""},
		{"a.example MX mail.example", "zone:1: not a preference of MX: mail.example"},
		{"a.example MX 65536 mail.example", "zone:1: not a preference of MX: 65536"},
		{"a.example MX 10 mail.example extra", "zone:1: too much at the end of the line: extra"},
		{"a.example MX 10", "zone:1: no name: "},
		{"a..example A 192.0.2.1", "zone:1: empty label in name: a..example"},
		{".a.example A 192.0.2.1", "zone:1: empty label in name: .a.example"},
		{"a\\.b.example A 192.0.2.1", "zone:1: a dot within a label cannot be asked for: a\\.b.example"},
		{"a\\25.example A 192.0.2.1", "zone:1: bad escape in name: a\\25.example"},
		{". A 192.0.2.1", "zone:1: the root cannot be asked for: ."},
		{"a.example RCODE NOERROR", "zone:1: RCODE is none of SERVFAIL, NXDOMAIN, REFUSED: NOERROR"},
		{"a.example TIMEOUT 5", "zone:1: too much at the end of the line: 5"},
		{"a.example CNAME b.example\na.example CNAME c.example", "zone:2: second CNAME of one name: c.example"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[256] = "";
		struct dns_zone *bad = NULL;
		assert_int_equal(dns_zone_parse(str_of(rows[i].text), "zone", &bad, error, sizeof(error)), ERR_CONFIG);
		assert_string_equal(error, rows[i].error);
	}
}

/* TestPublicKeys: a name and the text of its key, nothing else. */
static void test_key_file(void **state)
{
	(void)state;
	char path[] = "/tmp/trimilter-keys-XXXXXX", error[256] = "";
	static const char text[] = "# keys\nS._domainkey.Example.com\tv=DKIM1; k=rsa; p=AAAA\n\n"
				   "b._domainkey.example.com A\n";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	struct dns_zone *keys = NULL;
	assert_int_equal(dns_zone_read_keys(path, &keys, error, sizeof(error)), ERR_OK);
	struct dns_question question = {DNS_TXT, STR("s._domainkey.example.com")};
	struct dns_answer *answer = dns_zone_lookup(keys, &question);
	assert_int_equal(answer->n_records, 1);
	assert_true(str_eq(answer->records[0].data, STR("v=DKIM1; k=rsa; p=AAAA")));
	dns_answer_unref(answer);
	question.name = STR("b._domainkey.example.com");
	answer = dns_zone_lookup(keys, &question);
	assert_true(str_eq(answer->records[0].data, STR("A")));
	dns_answer_unref(answer);
	dns_zone_free(keys);
	unlink(path);
	assert_int_equal(dns_zone_read_keys(path, &keys, error, sizeof(error)), ERR_IO);
}

static void test_long_names(void **state)
{
	(void)state;
	char text[400], error[256];
	struct dns_zone *bad = NULL;
	snprintf(text, sizeof(text), "%064d.example A 192.0.2.1", 1);
	assert_int_equal(dns_zone_parse(str_of(text), "zone", &bad, error, sizeof(error)), ERR_CONFIG);
	snprintf(text, sizeof(text), "%063d.%063d.%063d.%061d A 192.0.2.1", 1, 1, 1, 1);
	assert_int_equal(dns_zone_parse(str_of(text), "zone", &bad, error, sizeof(error)), ERR_OK);
	dns_zone_free(bad);
	snprintf(text, sizeof(text), "%063d.%063d.%063d.%062d A 192.0.2.1", 1, 1, 1, 1);
	assert_int_equal(dns_zone_parse(str_of(text), "zone", &bad, error, sizeof(error)), ERR_CONFIG);
}

static void test_no_file(void **state)
{
	(void)state;
	char error[256];
	struct dns_zone *none = NULL;
	assert_int_equal(dns_zone_read("/nonexistent/zone", &none, error, sizeof(error)), ERR_IO);
	assert_string_equal(error, "/nonexistent/zone: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_no_file),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
