#include "milter/statistics.h"

#include <inttypes.h>

#include "base/log.h"
#include "report/spool.h"

void statistics_log(const struct service *service, int64_t uptime)
{
	struct service_counters counters = service_counters(service);
	struct service_load load = service_load(service);
	struct spool_counters spool = {0};
	struct dns_counters dns = {0};
	if (service_dns(service) != NULL)
		dns_counters(service_dns(service), &dns);
	if (service_spool(service) != NULL)
		spool = spool_counters(service_spool(service));
	log_info("stats: uptime=%" PRId64 " connections=%" PRIu64 " open=%u messages=%" PRIu64
		 " in_flight=%u accept=%" PRIu64 " reject=%" PRIu64 " tempfail=%" PRIu64 " quarantine=%" PRIu64
		 " discard=%" PRIu64 " faults=%" PRIu64 " dns_questions=%" PRIu64 " dns_cache_hits=%" PRIu64
		 " dns_sent=%" PRIu64 " dns_timeouts=%" PRIu64 " dns_failures=%" PRIu64 " dns_over_limit=%" PRIu64
		 " dns_crowded_out=%" PRIu64 " records=%" PRIu64 " records_dropped=%" PRIu64 " reloads=%" PRIu64
		 " reloads_failed=%" PRIu64 " replies_lost=%" PRIu64 " store_failures=%" PRIu64
		 " starts_failed=%" PRIu64,
		uptime, counters.connections, load.sessions, counters.messages, load.messages,
		counters.verdicts[VERDICT_ACCEPT], counters.verdicts[VERDICT_REJECT],
		counters.verdicts[VERDICT_TEMPFAIL], counters.verdicts[VERDICT_QUARANTINE],
		counters.verdicts[VERDICT_DISCARD], counters.faults, dns.questions, dns.cache_hits, dns.sent,
		dns.timeouts, dns.failures, dns.refused_by_limit, dns.crowded_out, spool.written, spool.dropped,
		counters.events[SERVICE_RELOADED], counters.events[SERVICE_RELOAD_FAILED],
		counters.events[SERVICE_REPLY_LOST], counters.events[SERVICE_STORE_FAILED],
		counters.events[SERVICE_START_FAILED]);
}
