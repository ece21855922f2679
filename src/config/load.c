#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "auth/addresses.h"
#include "auth/runtime.h"
#include "auth/signature_options.h"
#include "auth/signers.h"
#include "auth/users.h"
#include "config/keylist.h"
#include "config/state.h"
#include "dmarc/psl.h"
#include "tables/hosts.h"
#include "dkim/crypto.h"

struct loader {
	const struct config *config;
	struct diag *diag;
	struct arena *scratch;       /* tables as they are read; gone when all is built */
	struct arena *arena;         /* the runtime's */
	struct config_values values; /* what the runtime gets; strings move to its arena */
	uint64_t databases;          /* fingerprints */
};

/* The runtime borrows nothing from the configuration; lists that files hold are read now. */
static void take_over(struct loader *loader)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		if (row->module == NULL)
			continue;
		struct str *string = option_string(row, &loader->values);
		if (string != NULL)
			*string = arena_dup(loader->arena, *string);
		const struct config_said *said = &loader->config->said[i];
		const struct option_setting setting = {
			row, &loader->values, loader->arena, loader->diag, said->place, &loader->databases};
		if (row->count_offset != 0)
			option_set(&setting, said->text);
	}
	const struct auth_options *from = &loader->config->values.auth;
	struct str *ids = ARENA_ARRAY(loader->arena, from->n_own_ids, struct str);
	for (size_t i = 0; i < from->n_own_ids; i++)
		ids[i] = arena_dup(loader->arena, from->own_ids[i]);
	loader->values.auth.own_ids = ids;
	loader->values.spf.receiver = arena_dup(loader->arena, loader->values.spf.receiver);
}

static struct diag_place place_of(const struct loader *loader, const char *option)
{
	return config_said_of(loader->config, option)->place;
}

/* False: there is none, or it cannot be read. */
static bool read_set(struct loader *loader, const char *option, struct str spec, struct dataset *dataset)
{
	if (spec.n == 0 ||
		dataset_read(loader->scratch, spec, place_of(loader, option), loader->diag, dataset) != ERR_OK)
		return false;
	if (dataset->kind == DATASET_DATABASE)
		loader->databases += dataset_fingerprint(dataset);
	return true;
}

static const struct hosts *load_hosts(struct loader *loader, const char *option, struct str spec)
{
	struct dataset dataset;
	struct hosts *hosts;
	if (!read_set(loader, option, spec, &dataset) ||
		hosts_build(loader->arena, &dataset, loader->diag, &hosts) != ERR_OK)
		return NULL;
	return hosts;
}

static const struct address_set *load_addresses(struct loader *loader, const char *option, struct str spec)
{
	struct dataset dataset;
	if (!read_set(loader, option, spec, &dataset))
		return NULL;
	return address_set_new(loader->arena, &dataset, loader->diag);
}

/* An option that names a file, and nothing but a file. */
static struct str file_spec(struct loader *loader, struct str path)
{
	return path.n > 0 ? arena_printf(loader->scratch, "file:%.*s", STR_ARG(path)) : path;
}

static const struct users *load_users(struct loader *loader)
{
	struct dataset dataset;
	if (!read_set(loader, "UserDomains", loader->values.tables.user_domains, &dataset))
		return NULL;
	return users_new(loader->arena, &dataset, loader->diag);
}

/* "daemon_name|A|B", or with the values as the row's value; braces as the milter protocol writes them may be there. */
static void add_macro(struct loader *loader, const struct dataset_row *row, struct str *daemons, size_t *n)
{
	struct str rest = row->key, name, value;
	str_cut(&rest, '|', &name);
	if (name.n > 2 && name.p[0] == '{' && name.p[name.n - 1] == '}')
		name = str_from(name.p + 1, name.n - 2);
	if (rest.p == NULL && row->value.n > 0)
		rest = row->value;
	bool authenticated = str_eq(name, STR("auth_authen")) || str_eq(name, STR("auth_type"));
	if (authenticated && rest.p == NULL)
		return; /* always so */
	if (!str_eq(name, STR("daemon_name")) || rest.p == NULL) {
		diag_error(loader->diag, row->place,
			"MacroList: \"%.*s\" cannot be used: \"daemon_name|NAME\" and \"auth_authen\" can. Name the "
			"clients in InternalHosts, or let them authenticate",
			STR_ARG(row->key));
		return;
	}
	while (str_cut(&rest, '|', &value))
		if (str_trim(value).n > 0)
			daemons[(*n)++] = arena_dup(loader->arena, str_trim(value));
}

static void load_macros(struct loader *loader)
{
	struct dataset dataset;
	size_t room = 0;
	if (!read_set(loader, "MacroList", loader->values.tables.macro_list, &dataset))
		return;
	for (size_t i = 0; i < dataset.n; i++)
		room += dataset.rows[i].key.n + dataset.rows[i].value.n;
	struct str *daemons = ARENA_ARRAY(loader->arena, room, struct str);
	for (size_t i = 0; i < dataset.n; i++)
		add_macro(loader, &dataset.rows[i], daemons, &loader->values.auth.n_local_daemons);
	loader->values.auth.local_daemons = daemons;
}

