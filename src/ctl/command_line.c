#include "ctl/command_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/domain.h"

static int bad_value(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "trimilterctl: %s: \"%s\" is not %s\n", option, value, wanted);
	return EX_USAGE;
}

static int take_dns_timeout(struct ctl *ctl, const char *argument)
{
	char *end;
	double seconds = strtod(argument, &end);
	if (end == argument || *end != '\0' || !(seconds > 0 && seconds <= 3600))
		return bad_value("--dns-timeout", argument, "a number of seconds above 0 and up to 3600");
	ctl->dns_timeout_ms = (unsigned)(seconds * 1000) > 0 ? (unsigned)(seconds * 1000) : 1;
	return EX_OK;
}

static int take_now(struct ctl *ctl, const char *argument)
{
	uint64_t now;
	if (!str_to_u64(str_of(argument), INT64_MAX, &now))
		return bad_value("--now", argument, "a time in seconds since 1970");
	ctl->now = (int64_t)now;
	return EX_OK;
}

/* -1: it is none of the common ones. */
static int take_common(struct ctl *ctl, int option, const char *argument)
{
	switch (option) {
	case CTL_OPTION_JSON:
		ctl->json = true;
		return EX_OK;
	case CTL_OPTION_NAMESERVER:
		if (ctl->n_nameservers == sizeof(ctl->nameservers) / sizeof(*ctl->nameservers))
			return bad_value("--nameserver", argument, "among the first 16");
		ctl->nameservers[ctl->n_nameservers++] = str_of(argument);
		return EX_OK;
	case CTL_OPTION_DNS_TIMEOUT:
		return take_dns_timeout(ctl, argument);
	case CTL_OPTION_NOW:
		return take_now(ctl, argument);
	case 'c':
		if (ctl->n_config_paths == sizeof(ctl->config_paths) / sizeof(*ctl->config_paths))
			return bad_value("-c", argument, "among the first 16");
		ctl->config_paths[ctl->n_config_paths++] = argument;
		return EX_OK;
	default:
		return -1;
	}
}

int ctl_options(struct ctl *ctl, const struct ctl_command *command, int argc, char **argv, void *context)
{
	for (int option; (option = getopt_long(argc, argv, command->letters, command->options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(command->usage, stdout);
			return EX_OK;
		}
		int status = take_common(ctl, option, optarg);
		if (status < 0 && option != '?' && command->take != NULL)
			status = command->take(context, option, optarg);
		if (status < 0)
			return ctl_usage_error(command->verb, "unknown or incomplete option");
		if (status != EX_OK)
			return status;
	}
	return CTL_GO_ON;
}

int ctl_take_domain(struct arena *arena, const char *verb, const char *text, struct str *ret_domain)
{
	return domain_normalize(arena, str_of(text), ret_domain) && domain_is_hostname(*ret_domain)
		       ? EX_OK
		       : ctl_usage_error(verb, "-d: \"%s\" is not a domain", text);
}

int ctl_take_selector(const char *verb, const char *text, struct str *ret_selector)
{
	*ret_selector = str_of(text);
	return domain_is_hostname(*ret_selector) ? EX_OK : ctl_usage_error(verb, "-s: \"%s\" is not a selector", text);
}
