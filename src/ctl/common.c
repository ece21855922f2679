#include "ctl/common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "config/config.h"

#define PROGRESS_MS 1000

void ctl_init(struct ctl *ctl)
{
	*ctl = (struct ctl){.arena = arena_new(0), .now = clock_unix()};
	if (ctl->arena != NULL)
		return;
	fputs("trimilterctl: out of memory\n", stderr);
	exit(EX_SOFTWARE);
}

int ctl_usage_error(const char *verb, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "trimilterctl %s: ", verb);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry 'trimilterctl %s --help'.\n", verb);
	return EX_USAGE;
}

void ctl_print_diag(const struct diag *diag)
{
	for (size_t i = 0; i < diag->n; i++)
		fprintf(stderr, "trimilterctl: %s: %.*s\n",
			diag->entries[i].severity == DIAG_ERROR ? "error" : "warning", STR_ARG(diag->entries[i].text));
}

/* Warnings too, but without -c there is nothing that the user could mend. */
static void tell_diag(const struct ctl *ctl, const struct diag *diag, enum err err)
{
	if (ctl->n_config_paths > 0 || err != ERR_OK)
		ctl_print_diag(diag);
	if (err != ERR_OK && diag->n_errors == 0)
		fprintf(stderr, "trimilterctl: %s\n", err_text(err));
}

int ctl_read_configuration(struct ctl *ctl, const struct config **ret_config)
{
	struct diag diag = diag_in(ctl->arena);
	enum err err = config_read(ctl->arena, ctl->config_paths, ctl->n_config_paths, &diag, ret_config);
	tell_diag(ctl, &diag, err);
	return err_exit_status(err);
}

int ctl_load(struct ctl *ctl, const struct config *config)
{
	struct dns_options dns_options = *config_dns(config);
	struct diag diag = diag_in(ctl->arena);
	char error[DNS_ERROR_SIZE];
	enum err err = config_load(config, &diag, &ctl->runtime);
	tell_diag(ctl, &diag, err);
	if (err != ERR_OK)
		return err_exit_status(err);
	if (ctl->n_nameservers > 0) {
		dns_options.nameservers = ctl->nameservers;
		dns_options.n_nameservers = ctl->n_nameservers;
		dns_options.zone_file = STR("");
	}
	if (ctl->dns_timeout_ms > 0) {
		dns_options.timeout_ms = ctl->dns_timeout_ms;
		ctl->runtime->dns.timeout_ms = ctl->dns_timeout_ms;
	}
	err = dns_new(&dns_options, &ctl->dns, error);
	if (err == ERR_OK)
		return EX_OK;
	fprintf(stderr, "trimilterctl: %s\n", error);
	return err_exit_status(err);
}

int ctl_open(struct ctl *ctl)
{
	const struct config *config;
	int status = ctl_read_configuration(ctl, &config);
	return status == EX_OK ? ctl_load(ctl, config) : status;
}

int ctl_close(struct ctl *ctl, int status)
{
	dns_free(ctl->dns);
	runtime_unref(ctl->runtime);
	arena_free(ctl->arena);
	return status;
}

