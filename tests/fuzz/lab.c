#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static const char zone[] = "example.org TXT \"v=spf1 ip4:192.0.2.0/24 include:example.net -all\"\n"
			   "example.net TXT \"v=spf1 a mx ?all\"\n"
			   "example.net MX 10 mail.example.net\n"
			   "mail.example.net A 192.0.2.9\n"
			   "_dmarc.example.org TXT \"v=DMARC1; p=reject\"\n"
			   "_dmarc.example.net TXT \"v=DMARC1; p=quarantine; sp=none\"\n"
			   "ed._domainkey.example.org TXT \"v=DKIM1; k=ed25519; "
			   "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n"
			   "slow.example TIMEOUT\n";

static struct dns *zone_dns(void)
{
	struct dns *dns;
	char path[64], error[DNS_ERROR_SIZE];
	int fd = memfd_create("zone", MFD_CLOEXEC);
	if (fd < 0 || write(fd, zone, sizeof(zone) - 1) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct dns_options options = {
		.zone_file = str_of(path),
		.timeout_ms = 1000,
		.cache_bytes = 65536,
		.maximum_in_flight = 100,
		.maximum_per_domain = 100,
	};
	if (dns_new(&options, &dns, error) != ERR_OK) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	close(fd);
	return dns;
}

struct service *lab_service(const char *program, void (*adjust)(struct runtime *runtime))
{
	struct runtime *runtime = runtime_new();
	struct service *service = service_new(zone_dns());
	if (runtime == NULL || service == NULL)
		abort();
	runtime->auth.maximum_message_memory = (size_t)256 * 1024;
	runtime->auth.maximum_headers = 50;
	runtime->auth.maximum_header_bytes = 20000;
	if (adjust != NULL)
		adjust(runtime);
	service_publish(service, runtime, true);
	log_open(program, false, 0, false, LOG_LEVEL_ERROR);
	return service;
}

void lab_check_idle(const struct service *service)
{
	if (service_load(service).sessions != 0 || service_load(service).messages != 0)
		abort();
}
