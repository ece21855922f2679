#include "dns/dns_unbound.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unbound-event.h>
#include <unbound.h>

#include "base/log.h"
#include "dns/packet.h"

#define CLASS_IN 1
#define OPTION_SIZE 96
#define BOGUS 1 /* what libunbound calls an answer's security */
#define SECURE 2
#define SPARE_SOCKETS 32 /* for what the validator asks of its own accord */

struct dns_unbound {
	struct ub_ctx *ub;
	bool validates;
	size_t n_outstanding;
	void (*answered)(void *context, struct dns_ask *ask, struct dns_answer *answer);
	void *context;
};

static bool set_option(struct ub_ctx *ub, const char *name, const char *value)
{
	int rc = ub_ctx_set_option(ub, name, value);
	if (rc != 0)
		log_error("libunbound refuses %s %s: %s", name, value, ub_strerror(rc));
	return rc == 0;
}

/*
 * Zones that libunbound would answer by itself (unbound.conf(5), local-zone): our nameserver is to say what is there.
 * localhost stays as it is, for RFC 6761 section 6.3 wants the resolver itself to answer it.
 */
static bool open_zones(struct ub_ctx *ub, bool validates)
{
	static const char *const zones[] = {"test.", "invalid.", "onion.", "home.arpa.", "127.in-addr.arpa.",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		char value[OPTION_SIZE];
		snprintf(value, sizeof(value), "%s transparent", zones[i]);
		if (!set_option(ub, "local-zone:", value))
			return false;
		/* The root proves that they do not exist: what a private nameserver says there is not to be called
		 * bogus. */
		if (validates && !set_option(ub, "domain-insecure:", zones[i]))
			return false;
	}
	return set_option(ub, "unblock-lan-zones:", "yes") && set_option(ub, "insecure-lan-zones:", "yes");
}

static bool set_number(struct ub_ctx *ub, const char *name, unsigned value)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", value);
	return set_option(ub, name, text);
}

static bool set_options(struct ub_ctx *ub, bool validates, unsigned maximum_outstanding)
{
	static const char *const options[][2] = {
		{"outgoing-num-tcp:", "32"},
		/*
		 * What is learned of a server's speed is forgotten within a second: with the defaults thirty silent
		 * names hold up all others, and for a while after an outage everything fails.
		 */
		{"infra-host-ttl:", "1"},
		{"infra-keep-probing:", "yes"},
		/*
		 * A forwarder that answers from its cache within a millisecond is given 50 ms for a name that it has to
		 * look for, and with few retries that ends in SERVFAIL after 0.3 s. From 400 ms on, twice each and
		 * doubled twice (0.4 0.4 0.8 0.8 1.6 1.6), a question lives for 5.6 s. A larger first wait with fewer
		 * retries is worse where one of two nameservers is dead.
		 */
		{"infra-cache-min-rtt:", "400"},
		{"outbound-msg-retry:", "3"},
		{"qname-minimisation:", "no"},
		{"minimal-responses:", "yes"},
		/* SPF looks at ten names: with rotation it would be others than those the nameserver put first. */
		{"rrset-roundrobin:", "no"},
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (!set_option(ub, options[i][0], options[i][1]))
			return false;
	/* We have a cache of our own; these two, of 4 MiB each, are worth having for what validation needs again. */
	const char *cache_size = validates ? "1m" : "64k";
	/* Where sockets run out questions wait for one, and behind silent names that takes seconds. */
	return set_number(ub, "outgoing-range:", maximum_outstanding + SPARE_SOCKETS) &&
	       set_number(ub, "num-queries-per-thread:", maximum_outstanding) &&
	       set_option(ub, "msg-cache-size:", cache_size) && set_option(ub, "rrset-cache-size:", cache_size) &&
	       set_option(ub, "module-config:", validates ? "validator iterator" : "iterator") &&
	       open_zones(ub, validates);
}

static bool set_servers(struct ub_ctx *ub, const struct nameservers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		int rc = ub_ctx_set_fwd(ub, servers->text[i]);
		if (rc != 0) {
			log_error("nameserver %s: %s", servers->text[i], ub_strerror(rc));
			return false;
		}
	}
	return true;
}

