/*
 * Canonicalization, RFC 6376 section 3.4: header fields in one go, bodies as a
 * stream. What comes out goes through a sink to one or more hashes, never into
 * memory as a whole. Pure.
 */
#ifndef TRIMILTER_DKIM_CANONICALIZE_H
#define TRIMILTER_DKIM_CANONICALIZE_H

#include "dkim/options.h"
#include "message/headers.h"

/** Where canonical text goes: small pieces are collected, so that a hash sees few and long ones. */
struct sink {
	void (*write)(void *object, struct str text);
	void *object;
	size_t n;
	char pending[4096];
};

static inline void sink_init(struct sink *sink, void (*write)(void *object, struct str text), void *object)
{
	sink->write = write;
	sink->object = object;
	sink->n = 0;
}
void sink_add_long(struct sink *sink, struct str text);
static inline void sink_add(struct sink *sink, struct str text)
{
	if (text.n > 32 || text.n > sizeof(sink->pending) - sink->n) {
		sink_add_long(sink, text);
		return;
	}
	for (size_t i = 0; i < text.n; i++)
		sink->pending[sink->n + i] = text.p[i];
	sink->n += text.n;
}
/** Hand over what is still collected. */
void sink_flush(struct sink *sink);

/**
 * One field with its final CRLF. Line breaks within the value, LF or CRLF, count as CRLF. RFC 6376 section 3.4.1, 3.4.2
 */
void dkim_canonicalize_field(struct sink *sink, enum dkim_canonicalization how, struct str name, struct str value);

/**
 * The signature field itself: the value of its b= tag taken out with the white space around it, and no final CRLF.
 * RFC 6376 section 3.7
 */
void dkim_canonicalize_signature(struct sink *sink, enum dkim_canonicalization how, struct str name, struct str value);

/**
 * The fields that @names (an h= value) selects, each name from the bottom up; names without a field select nothing.
 * RFC 6376 section 5.4.2
 *
 * @own  the signature being checked, which never signs itself (section 3.5, h=); NULL when signing
 */
void dkim_canonicalize_selected(struct sink *sink, enum dkim_canonicalization how, const struct headers *headers,
	struct str names, const struct header_field *own);

/**
 * A body on its way. Only CRLF ends a line; a bare CR or LF is a byte like any other.
 * Zero it, set how and sink. Line ends and white space that may turn out to be trailing are held back as counts.
 */
struct body_canonicalizer {
	enum dkim_canonicalization how;
	struct sink *sink;
	uint64_t n_crlf;  /* line ends not yet passed on */
	bool space;       /* relaxed: white space after them */
	bool cr;          /* a CR after that, whose LF may follow */
	bool has_content; /* something was passed on */
};

void dkim_canonicalize_body(struct body_canonicalizer *body, struct str chunk);
void dkim_canonicalize_body_end(struct body_canonicalizer *body);

#endif
