#include "auth/runtime.h"

#include <limits.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/domain.h"
#include "tables/hosts.h"

/* The domains that send most of a host's mail; 3 MiB at most. */
#define PUBLIC_KEYS_MAX 1000

/* Only where gethostname() gives a bare name: the resolver's view (/etc/hosts, mostly) then has the domain. */
static struct str canonical_name(struct arena *arena, const char *name)
{
	const struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct str canonical = STR("");
	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return canonical;
	if (found != NULL && found->ai_canonname != NULL)
		canonical = arena_dup(arena, str_of(found->ai_canonname));
	freeaddrinfo(found);
	return canonical;
}

struct str runtime_host_name(struct arena *arena)
{
	char name[HOST_NAME_MAX + 1] = "";
	struct str domain;
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		return STR("localhost");
	if (str_index(str_of(name), '.') < 0 && domain_normalize(arena, canonical_name(arena, name), &domain) &&
		domain_is_hostname(domain) && str_index(domain, '.') >= 0)
		return domain;
	return domain_normalize(arena, str_of(name), &domain) && domain_is_hostname(domain) ? domain : STR("localhost");
}

static const struct hosts *default_internal_hosts(struct arena *arena)
{
	struct dataset dataset = {.kind = DATASET_LIST};
	struct diag diag = diag_in(arena);
	struct hosts *hosts;
	dataset_parse_list(arena, STR("127.0.0.1,::1,local"), (struct diag_place){NULL, 0}, &dataset);
	hosts_build(arena, &dataset, &diag, &hosts);
	return hosts;
}

static void set_report_defaults(struct report_options *report, struct arena *arena, struct str host)
{
	struct str *address = ARENA_NEW(arena, struct str);
	*address = arena_printf(arena, "postmaster@%.*s", STR_ARG(host));
	*report = (struct report_options){
		.aggregate = true,
		.spool = STR("/var/lib/trimilter/spool"),
		.failure_header_bytes = 64 << 10,
		.store = STR("sqlite:/var/lib/trimilter/reports.db"),
		.format = REPORT_RFC9990,
		.interval = 86400,
		.maximum_destinations = 5,
		.maximum_bytes = 10 << 20,
		.keep_days = 7,
		.expire_hours = 72,
		.jitter_seconds = 3600,
		.failures_per_hour = 10,
		.organization = host,
		.address = *address,
		.failure_from = *address,
		.failure_to = address,
		.n_failure_to = 1,
		.smtp_host = STR("localhost:25"),
	};
}

static void set_defaults(struct runtime *runtime, struct arena *arena)
{
	struct str *host = ARENA_NEW(arena, struct str);
	struct str *from = ARENA_NEW(arena, struct str);
	*host = runtime_host_name(arena);
	*from = STR("from");
	runtime->auth = (struct auth_options){
		.mode_sign = true,
		.mode_verify = true,
		.authserv_id = *host,
		.own_ids = host,
		.n_own_ids = 1,
		.enforce = true,
		.quarantine_action = AUTH_QUARANTINE_ACCEPT,
		.ignore_authenticated_clients = true,
		.on_dns_error = AUTH_ON_ERROR_TEMPFAIL,
		.on_internal_error = AUTH_ON_ERROR_TEMPFAIL,
		.on_signature_error = VERDICT_TEMPFAIL,
		.on_security = VERDICT_REJECT,
		.reject_string = STR("rejected by DMARC policy for %s"),
		.internal_hosts = default_internal_hosts(arena),
		.maximum_headers = 10000,
		.maximum_header_bytes = (size_t)4 << 20,
		.maximum_message_memory = (size_t)16 << 20,
		.maximum_memory = (size_t)256 << 20,
		.evaluation_timeout = 20,
	};
	runtime->dkim_verify = (struct dkim_verify_options){
		.minimum_key_bits = 1024,
		.maximum_signatures = 10,
		.clock_drift = 300,
	};
	runtime->dkim_sign = (struct dkim_sign_options){
		.header_canonicalization = DKIM_RELAXED,
		.body_canonicalization = DKIM_SIMPLE,
		.oversign_headers = from,
		.n_oversign_headers = 1,
	};
	runtime->spf = (struct spf_options){
		.lookup_limit = 10,
		.void_lookup_limit = 2,
		.name_limit = 10,
		.receiver = *host,
	};
	runtime->dmarc = (struct dmarc_options){
		.discovery = DMARC_TREE_WALK,
		.maximum_author_domains = 4,
	};
	set_report_defaults(&runtime->report, arena, *host);
	runtime->dns.timeout_ms = 5000;
}

static void free_keys(void *keys)
{
	dkim_keys_free(keys);
}

static void make_keys(struct runtime *runtime, struct arena *arena)
{
	runtime->dkim_keys = dkim_keys_new(PUBLIC_KEYS_MAX);
	if (runtime->dkim_keys == NULL)
		arena_fail(arena);
	arena_on_reset(arena, free_keys, runtime->dkim_keys);
}

struct runtime *runtime_new(void)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return NULL;
	jmp_buf boundary;
	if (setjmp(boundary) != 0) {
		arena_free(arena);
		return NULL;
	}
	arena_set_boundary(arena, &boundary);
	struct runtime *runtime = ARENA_NEW(arena, struct runtime);
	atomic_init(&runtime->references, 1);
	runtime->arena = arena;
	set_defaults(runtime, arena);
	make_keys(runtime, arena);
	arena_set_boundary(arena, NULL);
	return runtime;
}

struct runtime *runtime_ref(struct runtime *runtime)
{
	atomic_fetch_add_explicit(&runtime->references, 1, memory_order_relaxed);
	return runtime;
}

void runtime_unref(struct runtime *runtime)
{
	/* The last one out must see what the others wrote before they left. */
	if (runtime == NULL || atomic_fetch_sub_explicit(&runtime->references, 1, memory_order_acq_rel) != 1)
		return;
	arena_free(runtime->arena);
}
