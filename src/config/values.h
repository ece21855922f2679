/*
 * The values of all options, and the table that says what options there are.
 */
#ifndef TRIMILTER_CONFIG_VALUES_H
#define TRIMILTER_CONFIG_VALUES_H

#include "auth/options.h"
#include "base/diag.h"
#include "dkim/options.h"
#include "dmarc/options.h"
#include "dns/options.h"
#include "milter/options.h"
#include "report/options.h"
#include "spf/options.h"

/** What is not the option of one module: names of what config_load() opens. */
struct config_tables {
	const struct str *domains; /* Domain */
	size_t n_domains;
	struct str selector, key_file;
	bool subdomains;
	struct str key_list;                 /* KeyList: dkim-milter's file; empty: none */
	struct str key_table, signing_table; /* data sets, tables/dataset.h; empty: none */
	bool multiple_signatures, require_safe_keys;
	struct str internal_hosts, external_ignore, ignore_hosts, spf_ignore_hosts, secondary_mx, trusted_forwarders;
	struct str peer_list, exempt_domains, dont_sign_mail_to, ignore_mail_from, macro_list, user_domains;
	struct str signature_options, resign_mail_to, body_length_db;
	struct str domain_whitelist, domain_whitelist_file;
	bool quarantine, strict_headers;
	struct str public_suffix_list; /* path; empty: the system's */
	struct str base_directory;
	const struct str *remove_results_from; /* RemoveARFrom */
	size_t n_remove_results_from;
	struct str ignore_mail_to, no_reports, only_reports; /* data sets for reports */
	const struct str *failure_bcc;                       /* FailureReportsBcc */
	size_t n_failure_bcc;
	bool hold_quarantined;
	enum verdict_action on_default;
};

struct config_values {
	struct milter_options milter;
	struct dns_options dns;
	struct auth_options auth;
	struct dkim_verify_options dkim_verify;
	struct dkim_sign_options dkim_sign;
	struct spf_options spf;
	struct dmarc_options dmarc;
	struct report_options report;
	struct config_tables tables;
};

/** How a value is written, and the C type of its member. */
#define OPTION_TYPES(X)                                                                                                \
	X(BOOL, bool)                                                                                                  \
	X(UNSIGNED, unsigned) /* outside min..max: an error */                                                         \
	X(CLAMP, unsigned)    /* outside min..max: the nearest, with a warning */                                      \
	X(LIMIT, unsigned)    /* the same; 0, "without limit" elsewhere, becomes max */                                \
	X(SECONDS, unsigned)  /* kept in milliseconds; like LIMIT */                                                   \
	X(SIZE, size_t)       /* bytes; K, M, G */                                                                     \
	X(SIZE_LIMIT, size_t) /* the same, treated like LIMIT */                                                       \
	X(STRING, struct str)                                                                                          \
	X(PATH, struct str)    /* relative ones start at BaseDirectory */                                              \
	X(DATASET, struct str) /* the specification; opened by config_load() */                                        \
	X(SOCKET, struct str)                                                                                          \
	X(USER, struct str)                                                                                            \
	X(FACILITY, struct str)                                                                                        \
	X(SELECTOR, struct str)                                                                                        \
	X(AUTHSERV_ID, struct str)                                                                                     \
	X(LIST, const struct str *) /* with a member n_<name> behind it; so the next five */                           \
	X(DOMAINS, const struct str *)                                                                                 \
	X(HEADERS, const struct str *)                                                                                 \
	X(NAMESERVERS, const struct str *)                                                                             \
	X(ADDRESSES, const struct str *)                                                                               \
	X(COMMAND, const struct str *) /* a program with its arguments */                                              \
	X(UMASK, unsigned)                                                                                             \
	X(MODE, bool) /* mode_sign and mode_verify */                                                                  \
	X(ENGINE, enum milter_engine)                                                                                  \
	X(LOG_LEVEL, bool)                                                                                             \
	X(CANONICALIZATION, enum dkim_canonicalization) /* of header and body */                                       \
	X(QUARANTINE_ACTION, enum auth_quarantine_action)                                                              \
	X(ON_ERROR, enum auth_on_error)                                                                                \
	X(DISCOVERY, enum dmarc_discovery)                                                                             \
	X(FAILURE_ACTION, enum verdict_action)                                                                         \
	X(REPORT_FORMAT, enum report_format)                                                                           \
	X(ADDRESS, struct str) /* local-part@domain; HOSTNAME stands for this host */                                  \
	X(SERVER, struct str)  /* HOST:PORT */                                                                         \
	X(STORE, struct str)                                                                                           \
	X(REJECT_STRING, struct str)                                                                                   \
	X(SPF_RESULTS, unsigned) /* 1 << enum spf_status for each */

enum option_type {
#define X(name, c_type) OPTION_##name,
	OPTION_TYPES(X)
#undef X
};

enum option_when { OPTION_RELOAD, OPTION_RESTART, OPTION_FIRST };
enum option_origin { OPTION_OPENDKIM, OPTION_OPENDMARC, OPTION_BOTH, OPTION_TRIMILTER };
enum option_treatment { OPTION_SUPPORTED, OPTION_WARN, OPTION_REFUSE };

struct option_row {
	const char *section; /* set: a heading, nothing else is */
	const char *name;
	const char *module; /* "auth"; NULL for options without effect */
	enum option_treatment treatment;
	enum option_type type;
	enum option_when when;
	enum option_origin origin;
	size_t offset, count_offset; /* in struct config_values; count_offset 0: no list */
	uint64_t min, max;
	const char *unit;
	const char *default_text;
	const char *harmless; /* of options without effect: the values for which nothing needs to be said */
	const char *help;
};

extern const struct option_row option_rows[];
extern const size_t n_option_rows;

/** In any case of letters; NULL: unknown. */
const struct option_row *option_find(struct str name);

/** Of an option without effect: @value asks for what is done anyway. */
bool option_is_harmless(const struct option_row *row, struct str value);

/** What a value is set into, and by whose word. */
struct option_setting {
	const struct option_row *row;
	struct config_values *values;
	struct arena *arena; /* for what the value needs */
	struct diag *diag;
	struct diag_place place;
	/* NULL: a list that names a file or a database stays as it is. Else it is read, and a database's fingerprint
	   added here. */
	uint64_t *databases;
};

/** Check @text and set the member. False: it is in @diag what is wrong. */
bool option_set(const struct option_setting *setting, struct str text);

/** All members as the table's defaults say. @host_name  what HOSTNAME stands for; kept as spf.receiver */
void option_set_defaults(struct arena *arena, struct str host_name, struct config_values *values);

/** The value as it would be written; in @arena. For types that are not plain, @text. */
struct str option_show(
	struct arena *arena, const struct option_row *row, const struct config_values *values, struct str text);

bool option_equal(const struct option_row *row, const struct config_values *a, const struct config_values *b);

/** A member that is a string, whatever its option's type; NULL: it is none. */
struct str *option_string(const struct option_row *row, struct config_values *values);

/** "yes", "true", "1", "on" and their opposites; with OpenDKIM only the first letter counts. */
bool option_parse_bool(struct str text, bool *ret_value);

#endif
