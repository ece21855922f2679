/*
 * What came back, read: DSNs as Postfix, Sendmail, Exim and Exchange write them, plain ones, and what is no bounce.
 */
#include "test.h"

#include "report/bounce.h"

#define VERP "reports+alice=example.org@mx.example"
#define STATUS(fields)                                                                                                 \
	"Content-Type: multipart/report; report-type=delivery-status; boundary=\"b;1\"\r\n"                            \
	"\r\n"                                                                                                         \
	"--b;1\r\n"                                                                                                    \
	"Content-Type: text/plain\r\n"                                                                                 \
	"\r\n"                                                                                                         \
	"Sorry.\r\n"                                                                                                   \
	"--b;1\r\n"                                                                                                    \
	"Content-Type: message/delivery-status\r\n"                                                                    \
	"\r\n"                                                                                                         \
	"Reporting-MTA: dns; mx.example\r\n"                                                                           \
	"\r\n" fields "\r\n"                                                                                           \
	"--b;1\r\n"                                                                                                    \
	"Content-Type: message/rfc822\r\n"                                                                             \
	"\r\n"                                                                                                         \
	"Action: failed\r\n"                                                                                           \
	"--b;1--\r\n"

static const struct {
	const char *what;
	const char *sender, *message;
	bool failed;
	const char *recipient, *note;
} rows[] = {
	{"only the sender is known", VERP, "", true, "alice@example.org", ""},
	{"nothing is known", "", "", false, "", ""},
	{"another address of ours", "postmaster@mx.example", "", false, "", ""},
	{"somebody else's VERP", "reports+alice=example.org@other.example", "", false, "", ""},
	{"in any case", "Reports+alice=example.org@MX.example", "", true, "alice@example.org", ""},
	{"the sender, and a failure", VERP,
		STATUS("Final-Recipient: rfc822; someone@else.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		       "Diagnostic-Code: smtp; 550 5.1.1\r\n no such user\r\n"),
		true, "alice@example.org", "smtp; 550 5.1.1 no such user"},
	{"a delay is no failure", VERP,
		STATUS("Final-Recipient: rfc822; alice@example.org\r\nAction: delayed\r\nStatus: 4.4.1\r\n"), false,
		"alice@example.org", ""},
	{"null sender: the status tells whom", "postmaster@mx.example",
		"To: postmaster@mx.example\r\n" STATUS(
			"Final-Recipient: rfc822; alias@example.org\r\nOriginal-Recipient: rfc822;alice@example.org\r\n"
			"Action: failed\r\nStatus: 5.1.1\r\n"),
		true, "alice@example.org", "5.1.1"},
	{"Final-Recipient where there is no other", "",
		STATUS("Final-Recipient: RFC822; alice@example.org\r\nAction: Failed\r\n"), true, "alice@example.org",
		""},
	{"the second recipient failed", "",
		STATUS("Final-Recipient: rfc822; a@example.org\r\nAction: delivered\r\n\r\n"
		       "Final-Recipient: rfc822; b@example.org\r\nAction: failed\r\n"),
		true, "b@example.org", ""},
	{"an address that is none", "", STATUS("Final-Recipient: rfc822; a b@example.org\r\nAction: failed\r\n"), true,
		"", ""},
	{"an address of another kind", "", STATUS("Final-Recipient: x400; a@example.org\r\nAction: failed\r\n"), true,
		"", ""},
	{"Action within the message that came back is not looked at", "",
		STATUS("Final-Recipient: rfc822; a@example.org\r\nAction: relayed\r\n"), false, "", ""},
	{"VERP in Delivered-To", "", "Delivered-To: " VERP "\r\nTo: x@example.net\r\n\r\nSorry, no mailbox here.\r\n",
		true, "alice@example.org", ""},
	{"VERP in To, LF", "", "To: <" VERP ">\nSubject: failure notice\n\nHi. This is the qmail-send program.\n", true,
		"alice@example.org", ""},
	{"a holiday answer", VERP, "Auto-Submitted: auto-replied (vacation)\r\n\r\nI am away.\r\n", false,
		"alice@example.org", ""},
	{"a DSN that calls itself auto-replied", VERP,
		"Auto-Submitted: auto-replied\r\n" STATUS(
			"Final-Recipient: rfc822; a@example.org\r\nAction: failed\r\n"),
		true, "alice@example.org", ""},
	{"boundary without quotes, no preamble, no end", "",
		"Content-Type: multipart/report; boundary=x; report-type=delivery-status\n\n--x\nContent-Type: "
		"message/delivery-status\n\nReporting-MTA: dns; a\n\n\nFinal-Recipient: rfc822;a@example.org\nAction: "
		"failed\n",
		true, "a@example.org", ""},
	{"no blank line behind the part's fields", "",
		"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n--x--\n",
		false, "", ""},
	{"empty boundary", VERP, "Content-Type: multipart/report; boundary=\"\"\r\n\r\n--\r\n\r\n", true,
		"alice@example.org", ""},
	{"the first Action stands", "",
		STATUS("Final-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.0.1\r\n\r\n"
		       "Final-Recipient: rfc822; b@example.org\r\nAction: failed\r\nStatus: 5.0.2\r\n"),
		true, "a@example.org", "5.0.1"},
};

static void bounces(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *arena = arena_new(0);
		struct bounce bounce;
		bounce_read(arena, str_of(rows[i].message), STR("reports@mx.example"), str_of(rows[i].sender), &bounce);
		check_int(rows[i].what, bounce.failed, rows[i].failed);
		check_str(rows[i].what, bounce.recipient, rows[i].recipient);
		check_str(rows[i].what, bounce.note, rows[i].note);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bounces)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
