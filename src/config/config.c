#include "config/config.h"

#include <unistd.h>

#include "auth/runtime.h"
#include "base/domain.h"
#include "base/map.h"
#include "config/state.h"

const struct config_said *config_said_of(const struct config *config, const char *name)
{
	return &config->said[option_find(str_of(name)) - option_rows];
}

/* Was it in a file? */
static bool is_said(const struct config *config, const char *name)
{
	return config_said_of(config, name)->file_index != 0;
}

static struct diag_place place_of(const struct config *config, const char *name)
{
	return config_said_of(config, name)->place;
}

/* ---- what follows from several options ---- */

static void finish_on_default(struct config *config, struct diag *diag)
{
	struct auth_options *auth = &config->values.auth;
	enum verdict_action action = config->values.tables.on_default;
	/* A fault of ours or of the DNS passes: mail is never lost for it, whatever is done with bad signatures. */
	enum auth_on_error on_error = action == VERDICT_ACCEPT ? AUTH_ON_ERROR_ACCEPT : AUTH_ON_ERROR_TEMPFAIL;
	if (!is_said(config, "On-Default"))
		return;
	if (!is_said(config, "On-DNSError"))
		auth->on_dns_error = on_error;
	if (!is_said(config, "On-InternalError"))
		auth->on_internal_error = on_error;
	if (!is_said(config, "On-BadSignature"))
		auth->on_bad_signature = action;
	if (!is_said(config, "On-KeyNotFound"))
		auth->on_key_not_found = action;
	/* Unsigned is what must not happen to mail of ours for a word that was most likely meant for others'. */
	if (!is_said(config, "On-SignatureError") && action != VERDICT_ACCEPT)
		auth->on_signature_error = action;
	if (!is_said(config, "On-Security"))
		auth->on_security = action;
	if (is_said(config, "On-NoSignature"))
		return;
	auth->on_no_signature = action;
	if (action != VERDICT_ACCEPT)
		diag_warning(diag, place_of(config, "On-Default"),
			"On-Default %s holds for mail without any signature too, which is much of all mail: write "
			"On-NoSignature accept if that is not meant",
			verdict_action_text(action));
}

/* What was not read whole may hold forged results of ours. */
static void finish_on_security(struct config *config, struct diag *diag)
{
	enum verdict_action *action = &config->values.auth.on_security;
	if (*action != VERDICT_ACCEPT && *action != VERDICT_QUARANTINE)
		return;
	if (is_said(config, "On-Security"))
		diag_warning(diag, place_of(config, "On-Security"),
			"On-Security %s would let in a header that was not read to its end: reject is used",
			verdict_action_text(*action));
	*action = VERDICT_REJECT;
}

static void warn_dangers(const struct config *config, struct diag *diag)
{
	if (config->values.auth.keep_results)
		diag_warning(diag, place_of(config, "KeepAuthResults"),
			"KeepAuthResults leaves results in our name that a sender may have written: whoever reads them "
			"may be deceived");
	if (config->values.dns.key_file.n > 0)
		diag_warning(diag, place_of(config, "TestPublicKeys"),
			"TestPublicKeys: the keys in this file are believed without asking the DNS: for tests alone");
}

/* Words of opendkim.conf(5) for what other options say in more detail. */
static void finish_synonyms(struct config *config)
{
	struct auth_options *auth = &config->values.auth;
	auth->required_headers = auth->required_headers || config->values.tables.strict_headers;
	if (!config->values.tables.quarantine)
		return;
	if (!is_said(config, "On-BadSignature"))
		auth->on_bad_signature = VERDICT_QUARANTINE;
	if (!is_said(config, "On-KeyNotFound"))
		auth->on_key_not_found = VERDICT_QUARANTINE;
}

static void warn_signature_error(const struct config *config, struct diag *diag)
{
	if (is_said(config, "On-SignatureError") && config->values.auth.on_signature_error == VERDICT_ACCEPT)
		diag_warning(diag, place_of(config, "On-SignatureError"),
			"On-SignatureError accept lets mail out unsigned when its key cannot be used; the log says so "
			"for "
			"each message. tempfail keeps it until the key is there again");
}

