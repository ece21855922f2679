/*
 * What is taken out of a header, and by which name and number the MTA is told. How an id is found in a value:
 * tests/message/test_results.c.
 */
#include "test.h"

#include "auth/deletions.h"
#include "base/buf.h"

enum { KEEP = 1, REMOVE_SIGNATURES = 2, SIGNED = 4 };

#define AR "Authentication-Results: "
#define OURS "mx.example; spf=pass smtp.mailfrom=example.org\n"
#define SIGNATURE "DKIM-Signature: v=1; d=example.org\n"

static const struct {
	const char *what;
	const char *header;
	const char *mta_name;
	int options;
	const char *wanted; /* NAME NUMBER ..., in the order in which they are taken out */
	size_t forged;
} rows[] = {
	{"none", "From: a@example.org\n", "", 0, "", 0},
	{"ours", AR OURS, "", 0, "Authentication-Results 1", 1},
	{"another's", AR "mx.example.net; spf=pass\n", "", 0, "", 0},
	{"from the last up, numbered among those of the name", AR OURS "From: a\n" AR "mx.example.net; none\n" AR OURS,
		"", 0, "Authentication-Results 3 Authentication-Results 1", 2},
	{"in any case, and with space before the colon", "authentication-RESULTS : " OURS AR OURS, "", 0,
		"Authentication-Results 2 authentication-RESULTS 1", 2},
	{"the second name of ours", AR "second.example; none\n", "", 0, "Authentication-Results 1", 1},
	{"the MTA's own name", AR "Host.Example.; none\n", "host.example", 0, "Authentication-Results 1", 1},
	{"the MTA has told no name", AR "host.example; none\n", "", 0, "", 0},
	{"a name that is none claims nothing", AR "host.example; none\n", "host..example", 0, "", 0},
	{"in another field, behind a line break", "X-Note: a\r" AR OURS, "", 0, "X-Note 1", 1},
	{"another's behind a line break", "X-Note: a\r" AR "mx.example.net; none\n", "", 0, "", 0},
	{"more of them behind line breaks than any field has",
		"X-Note: a\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR "b\r" AR
		"b\r" AR "b\n",
		"", 0, "X-Note 1", 1},
	{"KeepAuthResults", AR OURS, "", KEEP, "", 0},
	{"signatures on what is not signed here", SIGNATURE, "", REMOVE_SIGNATURES, "", 0},
	{"signatures on what is", SIGNATURE AR OURS "dkim-signature : x\n", "", REMOVE_SIGNATURES | SIGNED,
		"dkim-signature 2 Authentication-Results 1 DKIM-Signature 1", 1},
	{"without RemoveOldSignatures", SIGNATURE, "", SIGNED, "", 0},
	{"both options", SIGNATURE AR OURS, "", KEEP | REMOVE_SIGNATURES | SIGNED, "DKIM-Signature 1", 0},
};

static struct str text_of(struct arena *arena, const struct deletions *deletions)
{
	struct buf text = buf_in(arena);
	for (size_t i = 0; i < deletions->n; i++)
		buf_printf(&text, "%s%.*s %u", i > 0 ? " " : "", STR_ARG(deletions->list[i].name),
			deletions->list[i].ordinal);
	return buf_str(&text);
}

static void what_goes(void **state)
{
	(void)state;
	struct str own[] = {STR("mx.example"), STR("second.example")};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *arena = arena_new(0);
		struct headers headers;
		struct str body;
		struct auth_options options = {
			.own_ids = own,
			.n_own_ids = COUNT(own),
			.keep_results = (rows[i].options & KEEP) != 0,
			.remove_old_signatures = (rows[i].options & REMOVE_SIGNATURES) != 0,
		};
		headers_init(&headers, arena, 100, 10000);
		headers_split(&headers, str_of(rows[i].header), &body);
		struct deletions deletions = deletions_find(
			arena, &options, &headers, str_of(rows[i].mta_name), (rows[i].options & SIGNED) != 0);
		check_str(rows[i].what, text_of(arena, &deletions), rows[i].wanted);
		check_int(rows[i].what, (long long)deletions.n_forged, (long long)rows[i].forged);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
