/*
 * trimilterctl genkey: a private key, the record that goes with it, and what to do with both.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/domain.h"
#include "ctl/command_line.h"
#include "ctl/new_key.h"
#include "ctl/verbs.h"

static const char usage[] = "Usage: trimilterctl genkey [OPTION]...\n"
			    "Make a signing key: SELECTOR.private (mode 0600) and SELECTOR.txt, its DNS record.\n\n"
			    "  -d, --domain DOMAIN       domain that will sign (d=); completes what is printed\n"
			    "  -s, --selector SELECTOR   name of the key (default: default)\n"
			    "  -D, --directory DIRECTORY where the files go (default: here)\n"
			    "      --type rsa|ed25519    kind of key (default: rsa; not every receiver knows ed25519)\n"
			    "  -b, --bits BITS           size of an rsa key, 1024 to 4096 (default: 2048)\n"
			    "  -t, --testmode            the record says that the key is under test (t=y)\n"
			    "  -r, --restrict            the record says that the key is for mail only (s=email)\n"
			    "  -S, --nosubdomains        the record says that i= must be d= (t=s)\n"
			    "  -n, --note NOTE           a note for people in the record (n=)\n"
			    "  -u, --user USER           give the key file to USER, under whom the daemon runs\n"
			    "      --force               replace files that are there\n";

enum { OPTION_TYPE = CTL_OPTION_OWN, OPTION_FORCE };

static const struct option options[] = {
	{"domain", required_argument, NULL, 'd'},
	{"selector", required_argument, NULL, 's'},
	{"directory", required_argument, NULL, 'D'},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"bits", required_argument, NULL, 'b'},
	{"testmode", no_argument, NULL, 't'},
	{"restrict", no_argument, NULL, 'r'},
	{"nosubdomains", no_argument, NULL, 'S'},
	{"note", required_argument, NULL, 'n'},
	{"user", required_argument, NULL, 'u'},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct request {
	struct arena *arena;
	const char *selector, *directory, *note, *user;
	struct str domain; /* empty: not said */
	enum dkim_key_type type;
	unsigned bits;
	bool testing, mail_only, strict, force;
};

/* ---- the record ---- */

static struct str zone_line(const struct request *request, const struct new_key *key)
{
	struct buf out = buf_in(request->arena);
	const char *dot = request->domain.n > 0 ? "." : "";
	zone_line_add(&out, arena_printf(request->arena, "%.*s%s", STR_ARG(key->owner), dot), key->record);
	return buf_str(&out);
}

/* ---- what to do with it ---- */

static void explain(const struct request *request, const char *key_path, struct str line, struct str record)
{
	struct str domain = request->domain.n > 0 ? request->domain : STR("example.com");
	char resolved[PATH_MAX];
	const char *absolute = realpath(key_path, resolved) != NULL ? resolved : key_path;
	printf("The private key is in %s. Keep it secret.\n\n", absolute);
	printf("1. Publish this record (also in %s/%s.txt):\n\n%.*s\n", request->directory, request->selector,
		STR_ARG(line));
	printf("   Where a form asks for it:  name %s._domainkey%s%.*s, type TXT, value\n\n%.*s\n\n", request->selector,
		request->domain.n > 0 ? "." : "", STR_ARG(request->domain), STR_ARG(record));
	printf("2. Put these lines into the configuration:\n\n");
	printf("   Domain    %.*s\n   Selector  %s\n   KeyFile   %s\n\n", STR_ARG(domain), request->selector, absolute);
	printf("   or, with more than one key, a row each into KeyTable and SigningTable (file:):\n\n");
	printf("   %s.%.*s  %.*s:%s:%s\n   %.*s  %s.%.*s\n\n", request->selector, STR_ARG(domain), STR_ARG(domain),
		request->selector, absolute, STR_ARG(domain), request->selector, STR_ARG(domain));
	int step = 3;
	if (request->user == NULL)
		printf("%d. Give the key to the user whom UserID names:  chown USER %s\n", step++, absolute);
	printf("%d. When the record has spread:  trimilterctl testkey -d %.*s -s %s -k %s\n", step, STR_ARG(domain),
		request->selector, absolute);
	printf("%d. Reload the daemon.\n", step + 1);
}

