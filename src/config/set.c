#include "config/values.h"

#include <limits.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/domain.h"
#include "base/ip.h"
#include "base/log.h"
#include "config/set.h"
#include "dkim/dkim.h"
#include "spf/spf.h"
#include "tables/dataset.h"

static void *member(const struct option_setting *setting)
{
	return (char *)setting->values + setting->row->offset;
}

bool option_refuse(const struct option_setting *setting, struct str text, const char *wanted)
{
	diag_error(setting->diag, setting->place, "%s: \"%.*s\" is not %s", setting->row->name, STR_ARG(text), wanted);
	return false;
}

/* ---- booleans and numbers ---- */

bool option_parse_bool(struct str text, bool *ret_value)
{
	if (text.n == 0 || text.p[0] == '\0')
		return false;
	if (str_ieq(text, STR("on")) || strchr("TtYy1", text.p[0]) != NULL) {
		*ret_value = true;
		return true;
	}
	if (str_ieq(text, STR("off")) || strchr("FfNn0", text.p[0]) != NULL) {
		*ret_value = false;
		return true;
	}
	return false;
}

static bool set_bool(const struct option_setting *setting, struct str text)
{
	bool value;
	if (!option_parse_bool(text, &value))
		return option_refuse(setting, text, "yes or no");
	*(bool *)member(setting) = value;
	return true;
}

/* Digits, perhaps with K, M or G behind them. */
static bool parse_number(struct str text, bool sizes, uint64_t *ret_value)
{
	uint64_t factor = 1;
	if (sizes && text.n > 0) {
		char last = str_lower_char(text.p[text.n - 1]);
		factor = last == 'k' ? 1u << 10 : last == 'm' ? 1u << 20 : last == 'g' ? 1u << 30 : 1;
		if (factor > 1)
			text.n--;
	}
	if (!str_to_u64(text, UINT64_MAX / factor, ret_value))
		return false;
	*ret_value *= factor;
	return true;
}

static uint64_t fit(const struct option_setting *setting, uint64_t value)
{
	const struct option_row *row = setting->row;
	bool limit = row->type == OPTION_LIMIT || row->type == OPTION_SECONDS || row->type == OPTION_SIZE_LIMIT;
	uint64_t fitting = value > row->max || (limit && value == 0) ? row->max : value < row->min ? row->min : value;
	if (fitting != value && limit && value == 0)
		diag_warning(setting->diag, setting->place, "%s: there is no \"without limit\" here: %llu %s is used",
			row->name, (unsigned long long)fitting, row->unit);
	else if (fitting != value)
		diag_warning(setting->diag, setting->place, "%s: %llu is out of range (%llu to %llu): %llu %s is used",
			row->name, (unsigned long long)value, (unsigned long long)row->min,
			(unsigned long long)row->max, (unsigned long long)fitting, row->unit);
	return fitting;
}

static bool set_number(const struct option_setting *setting, struct str text)
{
	const struct option_row *row = setting->row;
	bool sizes = row->type == OPTION_SIZE || row->type == OPTION_SIZE_LIMIT;
	bool strict = row->type == OPTION_UNSIGNED || row->type == OPTION_SIZE;
	uint64_t value;
	if (!parse_number(text, sizes, &value))
		return option_refuse(
			setting, text, sizes ? "a number of bytes (K, M and G may follow)" : "a whole number");
	if (strict && (value < row->min || value > row->max)) {
		diag_error(setting->diag, setting->place, "%s: %.*s is out of range: %llu to %llu%s%s", row->name,
			STR_ARG(text), (unsigned long long)row->min, (unsigned long long)row->max,
			row->unit[0] != '\0' ? " " : "", row->unit);
		return false;
	}
	value = fit(setting, value);
	if (sizes)
		*(size_t *)member(setting) = (size_t)value;
	else
		*(unsigned *)member(setting) = (unsigned)(row->type == OPTION_SECONDS ? value * 1000 : value);
	return true;
}

