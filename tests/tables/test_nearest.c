/*
 * The word that was probably meant.
 */
#include "test.h"

#include "tables/nearest.h"

static const struct {
	const char *word, *wanted;
} rows[] = {
	{"Sokcet", "Socket"}, /* neighbours swapped */
	{"Canonicalisation", "Canonicalization"},
	{"KeyTabel", "KeyTable"},
	{"signingtable", "SigningTable"},
	{"InternalHost", "InternalHosts"},
	{"nIternalHost", "InternalHosts"},
	{"KyeTalbe", "KeyTable"},
	{"KyeTalbx", ""}, /* three edits in eight letters are one too many */
	{"Frobnicate", ""},
	{"Foo", ""},
	{"", ""},
};

static const char *const words[] = {
	"Socket",
	"Canonicalization",
	"KeyTable",
	"SigningTable",
	"InternalHosts",
	"Mode",
	"MTA",
	"ExternalIgnoreList",
};

static void the_nearest_word_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct nearest nearest = nearest_to(str_of(rows[i].word));
		for (size_t k = 0; k < COUNT(words); k++)
			nearest_consider(&nearest, str_of(words[k]));
		check_str(rows[i].word, nearest.best, rows[i].wanted);
	}
}

static void long_words_are_left_alone(void **state)
{
	(void)state;
	char text[4096];
	memset(text, 'a', sizeof(text));
	struct nearest nearest = nearest_to(str_from(text, sizeof(text)));
	nearest_consider(&nearest, str_from(text, sizeof(text) - 1));
	check_str("long", nearest.best, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_word_is_found),
		cmocka_unit_test(long_words_are_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
