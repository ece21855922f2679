#include "config/policyd.h"

#include "base/buf.h"

#define SUPPORTED(name_, default_, help_)                                                                              \
	{                                                                                                              \
		.name = name_,                                                                                         \
		.treatment = OPTION_SUPPORTED,                                                                         \
		.default_text = default_,                                                                              \
		.help = help_,                                                                                         \
	},
#define KNOWN(name_, treatment_, harmless_, help_)                                                                     \
	{                                                                                                              \
		.name = name_,                                                                                         \
		.treatment = OPTION_##treatment_,                                                                      \
		.harmless = harmless_,                                                                                 \
		.help = help_,                                                                                         \
	},

/* clang-format off */

/* In the order of policyd-spf.conf(5), Debian 12. A default of NULL: then nothing follows. */
const struct option_row policyd_rows[] = {
KNOWN("debugLevel", WARN, "*",
	"Every message has a line in the log with all results; LogLevel debug says more.")
SUPPORTED("TestOnly", "1",
	"0 is RejectSPF no and RejectSPFHELO no. DMARC goes on as it is configured.")
SUPPORTED("defaultSeedOnly", NULL,
	"The older name of TestOnly.")
SUPPORTED("HELO_reject", "Fail",
	"RejectSPFHELO: Fail is fail; Softfail is fail, softfail; SPF_Not_Pass is fail, softfail, neutral, permerror; False, No_Check and Null are no. For the null sender, which Null is about, MAIL FROM is the HELO name, and RejectSPF decides.")
KNOWN("HELO_pass_restriction", WARN, "None",
	"A milter cannot call a restriction of Postfix. Write what it permitted into main.cf; remove the line.")
SUPPORTED("Mail_From_reject", "Fail",
	"RejectSPF, with the same values.")
KNOWN("Mail_From_pass_restriction", WARN, "None",
	"A milter cannot call a restriction of Postfix. Write what it permitted into main.cf; remove the line.")
KNOWN("No_Mail", REFUSE, "no",
	"It refused mail of domains alone that send none, and RejectSPF fail would refuse more. Write HELO_reject = False and Mail_From_reject = False, or leave these as they are, and remove the line.")
KNOWN("Reject_Not_Pass_Domains", REFUSE, "None",
	"It refused softfail and neutral of some domains, and ignoring it would accept what you had refused. DMARC says it better: their p=reject with RejectFailures yes; or Mail_From_reject = Softfail for all. Remove the line.")
SUPPORTED("PermError_reject", "False",
	"True adds permerror to RejectSPF and RejectSPFHELO where these refuse anything.")
SUPPORTED("TempError_Defer", "False",
	"True adds temperror likewise, which defers.")
KNOWN("Prospective", WARN, "None",
	"It judged mail that goes out as if it came from another address. Mail of ours is signed, not judged; remove the line.")
SUPPORTED("skip_addresses", "127.0.0.0/8,::ffff:127.0.0.0/104,::1",
	"SPFIgnoreHosts, together with the next ones.")
SUPPORTED("Whitelist", NULL,
	"SPFIgnoreHosts.")
SUPPORTED("HELO_Whitelist", NULL,
	"SPFIgnoreHosts, as names that the DNS confirms for the client; policyd-spf compared the name in HELO. There is a warning.")
KNOWN("Domain_Whitelist", REFUSE, "None",
	"It let in what comes from hosts in the SPF policies of these domains, and ignoring it would refuse forwarded mail. Name their networks in Whitelist, or their hosts in TrustedForwarders, and remove the line.")
SUPPORTED("Domain_Whitelist_PTR", NULL,
	"SPFIgnoreHosts: the domains and all hosts below.")
KNOWN("SPF_Enhanced_Status_Codes", WARN, "yes",
	"A refusal has the codes of RFC 7372; remove the line.")
SUPPORTED("Header_Type", "SPF",
	"SPF is ReceivedSPF yes, AR and None are ReceivedSPF no. The Authentication-Results field is always written.")
KNOWN("Hide_Receiver", WARN, "*",
	"No recipient stands in the fields.")
SUPPORTED("Authserv_Id", NULL,
	"AuthservID.")
SUPPORTED("Lookup_Time", NULL,
	"EvaluationTimeout.")
KNOWN("Whitelist_Lookup_Time", WARN, "*",
	"Exceptions cost no look-ups.")
SUPPORTED("Void_Limit", NULL,
	"SPFVoidLimit.")
KNOWN("Mock", WARN, "no",
	"It wrote a field for Postfix to hide from milters. Nothing has to be hidden here; remove the file from the command line.")
KNOWN("QueueID", WARN, "*",
	"Every line of the log has the queue id.")
KNOWN("Reason_Message", WARN, "",
	"The refusal names identity, result and domain, and the explanation that the domain gives; remove the line.")
KNOWN("Per_User", REFUSE, "None",
	"There are no settings by recipient, and ignoring them would refuse mail that some of them wanted. Choose what suits all, and remove the line.")
SUPPORTED("Socket", NULL, "Socket.")
SUPPORTED("PidFile", NULL, "PidFile.")
SUPPORTED("UserID", NULL, "UserID.")
SUPPORTED("UMask", NULL, "UMask.")
KNOWN("InternalHosts", WARN, "127.0.0.1",
	"It named clients that are not judged. InternalHosts of trimilter.conf signs their mail as well; write them to skip_addresses, or to IgnoreHosts there, and remove the line.")
KNOWN("MacroList", WARN, "",
	"It named macros of clients that are not judged. MacroList of trimilter.conf signs their mail as well; remove the line.")
};