int ctl_read_file(struct arena *arena, const char *verb, const char *path, size_t max, struct str *ret_text)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	char chunk[65536];
	struct buf text = buf_in(arena);
	if (file == NULL) {
		fprintf(stderr, "trimilterctl %s: %s: %s\n", verb, path, strerror(errno));
		return EX_NOINPUT;
	}
	for (size_t n; text.n <= max && (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		buf_add(&text, str_from(chunk, n));
	int failed = ferror(file) ? errno : 0;
	if (file != stdin)
		fclose(file);
	if (failed != 0) {
		fprintf(stderr, "trimilterctl %s: %s: %s\n", verb, path, strerror(failed));
		return EX_IOERR;
	}
	if (text.n > max) {
		fprintf(stderr, "trimilterctl %s: %s: larger than %zu MiB\n", verb, path, max >> 20);
		return EX_DATAERR;
	}
	*ret_text = buf_str(&text);
	return EX_OK;
}

void ctl_progress(struct ctl_progress *progress, const char *format, ...)
{
	va_list args;
	int64_t now = clock_monotonic_ms();
	if (progress->next_ms == 0)
		progress->next_ms = now + PROGRESS_MS;
	if (now < progress->next_ms || !isatty(STDERR_FILENO))
		return;
	progress->next_ms = now + PROGRESS_MS;
	progress->shown = true;
	fputs("\r\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

void ctl_progress_end(struct ctl_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	*progress = (struct ctl_progress){0};
}

void ctl_print(const struct buf *out)
{
	fwrite(out->p, 1, out->n, stdout);
	fputc('\n', stdout);
}

void ctl_json_spf(struct json *json, const char *key, const struct spf_result *result)
{
	json_object_begin(json, key);
	json_cstr(json, "result", spf_status_text(result->status));
	json_cstr(json, "identity", result->identity == SPF_HELO ? "helo" : "mailfrom");
	json_str_or_null(json, "domain", result->domain);
	json_str_or_null(json, "mechanism", result->mechanism);
	json_str_or_null(json, "explanation", result->explanation);
	json_cstr(json, "reason", result->reason);
	json_int(json, "lookups", result->lookups);
	json_int(json, "voids", result->voids);
	json_object_end(json);
}

static const char *discovery_text(const struct dmarc_options *options)
{
	return options->discovery == DMARC_PSL ? "psl" : "treewalk";
}

void ctl_json_dmarc(struct json *json, const char *key, const struct dmarc_options *options,
	const struct dmarc_input *input, const struct dmarc_result *result)
{
	json_object_begin(json, key);
	json_cstr(json, "result", dmarc_status_text(result->status));
	json_cstr(json, "disposition", dmarc_policy_text(result->disposition));
	json_cstr(json, "policy", dmarc_policy_text(result->policy));
	json_array_begin(json, "author_domains");
	for (size_t i = 0; i < input->n_author_domains; i++)
		json_str(json, NULL, input->author_domains[i]);
	json_array_end(json);
	json_str_or_null(json, "organizational_domain", result->organizational_domain);
	json_str_or_null(json, "policy_domain", result->policy_domain);
	json_cstr(json, "discovery", discovery_text(options));
	json_bool(json, "spf_aligned", result->spf_aligned);
	json_bool(json, "dkim_aligned", result->dkim_aligned);
	json_bool(json, "testing", result->testing);
	json_str_or_null(json, "record", result->record);
	json_cstr(json, "reason", result->reason);
	json_array_begin(json, "queries");
	for (size_t i = 0; i < result->n_queries; i++)
		json_str(json, NULL, result->queries[i]);
	json_array_end(json);
	json_object_end(json);
}

void ctl_text_add(struct buf *out, struct str text)
{
	while (text.n > 0) {
		unsigned char first = (unsigned char)text.p[0];
		size_t n = utf8_length(text);
		/* U+0080 to U+009F are control characters too. */
		bool c1 = n == 2 && first == 0xc2 && (unsigned char)text.p[1] < 0xa0;
		if (n == 0 || first < ' ' || first == 0x7f || c1) {
			buf_printf(out, "\\x%02X", first);
			n = 1;
		} else {
			buf_add(out, str_head(text, n));
		}
		text = str_skip(text, n);
	}
}

void ctl_text_row(struct buf *out, const char *label, struct str value)
{
	if (value.n == 0)
		return;
	buf_printf(out, "  %-13s", label);
	ctl_text_add(out, value);
	buf_add_char(out, '\n');
}

void ctl_text_spf(struct buf *out, const char *heading, const struct spf_result *result)
{
	buf_printf(out, "%s: %s\n", heading, spf_status_text(result->status));
	ctl_text_row(out, "domain", result->domain);
	ctl_text_row(out, "matched", result->mechanism);
	ctl_text_row(out, "reason", str_of(result->reason));
	ctl_text_row(out, "explanation", result->explanation);
	ctl_text_row(out, "look-ups",
		arena_printf(out->arena, "%u of 10, %u without an answer", result->lookups, result->voids));
}

static struct str aligned_by(const struct dmarc_result *result)
{
	if (result->spf_aligned && result->dkim_aligned)
		return STR("SPF and DKIM");
	if (result->spf_aligned || result->dkim_aligned)
		return result->spf_aligned ? STR("SPF") : STR("DKIM");
	return STR("nothing");
}

void ctl_text_dmarc(struct buf *out, const struct dmarc_options *options, const struct dmarc_input *input,
	const struct dmarc_result *result)
{
	buf_printf(out, "DMARC: %s\n", dmarc_status_text(result->status));
	for (size_t i = 0; i < input->n_author_domains; i++)
		ctl_text_row(out, "author", input->author_domains[i]);
	ctl_text_row(out, "organization", result->organizational_domain);
	ctl_text_row(out, "policy from", result->policy_domain);
	ctl_text_row(out, "record", result->record);
	ctl_text_row(out, "policy", str_of(dmarc_policy_text(result->policy)));
	if (result->testing)
		ctl_text_row(out, "testing", STR("the record says t=y: one step milder"));
	ctl_text_row(out, "aligned by", aligned_by(result));
	ctl_text_row(out, "disposition", str_of(dmarc_policy_text(result->disposition)));
	ctl_text_row(out, "reason", str_of(result->reason));
	ctl_text_row(out, "discovery", str_of(discovery_text(options)));
	for (size_t i = 0; i < result->n_queries; i++)
		ctl_text_row(out, i == 0 ? "asked for" : "", result->queries[i]);
}