static bool set_umask(const struct option_setting *setting, struct str text)
{
	unsigned value = 0;
	if (text.n == 0)
		value = -1u;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '7' || value > 0777)
			return option_refuse(setting, text, "an octal mask such as 007");
		value = value * 8 + (unsigned)(text.p[i] - '0');
	}
	if (value != -1u && value > 0777)
		return option_refuse(setting, text, "an octal mask such as 007");
	*(unsigned *)member(setting) = value;
	return true;
}

/* ---- words ---- */

static bool set_mode(const struct option_setting *setting, struct str text)
{
	bool sign = false, verify = false;
	for (size_t i = 0; i < text.n; i++) {
		char c = str_lower_char(text.p[i]);
		sign = sign || c == 's';
		verify = verify || c == 'v';
		if (c != 's' && c != 'v')
			return option_refuse(setting, text, "s, v or sv");
	}
	setting->values->auth.mode_sign = sign;
	setting->values->auth.mode_verify = verify;
	return sign || verify || option_refuse(setting, text, "s, v or sv");
}

static bool set_canonicalization(const struct option_setting *setting, struct str text)
{
	struct dkim_sign_options *options = &setting->values->dkim_sign;
	return dkim_canonicalization_parse(text, &options->header_canonicalization, &options->body_canonicalization) ||
	       option_refuse(setting, text, "HEADER/BODY, each \"relaxed\" or \"simple\"");
}

static bool set_quarantine_action(const struct option_setting *setting, struct str text)
{
	enum auth_quarantine_action *action = member(setting);
	if (str_ieq(text, STR("hold")))
		*action = AUTH_QUARANTINE_HOLD;
	else if (str_ieq(text, STR("reject")))
		*action = AUTH_QUARANTINE_REJECT;
	else if (str_ieq(text, STR("accept")))
		*action = AUTH_QUARANTINE_ACCEPT;
	else
		return option_refuse(setting, text, "hold, reject or accept");
	return true;
}

/* OpenDKIM takes the words' first letters too. */
static bool set_on_error(const struct option_setting *setting, struct str text)
{
	static const char *const others[] = {"reject", "r", "discard", "d", "quarantine", "q"};
	enum auth_on_error *action = member(setting);
	*action = AUTH_ON_ERROR_TEMPFAIL;
	if (str_ieq(text, STR("accept")) || str_ieq(text, STR("a"))) {
		*action = AUTH_ON_ERROR_ACCEPT;
		return true;
	}
	if (str_ieq(text, STR("tempfail")) || str_ieq(text, STR("t")))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (!str_ieq(text, str_of(others[i])))
			continue;
		diag_warning(setting->diag, setting->place,
			"%s: \"%.*s\" would lose mail for a fault that passes: tempfail is used; write tempfail or "
			"accept",
			setting->row->name, STR_ARG(text));
		return true;
	}
	return option_refuse(setting, text, "tempfail or accept");
}

static bool set_discovery(const struct option_setting *setting, struct str text)
{
	enum dmarc_discovery *discovery = member(setting);
	*discovery = str_ieq(text, STR("psl")) ? DMARC_PSL : DMARC_TREE_WALK;
	return *discovery == DMARC_PSL || str_ieq(text, STR("treewalk")) ||
	       option_refuse(setting, text, "treewalk or psl");
}

/* OpenDKIM takes the words' first letters too. */
static bool set_failure_action(const struct option_setting *setting, struct str text)
{
	static const enum verdict_action actions[] = {
		VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_TEMPFAIL, VERDICT_QUARANTINE, VERDICT_DISCARD};
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		struct str word = str_of(verdict_action_text(actions[i]));
		if (!str_ieq(text, word) && !str_ieq(text, str_head(word, 1)))
			continue;
		*(enum verdict_action *)member(setting) = actions[i];
		return true;
	}
	return option_refuse(setting, text, "accept, reject, tempfail, quarantine or discard");
}

