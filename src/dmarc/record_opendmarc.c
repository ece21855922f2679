/*
 * The one file that sees libopendmarc. Of its functions only those that store
 * and decide are called: its own look-ups block, its organizational domains are
 * wrong for one-letter labels, its parser reads "p=r" as reject, and strict
 * alignment is not strict. So it gets a record that we wrote, and names of our
 * own in place of the sender's: equal ones where they are aligned.
 */
#include "dmarc/record_opendmarc.h"

#include <stdio.h>

#include <opendmarc/dmarc.h>

#define AUTHOR "author.example.com"
#define ORGANIZATION "example.com"

/* The library takes unsigned and not const, and copies. */
static bool store_identifiers(DMARC_POLICY_T *context, const struct dmarc_case *decided)
{
	u_char author[] = AUTHOR;
	if (opendmarc_policy_store_from_domain(context, author) != DMARC_PARSE_OKAY)
		return false;
	if (decided->spf_aligned && opendmarc_policy_store_spf(context, author, DMARC_POLICY_SPF_OUTCOME_PASS,
					    DMARC_POLICY_SPF_ORIGIN_MAILFROM, NULL) != DMARC_PARSE_OKAY)
		return false;
	if (decided->dkim_aligned && opendmarc_policy_store_dkim(context, author, NULL, DMARC_POLICY_DKIM_OUTCOME_PASS,
					     NULL) != DMARC_PARSE_OKAY)
		return false;
	return true;
}

static bool store_record(DMARC_POLICY_T *context, const struct dmarc_case *decided)
{
	u_char author[] = AUTHOR, organization[] = ORGANIZATION;
	char record[64];
	snprintf(record, sizeof(record), "v=DMARC1; p=%s; sp=%s", dmarc_policy_text(decided->p),
		dmarc_policy_text(decided->sp));
	return opendmarc_policy_store_dmarc(context, (u_char *)record, author,
		       decided->is_subdomain ? organization : NULL) == DMARC_PARSE_OKAY;
}

static bool read_decision(DMARC_POLICY_T *context, bool *ret_passes, enum dmarc_policy *ret_policy)
{
	*ret_passes = false;
	*ret_policy = DMARC_P_NONE;
	switch (opendmarc_get_policy_to_enforce(context)) {
	case DMARC_POLICY_PASS:
		*ret_passes = true;
		return true;
	case DMARC_POLICY_REJECT:
		*ret_policy = DMARC_P_REJECT;
		return true;
	case DMARC_POLICY_QUARANTINE:
		*ret_policy = DMARC_P_QUARANTINE;
		return true;
	case DMARC_POLICY_NONE:
		return true;
	}
	return false;
}

bool dmarc_opendmarc_decide(const struct dmarc_case *decided, bool *ret_passes, enum dmarc_policy *ret_policy)
{
	/* The client's address is stored, never used. */
	u_char address[] = "192.0.2.1";
	DMARC_POLICY_T *context = opendmarc_policy_connect_init(address, DMARC_POLICY_IP_TYPE_IPV4);
	if (context == NULL)
		return false;
	bool decision = store_identifiers(context, decided) && store_record(context, decided) &&
			read_decision(context, ret_passes, ret_policy);
	opendmarc_policy_connect_shutdown(context);
	return decision;
}
