/* Bodies, RFC 6376 sections 3.4.3 and 3.4.4. Most bytes go through untouched, so they are looked at in blocks. */
#include "dkim/canonicalize.h"

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void add_line_ends(struct sink *sink, uint64_t n)
{
	for (; n > 0; n--)
		sink_add(sink, STR("\r\n"));
}

static bool holds_back(const struct body_canonicalizer *body)
{
	return body->n_crlf > 0 || body->space || body->cr;
}

/* Content follows, so what was held back is not trailing. */
static void release(struct body_canonicalizer *body)
{
	body->has_content = true;
	if (!holds_back(body))
		return;
	add_line_ends(body->sink, body->n_crlf);
	body->n_crlf = 0;
	if (body->space)
		sink_add(body->sink, STR(" "));
	if (body->cr)
		sink_add(body->sink, STR("\r"));
	body->space = body->cr = false;
}

/* ---- simple ---- */

/* Everything up to the line ends at the end of the chunk is content and goes on in one piece. */
static void add_simple(struct body_canonicalizer *body, struct str chunk)
{
	if (body->cr && chunk.p[0] == '\n') {
		body->cr = false;
		body->n_crlf++;
		chunk = str_skip(chunk, 1);
	}
	struct str content = chunk;
	bool cr = content.n > 0 && content.p[content.n - 1] == '\r';
	if (cr)
		content.n--;
	uint64_t n_crlf = 0;
	while (content.n >= 2 && content.p[content.n - 1] == '\n' && content.p[content.n - 2] == '\r') {
		content.n -= 2;
		n_crlf++;
	}
	/* A CR held back and then anything but LF was a bare one, even if that is another CR. */
	if (content.n > 0 || (body->cr && chunk.n > 0)) {
		release(body);
		sink_add(body->sink, content);
	}
	body->n_crlf += n_crlf;
	body->cr = body->cr || cr;
}

/* ---- relaxed ---- */

/* Byte by byte, for where something has to change. */
static void add_relaxed_slowly(struct body_canonicalizer *body, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '\n' && body->cr) {
			body->cr = body->space = false;
			body->n_crlf++;
			continue;
		}
		/* A CR was held back, no LF follows: it is content. */
		if (body->cr)
			release(body);
		if (*p == '\r') {
			body->cr = true;
			continue;
		}
		if (is_blank(*p)) {
			body->space = true;
			continue;
		}
		release(body);
		const char *start = p;
		while (p + 1 < end && (unsigned char)p[1] > ' ')
			p++;
		sink_add(body->sink, str_from(start, (size_t)(p + 1 - start)));
	}
}

/* A portable vector of bytes: GCC and clang turn it into whatever the machine has. */
#define BLOCK 16
typedef unsigned char block __attribute__((vector_size(BLOCK)));

static inline bool any(block b)
{
	uint64_t halves[2];
	memcpy(halves, &b, sizeof(halves));
	return (halves[0] | halves[1]) != 0;
}

/*
 * Could something in the BLOCK bytes at @p, given the one behind them, change: a TAB, a blank before a blank or
 * CR, an empty line?
 */
static inline bool needs_change(const char *p)
{
	block here, next;
	memcpy(&here, p, BLOCK);
	memcpy(&next, p + 1, BLOCK);
	block space = (block)(here == ' '), lf = (block)(here == '\n'), next_cr = (block)(next == '\r');
	return any((block)(here == '\t') | (space & ((block)(next == ' ') | next_cr)) | (lf & next_cr));
}

/*
 * The end of what can be passed on from @p as it stands. It ends in a byte
 * that is content, so that nothing is left to be held back.
 */
static const char *end_of_regular(const char *p, const char *end)
{
	const char *start = p;
	while (end - p > BLOCK && !needs_change(p))
		p += BLOCK;
	/* At most CR LF SP or CR can stand there, or a change would have been needed. */
	if (p > start && (p[-1] == ' ' || p[-1] == '\r'))
		p--;
	if (p - start >= 2 && p[-1] == '\n' && p[-2] == '\r')
		p -= 2;
	return p;
}

static void add_relaxed(struct body_canonicalizer *body, struct str chunk)
{
	const char *p = chunk.p, *end = chunk.p + chunk.n;
	while (p < end) {
		const char *stop = p;
		/* What is held back is let go by content only. */
		if (!holds_back(body) || (unsigned char)*p > ' ')
			stop = end_of_regular(p, end);
		if (stop > p) {
			release(body);
			sink_add(body->sink, str_from(p, (size_t)(stop - p)));
			p = stop;
		}
		stop = end - p > BLOCK ? p + BLOCK : end;
		add_relaxed_slowly(body, p, stop);
		p = stop;
	}
}

void dkim_canonicalize_body(struct body_canonicalizer *body, struct str chunk)
{
	if (chunk.n == 0)
		return;
	switch (body->how) {
	case DKIM_SIMPLE:
		add_simple(body, chunk);
		break;
	case DKIM_RELAXED:
		add_relaxed(body, chunk);
		break;
	}
}

void dkim_canonicalize_body_end(struct body_canonicalizer *body)
{
	/* A CR at the very end was a bare one: content. White space at the end goes all the same. */
	if (body->cr)
		release(body);
	if (body->has_content || body->how == DKIM_SIMPLE)
		sink_add(body->sink, STR("\r\n"));
	sink_flush(body->sink);
}