/* "False" and "No" are how policyd-spf says that nothing is rejected. */
static bool set_spf_results(const struct option_setting *setting, struct str text)
{
	unsigned results = 0;
	bool is_no = str_ieq(text, STR("no")) || str_ieq(text, STR("false"));
	for (struct str rest = is_no ? STR("") : text, word; str_cut(&rest, ',', &word);) {
		unsigned status = SPF_NONE;
		word = str_trim(word);
		while (status <= SPF_PERMERROR && !str_ieq(word, str_of(spf_status_text((enum spf_status)status))))
			status++;
		if (word.n > 0 && (status > SPF_PERMERROR || status == SPF_PASS))
			return option_refuse(setting, word,
				"a result of SPF that can refuse mail: fail, softfail, neutral, none, permerror or "
				"temperror");
		results |= word.n > 0 ? 1u << status : 0;
	}
	*(unsigned *)member(setting) = results;
	return true;
}

static bool set_log_level(const struct option_setting *setting, struct str text)
{
	bool *debug = member(setting);
	*debug = str_ieq(text, STR("debug"));
	return *debug || str_ieq(text, STR("info")) || option_refuse(setting, text, "info or debug");
}

static bool set_engine(const struct option_setting *setting, struct str text)
{
	enum milter_engine *engine = member(setting);
	*engine = str_ieq(text, STR("native")) ? MILTER_ENGINE_NATIVE : MILTER_ENGINE_LIBMILTER;
	return *engine == MILTER_ENGINE_NATIVE || str_ieq(text, STR("libmilter")) ||
	       option_refuse(setting, text, "libmilter or native");
}

/* ---- strings ---- */

static bool keep(const struct option_setting *setting, struct str text)
{
	*(struct str *)member(setting) = arena_dup(setting->arena, text);
	return true;
}

static bool set_facility(const struct option_setting *setting, struct str text)
{
	struct str name = arena_dup_lower(setting->arena, text);
	return log_facility(name.p) >= 0
		       ? keep(setting, name)
		       : option_refuse(setting, text, "a facility of syslog (mail, daemon, local0 ...)");
}

static bool set_selector(const struct option_setting *setting, struct str text)
{
	if (text.n > 0 && !domain_is_hostname(text))
		return option_refuse(setting, text, "a selector: letters, digits, '-', '_', and dots between");
	return keep(setting, text);
}

static bool set_user(const struct option_setting *setting, struct str text)
{
	struct str rest = text, word;
	while (text.n > 0 && str_cut(&rest, ':', &word))
		if (word.n == 0 || memchr(word.p, ' ', word.n) != NULL)
			return option_refuse(setting, text, "USER or USER:GROUP");
	return keep(setting, text);
}

/* opendmarc.conf(5) wants the domain in it once; what is sent must be US-ASCII on one line. */
static bool set_reject_string(const struct option_setting *setting, struct str text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < ' ' || text.p[i] > '~')
			return option_refuse(setting, text, "plain US-ASCII text");
		if (text.p[i] != '%')
			continue;
		if (i + 1 == text.n || text.p[i + 1] != 's' || n++ > 0)
			return option_refuse(setting, text, "a text with one %s, the author's domain, and no other %");
	}
	return n == 1 ? keep(setting, text)
		      : option_refuse(setting, text, "a text with one %s, which stands for the author's domain");
}

/* RFC 8601 section 2.2: a value of MIME, which we want without need of quotes; in UTF-8 with EAI. */
static bool set_authserv_id(const struct option_setting *setting, struct str text)
{
	struct str id;
	/* As it may stand in the field, which is how some guides for OpenDMARC write it. */
	if (text.n > 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
		text = str_from(text.p + 1, text.n - 2);
	if (str_ieq(text, STR("HOSTNAME")))
		return keep(setting, setting->values->spf.receiver);
	if (domain_normalize(setting->arena, text, &id) && domain_is_hostname(id))
		return keep(setting, id);
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] <= ' ' || strchr("()<>@,;:\\\"/[]?=\x7f", text.p[i]) != NULL)
			return option_refuse(
				setting, text, "a name that may stand in Authentication-Results: use a host name");
	return keep(setting, arena_dup_lower(setting->arena, text));
}