static void finish_quarantine(struct config *config, struct diag *diag)
{
	struct config_values *values = &config->values;
	if (!is_said(config, "HoldQuarantinedMessages"))
		return;
	bool hold = values->tables.hold_quarantined;
	bool action_holds = values->auth.quarantine_action == AUTH_QUARANTINE_HOLD;
	if (is_said(config, "QuarantineAction") && hold != action_holds) {
		struct diag_place other = place_of(config, "HoldQuarantinedMessages");
		diag_error(diag, place_of(config, "QuarantineAction"),
			"QuarantineAction %.*s contradicts HoldQuarantinedMessages %s (%s:%u): remove one of them",
			STR_ARG(config_said_of(config, "QuarantineAction")->text), hold ? "yes" : "no", other.file,
			other.line);
		return;
	}
	if (hold)
		values->auth.quarantine_action = AUTH_QUARANTINE_HOLD;
}

static void warn_ignored(const struct config *config, const char *name, const char *instead, struct diag *diag)
{
	if (is_said(config, name))
		diag_warning(diag, place_of(config, name), "%s is not used, since %s is set", name, instead);
}

static void warn_one_key_ignored(const struct config *config, const char *instead, struct diag *diag)
{
	warn_ignored(config, "Domain", instead, diag);
	warn_ignored(config, "Selector", instead, diag);
	warn_ignored(config, "KeyFile", instead, diag);
}

static void need(const struct config *config, const char *has, const char *lacks, const char *why, struct diag *diag)
{
	if (is_said(config, has) && !is_said(config, lacks))
		diag_error(diag, place_of(config, has), "%s is set, but %s is not: %s", has, lacks, why);
}

static void warn_body_lengths(const struct config *config, struct diag *diag)
{
	static const char *const names[] = {"BodyLengths", "BodyLengthDB"};
	bool set[] = {config->values.dkim_sign.body_lengths, config->values.tables.body_length_db.n > 0};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (set[i])
			diag_warning(diag, place_of(config, names[i]),
				"%s writes l=: anybody may then add text to such a message, and the signature still "
				"verifies (RFC 6376 section 8.2)",
				names[i]);
}

static void finish_signing(struct config *config, struct diag *diag)
{
	bool tables = is_said(config, "KeyTable") || is_said(config, "SigningTable");
	/* Fedora's opendkim.conf names a key, and no domain, for the day on which Mode is changed. */
	if (!config->values.auth.mode_sign)
		return;
	if (is_said(config, "KeyList")) {
		if (tables)
			diag_error(diag, place_of(config, "KeyList"),
				"KeyList and KeyTable are both set: remove one of them");
		warn_one_key_ignored(config, "KeyList", diag);
		return;
	}
	if (tables) {
		if (!is_said(config, "ResignMailTo"))
			need(config, "KeyTable", "SigningTable", "it says whose mail gets which key", diag);
		need(config, "SigningTable", "KeyTable", "it says where the keys are", diag);
		warn_one_key_ignored(config, "KeyTable", diag);
		return;
	}
	need(config, "ResignMailTo", "KeyFile", "it names the list's key (or KeyTable has it)", diag);
	if (is_said(config, "KeyFile") || is_said(config, "Selector")) {
		need(config, "KeyFile", "Selector", "it names the key in the DNS (SELECTOR._domainkey.DOMAIN)", diag);
		need(config, "KeyFile", "Domain", "it says whose mail is signed", diag);
		need(config, "Selector", "KeyFile", "it names the private key", diag);
		return;
	}
	need(config, "Domain", "KeyFile", "it names the private key (make one with \"trimilterctl genkey\")", diag);
	if (!is_said(config, "Mode") || !config->values.auth.mode_sign || is_said(config, "Domain"))
		return;
	if (!config->values.auth.mode_verify)
		diag_error(diag, place_of(config, "Mode"),
			"Mode s signs, but there is no key: set Domain, Selector and KeyFile, or KeyTable and "
			"SigningTable");
	else
		diag_warning(diag, place_of(config, "Mode"),
			"Mode sv signs, but there is no key, so nothing will be signed: set Domain, Selector and "
			"KeyFile, or KeyTable "
			"and SigningTable, or write Mode v");
}

