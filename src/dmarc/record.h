/*
 * One DMARC policy record. Parser of our own: libopendmarc takes p=r for
 * p=reject and keeps half of what it refuses. Pure.
 */
#ifndef TRIMILTER_DMARC_RECORD_H
#define TRIMILTER_DMARC_RECORD_H

#include "dmarc/dmarc.h"

enum dmarc_mode { DMARC_RELAXED, DMARC_STRICT };
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO }; /* psd=u or absent, y, n */

/* fo=, bits; RFC 9989 section 4.7 */
enum dmarc_fo {
	DMARC_FO_ALL = 1,  /* "0": no mechanism gave an aligned pass */
	DMARC_FO_ANY = 2,  /* "1": some mechanism did not */
	DMARC_FO_DKIM = 4, /* "d": a signature failed, aligned or not */
	DMARC_FO_SPF = 8,  /* "s": SPF failed, aligned or not */
};

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
	unsigned pct; /* RFC 7489; 100 where absent or wrong. For reports alone: no message is sampled here */
};

/**
 * @text  the strings of one TXT record, joined; *ret_record borrows from it
 * False: no DMARC record, that is, it does not begin with "v=DMARC1".
 * RFC 9989 sections 4.7 and 4.8; for DMARC_PSL RFC 7489 sections 6.3 and 6.4, to which np, psd and t are unknown.
 */
bool dmarc_record_parse(enum dmarc_discovery discovery, struct str text, struct dmarc_record *ret_record);

/** What fo asks for: DMARC_FO_ALL where it is absent or wrong, or where there is no ruf to send anything to. */
unsigned dmarc_record_fo(const struct dmarc_record *record);

/**
 * What is wrong with the record, for its owner to read: US-ASCII, in @arena; empty: nothing. Unknown tags are fine.
 * RFC 9990 section 3.1.5
 */
struct str dmarc_record_faults(struct arena *arena, enum dmarc_discovery discovery, struct str text);

/** Is one of these, separated by commas, a URI that a report could go to? */
bool dmarc_uri_list_is_usable(struct str list);

/** What is left of a policy while the domain's owner tests it (t=y). RFC 9989 section 4.7 */
enum dmarc_policy dmarc_policy_one_below(enum dmarc_policy policy);

#endif
