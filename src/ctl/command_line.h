/*
 * The command lines of verbs: the options that all have, and how a verb takes its own.
 */
#ifndef TRIMILTER_CTL_COMMAND_LINE_H
#define TRIMILTER_CTL_COMMAND_LINE_H

#include <getopt.h>

#include "ctl/common.h"

/* Values of the common options in a verb's getopt_long() table; its own begin at CTL_OPTION_OWN. */
enum { CTL_OPTION_JSON = 256, CTL_OPTION_NAMESERVER, CTL_OPTION_DNS_TIMEOUT, CTL_OPTION_NOW, CTL_OPTION_OWN = 512 };

/* clang-format off */
#define CTL_COMMON_OPTIONS \
	{"json", no_argument, NULL, CTL_OPTION_JSON}, \
	{"nameserver", required_argument, NULL, CTL_OPTION_NAMESERVER}, \
	{"dns-timeout", required_argument, NULL, CTL_OPTION_DNS_TIMEOUT}, \
	{"now", required_argument, NULL, CTL_OPTION_NOW}, \
	{"config", required_argument, NULL, 'c'}
#define CTL_COMMON_USAGE \
	"  --json                   one JSON object instead of text\n" \
	"  --nameserver ADDR[@PORT] ask this server and no other; may be repeated\n" \
	"  --dns-timeout SECONDS    how long to wait for one answer\n" \
	"  --now UNIXTIME           the time to evaluate for\n" \
	"  -c FILE                  read this configuration; may be repeated\n"
/* clang-format on */

/** Beside exit statuses. */
enum {
	CTL_GO_ON = -1,         /* there is no reason to end yet */
	CTL_UNKNOWN_OPTION = -1 /* the verb has no such option */
};

/** What a verb understands. */
struct ctl_command {
	const char *verb;             /* "key", as errors name it */
	const char *usage;            /* all of the text of --help */
	const char *letters;          /* the short options as getopt_long() wants them, 'h' among them */
	const struct option *options; /* --help as 'h', CTL_COMMON_OPTIONS or some of them, and its own */
	/*
	 * Takes an option of its own. EX_OK, another exit status where ctl_usage_error() has said what is wrong, or
	 * CTL_UNKNOWN_OPTION. @context as in ctl_options(), @argument lives as long as argv. NULL: it has none.
	 */
	int (*take)(void *context, int option, const char *argument);
};

/**
 * Take all options of @argv. CTL_GO_ON: `optind` is behind them. Else the exit status to end with: EX_OK after --help;
 * what is wrong has been said on stderr.
 */
int ctl_options(struct ctl *ctl, const struct ctl_command *command, int argc, char **argv, void *context);

/* For take(): EX_OK, or what is wrong has been said. */

/** -d DOMAIN; in @arena, lower-case A-labels. */
int ctl_take_domain(struct arena *arena, const char *verb, const char *text, struct str *ret_domain);
/** -s SELECTOR; borrowed from @text. */
int ctl_take_selector(const char *verb, const char *text, struct str *ret_selector);

#endif