static bool read_table(struct loader *loader, const char *option, struct str spec, struct dataset *dataset)
{
	if (!read_set(loader, option, spec, dataset))
		return false;
	if (dataset->n == 0)
		diag_warning(loader->diag, place_of(loader, option), "%s: %.*s has no rows, so nothing will be signed",
			option, STR_ARG(dataset->name));
	return true;
}

/* False: there are none, which is in the diag. */
static bool load_key_tables(struct loader *loader, struct dataset *keys, struct dataset *authors)
{
	const struct config_tables *tables = &loader->values.tables;
	if (tables->key_list.n > 0) {
		struct dataset lines;
		if (!read_table(loader, "KeyList", file_spec(loader, tables->key_list), &lines))
			return false;
		keylist_read(loader->scratch, &lines, keys, authors, loader->diag);
		return true;
	}
	bool have_keys = read_table(loader, "KeyTable", tables->key_table, keys);
	bool have_authors =
		tables->signing_table.n == 0 || read_table(loader, "SigningTable", tables->signing_table, authors);
	return have_keys && have_authors;
}

static const struct signers *load_signers(struct loader *loader)
{
	const struct config_tables *tables = &loader->values.tables;
	struct dataset keys = {0}, authors = {0}, lists;
	struct signers *signers = NULL;
	struct signers_source source = {
		.domains = tables->domains,
		.n_domains = tables->n_domains,
		.selector = tables->selector,
		.key_file = tables->key_file,
		.subdomains = tables->subdomains,
		.minimum_key_bits = loader->values.dkim_verify.minimum_key_bits,
		.require_safe_keys = tables->require_safe_keys,
		.multiple_signatures = tables->multiple_signatures,
		.base_directory = tables->base_directory,
		.user = loader->values.milter.user,
		.place = place_of(loader, "KeyFile"),
	};
	if (tables->key_table.n > 0 || tables->key_list.n > 0) {
		if (!load_key_tables(loader, &keys, &authors))
			return NULL;
		source.key_table = &keys;
		source.signing_table = &authors;
	} else if (tables->key_file.n == 0) {
		return NULL;
	}
	if (tables->resign_mail_to.n > 0) {
		if (dataset_read(loader->scratch, tables->resign_mail_to, place_of(loader, "ResignMailTo"),
			    loader->diag, &lists) != ERR_OK)
			return NULL;
		source.lists = &lists;
	}
	signers_build(loader->arena, &source, loader->diag, &signers);
	return signers;
}

static const struct signature_options *load_signature_options(struct loader *loader)
{
	struct str spec = loader->values.tables.signature_options;
	struct dataset dataset;
	if (spec.n == 0 || dataset_read(loader->scratch, spec, place_of(loader, "SignatureOptions"), loader->diag,
				   &dataset) != ERR_OK)
		return NULL;
	return signature_options_new(loader->arena, &dataset, &loader->values.dkim_sign, loader->diag);
}

static void free_suffixes(void *suffixes)
{
	dmarc_suffixes_free(suffixes);
}

static const struct dmarc_suffixes *load_suffixes(struct loader *loader)
{
	struct str path = loader->values.tables.public_suffix_list;
	if (loader->values.dmarc.discovery != DMARC_PSL)
		return NULL;
	struct dmarc_suffixes *suffixes = dmarc_suffixes_load(path.n > 0 ? path.p : NULL);
	if (suffixes == NULL) {
		diag_error(loader->diag, place_of(loader, path.n > 0 ? "PublicSuffixList" : "Discovery"),
			"cannot read the public suffix list%s%.*s: %s: install Debian's package publicsuffix, correct "
			"PublicSuffixList, or write Discovery treewalk",
			path.n > 0 ? " " : "", STR_ARG(path), strerror(errno));
		return NULL;
	}
	arena_on_reset(loader->arena, free_suffixes, suffixes);
	return suffixes;
}

/* The mailboxes for copies of failure reports: what FailureReportsTo and FailureReportsBcc name, else ReportAddress. */
static void load_failure_to(struct loader *loader)
{
	struct report_options *report = &loader->values.report;
	const struct config_tables *tables = &loader->values.tables;
	size_t n = report->n_failure_to, n_bcc = tables->n_failure_bcc;
	struct str *all = ARENA_ARRAY(loader->arena, n + n_bcc + 1, struct str);
	for (size_t i = 0; i < n; i++)
		all[i] = report->failure_to[i];
	for (size_t i = 0; i < n_bcc; i++)
		all[n++] = tables->failure_bcc[i];
	if (n == 0)
		all[n++] = report->address;
	report->failure_to = all;
	report->n_failure_to = n;
}

