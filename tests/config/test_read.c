/*
 * Files of options: values, mistakes, and how several files become one configuration.
 */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/state.h"

#define MANY 100000

struct fixture {
	struct arena *arena;
	char directory[64];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->arena = arena_new(0);
	strcpy(fixture->directory, "/tmp/trimilter-config-XXXXXX");
	*state = fixture;
	/* Short names in the messages. */
	return mkdtemp(fixture->directory) == NULL || chdir(fixture->directory) != 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = chdir("/") + system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static const struct config *read_texts(
	struct fixture *fixture, struct diag *diag, const char *first, const char *second)
{
	static const char *const paths[] = {"a.conf", "b.conf"};
	const struct config *config;
	write_file("a.conf", first);
	write_file("b.conf", second != NULL ? second : "");
	*diag = diag_in(fixture->arena);
	config_read(fixture->arena, paths, second != NULL ? 2 : 1, diag, &config);
	return config;
}

struct wanted {
	const char *option, *value;
	struct str found;
};

static bool find_value(void *context, const char *option, struct str value, struct diag_place place)
{
	(void)place;
	struct wanted *wanted = context;
	if (strcmp(option, wanted->option) == 0)
		wanted->found = value;
	return true;
}

static struct str value_of(const struct config *config, const char *option)
{
	struct wanted wanted = {.option = option, .found = STR("(no such option)")};
	config_each(config, find_value, &wanted);
	return wanted.found;
}

/* One line, and what it sets. */
static const struct {
	const char *text;
	const char *option, *value;
	size_t warnings;
} lines[] = {
	{"SYSLOG\tno", "Syslog", "no", 0},
	{"  Syslog   off   # why not\r", "Syslog", "no", 0},
	{"Syslog True", "Syslog", "yes", 0},
	{"Syslog 0", "Syslog", "no", 0},
	{"Syslog nope", "Syslog", "no", 0}, /* OpenDKIM looks at the first letter */
	{"Socket inet:8891@localhost", "Socket", "inet:8891@localhost", 0},
	{"Socket inet:8891@[127.0.0.1]", "Socket", "inet:8891@127.0.0.1", 0},
	{"Socket inet6:8891@::1", "Socket", "inet6:8891@::1", 0},
	{"Socket inet:8891", "Socket", "inet:8891@0.0.0.0", 1},
	{"Socket inet6:8891", "Socket", "inet6:8891@::", 1},
	{"Socket inet:8891@192.0.2.1", "Socket", "inet:8891@192.0.2.1", 1},
	{"Socket 8891", "Socket", "inet:8891@localhost", 0},
	{"Socket unix:/run/x.sock", "Socket", "local:/run/x.sock", 0},
	{"Socket /run/x.sock", "Socket", "local:/run/x.sock", 0},
	{"Socket Local:/run/x.sock", "Socket", "local:/run/x.sock", 0},
	{"UMask 007", "UMask", "007", 0},
	{"DNSTimeout 0", "DNSTimeout", "60", 1}, /* OpenDKIM: for ever */
	{"DNSTimeout 3", "DNSTimeout", "3", 0},
	{"MinimumKeyBits 512", "MinimumKeyBits", "1024", 1}, /* RFC 8301 section 3.2 */
	{"MaximumHeaders 0", "MaximumHeaders", "1073741824", 1},
	{"MaximumHeaders 65536", "MaximumHeaders", "65536", 0},
	{"DNSCacheSize 64M", "DNSCacheSize", "64M", 0},
	{"AuthservID Mail.Example.COM.", "AuthservID", "mail.example.com", 0},
	{"AuthservID Example_1", "AuthservID", "example_1", 0},
	{"On-DNSError reject", "On-DNSError", "tempfail", 1},
	{"On-DNSError a", "On-DNSError", "accept", 0},
	{"On-Default accept", "On-InternalError", "accept", 0},
	{"On-Default accept\nOn-InternalError t", "On-InternalError", "tempfail", 0},
	{"HoldQuarantinedMessages yes", "QuarantineAction", "hold", 0},
	{"HoldQuarantinedMessages yes\nQuarantineAction hold", "QuarantineAction", "hold", 0},
	{"BaseDirectory /etc/x\nPidFile run/pid", "PidFile", "/etc/x/run/pid", 0},
	{"BaseDirectory /etc/x\nIgnoreHosts file:hosts", "IgnoreHosts", "file:/etc/x/hosts", 0},
	{"BaseDirectory /etc/x\nIgnoreHosts 192.0.2.1", "IgnoreHosts", "192.0.2.1", 0},
	{"Mode sv", "Mode", "sv", 1}, /* signs, and has no key */
	{"TrustAnchorFile /nonexistent/root.key", "TrustAnchorFile", "", 1},
	{"Nameservers 127.0.0.1@5353, ::1", "Nameservers", "127.0.0.1@5353, ::1", 0},
	{"SoftwareHeader yes", "SoftwareHeader", "yes", 0},
	{"X-Header no", "Syslog", "yes", 0},
	{"X-Header yes", "Syslog", "yes", 1},
	{"On-BadSignature reject", "On-BadSignature", "reject", 0},
	{"On-BadSignature Q", "On-BadSignature", "quarantine", 0},
	{"Quarantine yes", "Quarantine", "yes", 0},
	{"On-Default reject", "On-DNSError", "tempfail", 1}, /* unsigned mail is refused too */
	{"On-Default discard\nOn-NoSignature accept", "On-KeyNotFound", "discard", 0},
	{"On-Default accept", "On-SignatureError", "tempfail", 0},
	{"On-SignatureError accept", "On-SignatureError", "accept", 1},
	{"RejectString %s is not you", "RejectString", "%s is not you", 0},
	{"StrictHeaders yes", "RequiredHeaders", "yes", 0},
	{"RejectSPF fail,SoftFail", "RejectSPF", "fail,SoftFail", 0},
	{"RejectSPFHELO False", "RejectSPFHELO", "False", 0},
	{"SenderHeaders List-Post,Sender, From", "SenderHeaders", "List-Post,Sender, From", 0},
	{"KeepAuthResults no", "Syslog", "yes", 0},
	{"ReportAddress Reports@Example.COM", "ReportAddress", "Reports@example.com", 0},
	{"ReportAddress \"Postmaster\" <p@b\xc3\xbc"
	 "cher.example>",
		"ReportAddress", "p@xn--bcher-kva.example", 0},
	{"ReportAddress p@example.com", "FailureReportsSentBy", "p@example.com", 0},
	{"ReportAddress p@example.com", "ReportOrganization", "example.com", 0},
	{"ReportServer mail.example", "ReportServer", "mail.example:25", 0},
	{"ReportServer mail.example:587", "ReportServer", "mail.example:587", 0},
	{"ReportServer 192.0.2.1", "ReportServer", "192.0.2.1:25", 0},
	{"ReportServer [2001:db8::1]:26", "ReportServer", "[2001:db8::1]:26", 0},
	{"ReportServer [::1]", "ReportServer", "[::1]:25", 0},
	{"BaseDirectory /srv\nReportStore SQLite:reports.db", "ReportStore", "sqlite:/srv/reports.db", 0},
	{"ReportStore postgres://u:p@db/reports", "ReportStore", "postgresql://u:p@db/reports", 0},
	{"ReportFormat RFC7489", "ReportFormat", "RFC7489", 0},
	{"ReportInterval 3600", "ReportInterval", "3600", 0},
	{"ReportCommand /usr/sbin/sendmail -t", "ReportCommand", "/usr/sbin/sendmail -t", 0},
	{"FailureReports yes\nFailureReportsBcc a@example.com, b@example.com", "FailureReportsBcc",
		"a@example.com, b@example.com", 0},
	{"HistoryFile /run/opendmarc.dat", "AggregateReports", "yes", 1},
	{"AutoRestart Yes\nAutoRestartRate 10/1h", "Syslog", "yes", 0},
	{"Syslog yes\nSyslog no", "Syslog", "no", 1},
	{"Syslog yes\nSyslog yes", "Syslog", "yes", 0},
	{"\xef\xbb\xbfSyslog no", "Syslog", "no", 0},
};

static void lines_set_values(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct diag diag;
		const struct config *config = read_texts(fixture, &diag, lines[i].text, NULL);
		if (config == NULL)
			check_str(lines[i].text, diag.entries[0].text, "no error");
		check_str(lines[i].text, value_of(config, lines[i].option), lines[i].value);
		check_int(lines[i].text, (long long)diag.n, (long long)lines[i].warnings);
	}
}

