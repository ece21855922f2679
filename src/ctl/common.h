/*
 * What the evaluating verbs share: what they evaluate with, and how they show
 * what was found.
 */
#ifndef TRIMILTER_CTL_COMMON_H
#define TRIMILTER_CTL_COMMON_H

#include "auth/auth.h"
#include "base/diag.h"
#include "base/json.h"
#include "dns/dns.h"

struct config;

struct ctl {
	struct arena *arena;
	bool json;
	int64_t now;
	struct str nameservers[16];
	size_t n_nameservers;
	unsigned dns_timeout_ms; /* 0: the configuration's */
	const char *config_paths[16];
	size_t n_config_paths;
	struct runtime *runtime; /* after ctl_open() */
	struct dns *dns;
};

/** Zeroed, with an arena; NULL pointers elsewhere. */
void ctl_init(struct ctl *ctl);

/** The configuration alone; nothing that it names is opened. An exit status; what is wrong has then been said. */
int ctl_read_configuration(struct ctl *ctl, const struct config **ret_config);
/** Keys, tables and resolver of a configuration that was read. An exit status; what is wrong has then been said. */
int ctl_load(struct ctl *ctl, const struct config *config);
/** Both. An exit status; what is wrong has then been said on stderr. */
int ctl_open(struct ctl *ctl);
/** Release all, pass @status through. */
int ctl_close(struct ctl *ctl, int status);

/** "trimilterctl VERB: TEXT" on standard error, and how to get help. Returns EX_USAGE. */
int ctl_usage_error(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Each on standard error, with its severity. */
void ctl_print_diag(const struct diag *diag);

/**
 * All of a file, or of standard input where @path is "-", at most @max bytes. An exit status; what is wrong has then
 * been said on stderr.
 */
int ctl_read_file(struct arena *arena, const char *verb, const char *path, size_t max, struct str *ret_text);

/** For work that may take long; zeroed at first. */
struct ctl_progress {
	int64_t next_ms;
	bool shown;
};
/** Call often: where standard error is a terminal, it shows the text once a second, not before the first second is
 * over. */
void ctl_progress(struct ctl_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Wipe what was shown. */
void ctl_progress_end(struct ctl_progress *progress);

/** Print what was built with json_to(&buf), and a newline. */
void ctl_print(const struct buf *out);

/* The objects of the contract; @key NULL at the top level. */
void ctl_json_spf(struct json *json, const char *key, const struct spf_result *result);
void ctl_json_dmarc(struct json *json, const char *key, const struct dmarc_options *options,
	const struct dmarc_input *input, const struct dmarc_result *result);

/* The same for people: a heading with the result, then rows "  label   value". */
void ctl_text_spf(struct buf *out, const char *heading, const struct spf_result *result);
void ctl_text_dmarc(struct buf *out, const struct dmarc_options *options, const struct dmarc_input *input,
	const struct dmarc_result *result);
/** Text from elsewhere: bytes that a terminal could act upon, and those that are not UTF-8, are shown as \xHH. */
void ctl_text_add(struct buf *out, struct str text);
/** A row; nothing where @value is empty. As by ctl_text_add(). */
void ctl_text_row(struct buf *out, const char *label, struct str value);

#endif
