/*
 * How the signatures of some senders differ, and what a row may not say.
 */
#include "test.h"

#include "auth/signature_options.h"

static const char table[] = "joe@example.com   c=simple/simple ; ttl=0\n"
			    ".example.com      ttl=86400 l=yes\n"
			    "example.com       c=relaxed z=y;r=YES\n";

static const struct {
	const char *local_part, *domain;
	struct dkim_sign_options wanted; /* of these four members */
} rows[] = {
	{"joe", "example.com", {.header_canonicalization = DKIM_SIMPLE, .body_canonicalization = DKIM_SIMPLE}},
	{"ann", "example.com",
		{.header_canonicalization = DKIM_RELAXED,
			.body_canonicalization = DKIM_SIMPLE,
			.signature_ttl = 600,
			.diagnostics = true,
			.report_requested = true}},
	{"ann", "a.example.com",
		{.header_canonicalization = DKIM_RELAXED,
			.body_canonicalization = DKIM_RELAXED,
			.signature_ttl = 86400,
			.body_lengths = true}},
	{"ann", "example.net",
		{.header_canonicalization = DKIM_RELAXED, .body_canonicalization = DKIM_RELAXED, .signature_ttl = 600}},
};

static const struct dkim_sign_options common = {
	.header_canonicalization = DKIM_RELAXED, .body_canonicalization = DKIM_RELAXED, .signature_ttl = 600};

static struct signature_options *table_of(struct arena *arena, const char *text, struct diag *diag)
{
	struct dataset dataset = {.kind = DATASET_FILE};
	dataset_parse_lines(arena, str_of(text), "options", &dataset);
	return signature_options_new(arena, &dataset, &common, diag);
}

static void senders_have_their_options(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct signature_options *options = table_of(arena, table, &diag);
	assert_int_equal(diag.n, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address sender = {str_of(rows[i].local_part), str_of(rows[i].domain)};
		const struct dkim_sign_options *got = signature_options_for(options, arena, &sender, &common),
					       *wanted = &rows[i].wanted;
		check_int("header", got->header_canonicalization, wanted->header_canonicalization);
		check_int("body", got->body_canonicalization, wanted->body_canonicalization);
		check_int("ttl", got->signature_ttl, wanted->signature_ttl);
		check_int("l", got->body_lengths, wanted->body_lengths);
		check_int("z", got->diagnostics, wanted->diagnostics);
		check_int("r", got->report_requested, wanted->report_requested);
		assert_ptr_equal(signature_options_for(NULL, arena, &sender, &common), &common);
	}
	arena_free(arena);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} mistakes[] = {
		{"a.example", "options:1: SignatureOptions: \"a.example\" has no settings: write a.example  "
			      "c=relaxed/relaxed"},
		{"a.example c=loose", "options:1: SignatureOptions: \"c=loose\" is not c=HEADER/BODY, each \"relaxed\" "
				      "or \"simple\""},
		{"# no\na.example ttl=21d",
			"options:2: SignatureOptions: \"ttl=21d\" is not ttl=SECONDS, at most 315360000; 0 for no end"},
		{"a.example ttl=315360001",
			"options:1: SignatureOptions: \"ttl=315360001\" is not ttl=SECONDS, at most "
			"315360000; 0 for no end"},
		{"a.example l=perhaps", "options:1: SignatureOptions: \"l=perhaps\" is not l=yes or l=no"},
		{"a.example z=", "options:1: SignatureOptions: \"z=\" is not z=yes or z=no"},
		{"a.example r", "options:1: SignatureOptions: \"r\" is not r=yes or r=no"},
		{"a.example s=mail", "options:1: SignatureOptions: \"s=mail\" is not one of c=, ttl=, l=, z=, r="},
	};
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag = diag_in(arena);
		table_of(arena, mistakes[i].text, &diag);
		check_int(mistakes[i].text, (long long)diag.n_errors, 1);
		check_str(mistakes[i].text, diag.entries[0].text, mistakes[i].message);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_have_their_options),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