/* Of DNSSEC without its anchor nothing is left but the name; Debian's opendkim.conf names one that may not be there. */
static void finish_trust_anchor(struct config *config, struct diag *diag)
{
	struct str *path = &config->values.dns.trust_anchor_file;
	if (path->n == 0 || access(arena_dup(config->arena, *path).p, R_OK) == 0)
		return;
	diag_warning(diag, place_of(config, "TrustAnchorFile"),
		"cannot read %.*s, so answers are not validated: install Debian's package dns-root-data, or remove the "
		"line",
		STR_ARG(*path));
	*path = STR("");
}

static void finish_reports(const struct config *config, struct report_options *report, struct diag *diag)
{
	const unsigned day = 86400;
	if (day % report->interval != 0)
		diag_error(diag, place_of(config, "ReportInterval"),
			"ReportInterval: %u seconds do not divide a day: write 3600, 7200, 10800, 14400, 21600, 28800, "
			"43200 or 86400",
			report->interval);
	if (report->organization.n == 0)
		report->organization = str_skip(report->address, (size_t)str_rindex(report->address, '@') + 1);
	if (report->failure_from.n == 0)
		report->failure_from = report->address;
}

static struct str under(struct config *config, struct str prefix, struct str path)
{
	if (path.n == 0 || path.p[0] == '/')
		return arena_printf(config->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(path));
	return arena_printf(config->arena, "%.*s%.*s/%.*s", STR_ARG(prefix),
		STR_ARG(config->values.tables.base_directory), STR_ARG(path));
}

static void finish_paths(struct config *config)
{
	static const char *const prefixes[] = {"file:", "refile:", "lmdb:", "mdb:", "sqlite:", "local:"};
	if (config->values.tables.base_directory.n == 0)
		return;
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		bool is_list = row->count_offset != 0;
		struct str *value = row->module == NULL ? NULL
				    : is_list           ? &config->said[i].text
							: option_string(row, &config->values);
		if (value == NULL || value->n == 0)
			continue;
		if (row->type == OPTION_PATH)
			*value = under(config, STR(""), *value);
		if (row->type != OPTION_DATASET && row->type != OPTION_SOCKET && row->type != OPTION_STORE && !is_list)
			continue;
		for (size_t k = 0; k < sizeof(prefixes) / sizeof(*prefixes); k++) {
			struct str prefix = str_of(prefixes[k]);
			if (str_istarts(*value, prefix)) {
				*value = under(config, prefix, str_trim(str_skip(*value, prefix.n)));
				break;
			}
		}
	}
}

static void add_own_id(struct config *config, struct map *known, struct str *ids, size_t *n, struct str id)
{
	struct str domain;
	if (!domain_normalize(config->arena, id, &domain))
		domain = arena_dup_lower(config->arena, id);
	if (map_put(known, domain, ids))
		ids[(*n)++] = domain;
}

/* A host, or .domain for all hosts below it. */
static void add_other_id(
	struct config *config, struct map *known, struct str *ids, size_t *n, struct str id, struct diag *diag)
{
	struct str domain;
	if (id.p[0] != '.') {
		add_own_id(config, known, ids, n, id);
	} else if (domain_normalize(config->arena, str_skip(id, 1), &domain)) {
		add_own_id(config, known, ids, n, arena_printf(config->arena, ".%.*s", STR_ARG(domain)));
	} else {
		diag_error(diag, place_of(config, "RemoveARFrom"),
			"RemoveARFrom: \"%.*s\" is neither a host nor a .domain", STR_ARG(id));
	}
}

