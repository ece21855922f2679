/*
 * One DMARC policy record. Parser of our own: libopendmarc takes p=r for
 * p=reject and keeps half of what it refuses. Pure.
 */
#ifndef TRIMILTER_DMARC_RECORD_H
#define TRIMILTER_DMARC_RECORD_H

#include "dmarc/dmarc.h"

enum dmarc_mode { DMARC_RELAXED, DMARC_STRICT };
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO }; /* psd=u or absent, y, n */

struct dmarc_record {
	struct str text;
	/*
	 * False: p is missing or wrong, or sp or np is wrong, and nobody wants reports either. Such a record still
	 * counts in a tree walk, but no policy can be taken from it. RFC 9989 section 4.10.1
	 */
	bool usable;
	enum dmarc_policy p;  /* never UNSET where usable */
	enum dmarc_policy sp; /* UNSET: absent */
	enum dmarc_policy np; /* the same; always UNSET by RFC 7489 */
	enum dmarc_mode adkim, aspf;
	enum dmarc_psd psd;
	bool testing;            /* t=y */
	struct str rua, ruf, fo; /* as published; empty: absent, or given twice with different values */
};

/**
 * @text  the strings of one TXT record, joined; *ret_record borrows from it
 * False: no DMARC record, that is, it does not begin with "v=DMARC1".
 * RFC 9989 sections 4.7 and 4.8; for DMARC_PSL RFC 7489 sections 6.3 and 6.4, to which np, psd and t are unknown.
 */
bool dmarc_record_parse(enum dmarc_discovery discovery, struct str text, struct dmarc_record *ret_record);

/** Is one of these, separated by commas, a URI that a report could go to? */
bool dmarc_uri_list_is_usable(struct str list);

/** What is left of a policy while the domain's owner tests it (t=y). RFC 9989 section 4.7 */
enum dmarc_policy dmarc_policy_one_below(enum dmarc_policy policy);

#endif