/* The record belongs to the key: both or none. */
static int write_files(const struct request *request, const char *key_path, struct str pem, struct str line)
{
	struct files *files = files_new(request->arena, "genkey");
	const char *record_path = arena_printf(request->arena, "%s/%s.txt", request->directory, request->selector).p;
	struct file_rights key = {0}, record = {(uid_t)-1, (gid_t)-1, 0644};
	if (!key_rights(str_of(request->user), &key)) {
		fprintf(stderr, "trimilterctl genkey: -u: there is no user \"%s\"\n", request->user);
		return EX_IOERR;
	}
	if (request->force) {
		files_overwrite(files, key_path, pem, &key);
		files_overwrite(files, record_path, line, &record);
	} else {
		files_create(files, key_path, pem, &key);
		files_create(files, record_path, line, &record);
	}
	if (!files_apply(files)) {
		if (!request->force && (access(key_path, F_OK) == 0 || access(record_path, F_OK) == 0))
			fputs("trimilterctl genkey: --force replaces what is there\n", stderr);
		return EX_IOERR;
	}
	files_finish(files);
	return EX_OK;
}

static int generate(const struct request *request)
{
	struct new_key key;
	const struct record_tags tags = {request->testing, request->mail_only, request->strict, request->note};
	if (!new_key_make(request->arena, request->type, request->bits, request->domain, str_of(request->selector),
		    &tags, &key)) {
		fputs("trimilterctl genkey: OpenSSL cannot make such a key\n", stderr);
		return EX_SOFTWARE;
	}
	const char *key_path = arena_printf(request->arena, "%s/%s.private", request->directory, request->selector).p;
	struct str line = zone_line(request, &key);
	int status = write_files(request, key_path, key.pem, line);
	if (status == EX_OK)
		explain(request, key_path, line, key.record);
	return status;
}

/* ---- the command line ---- */

static bool note_is_usable(const char *note)
{
	for (const char *p = note; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == ';')
			return false;
	return true;
}

static int take_option(void *context, int option, const char *argument)
{
	struct request *request = context;
	uint64_t bits;
	switch (option) {
	case 'd':
		return ctl_take_domain(request->arena, "genkey", argument, &request->domain);
	case 's':
		request->selector = argument;
		return domain_is_hostname(str_of(argument))
			       ? EX_OK
			       : ctl_usage_error("genkey", "-s: \"%s\" is not a selector", argument);
	case 'b':
		if (!str_to_u64(str_of(argument), RSA_BITS_MAX, &bits) || bits < RSA_BITS_MIN)
			return ctl_usage_error("genkey", "-b: %s is not within 1024 to 4096", argument);
		request->bits = (unsigned)bits;
		return EX_OK;
	case 'n':
		request->note = argument;
		return note_is_usable(argument)
			       ? EX_OK
			       : ctl_usage_error("genkey", "-n: only ASCII without ';' may be in a note");
	case OPTION_TYPE:
		return key_type_parse(argument, &request->type)
			       ? EX_OK
			       : ctl_usage_error("genkey", "--type: \"%s\" is neither rsa nor ed25519", argument);
	case 'D':
		request->directory = argument;
		return EX_OK;
	case 'u':
		request->user = argument;
		return EX_OK;
	case 't':
		request->testing = true;
		return EX_OK;
	case 'r':
		request->mail_only = true;
		return EX_OK;
	case 'S':
		request->strict = true;
		return EX_OK;
	case OPTION_FORCE:
		request->force = true;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"genkey", usage, "d:s:D:b:trSn:u:h", options, take_option};

int ctl_genkey(int argc, char **argv)
{
	struct ctl ctl;
	ctl_init(&ctl);
	struct request request = {
		.arena = ctl.arena,
		.selector = "default",
		.directory = ".",
		.type = DKIM_KEY_RSA,
		.bits = 2048,
	};
	int status = ctl_options(&ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	if (optind != argc)
		return ctl_close(&ctl, ctl_usage_error("genkey", "\"%s\" is too much", argv[optind]));
	return ctl_close(&ctl, generate(&request));
}