static void finish_own_ids(struct config *config, struct diag *diag)
{
	const struct config_tables *tables = &config->values.tables;
	struct auth_options *auth = &config->values.auth;
	struct str *ids =
		ARENA_ARRAY(config->arena, config->n_authserv_ids + tables->n_remove_results_from + 2, struct str);
	struct map *known = map_new(config->arena);
	size_t n = 0;
	add_own_id(config, known, ids, &n, auth->authserv_id);
	add_own_id(config, known, ids, &n, config->host_name);
	for (size_t i = 0; i < config->n_authserv_ids; i++)
		add_own_id(config, known, ids, &n, config->authserv_ids[i]);
	for (size_t i = 0; i < tables->n_remove_results_from; i++)
		add_other_id(config, known, ids, &n, tables->remove_results_from[i], diag);
	auth->own_ids = ids;
	auth->n_own_ids = n;
}

void config_finish(struct config *config, struct diag *diag)
{
	finish_on_default(config, diag);
	finish_on_security(config, diag);
	finish_synonyms(config);
	warn_dangers(config, diag);
	warn_signature_error(config, diag);
	finish_quarantine(config, diag);
	finish_signing(config, diag);
	warn_body_lengths(config, diag);
	finish_reports(config, &config->values.report, diag);
	finish_paths(config);
	finish_trust_anchor(config, diag);
	finish_own_ids(config, diag);
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_rows[i].module != NULL)
			config->said[i].shown =
				option_show(config->arena, &option_rows[i], &config->values, config->said[i].text);
}

static struct config *config_new(struct arena *arena, struct str host_name)
{
	struct config *config = ARENA_NEW(arena, struct config);
	config->arena = arena;
	config->host_name = host_name;
	config->said = ARENA_ARRAY(arena, n_option_rows, struct config_said);
	option_set_defaults(arena, host_name, &config->values);
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_rows[i].module != NULL)
			config->said[i].text = str_of(option_rows[i].default_text);
	return config;
}

enum err config_read(struct arena *arena, const char *const *paths, size_t n_paths, struct diag *diag,
	const struct config **ret_config)
{
	size_t errors = diag->n_errors;
	struct config *config = config_new(arena, runtime_host_name(arena));
	for (size_t i = 0; i < n_paths; i++)
		config_read_file(config, paths[i], i + 1, diag);
	config_finish(config, diag);
	*ret_config = diag->n_errors == errors ? config : NULL;
	return diag->n_errors == errors ? ERR_OK : ERR_CONFIG;
}

const struct config *config_read_text(struct arena *arena, struct str text, struct diag *diag)
{
	size_t errors = diag->n_errors;
	struct config *config = config_new(arena, STR("host.example"));
	config_read_lines(config, text, diag);
	config_finish(config, diag);
	return diag->n_errors == errors ? config : NULL;
}

const struct milter_options *config_milter(const struct config *config)
{
	return &config->values.milter;
}

const struct dns_options *config_dns(const struct config *config)
{
	return &config->values.dns;
}

const struct report_options *config_report(const struct config *config)
{
	return &config->values.report;
}

void config_warn_restart(const struct config *running, const struct config *wanted, struct diag *diag)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->module == NULL || row->when == OPTION_RELOAD ||
			option_equal(row, &running->values, &wanted->values))
			continue;
		diag_warning(diag, wanted->said[i].place,
			"%s \"%.*s\" needs a restart; \"%.*s\" stays in force until then", row->name,
			STR_ARG(wanted->said[i].shown), STR_ARG(running->said[i].shown));
	}
}

void config_each(const struct config *config,
	bool (*visit)(void *context, const char *option, struct str value, struct diag_place place), void *context)
{
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_rows[i].module != NULL &&
			!visit(context, option_rows[i].name, config->said[i].shown, config->said[i].place))
			return;
}

void config_each_said(struct arena *arena, const char *const *paths, size_t n_paths, struct diag *diag,
	void (*visit)(void *context, const char *option, struct str text, struct diag_place place), void *context)
{
	struct config *config = config_new(arena, runtime_host_name(arena));
	config->renames = true;
	for (size_t i = 0; i < n_paths; i++)
		config_read_file(config, paths[i], i + 1, diag);
	for (size_t i = 0; i < n_option_rows; i++)
		if (config->said[i].file_index != 0)
			visit(context, option_rows[i].name, config->said[i].text, config->said[i].place);
}