/* A mistake is said with file, line, word and remedy. */
static const struct {
	const char *text;
	const char *message;
} mistakes[] = {
	{"\nSokcet local:/x", "a.conf:2: unknown option \"Sokcet\": did you mean \"Socket\"?"},
	{"Selektor x", "a.conf:1: unknown option \"Selektor\": did you mean \"Selector\"?"},
	{"Frobnicate x", "a.conf:1: unknown option \"Frobnicate\": \"trimilterctl conf sample\" shows all there are"},
	{"Socket", "a.conf:1: option Socket has no value"},
	{"Socket # inet:1", "a.conf:1: option Socket has no value"},
	{"Syslog perhaps", "a.conf:1: Syslog: \"perhaps\" is not yes or no"},
	{"Mode w", "a.conf:1: Mode: \"w\" is not s, v or sv"},
	{"Mode s", "a.conf:1: Mode s signs, but there is no key: set Domain, Selector and KeyFile, or KeyTable and "
		   "SigningTable"},
	{"Canonicalization simple/strict",
		"a.conf:1: Canonicalization: \"simple/strict\" is not HEADER/BODY, each \"relaxed\" or \"simple\""},
	{"Canonicalization a/b/c",
		"a.conf:1: Canonicalization: \"a/b/c\" is not HEADER/BODY, each \"relaxed\" or \"simple\""},
	{"Socket inet:localhost:8891", "a.conf:1: Socket: \"inet:localhost:8891\" is how Postfix writes it in "
				       "smtpd_milters; here it is \"inet:8891@localhost\""},
	{"Socket inet:0@localhost",
		"a.conf:1: Socket: \"inet:0@localhost\" is not a socket: write inet:PORT@HOST, PORT being 1 to 65535"},
	{"Socket local:", "a.conf:1: Socket: \"local:\" is not a socket: the path is missing"},
	{"UMask 8", "a.conf:1: UMask: \"8\" is not an octal mask such as 007"},
	{"UMask 7777", "a.conf:1: UMask: \"7777\" is not an octal mask such as 007"},
	{"DNSTimeout 5s", "a.conf:1: DNSTimeout: \"5s\" is not a whole number"},
	{"DNSTimeout -1", "a.conf:1: DNSTimeout: \"-1\" is not a whole number"},
	{"SPFLookupLimit 11", "a.conf:1: SPFLookupLimit: 11 is out of range: 1 to 10 terms"},
	{"DNSCacheSize 99999999999999999999G",
		"a.conf:1: DNSCacheSize: \"99999999999999999999G\" is not a number of bytes (K, M and G may follow)"},
	{"On-NoSignature bounce",
		"a.conf:1: On-NoSignature: \"bounce\" is not accept, reject, tempfail, quarantine or discard"},
	{"RejectString no",
		"a.conf:1: RejectString: \"no\" is not a text with one %s, which stands for the author's domain"},
	{"RejectString %s %d",
		"a.conf:1: RejectString: \"%s %d\" is not a text with one %s, the author's domain, and no "
		"other %"},
	{"RejectSPF fail,pass",
		"a.conf:1: RejectSPF: \"pass\" is not a result of SPF that can refuse mail: fail, softfail, "
		"neutral, none, permerror or temperror"},
	{"QuarantineAction drop", "a.conf:1: QuarantineAction: \"drop\" is not hold, reject or accept"},
	{"QuarantineAction reject\nHoldQuarantinedMessages yes",
		"a.conf:1: QuarantineAction reject contradicts HoldQuarantinedMessages yes (a.conf:2): remove one of "
		"them"},
	{"ReportAddress postmaster", "a.conf:1: ReportAddress: \"postmaster\" is not a mail address such as "
				     "reports@example.com"},
	{"ReportAddress a@example.com, b@example.com",
		"a.conf:1: ReportAddress: \"a@example.com, b@example.com\" is not a mail address such as "
		"reports@example.com"},
	{"ReportAddress \"a b\"@example.com",
		"a.conf:1: ReportAddress: \"\"a b\"@example.com\" is not a mail address such as reports@example.com"},
	{"FailureReportsTo a@example.com, b",
		"a.conf:1: FailureReportsTo: \"b\" is not a mail address such as reports@example.com"},
	{"ReportInterval 5000", "a.conf:1: ReportInterval: 5000 seconds do not divide a day: write 3600, 7200, 10800, "
				"14400, 21600, 28800, 43200 or 86400"},
	{"ReportStore mysql://u:secret@db/x", "a.conf:1: ReportStore: write sqlite:/PATH/reports.db for a file, or "
					      "postgresql://USER@HOST/DATABASE"},
	{"ReportStore sqlite:", "a.conf:1: ReportStore: write sqlite:/PATH/reports.db for a file, or "
				"postgresql://USER@HOST/DATABASE"},
	{"ReportFormat xml", "a.conf:1: ReportFormat: \"xml\" is not rfc9990 or rfc7489"},
	{"ReportServer ::1", "a.conf:1: ReportServer: \"::1\" is not a mail server: write HOST or HOST:PORT, an IPv6 "
			     "address in brackets ([::1]:25)"},
	{"ReportServer [::1", "a.conf:1: ReportServer: \"[::1\" is not a mail server: write HOST or HOST:PORT, an IPv6 "
			      "address in brackets ([::1]:25)"},
	{"ReportServer mail.example:smtp",
		"a.conf:1: ReportServer: \"mail.example:smtp\" is not a mail server: write HOST or HOST:PORT, an IPv6 "
		"address in brackets ([::1]:25)"},
	{"ReportCommand sendmail -t", "a.conf:1: ReportCommand: \"sendmail -t\" is not a program: write its whole "
				      "path, such as /usr/sbin/sendmail"},
	{"ReportCommand /bin/cat > /tmp/x",
		"a.conf:1: ReportCommand: \"/bin/cat > /tmp/x\" is not a program with its arguments: there is no "
		"shell, so quotes come in pairs and the characters |&;<>()$`\\*?[~ stand in quotes and mean "
		"themselves"},
	{"KeyTable /x", "a.conf:1: KeyTable is set, but SigningTable is not: it says whose mail gets which key"},
	{"SigningTable /x", "a.conf:1: SigningTable is set, but KeyTable is not: it says where the keys are"},
	{"Domain example.com\nKeyFile /x", "a.conf:2: KeyFile is set, but Selector is not: it names the key in the DNS "
					   "(SELECTOR._domainkey.DOMAIN)"},
	{"Domain example.com", "a.conf:1: Domain is set, but KeyFile is not: it names the private key (make one with "
			       "\"trimilterctl genkey\")"},
	{"Domain exa^mple", "a.conf:1: Domain: \"exa^mple\" is not a domain"},
	{"Selector a b", "a.conf:1: Selector: \"a b\" is not a selector: letters, digits, '-', '_', and dots between"},
	{"SignHeaders Fr om:", "a.conf:1: SignHeaders: \"Fr om:\" is not the name of a header field"},
	{"Nameservers example.com", "a.conf:1: Nameservers: \"example.com\" is not a resolver: write ADDRESS or "
				    "ADDRESS@PORT, such as 127.0.0.1@53"},
	{"Nameservers file:/x", "a.conf:1: Nameservers: \"file:/x\" is not a list of resolvers: write their addresses "
				"into this line"},
	{"AuthservID a;b", "a.conf:1: AuthservID: \"a;b\" is not a name that may stand in Authentication-Results: use "
			   "a host name"},
	{"SyslogFacility frob",
		"a.conf:1: SyslogFacility: \"frob\" is not a facility of syslog (mail, daemon, local0 ...)"},
	{"UserID a:", "a.conf:1: UserID: \"a:\" is not USER or USER:GROUP"},
	{"Include /nonexistent/x", "a.conf:1: cannot read /nonexistent/x: No such file or directory"},
	{"Include a.conf", "a.conf:1: Include goes deeper than 5 files: does one include itself?"},
	{"RemoveARFrom .exa..mple", "RemoveARFrom: \".exa..mple\" is neither a host nor a .domain"},
	{"RemoveARFrom .", "RemoveARFrom: \".\" is neither a host nor a .domain"},
	{"CopyFailuresTo nobody",
		"a.conf:1: CopyFailuresTo: \"nobody\" is not a mail address such as reports@example.com"},
	{"SetupPolicyScript /x.lua", "a.conf:1: option SetupPolicyScript cannot be used: Lua scripts are not run, and "
				     "what this one signs is "
				     "not known. Remove the line, and say it with KeyTable and SigningTable."},
};

