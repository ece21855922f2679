/*
 * trimilterctl genkey: a private key, the record that goes with it, and what to do with both.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/domain.h"
#include "ctl/common.h"
#include "ctl/verbs.h"
#include "dkim/key.h"

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

/* ---- files ---- */

static int complain(const char *what, const char *path)
{
	fprintf(stderr, "trimilterctl genkey: %s %s: %s\n", what, path, strerror(errno));
	return EX_IOERR;
}

static bool write_all(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = str_skip(text, (size_t)n);
	}
	return fsync(fd) == 0;
}

static bool give_to_user(const struct request *request, int fd)
{
	const struct passwd *entry;
	if (request->user == NULL)
		return true;
	errno = 0;
	entry = getpwnam(request->user);
	if (entry == NULL && errno == 0)
		errno = EINVAL;
	return entry != NULL && fchown(fd, entry->pw_uid, entry->pw_gid) == 0;
}

/* Complete or not at all, also when the machine stops meanwhile; link() never replaces what is there. */
static int write_file(const struct request *request, const char *path, struct str text, mode_t mode, bool is_key)
{
	const char *temporary = arena_printf(request->arena, "%s.%ld.new", path, (long)getpid()).p;
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return complain("cannot create", temporary);
	bool written = fchmod(fd, mode) == 0 && (!is_key || give_to_user(request, fd)) && write_all(fd, text);
	int status = EX_OK;
	if (!written)
		status = complain("cannot write", temporary);
	else if (request->force ? rename(temporary, path) != 0 : link(temporary, path) != 0)
		status = complain(errno == EEXIST ? "will not replace (--force does)" : "cannot create", path);
	close(fd);
	unlink(temporary);
	return status;
}

/* ---- the record ---- */

static struct str make_record(const struct request *request, const struct dkim_private_key *key)
{
	struct str flags = request->testing && request->strict ? STR("y:s")
			   : request->testing                  ? STR("y")
			   : request->strict                   ? STR("s")
							       : STR("");
	struct str record = dkim_key_record(request->arena, key, flags);
	struct str head = str_head(record, (size_t)(strstr(record.p, "p=") - record.p));
	struct buf out = buf_in(request->arena);
	buf_add(&out, head);
	if (request->mail_only)
		buf_add_cstr(&out, "s=email; ");
	if (request->note != NULL)
		buf_printf(&out, "n=%s; ", request->note);
	buf_add(&out, str_skip(record, head.n));
	return buf_str(&out);
}

/* A string of a TXT record has at most 255 bytes, RFC 1035 section 3.3; '"' and '\' need a '\'. */
static void add_strings(struct buf *out, struct str record)
{
	while (record.n > 0) {
		struct str part = str_head(record, 250);
		record = str_skip(record, part.n);
		buf_add_cstr(out, " \"");
		for (size_t i = 0; i < part.n; i++) {
			if (part.p[i] == '"' || part.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, part.p[i]);
		}
		buf_add_char(out, '"');
	}
}

static struct str zone_line(const struct request *request, struct str record)
{
	struct buf out = buf_in(request->arena);
	buf_printf(&out, "%s._domainkey", request->selector);
	if (request->domain.n > 0)
		buf_printf(&out, ".%.*s.", STR_ARG(request->domain));
	buf_add_cstr(&out, " IN TXT (");
	add_strings(&out, record);
	buf_add_cstr(&out, " )\n");
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

static int generate(const struct request *request)
{
	struct dkim_private_key *key = dkim_private_key_generate(request->type, request->bits);
	if (key == NULL) {
		fputs("trimilterctl genkey: OpenSSL cannot make such a key\n", stderr);
		return EX_SOFTWARE;
	}
	const char *base = arena_printf(request->arena, "%s/%s", request->directory, request->selector).p;
	const char *key_path = arena_printf(request->arena, "%s.private", base).p;
	struct str record = make_record(request, key);
	struct str line = zone_line(request, record);
	/* The record belongs to the key: never leave an old one beside a new key. */
	int status = EX_OK;
	const char *record_path = arena_printf(request->arena, "%s.txt", base).p;
	if (!request->force && access(record_path, F_OK) == 0) {
		errno = EEXIST;
		status = complain("will not replace (--force does)", record_path);
	}
	if (status == EX_OK)
		status = write_file(request, key_path, dkim_private_key_pem(request->arena, key), 0600, true);
	dkim_private_key_unref(key);
	if (status == EX_OK)
		status = write_file(request, record_path, line, 0644, false);
	if (status == EX_OK)
		explain(request, key_path, line, record);
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

static int take_option(struct request *request, int option)
{
	uint64_t bits;
	switch (option) {
	case 'd':
		if (!domain_normalize(request->arena, str_of(optarg), &request->domain) ||
			!domain_is_hostname(request->domain))
			return ctl_usage_error("genkey", "-d: \"%s\" is not a domain", optarg);
		return EX_OK;
	case 's':
		request->selector = optarg;
		return domain_is_hostname(str_of(optarg))
			       ? EX_OK
			       : ctl_usage_error("genkey", "-s: \"%s\" is not a selector", optarg);
	case 'b':
		if (!str_to_u64(str_of(optarg), RSA_BITS_MAX, &bits) || bits < RSA_BITS_MIN)
			return ctl_usage_error("genkey", "-b: %s is not within 1024 to 4096", optarg);
		request->bits = (unsigned)bits;
		return EX_OK;
	case 'n':
		request->note = optarg;
		return note_is_usable(optarg)
			       ? EX_OK
			       : ctl_usage_error("genkey", "-n: only ASCII without ';' may be in a note");
	case OPTION_TYPE:
		request->type = strcmp(optarg, "ed25519") == 0 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA;
		return request->type == DKIM_KEY_ED25519 || strcmp(optarg, "rsa") == 0
			       ? EX_OK
			       : ctl_usage_error("genkey", "--type: \"%s\" is neither rsa nor ed25519", optarg);
	case 'D':
		request->directory = optarg;
		return EX_OK;
	case 'u':
		request->user = optarg;
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
		return ctl_usage_error("genkey", "unknown or incomplete option");
	}
}

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
	for (int option; (option = getopt_long(argc, argv, "d:s:D:b:trSn:u:h", options, NULL)) != -1;) {
		if (option == 'h')
			return fputs(usage, stdout), ctl_close(&ctl, EX_OK);
		int status = take_option(&request, option);
		if (status != EX_OK)
			return ctl_close(&ctl, status);
	}
	if (optind != argc)
		return ctl_close(&ctl, ctl_usage_error("genkey", "\"%s\" is too much", argv[optind]));
	return ctl_close(&ctl, generate(&request));
}
