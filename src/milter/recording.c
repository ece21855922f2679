#include "milter/recording.h"

#include <unistd.h>

#include "base/log.h"
#include "report/spool.h"

static void warn(const char *error)
{
	log_warning(
		"reports: %s. Mail is handled as always, but nothing is recorded for reports: make that directory "
		"and give it to the user of the daemon, name another one in ReportSpool, or write AggregateReports no",
		error);
}

void recording_check(const struct report_options *options, bool as_root)
{
	char error[SPOOL_ERROR_SIZE];
	bool will_be_made = as_root && access(options->spool.p, F_OK) != 0;
	if (report_wanted(options) && !will_be_made && spool_probe(options->spool, false, error) != ERR_OK)
		warn(error);
}

void recording_begin(struct service *service, const struct report_options *options)
{
	char error[SPOOL_ERROR_SIZE];
	struct spool *spool = service_spool(service);
	if (!report_wanted(options))
		return;
	if (spool != NULL) {
		/* Another directory needs a restart, this one may have been mended. */
		if (spool_probe(str_of(spool_directory(spool)), true, error) != ERR_OK)
			warn(error);
		return;
	}
	if (spool_new(options->spool, &spool, error) != ERR_OK)
		warn(error);
	service_set_spool(service, spool);
}