static void mistakes_are_named(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag;
		const struct config *config = read_texts(fixture, &diag, mistakes[i].text, NULL);
		check_int(mistakes[i].text, config == NULL, true);
		struct str first = STR("");
		for (size_t k = diag.n; k > 0; k--)
			if (diag.entries[k - 1].severity == DIAG_ERROR)
				first = diag.entries[k - 1].text;
		if (!str_ends(first, str_of(mistakes[i].message)))
			check_str(mistakes[i].text, first, mistakes[i].message);
	}
}

/* Two files, and whose word counts. */
static const struct {
	const char *what;
	const char *first, *second;
	const char *option, *value;
	size_t warnings;
} merges[] = {
	{"the last file wins", "Syslog no", "Syslog yes", "Syslog", "yes", 0},
	{"but not for the socket", "Socket /a", "Socket /b", "Socket", "local:/a", 1},
	{"nor the user", "UserID opendkim", "UserID opendmarc", "UserID", "opendkim", 1},
	{"nor the mask", "UMask 007", "UMask 002", "UMask", "007", 1},
	{"however many zeros", "UMask 0007", "UMask 007", "UMask", "007", 0},
	{"nor the pid file", "PidFile /a", "PidFile /b", "PidFile", "/a", 1},
	{"nor the base directory", "BaseDirectory /a", "BaseDirectory /b", "BaseDirectory", "/a", 1},
	{"the same value is no contradiction", "Socket /a", "Socket /a", "Socket", "local:/a", 0},
	{"a file alone with its word", "", "Socket /b", "Socket", "local:/b", 0},
};