/* ---- any ---- */

bool option_set(const struct option_setting *setting, struct str text)
{
	switch (setting->row->type) {
	case OPTION_BOOL:
		return set_bool(setting, text);
	case OPTION_UNSIGNED:
	case OPTION_CLAMP:
	case OPTION_LIMIT:
	case OPTION_SECONDS:
	case OPTION_SIZE:
	case OPTION_SIZE_LIMIT:
		return set_number(setting, text);
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_DATASET:
		return keep(setting, text);
	case OPTION_SOCKET:
		return option_set_socket(setting, text);
	case OPTION_USER:
		return set_user(setting, text);
	case OPTION_FACILITY:
		return set_facility(setting, text);
	case OPTION_SELECTOR:
		return set_selector(setting, text);
	case OPTION_AUTHSERV_ID:
		return set_authserv_id(setting, text);
	case OPTION_LIST:
	case OPTION_DOMAINS:
	case OPTION_HEADERS:
	case OPTION_NAMESERVERS:
	case OPTION_ADDRESSES:
		return option_set_list(setting, text);
	case OPTION_COMMAND:
		return option_set_command(setting, text);
	case OPTION_REPORT_FORMAT:
		return option_set_report_format(setting, text);
	case OPTION_ADDRESS:
		return option_set_address(setting, text);
	case OPTION_SERVER:
		return option_set_server(setting, text);
	case OPTION_STORE:
		return option_set_store(setting, text);
	case OPTION_UMASK:
		return set_umask(setting, text);
	case OPTION_MODE:
		return set_mode(setting, text);
	case OPTION_ENGINE:
		return set_engine(setting, text);
	case OPTION_LOG_LEVEL:
		return set_log_level(setting, text);
	case OPTION_CANONICALIZATION:
		return set_canonicalization(setting, text);
	case OPTION_QUARANTINE_ACTION:
		return set_quarantine_action(setting, text);
	case OPTION_ON_ERROR:
		return set_on_error(setting, text);
	case OPTION_DISCOVERY:
		return set_discovery(setting, text);
	case OPTION_FAILURE_ACTION:
		return set_failure_action(setting, text);
	case OPTION_SPF_RESULTS:
		return set_spf_results(setting, text);
	case OPTION_REJECT_STRING:
		return set_reject_string(setting, text);
	}
	return false;
}

void option_set_defaults(struct arena *arena, struct str host_name, struct config_values *values)
{
	struct diag diag = diag_in(arena);
	*values = (struct config_values){.spf.receiver = host_name};
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_setting setting = {&option_rows[i], values, arena, &diag, {NULL, 0}, NULL};
		if (option_rows[i].module != NULL)
			option_set(&setting, str_of(option_rows[i].default_text));
	}
}

struct str *option_string(const struct option_row *row, struct config_values *values)
{
	switch (row->type) {
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_DATASET:
	case OPTION_SOCKET:
	case OPTION_USER:
	case OPTION_FACILITY:
	case OPTION_SELECTOR:
	case OPTION_AUTHSERV_ID:
	case OPTION_REJECT_STRING:
	case OPTION_ADDRESS:
	case OPTION_SERVER:
	case OPTION_STORE:
		return (struct str *)(void *)((char *)values + row->offset);
	case OPTION_BOOL:
	case OPTION_UNSIGNED:
	case OPTION_CLAMP:
	case OPTION_LIMIT:
	case OPTION_SECONDS:
	case OPTION_SIZE:
	case OPTION_SIZE_LIMIT:
	case OPTION_LIST:
	case OPTION_DOMAINS:
	case OPTION_HEADERS:
	case OPTION_NAMESERVERS:
	case OPTION_ADDRESSES:
	case OPTION_COMMAND:
	case OPTION_UMASK:
	case OPTION_MODE:
	case OPTION_ENGINE:
	case OPTION_LOG_LEVEL:
	case OPTION_CANONICALIZATION:
	case OPTION_QUARANTINE_ACTION:
	case OPTION_ON_ERROR:
	case OPTION_DISCOVERY:
	case OPTION_FAILURE_ACTION:
	case OPTION_SPF_RESULTS:
	case OPTION_REPORT_FORMAT:
		break;
	}
	return NULL;
}

