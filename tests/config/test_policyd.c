/*
 * policyd-spf.conf: each of its settings comes to what policyd-spf.conf(5) says that it does, or is refused.
 *
 *	test_policyd SOURCE-ROOT
 */
#include "test.h"

#include "base/buf.h"
#include "config/generate.h"
#include "config/policyd.h"
#include "config/state.h"
#include "tables/dataset.h"

static const char *root;

#define LOOPBACK "127.0.0.0/8,::ffff:127.0.0.0/104,::1"

static const struct {
	const char *what, *text;
	const char *options; /* RejectSPF | RejectSPFHELO | SPFIgnoreHosts | ReceivedSPF */
	size_t warnings;
} files[] = {
	{"as Debian ships it",
		"#  For a fully commented sample config file see policyd-spf.conf.commented\n\n"
		"debugLevel = 1 \nTestOnly = 1\n\nHELO_reject = Fail\nMail_From_reject = Fail\n\n"
		"PermError_reject = False\nTempError_Defer = False\n\nskip_addresses = " LOOPBACK "\n",
		"fail|fail|" LOOPBACK "|yes", 0},
	{"its defaults refuse", "debugLevel = 1\n", "fail|fail|" LOOPBACK "|yes", 0},
	{"blanks do not matter", "\n# head\n  HELO_reject=False # why\r\n", "fail|no|" LOOPBACK "|yes", 0},
	{"Softfail", "HELO_reject = Softfail\nMail_From_reject = Softfail\n",
		"fail, softfail|fail, softfail|" LOOPBACK "|yes", 0},
	{"SPF_Not_Pass", "HELO_reject = SPF_Not_Pass\nMail_From_reject = SPF_Not_Pass\n",
		"fail, softfail, neutral, permerror|fail, softfail, neutral, permerror|" LOOPBACK "|yes", 0},
	{"No_Check", "HELO_reject = No_Check\nMail_From_reject = No_Check\n", "no|no|" LOOPBACK "|yes", 0},
	{"Null is what MAIL FROM does anyway", "HELO_reject = Null\n", "fail|no|" LOOPBACK "|yes", 0},
	{"errors as well", "PermError_reject = True\nTempError_Defer = True\n",
		"fail, permerror, temperror|fail, permerror, temperror|" LOOPBACK "|yes", 0},
	{"errors not where nothing is refused",
		"Mail_From_reject = False\nHELO_reject = No_Check\nPermError_reject = True\n", "no|no|" LOOPBACK "|yes",
		0},
	{"TestOnly 0 tests", "TestOnly = 0\nPermError_reject = True\n", "no|no|" LOOPBACK "|yes", 0},
	{"the older name", "defaultSeedOnly = 0\n", "no|no|" LOOPBACK "|yes", 0},
	{"the older name counts", "defaultSeedOnly = 1\nTestOnly = 0\n", "fail|fail|" LOOPBACK "|yes", 0},
	{"exceptions", "Whitelist = 192.168.0.0/31,192.168.1.0/30\nskip_addresses = 10.0.0.0/8\n",
		"fail|fail|192.168.0.0/31,192.168.1.0/30,10.0.0.0/8|yes", 0},
	{"exceptions by name", "Domain_Whitelist_PTR = yahoo.com,example.org\nskip_addresses = None\n",
		"fail|fail|yahoo.com,example.org,.yahoo.com,.example.org|yes", 0},
	{"exceptions by HELO", "HELO_Whitelist = relay.example.com\nskip_addresses = ::1\n",
		"fail|fail|relay.example.com,::1|yes", 1},
	{"AR", "Header_Type = AR\n", "fail|fail|" LOOPBACK "|no", 0},
	{"no field", "Header_Type = None\n", "fail|fail|" LOOPBACK "|no", 0},
	{"what needs no word",
		"Hide_Receiver = Yes\nWhitelist_Lookup_Time = 10\nQueueID = True\nSPF_Enhanced_Status_Codes = Yes\n"
		"No_Mail = False\nMock = False\nPer_User = None\nReject_Not_Pass_Domains = None\nDomain_Whitelist =\n",
		"fail|fail|" LOOPBACK "|yes", 0},
	{"what is lost",
		"SPF_Enhanced_Status_Codes = No\nReason_Message = Message {rejectdefer}\nMock = True\n"
		"Prospective = 192.168.0.4\nHELO_pass_restriction = helo_passed_spf\n"
		"Mail_From_pass_restriction = mfrom_passed_spf\n",
		"fail|fail|" LOOPBACK "|yes", 6},
	{"the milter's own options", "Socket = local:/run/x\nUMask = 007\nInternalHosts = 192.0.2.1\nMacroList = a\n",
		"fail|fail|" LOOPBACK "|yes", 2},
	{"no such file", "Syslog yes\nRejectSPF softfail\n", "softfail|||no", 0},
};

struct seen {
	struct buf out;
	const char *wanted;
};

static bool see(void *context, const char *option, struct str value, struct diag_place place)
{
	struct seen *seen = context;
	(void)place;
	if (str_eq(str_of(option), str_of(seen->wanted)))
		buf_add(&seen->out, value);
	return true;
}