static void files_merge(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(merges); i++) {
		struct diag diag;
		const struct config *config = read_texts(fixture, &diag, merges[i].first, merges[i].second);
		check_str(merges[i].what, value_of(config, merges[i].option), merges[i].value);
		check_int(merges[i].what, (long long)diag.n, (long long)merges[i].warnings);
	}
	struct diag diag;
	read_texts(fixture, &diag, "Socket /a\n", "\nSocket /b\n");
	check_str("both lines are named", diag.entries[0].text,
		"b.conf:2: Socket \"/b\" is not used: the first file decides, with \"/a\" (a.conf:1)");
}

static void the_ids_of_all_files_are_ours(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag;
	const struct config *config = read_texts(fixture, &diag,
		"AuthservID One.example\nRemoveARFrom three.example,.Four.example", "AuthservID two.example");
	static const char *const wanted[] = {"two.example", "one.example", "three.example", ".four.example"};
	check_str("the last file's", config->values.auth.authserv_id, "two.example");
	assert_int_equal(config->values.auth.n_own_ids, 5); /* and the host's name */
	for (size_t i = 0; i < COUNT(wanted); i++) {
		size_t n = 0;
		for (size_t k = 0; k < config->values.auth.n_own_ids; k++)
			n += str_eq(config->values.auth.own_ids[k], str_of(wanted[i]));
		check_int(wanted[i], (long long)n, 1);
	}
}