struct str option_show(
	struct arena *arena, const struct option_row *row, const struct config_values *values, struct str text)
{
	struct config_values copy = *values;
	const struct str *string = option_string(row, &copy);
	const char *at = (const char *)&copy + row->offset;
	if (row->type == OPTION_DATASET || row->count_offset != 0)
		return dataset_shown(arena, string != NULL ? *string : text);
	if (string != NULL)
		return arena_dup(arena, *string);
	if (row->type == OPTION_BOOL)
		return *(const bool *)at ? STR("yes") : STR("no");
	if (row->type == OPTION_CLAMP || row->type == OPTION_LIMIT)
		return arena_printf(arena, "%u", *(const unsigned *)(const void *)at);
	if (row->type == OPTION_SECONDS)
		return arena_printf(arena, "%u", *(const unsigned *)(const void *)at / 1000);
	if (row->type == OPTION_SIZE_LIMIT)
		return arena_printf(arena, "%zu", *(const size_t *)(const void *)at);
	if (row->type == OPTION_ON_ERROR)
		return *(const enum auth_on_error *)(const void *)at == AUTH_ON_ERROR_ACCEPT ? STR("accept")
											     : STR("tempfail");
	if (row->type == OPTION_FAILURE_ACTION)
		return str_of(verdict_action_text(*(const enum verdict_action *)(const void *)at));
	if (row->type == OPTION_QUARANTINE_ACTION) {
		static const char *const words[] = {"accept", "hold", "reject"};
		return str_of(words[*(const enum auth_quarantine_action *)(const void *)at]);
	}
	return text;
}

static bool lists_equal(const char *a, const char *b, const struct option_row *row)
{
	const struct str *x = *(const struct str *const *)(const void *)(a + row->offset);
	const struct str *y = *(const struct str *const *)(const void *)(b + row->offset);
	size_t n = *(const size_t *)(const void *)(a + row->count_offset);
	if (n != *(const size_t *)(const void *)(b + row->count_offset))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_eq(x[i], y[i]))
			return false;
	return true;
}

bool option_equal(const struct option_row *row, const struct config_values *a, const struct config_values *b)
{
	struct config_values copy_a = *a, copy_b = *b;
	const char *x = (const char *)&copy_a, *y = (const char *)&copy_b;
	if (option_string(row, &copy_a) != NULL)
		return str_eq(*option_string(row, &copy_a), *option_string(row, &copy_b));
	if (row->count_offset != 0)
		return lists_equal(x, y, row);
	if (row->type == OPTION_MODE)
		return a->auth.mode_sign == b->auth.mode_sign && a->auth.mode_verify == b->auth.mode_verify;
	if (row->type == OPTION_CANONICALIZATION)
		return a->dkim_sign.header_canonicalization == b->dkim_sign.header_canonicalization &&
		       a->dkim_sign.body_canonicalization == b->dkim_sign.body_canonicalization;
	if (row->type == OPTION_BOOL || row->type == OPTION_LOG_LEVEL)
		return *(const bool *)(x + row->offset) == *(const bool *)(y + row->offset);
	size_t size = row->type == OPTION_SIZE || row->type == OPTION_SIZE_LIMIT ? sizeof(size_t) : sizeof(unsigned);
	return memcmp(x + row->offset, y + row->offset, size) == 0;
}