static struct str value_of(struct arena *arena, const struct config *config, const char *option)
{
	struct seen seen = {buf_in(arena), option};
	config_each(config, see, &seen);
	return buf_str(&seen.out);
}

static void files_are_translated(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(files); i++) {
		struct diag diag = diag_in(arena);
		const struct config *config = config_read_text(arena, str_of(files[i].text), &diag);
		if (config == NULL)
			check_str(files[i].what, diag.entries[0].text, "");
		struct str got =
			arena_printf(arena, "%.*s|%.*s|%.*s|%.*s", STR_ARG(value_of(arena, config, "RejectSPF")),
				STR_ARG(value_of(arena, config, "RejectSPFHELO")),
				STR_ARG(value_of(arena, config, "SPFIgnoreHosts")),
				STR_ARG(value_of(arena, config, "ReceivedSPF")));
		check_str(files[i].what, got, files[i].options);
		check_int(files[i].what, (long long)diag.n, (long long)files[i].warnings);
	}
	arena_free(arena);
}

static void numbers_and_names_are_taken_over(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	const struct config *config = config_read_text(arena,
		STR("Authserv_Id = MX.example.com\nLookup_Time = 30\nVoid_Limit = 4\nSocket = inet:8893@localhost\n"
		    "PidFile = /run/p\nUserID = nobody\nUMask = 077\n"),
		&diag);
	assert_non_null(config);
	check_str("Authserv_Id", value_of(arena, config, "AuthservID"), "mx.example.com");
	check_str("Lookup_Time", value_of(arena, config, "EvaluationTimeout"), "30");
	check_str("Void_Limit", value_of(arena, config, "SPFVoidLimit"), "4");
	check_str("Socket", value_of(arena, config, "Socket"), "inet:8893@localhost");
	check_str("PidFile", value_of(arena, config, "PidFile"), "/run/p");
	check_str("UserID", value_of(arena, config, "UserID"), "nobody");
	check_str("UMask", value_of(arena, config, "UMask"), "077");
	arena_free(arena);
}

static const struct {
	const char *text, *message;
} mistakes[] = {
	{"debugLevel = 1\nHELO_rejct = Fail\n", "text:2: unknown option \"HELO_rejct\": did you mean \"HELO_reject\"?"},
	{"debugLevel = 1\nHELO_reject = Soft\n",
		"text:2: HELO_reject: \"Soft\" is none of Fail, Softfail, SPF_Not_Pass, Null,"},
	{"Mail_From_reject = Null\n",
		"text:1: Mail_From_reject: \"Null\" is none of Fail, Softfail, SPF_Not_Pass, False and"},
	{"debugLevel = 1\nSocket local:/x\n",
		"text:2: \"Socket local:/x\": a line of policyd-spf.conf is NAME = value"},
	{"PermError_reject = maybe\nHELO_reject = False\n",
		"text:1: PermError_reject: \"maybe\" is neither True nor False"},
	{"Header_Type = X\n", "text:1: Header_Type: \"X\" is none of SPF, AR and None"},
	{"Lookup_Time = 1000\n", "text:1: EvaluationTimeout: 1000 is out of range: 1 to 300 seconds"},
	{"No_Mail = True\n", "text:1: option No_Mail cannot be used: It refused mail of domains alone that send none"},
	{"Reject_Not_Pass_Domains = aol.com\n", "text:1: option Reject_Not_Pass_Domains cannot be used: "},
	{"Domain_Whitelist = pobox.com\n", "text:1: option Domain_Whitelist cannot be used: "},
	{"Per_User = text,/etc/x\n", "text:1: option Per_User cannot be used: "},
	/* A file of ours stays one. */
	{"Syslog yes\nHELO_reject = Fail\n", "text:2: unknown option \"HELO_reject\""},
};

static void mistakes_are_named(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct diag diag = diag_in(arena);
		assert_null(config_read_text(arena, str_of(mistakes[i].text), &diag));
		check_int(mistakes[i].text, (long long)diag.n_errors, 1);
		if (strstr(diag.entries[0].text.p, mistakes[i].message) == NULL)
			check_str(mistakes[i].text, diag.entries[0].text, mistakes[i].message);
	}
	arena_free(arena);
}

static void every_option_of_the_manual_is_known(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct buf guide = buf_in(arena);
	struct str list;
	size_t n = 0;
	config_write_migration(&guide);
	assert_int_equal(
		dataset_read_file(arena, arena_printf(arena, "%s/tests/config/policyd-spf.options", root).p, &list),
		ERR_OK);
	for (struct str rest = list, name; str_cut(&rest, '\n', &name);) {
		if (name.n == 0 || name.p[0] == '#')
			continue;
		const struct option_row *row = policyd_find(name);
		if (row == NULL)
			check_str("unknown option", name, "");
		/* As its letters are in the manual. */
		check_str("its name", name, row->name);
		size_t length = strlen(row->help);
		check_int(row->name, length > 0 && row->help[length - 1] == '.', true);
		n++;
	}
	check_int("options", (long long)n, (long long)n_policyd_rows);
	arena_free(arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_translated),
		cmocka_unit_test(numbers_and_names_are_taken_over),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(every_option_of_the_manual_is_known),
	};
	root = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