static void included_files_belong_to_the_including_one(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag;
	write_file("more.conf", "Socket /more\nSokcet /x\n");
	read_texts(fixture, &diag, "Include more.conf\n", NULL);
	assert_int_equal(diag.n, 1);
	check_str("place", diag.entries[0].text, "more.conf:2: unknown option \"Sokcet\": did you mean \"Socket\"?");
	write_file("more.conf", "Socket /more\n");
	const struct config *config = read_texts(fixture, &diag, "Include more.conf\n", "Socket /b\n");
	check_str("first file", value_of(config, "Socket"), "local:/more");
	assert_int_equal(diag.n, 1);
}

static void header_lists_may_change_the_default(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag;
	const struct config *config =
		read_texts(fixture, &diag, "SignHeaders *,+X-Mine,-Subject\nOmitHeaders *\nOversignHeaders .\n", NULL);
	const struct dkim_sign_options *sign = &config->values.dkim_sign;
	bool mine = false, subject = false, from = false;
	for (size_t i = 0; i < sign->n_sign_headers; i++) {
		mine = mine || str_eq(sign->sign_headers[i], STR("x-mine"));
		subject = subject || str_eq(sign->sign_headers[i], STR("subject"));
		from = from || str_eq(sign->sign_headers[i], STR("from"));
	}
	assert_true(mine && from && !subject);
	assert_int_equal(sign->n_omit_headers, 7);
	assert_int_equal(sign->n_oversign_headers, 0);
}

static void header_lists_have_each_name_once(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag;
	const struct config *config = read_texts(fixture, &diag, "SignHeaders a,B,A,-z,-a,-a,c,a,b\n", NULL);
	const struct dkim_sign_options *sign = &config->values.dkim_sign;
	static const char *const wanted[] = {"b", "c", "a"};
	assert_int_equal(sign->n_sign_headers, COUNT(wanted));
	for (size_t i = 0; i < COUNT(wanted); i++)
		check_str("SignHeaders", sign->sign_headers[i], wanted[i]);
}

