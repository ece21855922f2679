/*
 * What can be set for DMARC. Filled by config from options.def.
 */
#ifndef TRIMILTER_DMARC_OPTIONS_H
#define TRIMILTER_DMARC_OPTIONS_H

struct dmarc_suffixes; /* dmarc/psl.h */

enum dmarc_discovery { DMARC_TREE_WALK, DMARC_PSL };

struct dmarc_options {
	enum dmarc_discovery discovery;        /* tree walk: RFC 9989 section 4.10; PSL: RFC 7489 section 3.2 */
	const struct dmarc_suffixes *suffixes; /* needed for DMARC_PSL only; borrowed */
	unsigned maximum_author_domains;       /* evaluated when From names several; 4 */
};

#endif