static bool set_anchors(struct ub_ctx *ub, const struct anchors *anchors)
{
	for (size_t i = 0; i < anchors->n; i++)
		if (ub_ctx_add_ta(ub, anchors->items[i].text) != 0)
			return false;
	return true;
}

struct dns_unbound *dns_unbound_new(struct event_base *base, const struct dns_unbound_setup *setup)
{
	struct dns_unbound *unbound = calloc(1, sizeof(*unbound));
	if (unbound == NULL)
		return NULL;
	unbound->validates = setup->anchors->n > 0;
	unbound->answered = setup->answered;
	unbound->context = setup->context;
	unbound->ub = ub_ctx_create_event(base);
	if (unbound->ub == NULL) {
		free(unbound);
		return NULL;
	}
	/* It would write to standard error, which is not its own. */
	ub_ctx_debugout(unbound->ub, NULL);
	if (!set_options(unbound->ub, unbound->validates, setup->maximum_outstanding) ||
		!set_servers(unbound->ub, setup->servers) || !set_anchors(unbound->ub, setup->anchors)) {
		dns_unbound_free(unbound);
		return NULL;
	}
	return unbound;
}

void dns_unbound_free(struct dns_unbound *unbound)
{
	if (unbound == NULL)
		return;
	ub_ctx_delete(unbound->ub);
	free(unbound);
}

static struct dns_answer *failed(const char *why)
{
	struct dns_answer *answer = dns_answer_new(DNS_FAILED, NULL, 0);
	if (answer != NULL)
		answer->why = why;
	return answer;
}

static void on_result(void *arg, int rc, void *packet, int n, int security, char *why_bogus, int was_ratelimited)
{
	struct dns_ask *ask = arg;
	struct dns_unbound *unbound = ask->asked_in;
	struct dns_answer *answer;
	(void)why_bogus;
	(void)was_ratelimited;
	if (unbound == NULL)
		return;
	unbound->n_outstanding--;
	/* With rc set the packet is left over from another question. */
	if (rc != 0 || packet == NULL || n < 0)
		answer = failed(packet_rcode_text((unsigned)rc));
	else if (security == BOGUS)
		answer = failed("DNSSEC: bogus");
	else
		answer = packet_read(packet, (size_t)n, &ask->question);
	if (answer != NULL && answer->status != DNS_FAILED && unbound->validates)
		answer->security = security == SECURE ? DNS_SECURE : DNS_INSECURE;
	unbound->answered(unbound->context, ask, answer);
}

/* libunbound reads zone file syntax, in which every byte can be written as a backslash and three digits. */
static void write_escaped(struct str name, char text[4 * DOMAIN_MAX + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (str_is_alpha(c) || str_is_digit(c) || c == '-' || c == '_' || c == '.')
			text[n++] = c;
		else
			n += (size_t)snprintf(text + n, 5, "\\%03u", (unsigned)(unsigned char)c);
	}
	text[n] = '\0';
}

void dns_unbound_ask(struct dns_unbound *unbound, struct dns_ask *ask)
{
	char name[4 * DOMAIN_MAX + 1];
	write_escaped(ask->question.name, name);
	ask->asked_in = unbound;
	/* Counted before, for the answer may come within the call. */
	unbound->n_outstanding++;
	int rc = ub_resolve_event(unbound->ub, name, (int)ask->question.type, CLASS_IN, ask, on_result, NULL);
	if (rc == 0)
		return;
	unbound->n_outstanding--;
	unbound->answered(unbound->context, ask, failed(ub_strerror(rc)));
}

size_t dns_unbound_outstanding(const struct dns_unbound *unbound)
{
	return unbound->n_outstanding;
}

void dns_unbound_give_memory_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

bool dns_unbound_accepts_anchor(const struct anchor *anchor)
{
	struct ub_result *result = NULL;
	struct ub_ctx *ub = ub_ctx_create();
	if (ub == NULL)
		return false;
	ub_ctx_debugout(ub, NULL);
	/* Anchors are read with the first question; this one it answers itself. */
	bool accepted = set_option(ub, "module-config:", "validator iterator") &&
			ub_ctx_add_ta(ub, anchor->text) == 0 &&
			ub_resolve(ub, "localhost", DNS_A, CLASS_IN, &result) == 0;
	ub_resolve_free(result);
	ub_ctx_delete(ub);
	return accepted;
}
