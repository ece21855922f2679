#include "dns/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Packets are written as literals, piece by piece; a header's four counts are its last argument. */
#define QUERY_TXT "\1a\7example\0\0\20\0\1" /* at offset 12; "example" at 14 */
#define QUERY_MX "\1a\7example\0\0\17\0\1"
#define QUERY_A "\1a\7example\0\0\1\0\1"
#define OWNER "\xc0\x0c"
#define IN "\0\1"
#define TTL60 "\0\0\0\x3c"
#define HEAD(flags, counts) "\x12\x34" flags "\0\1" counts
#define OK "\x81\x80"
#define NXDOMAIN "\x81\x83"
#define SOA_AT(owner, ttl, minimum)                                                                                    \
	owner "\0\6" IN ttl "\0\30\1n\0\0"                                                                             \
	      "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4" minimum

struct row {
	const char *label;
	const char *packet;
	size_t n;
	enum dns_type type;
	enum dns_status status;
	const char *what; /* the reason, or the first record */
	size_t n_what;
	size_t n_records;
	uint32_t ttl;
};

#define PACKET(literal) literal, sizeof(literal) - 1

static const struct row rows[] = {
	{"one TXT", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\6\5hello"), DNS_TXT, DNS_DATA,
		PACKET("hello"), 1, 60},
	{"strings joined", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\10\2he\0\3llo"),
		DNS_TXT, DNS_DATA, PACKET("hello"), 1, 60},
	{"two records, lesser ttl",
		PACKET(HEAD(OK, "\0\2\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\2\1x" OWNER "\0\20" IN
								"\0\0\0\7\0\2\1y"),
		DNS_TXT, DNS_DATA, PACKET("x"), 2, 7},
	{"NUL within", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\4\3a\0b"), DNS_TXT,
		DNS_DATA, PACKET("a\0b"), 1, 60},
	{"empty string", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\1\0"), DNS_TXT, DNS_DATA,
		PACKET(""), 1, 60},
	/* Against RFC 1035, and seen; beside it may stand the record that counts. */
	{"no string at all", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\0"), DNS_TXT, DNS_DATA,
		PACKET(""), 1, 60},
	{"string past the data", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\2\2x"), DNS_TXT,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"data past the packet", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\3\1x"), DNS_TXT,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"fewer records than counted", PACKET(HEAD(OK, "\0\2\0\0\0\0") QUERY_TXT OWNER "\0\20" IN TTL60 "\0\2\1x"),
		DNS_TXT, DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"another owner", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\1b\xc0\x0e\0\20" IN TTL60 "\0\2\1x"), DNS_TXT,
		DNS_NODATA, PACKET(""), 0, 0},
	{"another type", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\1" IN TTL60 "\0\4\1\2\3\4"), DNS_TXT,
		DNS_NODATA, PACKET(""), 0, 0},
	{"another class", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20\0\3" TTL60 "\0\2\1x"), DNS_TXT,
		DNS_NODATA, PACKET(""), 0, 0},
	{"owner in capitals", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\1A\7eXAMPLE\0\0\20" IN TTL60 "\0\2\1x"),
		DNS_TXT, DNS_DATA, PACKET("x"), 1, 60},
	{"RFC 2181 section 8: ttl with the topmost bit",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\20" IN "\x80\0\0\1\0\2\1x"), DNS_TXT, DNS_DATA,
		PACKET("x"), 1, 0},
	{"A", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_A OWNER "\0\1" IN TTL60 "\0\4\xc0\0\2\1"), DNS_A, DNS_DATA,
		PACKET("\xc0\0\2\1"), 1, 60},
	{"A of five bytes", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_A OWNER "\0\1" IN TTL60 "\0\5\xc0\0\2\1\1"), DNS_A,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"AAAA",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") "\1a\7example\0\0\34\0\1" OWNER "\0\34" IN TTL60
						"\0\20\40\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
		DNS_AAAA, DNS_DATA, PACKET("\40\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), 1, 60},
	{"MX, compressed, capitals",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\7\0\12\2Mx\xc0\x0e"), DNS_MX,
		DNS_DATA, PACKET("mx.example"), 1, 60},
	{"MX to the root", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\3\0\0\0"), DNS_MX,
		DNS_DATA, PACKET(""), 1, 60},
	{"MX, dot and backslash within a label",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\10\0\12\4a.b\\\0"), DNS_MX,
		DNS_DATA, PACKET("a\\046b\\092"), 1, 60},
	{"MX, bytes behind the name",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\6\0\12\1x\0\0"), DNS_MX, DNS_FAILED,
		PACKET("malformed answer"), 0, 0},
	{"MX without a name", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\2\0\12"), DNS_MX,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"MX, name past its data",
		PACKET(HEAD(OK, "\0\2\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\4\0\12\1x" OWNER "\0\17" IN TTL60
							       "\0\3\0\1\0"),
		DNS_MX, DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"pointer to itself", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\xc0\x1b\0\20" IN TTL60 "\0\2\1x"), DNS_TXT,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"pointer forwards", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\xc0\x20\0\20" IN TTL60 "\0\2\1x"), DNS_TXT,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"pointer into its own labels",
		PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\1a\xc0\x1b\0\20" IN TTL60 "\0\2\1x"), DNS_TXT, DNS_FAILED,
		PACKET("malformed answer"), 0, 0},
	{"label of 64", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT "\x40\0\0\20" IN TTL60 "\0\2\1x"), DNS_TXT,
		DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"NODATA: SOA minimum", PACKET(HEAD(OK, "\0\0\0\1\0\0") QUERY_TXT SOA_AT("\xc0\x0e", "\0\0\1\0", "\0\0\0\36")),
		DNS_TXT, DNS_NODATA, PACKET(""), 0, 30},
	{"NXDOMAIN: SOA's own ttl",
		PACKET(HEAD(NXDOMAIN, "\0\0\0\1\0\0") QUERY_TXT SOA_AT("\xc0\x0e", "\0\0\0\24", "\0\0\0\36")), DNS_TXT,
		DNS_NXDOMAIN, PACKET(""), 0, 20},
	{"NXDOMAIN without SOA", PACKET(HEAD(NXDOMAIN, "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_NXDOMAIN, PACKET(""), 0,
		0},
	{"chain",
		PACKET(HEAD(OK, "\0\2\0\0\0\0") QUERY_TXT OWNER "\0\5" IN "\0\0\0\24\0\4\1b\xc0\x0e"
								"\1B\xc0\x0e\0\20" IN TTL60 "\0\2\1x"),
		DNS_TXT, DNS_DATA, PACKET("x"), 1, 20},
	{"chain out of order",
		PACKET(HEAD(OK, "\0\2\0\0\0\0") QUERY_TXT "\1b\xc0\x0e\0\20" IN TTL60 "\0\2\1x" OWNER "\0\5" IN
							  "\0\0\0\24\0\4\1b\xc0\x0e"),
		DNS_TXT, DNS_DATA, PACKET("x"), 1, 20},
	{"chain to nothing",
		PACKET(HEAD(NXDOMAIN, "\0\1\0\1\0\0") QUERY_TXT OWNER
			"\0\5" IN "\0\0\0\24\0\4\1b\xc0\x0e" SOA_AT("\xc0\x0e", TTL60, TTL60)),
		DNS_TXT, DNS_NXDOMAIN, PACKET(""), 0, 20},
	{"chain to itself", PACKET(HEAD(OK, "\0\1\0\0\0\0") QUERY_TXT OWNER "\0\5" IN TTL60 "\0\2\xc0\x0c"), DNS_TXT,
		DNS_FAILED, PACKET("CNAME chain too long"), 0, 0},
	{"SERVFAIL", PACKET(HEAD("\x81\x82", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED, PACKET("SERVFAIL"), 0, 0},
	{"REFUSED", PACKET(HEAD("\x81\x85", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED, PACKET("REFUSED"), 0, 0},
	{"rcode 9", PACKET(HEAD("\x81\x89", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED,
		PACKET("unexpected response code"), 0, 0},
	{"truncated", PACKET(HEAD("\x83\x80", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED,
		PACKET("truncated answer"), 0, 0},
	{"a query", PACKET(HEAD("\1\0", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED, PACKET("malformed answer"), 0,
		0},
	{"another opcode", PACKET(HEAD("\xa8\0", "\0\0\0\0\0\0") QUERY_TXT), DNS_TXT, DNS_FAILED,
		PACKET("malformed answer"), 0, 0},
	{"another question", PACKET(HEAD(OK, "\0\0\0\0\0\0") "\1b\7example\0\0\20\0\1"), DNS_TXT, DNS_FAILED,
		PACKET("answer to another question"), 0, 0},
	{"another question's type", PACKET(HEAD(OK, "\0\0\0\0\0\0") QUERY_A), DNS_TXT, DNS_FAILED,
		PACKET("answer to another question"), 0, 0},
	{"head only", PACKET(HEAD(OK, "\0\0\0\0\0\0")), DNS_TXT, DNS_FAILED, PACKET("malformed answer"), 0, 0},
	{"no bytes", PACKET(""), DNS_TXT, DNS_FAILED, PACKET("malformed answer"), 0, 0},
};

/* In memory of its exact size, so that a sanitizer sees a read past the end. */
static struct dns_answer *read_exact(const char *packet, size_t n, enum dns_type type)
{
	struct dns_question question = {type, STR("a.example")};
	uint8_t *copy = malloc(n > 0 ? n : 1);
	memcpy(copy, packet, n);
	struct dns_answer *answer = packet_read(copy, n, &question);
	free(copy);
	return answer;
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct dns_answer *answer = read_exact(row->packet, row->n, row->type);
		struct str what = str_from(row->what, row->n_what);
		if (answer->status != row->status || answer->ttl != row->ttl)
			print_error("%s\n", row->label);
		assert_int_equal(answer->status, row->status);
		assert_int_equal(answer->n_records, row->n_records);
		assert_int_equal(answer->ttl, row->ttl);
		if (answer->status == DNS_FAILED)
			assert_string_equal(answer->why, row->what);
		else if (answer->n_records > 0)
			assert_true(str_eq(answer->records[0].data, what));
		dns_answer_unref(answer);
	}
}

/* Cut anywhere it must be refused or at least read within its bounds. */
static void test_every_prefix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t n = 0; n < rows[i].n; n++) {
			struct dns_answer *answer = read_exact(rows[i].packet, n, rows[i].type);
			assert_int_equal(answer->status, DNS_FAILED);
			dns_answer_unref(answer);
		}
}

static void test_preferences(void **state)
{
	(void)state;
	static const char packet[] = HEAD(OK, "\0\2\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60 "\0\5\1\2\1x\0" OWNER
									     "\0\17" IN TTL60 "\0\5\0\0\1y\0";
	struct dns_answer *answer = read_exact(packet, sizeof(packet) - 1, DNS_MX);
	assert_int_equal(answer->n_records, 2);
	assert_int_equal(answer->records[0].preference, 258);
	assert_int_equal(answer->records[1].preference, 0);
	assert_true(str_eq(answer->records[1].data, STR("y")));
	dns_answer_unref(answer);
}

/* A name of 255 bytes is the longest, RFC 1035 section 2.3.4; one more label and it is none. */
static void test_longest_name(void **state)
{
	(void)state;
	for (size_t last = 61; last <= 62; last++) {
		char packet[400] = HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60;
		size_t start = sizeof(HEAD(OK, "\0\1\0\0\0\0") QUERY_MX OWNER "\0\17" IN TTL60) - 1, n = start + 4;
		const size_t labels[] = {63, 63, 63, last};
		for (size_t i = 0; i < 4; i++) {
			packet[n++] = (char)labels[i];
			memset(packet + n, 'x', labels[i]);
			n += labels[i];
		}
		packet[n++] = '\0';
		packet[start] = (char)((n - start - 2) >> 8);
		packet[start + 1] = (char)(n - start - 2);
		struct dns_answer *answer = read_exact(packet, n, DNS_MX);
		assert_int_equal(answer->status, last == 61 ? DNS_DATA : DNS_FAILED);
		dns_answer_unref(answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_preferences),
		cmocka_unit_test(test_longest_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
