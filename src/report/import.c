#include "report/import.h"

int64_t import_period(const struct report_options *options, int64_t time)
{
	return time - time % options->interval;
}
