/*
 * Which addresses a report may go to, and the sender that carries one.
 */
#include "report/mail.h"
#include "test.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

static void test_usable(void **state)
{
	static const struct {
		const char *address;
		bool usable;
	} rows[] = {
		{"joe@example.com", true},
		{"j.o.e+x=y/z@example.com", true},
		{"\"joe doe\"@example.com", true},
		{"\"a\\\"b\"@example.com", true},
		{X60 "xxxx@example.com", true},
		{X60 "xxxxx@example.com", false},
		{"joe", false},
		{"@example.com", false},
		{"joe@", false},
		{"joe@example..com", false},
		{".joe@example.com", false},
		{"joe.@example.com", false},
		{"j..oe@example.com", false},
		{"joe doe@example.com", false},
		{"joe\x80@example.com", false},
		{"-joe@example.com", false},
		{"\"@example.com", false},
		{"\"joe@example.com", false},
		{"\"jo\"e\"@example.com", false},
		{"\"jo\te\"@example.com", false},
		{"\"jo\x80\"@example.com", false},
		{"\"joe\\\"@example.com", false},
		{"\"j\\\toe\"@example.com", false},
		{"\"j\\\x80oe\"@example.com", false},
		{"jo@" X60 "." X60 "." X60 "." X60 ".example", true},
		{"joe@" X60 "." X60 "." X60 "." X60 ".example", false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_int(rows[i].address, mail_address_usable(str_of(rows[i].address)), rows[i].usable);
}

static void test_verp(void **state)
{
	static const struct {
		const char *address, *recipient, *sender;
	} rows[] = {
		{"reports@mx.example", "joe@example.org", "reports+joe=example.org@mx.example"},
		{"reports@mx.example", "j.o-e_x+y@example.org", "reports+j.o-e_x+y=example.org@mx.example"},
		/* What some MTA gives a meaning, or would refuse behind "+". */
		{"reports@mx.example", "a%b!c@example.org", "reports+a=25b=21c=example.org@mx.example"},
		{"reports@mx.example", "\".a..b.\"@example.org", "reports+=22.a=2E=2Eb.=22=example.org@mx.example"},
		{"reports@mx.example", ".a.@example.org", "reports+=2Ea=2E=example.org@mx.example"},
		/* Longer than every MTA takes; no address. */
		{"reports@mx.example", X60 "@example.org", "reports@mx.example"},
		{"reports", "joe@example.org", "reports"},
		{"reports@mx.example", "joe", "reports@mx.example"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *arena = arena_new(0);
		struct str address = str_of(rows[i].address), back = STR("");
		struct str sender = mail_verp(arena, address, str_of(rows[i].recipient));
		check_str(rows[i].recipient, sender, rows[i].sender);
		bool ours = mail_verp_parse(arena, address, sender, &back);
		check_int(rows[i].recipient, ours,
			mail_address_usable(str_of(rows[i].recipient)) && !str_eq(sender, address));
		if (ours)
			check_str(rows[i].recipient, back, rows[i].recipient);
		arena_free(arena);
	}
}

static void test_senders_of_others(void **state)
{
	static const char *const senders[] = {"reports@mx.example", "reports+@mx.example", "reports+joe@mx.example",
		"reports-joe=example.org@mx.example", "reports+joe=example.org@mx.example.net",
		"reports+joe=example.org", "other+joe=example.org@mx.example", "reports+joe=2=example.org@mx.example",
		"reports+joe=zz=example.org@mx.example", "reports+joe=2z=example.org@mx.example",
		"reports+joe=@mx.example", "reports+=0Ajoe=example.org@mx.example"};
	(void)state;
	struct arena *arena = arena_new(0);
	struct str recipient;
	for (size_t i = 0; i < COUNT(senders); i++)
		check_int(senders[i], mail_verp_parse(arena, STR("reports@mx.example"), str_of(senders[i]), &recipient),
			false);
	assert_false(mail_verp_parse(arena, STR("reports"), STR("reports+joe=example.org@mx.example"), &recipient));
	/* An MTA may write it otherwise. */
	assert_true(mail_verp_parse(
		arena, STR("reports@mx.example"), STR("Reports+j=6Fe=Example.ORG@MX.example"), &recipient));
	check_str("recipient", recipient, "joe@Example.ORG");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_verp),
		cmocka_unit_test(test_senders_of_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