/* clang-format on */

const size_t n_policyd_rows = sizeof(policyd_rows) / sizeof(*policyd_rows);

const struct option_row *policyd_find(struct str name)
{
	for (size_t i = 0; i < n_policyd_rows; i++)
		if (str_ieq(str_of(policyd_rows[i].name), name))
			return &policyd_rows[i];
	return NULL;
}

bool policyd_is_line(struct str line)
{
	size_t n = 0;
	while (n < line.n && (str_is_alpha(line.p[n]) || line.p[n] == '_'))
		n++;
	struct str rest = str_trim(str_skip(line, n));
	return n > 0 && rest.n > 0 && rest.p[0] == '=';
}

/* ---- what follows ---- */

struct translation {
	struct arena *arena;
	const struct policyd_said *said;
	struct diag *diag;
	void (*set)(void *context, const char *option, struct str value, struct diag_place place);
	void *context;
};

static const struct policyd_said *said_of(const struct translation *translation, const char *name)
{
	return &translation->said[policyd_find(str_of(name)) - policyd_rows];
}

static struct str value_of(const struct translation *translation, const char *name)
{
	const struct policyd_said *said = said_of(translation, name);
	return said->text.p != NULL ? said->text : str_of(policyd_find(str_of(name))->default_text);
}

static bool is_true(const struct translation *translation, const char *name)
{
	bool value;
	struct str text = value_of(translation, name);
	if (option_parse_bool(text, &value))
		return value;
	diag_error(translation->diag, said_of(translation, name)->place, "%s: \"%.*s\" is neither True nor False", name,
		STR_ARG(text));
	return false;
}

/* The older name counts where it is said. */
static bool only_tests(const struct translation *translation)
{
	const char *name = said_of(translation, "defaultSeedOnly")->text.p != NULL ? "defaultSeedOnly" : "TestOnly";
	return str_eq(value_of(translation, name), STR("0"));
}

