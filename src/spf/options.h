/*
 * What can be set for SPF. Filled by config from options.def.
 */
#ifndef TRIMILTER_SPF_OPTIONS_H
#define TRIMILTER_SPF_OPTIONS_H

#include "base/str.h"

struct spf_options {
	unsigned lookup_limit;      /* terms that ask the DNS, RFC 7208 section 4.6.4: 10 */
	unsigned void_lookup_limit; /* look-ups with no answer: 2 */
	unsigned name_limit;        /* MX hosts and PTR names looked at: 10 */
	struct str receiver;        /* the %{r} of explanations: our host name */
};

#endif
