/*
 * trimilterctl report: everything about reports. Each of its verbs is a file of its own.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/common.h"
#include "ctl/verbs.h"

static const struct report_verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments, *help;
} verbs[] = {
	{"list", ctl_report_list, "[OPTION]... [DOMAIN]", "finished reports, to whom, and what became of it"},
	{"preview", ctl_report_preview, "[OPTION]... DOMAIN", "what would be sent about a domain now, and to whom"},
	{"send", ctl_report_send, "[OPTION]... [DOMAIN]", "import, build and send what is due, now"},
	{"retry", ctl_report_retry, "[OPTION]... [DOMAIN]", "another try for what was refused, given up, or waits"},
	{"expire", ctl_report_expire, "[OPTION]...", "forget what was sent or given up some days ago"},
	{"stats", ctl_report_stats, "[OPTION]...", "what is counted, what waits, what is not yet imported"},
	{"show", ctl_report_show, "[--json] FILE|-", "what an aggregate report says, source by source"},
	{"bounce", ctl_report_bounce, "[--sender ADDRESS] < MESSAGE",
		"take a bounce of report mail: its address gets none for a while"},
};

#define N_VERBS (sizeof(verbs) / sizeof(*verbs))

static void print_usage(void)
{
	for (size_t i = 0; i < N_VERBS; i++)
		printf("%strimilterctl report %s %s\n", i == 0 ? "Usage: " : "       ", verbs[i].name,
			verbs[i].arguments);
	putchar('\n');
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-9s %s\n", verbs[i].name, verbs[i].help);
	puts("\n'trimilterctl report VERB --help' tells the options of each.");
}

int ctl_report(int argc, char **argv)
{
	if (argc < 2)
		return ctl_usage_error("report", "a verb is needed");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return print_usage(), EX_OK;
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return ctl_usage_error("report", "\"%s\" is not one of its verbs", argv[1]);
}
