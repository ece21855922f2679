/*
 * Does an identifier that SPF or DKIM checked belong to the author's domain?
 * RFC 9989 section 4.10.2, RFC 7489 section 3.1.
 */
#ifndef TRIMILTER_DMARC_ALIGNMENT_H
#define TRIMILTER_DMARC_ALIGNMENT_H

#include "dmarc/discovery.h"

enum dmarc_alignment {
	DMARC_UNALIGNED,
	DMARC_ALIGNED,
	DMARC_ALIGNMENT_UNKNOWN, /* it depends on what the DNS did not tell */
};

/**
 * @author, @identifier  canonical
 * @found                what dmarc_discover() found for @author
 * Walks the tree only where the identifier is within what may be the author's organizational domain, and is not
 * the author's domain itself.
 */
enum dmarc_progress dmarc_align(struct dmarc_lookups *lookups, const struct dmarc_discovered *found, struct str author,
	struct str identifier, enum dmarc_mode mode, enum dmarc_alignment *ret_alignment);

#endif