static void reject(struct translation *translation, const char *name, const char *option)
{
	static const struct {
		const char *word, *results;
	} policies[] = {
		{"Fail", "fail"},
		{"Softfail", "fail, softfail"},
		{"SPF_Not_Pass", "fail, softfail, neutral, permerror"},
		{"Null", "no"},
		{"False", "no"},
		{"No_Check", "no"},
	};
	const size_t n = sizeof(policies) / sizeof(*policies);
	struct str word = value_of(translation, name);
	struct diag_place place = said_of(translation, name)->place;
	size_t i = 0;
	while (i < n && !str_ieq(word, str_of(policies[i].word)))
		i++;
	if (i == n || (str_ieq(word, STR("Null")) && !str_eq(str_of(name), STR("HELO_reject")))) {
		diag_error(translation->diag, place,
			"%s: \"%.*s\" is none of Fail, Softfail, SPF_Not_Pass, %sFalse and No_Check", name,
			STR_ARG(word), str_eq(str_of(name), STR("HELO_reject")) ? "Null, " : "");
		return;
	}
	struct str results = str_of(policies[i].results);
	bool refuses = !str_eq(results, STR("no"));
	if (refuses && is_true(translation, "PermError_reject"))
		results = arena_printf(translation->arena, "%.*s, permerror", STR_ARG(results));
	if (refuses && is_true(translation, "TempError_Defer"))
		results = arena_printf(translation->arena, "%.*s, temperror", STR_ARG(results));
	translation->set(translation->context, option, only_tests(translation) ? STR("no") : results, place);
}

/* @before  as ".", which makes hosts below of a domain */
static void add_hosts(const struct translation *translation, const char *name, const char *before, struct buf *out)
{
	for (struct str rest = value_of(translation, name), word; str_cut(&rest, ',', &word);) {
		word = str_trim(word);
		if (word.n > 0 && !str_ieq(word, STR("None")))
			buf_printf(out, "%s%s%.*s", out->n > 0 ? "," : "", before, STR_ARG(word));
	}
}

static void ignore_hosts(struct translation *translation)
{
	static const char *const names[] = {"Whitelist", "HELO_Whitelist", "Domain_Whitelist_PTR", "skip_addresses"};
	const struct policyd_said *helo = said_of(translation, "HELO_Whitelist");
	struct buf out = buf_in(translation->arena);
	struct diag_place place = {NULL, 0};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		add_hosts(translation, names[i], "", &out);
		if (place.line == 0)
			place = said_of(translation, names[i])->place;
	}
	add_hosts(translation, "Domain_Whitelist_PTR", ".", &out);
	translation->set(translation->context, "SPFIgnoreHosts", buf_str(&out), place);
	if (helo->text.n > 0 && !str_ieq(helo->text, STR("None")))
		diag_warning(translation->diag, helo->place,
			"HELO_Whitelist: the names count where the DNS confirms them for the client's address, "
			"whatever "
			"it says in "
			"HELO: write addresses to Whitelist for hosts that call themselves otherwise");
}

static void header_type(struct translation *translation)
{
	struct str type = value_of(translation, "Header_Type");
	struct diag_place place = said_of(translation, "Header_Type")->place;
	bool is_spf = str_ieq(type, STR("SPF"));
	if (is_spf || str_ieq(type, STR("AR")) || str_ieq(type, STR("None")))
		translation->set(translation->context, "ReceivedSPF", is_spf ? STR("yes") : STR("no"), place);
	else
		diag_error(
			translation->diag, place, "Header_Type: \"%.*s\" is none of SPF, AR and None", STR_ARG(type));
}

void policyd_translate(struct arena *arena, const struct policyd_said *said, struct diag *diag,
	void (*set)(void *context, const char *option, struct str value, struct diag_place place), void *context)
{
	static const struct {
		const char *theirs, *ours;
	} same[] = {
		{"Authserv_Id", "AuthservID"},
		{"Lookup_Time", "EvaluationTimeout"},
		{"Void_Limit", "SPFVoidLimit"},
		{"Socket", "Socket"},
		{"PidFile", "PidFile"},
		{"UserID", "UserID"},
		{"UMask", "UMask"},
	};
	struct translation translation = {arena, said, diag, set, context};
	reject(&translation, "HELO_reject", "RejectSPFHELO");
	reject(&translation, "Mail_From_reject", "RejectSPF");
	ignore_hosts(&translation);
	header_type(&translation);
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		const struct policyd_said *one = said_of(&translation, same[i].theirs);
		if (one->text.p != NULL)
			set(context, same[i].ours, one->text, one->place);
	}
}