/* A table that is given as configuration, as long as the largest ones are. */
static void only_the_first_unknown_words_get_a_suggestion(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag = diag_in(fixture->arena);
	struct buf text = buf_in(fixture->arena);
	size_t suggested = 0;
	for (unsigned i = 0; i < MANY; i++)
		buf_printf(&text, "Sokcet%u x\n", i % 10);
	assert_null(config_read_text(fixture->arena, buf_str(&text), &diag));
	assert_int_equal(diag.n_errors, MANY);
	for (size_t i = 0; i < diag.n; i++)
		suggested += memmem(diag.entries[i].text.p, diag.entries[i].text.n, "did you mean", 12) != NULL;
	assert_int_equal(suggested, 20);
}

/* What is quadratic takes minutes for these, and thus too long. */
static void long_lists_are_read_at_once(void **state)
{
	static const char *const options[] = {"SignHeaders", "RemoveARFrom"};
	struct fixture *fixture = *state;
	for (size_t k = 0; k < COUNT(options); k++) {
		struct diag diag = diag_in(fixture->arena);
		struct buf text = buf_in(fixture->arena);
		buf_printf(&text, "%s ", options[k]);
		for (unsigned i = 0; i < MANY; i++)
			buf_printf(&text, "x-%u.example,", i);
		const struct config *config = config_read_text(fixture->arena, buf_str(&text), &diag);
		assert_non_null(config);
		const struct config_values *values = &config->values;
		assert_int_equal(
			k == 0 ? values->dkim_sign.n_sign_headers : values->tables.n_remove_results_from, MANY);
	}
}

static void a_restart_is_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct diag diag;
	const struct config *running =
		read_texts(fixture, &diag, "Socket /a\nSyslog yes\nNameservers 127.0.0.1\n", NULL);
	const struct config *wanted =
		read_texts(fixture, &diag, "Socket /b\nSyslog no\nNameservers 127.0.0.1,::1\n", NULL);
	diag = diag_in(fixture->arena);
	config_warn_restart(running, wanted, &diag);
	assert_int_equal(diag.n, 2);
	check_str("socket", diag.entries[0].text,
		"a.conf:1: Socket \"local:/b\" needs a restart; \"local:/a\" stays in force until then");
	diag = diag_in(fixture->arena);
	config_warn_restart(running, running, &diag);
	assert_int_equal(diag.n, 0);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	struct fixture *fixture = *state;
	static const char *const path = "nul.conf";
	FILE *file = fopen(path, "w");
	fwrite("Syslog\0no\n", 1, 10, file);
	fclose(file);
	struct diag diag = diag_in(fixture->arena);
	const struct config *config;
	assert_int_equal(config_read(fixture->arena, &path, 1, &diag, &config), ERR_CONFIG);
	check_str("NUL", diag.entries[0].text, "nul.conf: not a text file: it contains NUL bytes");
}

/* What stands in the table must be something that a file could say. */
static void every_default_is_valid(void **state)
{
	struct fixture *fixture = *state;
	struct config_values values = {.spf.receiver = STR("host.example")};
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		struct diag diag = diag_in(fixture->arena);
		const struct option_setting setting = {row, &values, fixture->arena, &diag, {NULL, 0}, false};
		if (row->module == NULL)
			continue;
		check_int(row->name, option_set(&setting, str_of(row->default_text)), true);
		check_int(row->name, (long long)diag.n, 0);
	}
}

static void names_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_rows[i].name != NULL)
			check_int(option_rows[i].name, option_find(str_of(option_rows[i].name)) - option_rows,
				(long long)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_set_values),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(files_merge),
		cmocka_unit_test(the_ids_of_all_files_are_ours),
		cmocka_unit_test(included_files_belong_to_the_including_one),
		cmocka_unit_test(header_lists_may_change_the_default),
		cmocka_unit_test(header_lists_have_each_name_once),
		cmocka_unit_test(only_the_first_unknown_words_get_a_suggestion),
		cmocka_unit_test(long_lists_are_read_at_once),
		cmocka_unit_test(a_restart_is_asked_for),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(every_default_is_valid),
		cmocka_unit_test(names_are_unique),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
