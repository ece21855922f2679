/* The one file that includes libspf2's headers, which need these before them. */
#include <sys/types.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>

#include <spf2/spf.h>

#include "spf/spf_libspf2.h"

#include <limits.h>
#include <stdlib.h>

struct run {
	const struct spf_fact *facts;
	size_t n_facts;
	size_t undecided;
	size_t last_reporting; /* asked last; what libspf2 asks after it shows that it did not match */
	/*
	 * libspf2 aborts the process when a look-up gives it NULL. Two places are left where it aborts for want of
	 * memory, and they are its own: the 100 bytes of a response for an include, and a list of errors.
	 */
	SPF_dns_rr_t *spare;
	bool broken;
};

/* "12.t" -> fact 12. Nothing but names of that form can come, so anything else is a breakdown. */
static const struct spf_fact *find_fact(struct run *run, const char *name, size_t *ret_number)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	if (end == name || strcmp(end, ".t") != 0 || number >= run->n_facts) {
		run->broken = true;
		return NULL;
	}
	*ret_number = number;
	if (run->facts[number].reports)
		run->last_reporting = number;
	return &run->facts[number];
}

static SPF_dns_rr_t *new_answer(SPF_dns_server_t *dns, const char *name, SPF_dns_stat_t status)
{
	struct run *run = dns->hook;
	SPF_dns_rr_t *rr = SPF_dns_rr_new_init(dns, name, ns_t_a, 0, status);
	if (rr == NULL) {
		rr = run->spare;
		run->spare = NULL;
		run->broken = true;
		rr->herrno = TRY_AGAIN;
	}
	return rr;
}

/* "exists:N.t" matches when N.t has an address. */
static SPF_dns_rr_t *hook_lookup(SPF_dns_server_t *dns, const char *name, ns_type type, int should_cache)
{
	(void)type;
	(void)should_cache;
	struct run *run = dns->hook;
	size_t number = 0;
	const struct spf_fact *fact = find_fact(run, name, &number);
	if (fact == NULL || fact->answer == SPF_UNDECIDED) {
		run->undecided = number;
		return new_answer(dns, name, TRY_AGAIN);
	}
	SPF_dns_rr_t *rr = new_answer(dns, name, fact->answer == SPF_YES ? NETDB_SUCCESS : HOST_NOT_FOUND);
	if (rr->herrno != NETDB_SUCCESS)
		return rr;
	if (SPF_dns_rr_buf_realloc(rr, 0, sizeof(*rr->rr[0])) != SPF_E_SUCCESS) {
		run->broken = true;
		rr->herrno = TRY_AGAIN;
		return rr;
	}
	rr->rr[0]->a.s_addr = htonl(INADDR_LOOPBACK);
	rr->num_rr = 1;
	return rr;
}

static SPF_errcode_t hook_get_spf(
	SPF_server_t *server, SPF_request_t *request, SPF_response_t *response, SPF_record_t **ret_record)
{
	struct run *run = server->resolver->hook;
	size_t number = 0;
	const struct spf_fact *fact = find_fact(run, request->cur_dom, &number);
	if (fact == NULL || fact->record == NULL) {
		run->undecided = number;
		return SPF_E_DNS_ERROR;
	}
	SPF_errcode_t error = SPF_record_compile(server, response, ret_record, fact->record);
	if (error != SPF_E_SUCCESS)
		run->broken = true;
	return error;
}

static bool read_response(SPF_response_t *response, const struct run *run, struct spf_verdict *ret_verdict)
{
	if (SPF_response_reason(response) == SPF_REASON_MECH)
		ret_verdict->matched = run->last_reporting;
	switch (SPF_response_result(response)) {
	case SPF_RESULT_NEUTRAL:
		ret_verdict->status = SPF_NEUTRAL;
		return true;
	case SPF_RESULT_PASS:
		ret_verdict->status = SPF_PASS;
		return true;
	case SPF_RESULT_FAIL:
		ret_verdict->status = SPF_FAIL;
		return true;
	case SPF_RESULT_SOFTFAIL:
		ret_verdict->status = SPF_SOFTFAIL;
		return true;
	case SPF_RESULT_INVALID:
	case SPF_RESULT_NONE:
	case SPF_RESULT_TEMPERROR:
	case SPF_RESULT_PERMERROR:
		/* The facts know no errors, so these are libspf2's own. */
		return false;
	}
	return false;
}

static bool query(SPF_server_t *server, struct run *run, struct spf_verdict *ret_verdict)
{
	SPF_request_t *request = SPF_request_new(server);
	SPF_response_t *response = NULL;
	bool ok = false;
	if (request == NULL)
		return false;
	/*
	 * Any address but a loopback one, which libspf2 passes unseen: the client's is none of its business, as the
	 * guard compares addresses. The sender's domain makes fact 0 the record to begin with.
	 */
	struct in_addr documentation = {htonl(0xc0000201)};
	if (SPF_request_set_ipv4(request, documentation) != SPF_E_SUCCESS ||
		SPF_request_set_env_from(request, "x@0.t") != SPF_E_SUCCESS)
		goto out;
	SPF_request_query_mailfrom(request, &response);
	if (response == NULL || run->broken)
		goto out;
	ret_verdict->undecided = run->undecided;
	ok = run->undecided != 0 || read_response(response, run, ret_verdict);
out:
	if (response != NULL)
		SPF_response_free(response);
	SPF_request_free(request);
	return ok;
}

bool spf_libspf2_run(const struct spf_fact *facts, size_t n_facts, struct spf_verdict *ret_verdict)
{
	struct run run = {.facts = facts, .n_facts = n_facts};
	SPF_dns_server_t dns = {.lookup = hook_lookup, .get_spf = hook_get_spf, .name = "facts", .hook = &run};
	/*
	 * The structure is public and filled here rather than by SPF_server_new_dns(), which asks for the host's name,
	 * aborts the process where that has 64 bytes, and compiles a default explanation that nobody will see.
	 * The guard counts look-ups for the whole evaluation; libspf2 would count them for each include anew.
	 */
	char receiver[] = "localhost";
	SPF_server_t server = {.resolver = &dns, .rec_dom = receiver, .max_dns_mech = INT_MAX};
	*ret_verdict = (struct spf_verdict){.status = SPF_TEMPERROR};
	run.spare = SPF_dns_rr_new_init(&dns, "", ns_t_a, 0, TRY_AGAIN);
	bool ok = run.spare != NULL && query(&server, &run, ret_verdict);
	if (run.spare != NULL)
		SPF_dns_rr_free(run.spare);
	return ok;
}