static void load_reports(struct loader *loader)
{
	struct report_options *report = &loader->values.report;
	const struct config_tables *tables = &loader->values.tables;
	report->ignore_mail_to = load_addresses(loader, "IgnoreMailTo", tables->ignore_mail_to);
	report->no_reports = load_addresses(loader, "NoReportsList", tables->no_reports);
	report->only_reports = load_addresses(loader, "ReportOnlyTo", tables->only_reports);
	load_failure_to(loader);
	/* Reports are no reason not to start: they wait until it is there. */
	if (report->n_command > 0 && access(report->command[0].p, X_OK) != 0)
		diag_warning(loader->diag, place_of(loader, "ReportCommand"), "ReportCommand: cannot run %s: %s",
			report->command[0].p, strerror(errno));
}

static void load(struct loader *loader, struct runtime *runtime)
{
	loader->values = loader->config->values;
	take_over(loader);
	struct config_values *values = &loader->values;
	values->auth.internal_hosts = load_hosts(loader, "InternalHosts", values->tables.internal_hosts);
	if (hosts_have_everybody(values->auth.internal_hosts))
		diag_warning(loader->diag, place_of(loader, "InternalHosts"),
			"InternalHosts names everybody: whoever reaches the MTA has mail signed, and no mail is judged "
			"by SPF "
			"and DMARC; write the networks that are yours");
	/* One file with most people: what is wrong in it is said once. */
	values->auth.external_ignore =
		str_eq(values->tables.external_ignore, values->tables.internal_hosts)
			? values->auth.internal_hosts
			: load_hosts(loader, "ExternalIgnoreList", values->tables.external_ignore);
	values->auth.ignore_hosts = load_hosts(loader, "IgnoreHosts", values->tables.ignore_hosts);
	values->auth.secondary_mx = load_hosts(loader, "SecondaryMX", values->tables.secondary_mx);
	values->auth.spf_ignore_hosts = load_hosts(loader, "SPFIgnoreHosts", values->tables.spf_ignore_hosts);
	values->auth.trusted_forwarders = load_hosts(loader, "TrustedForwarders", values->tables.trusted_forwarders);
	values->auth.peers = load_hosts(loader, "PeerList", values->tables.peer_list);
	values->auth.exempt_domains = load_addresses(loader, "ExemptDomains", values->tables.exempt_domains);
	values->auth.dont_sign_mail_to = load_addresses(loader, "DontSignMailTo", values->tables.dont_sign_mail_to);
	values->auth.ignore_mail_from = load_addresses(loader, "IgnoreMailFrom", values->tables.ignore_mail_from);
	values->auth.body_length_rcpts = load_addresses(loader, "BodyLengthDB", values->tables.body_length_db);
	values->auth.domain_whitelist = load_addresses(loader, "DomainWhitelist", values->tables.domain_whitelist);
	values->auth.domain_whitelist_file =
		load_addresses(loader, "DomainWhitelistFile", file_spec(loader, values->tables.domain_whitelist_file));
	values->auth.users = load_users(loader);
	load_macros(loader);
	values->dmarc.suffixes = load_suffixes(loader);
	if (values->auth.mode_sign)
		values->auth.signers = load_signers(loader);
	values->auth.signature_options = load_signature_options(loader);
	load_reports(loader);
	runtime->auth = values->auth;
	runtime->dkim_verify = values->dkim_verify;
	runtime->dkim_sign = values->dkim_sign;
	runtime->spf = values->spf;
	runtime->dmarc = values->dmarc;
	runtime->report = values->report;
	runtime->dns.timeout_ms = values->dns.timeout_ms;
	runtime->databases = loader->databases;
}

/*
 * Memory that runs out while a new configuration is read must not end a daemon that runs with the old one; a table
 * of a million rows is where it would.
 */
static bool load_within(struct loader *loader, struct runtime *runtime)
{
	jmp_buf boundary;
	if (setjmp(boundary) != 0)
		return false;
	jmp_buf *of_arena = arena_set_boundary(loader->arena, &boundary);
	arena_set_boundary(loader->scratch, &boundary);
	load(loader, runtime);
	arena_set_boundary(loader->arena, of_arena);
	return true;
}

enum err config_load(const struct config *config, struct diag *diag, struct runtime **ret_runtime)
{
	size_t errors = diag->n_errors;
	struct runtime *runtime = runtime_new();
	struct arena *scratch = arena_new(0);
	bool warm = crypto_warm_up();
	*ret_runtime = NULL;
	if (runtime == NULL || scratch == NULL || !warm) {
		runtime_unref(runtime);
		arena_free(scratch);
		return ERR_NOMEM;
	}
	struct loader loader = {.config = config, .diag = diag, .scratch = scratch, .arena = runtime->arena};
	bool loaded = load_within(&loader, runtime);
	arena_free(scratch);
	if (!loaded || diag->n_errors != errors) {
		runtime_unref(runtime);
		return loaded ? ERR_CONFIG : ERR_NOMEM;
	}
	*ret_runtime = runtime;
	return ERR_OK;
}
