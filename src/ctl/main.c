/*
 * trimilterctl: the command for people. Each verb is a file of its own.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "ctl/verbs.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} verbs[] = {
	{"check", ctl_check, "what would become of a stored message, and why"},
	{"explain", ctl_explain, "the same in sentences, and which option would change it"},
	{"sign", ctl_sign, "print a stored message as the milter would sign it"},
	{"testmsg", ctl_sign, "another name of sign"},
	{"spf", ctl_spf, "evaluate SPF for a client and a sender"},
	{"dmarc", ctl_dmarc, "evaluate DMARC for an author domain and given results"},
	{"domain", ctl_domain, "the domains that are signed: add one with its key, list, remove"},
	{"key", ctl_key, "rotate keys in stages"},
	{"genkey", ctl_genkey, "make a signing key and its DNS record"},
	{"testkey", ctl_testkey, "compare signing keys with what is published in the DNS"},
	{"reload", ctl_reload, "check the configuration, and let the daemon reload"},
	{"showkeys", ctl_showkeys, "the public records of all keys"},
	{"genzone", ctl_genzone, "the same as lines of a zone file, or for nsupdate"},
	{"conf", ctl_conf, "show or check the configuration, print the sample file"},
	{"report", ctl_report, "aggregate and failure reports"},
};

#define N_VERBS (sizeof(verbs) / sizeof(*verbs))

static void print_usage(FILE *stream)
{
	fputs("Usage: trimilterctl VERB [OPTION]...\n\n", stream);
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(stream, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n'trimilterctl VERB --help' tells the options of a verb. Version " TRIMILTER_VERSION ".\n", stream);
}

int main(int argc, char **argv)
{
	log_open("trimilterctl", false, 0, true, LOG_LEVEL_WARNING);
	if (argc < 2) {
		print_usage(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("trimilterctl " TRIMILTER_VERSION);
		return EX_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EX_OK;
	}
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "trimilterctl: \"%s\" is not a verb\n", argv[1]);
	print_usage(stderr);
	return EX_USAGE;
}
