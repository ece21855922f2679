#include "dkim/signature.h"

#include "dkim/base64.h"
#include "dkim/body.h"
#include "message/tags.h"

/* Longest i= that is read: a local part of four times what SMTP allows, and a domain. */
#define IDENTITY_MAX (4 * 64 + 1 + DOMAIN_MAX)
#define ALGORITHM_SHOWN 64

struct parse {
	struct arena *arena;
	struct tags tags;
	struct dkim_signature *signature;
	int64_t now;
	unsigned drift;
};

/* ---- words ---- */

static bool is_from(struct str name)
{
	return str_ieq(str_trim(name), STR("from"));
}

/* A domain name of letters, digits, hyphens and underscores, canonical. */
static bool read_domain(struct arena *arena, struct str text, size_t min_labels, struct str *ret_domain)
{
	struct str domain;
	if (!domain_normalize(arena, text, &domain) || !domain_is_hostname(domain) ||
		domain_labels(domain) < min_labels)
		return false;
	*ret_domain = domain;
	return true;
}

/*
 * Digits only. RFC 6376 section 3.5 allows 12 of them, or 76 for l=, and lets larger numbers be taken as
 * infinite: so are all that do not fit.
 */
static bool read_number(struct str text, uint64_t *ret_number)
{
	if (text.n == 0)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (!str_is_digit(text.p[i]))
			return false;
	if (!str_to_u64(text, INT64_MAX, ret_number))
		*ret_number = INT64_MAX;
	return true;
}

bool dkim_quoted_printable_decode(struct arena *arena, struct str text, struct str *ret_text)
{
	char *out = arena_alloc(arena, text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (str_is_space(text.p[i]))
			continue;
		if (text.p[i] != '=') {
			out[n++] = text.p[i];
			continue;
		}
		int high = i + 2 < text.n ? str_hex_digit(text.p[i + 1]) : -1;
		int low = i + 2 < text.n ? str_hex_digit(text.p[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		out[n++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret_text = str_from(out, n);
	return true;
}

/* ---- tags; each returns what is wrong, or NULL ---- */

static const char *read_version(struct parse *parse)
{
	const struct str *v = tags_get(&parse->tags, "v");
	if (v == NULL)
		return "no v= in the signature";
	return str_eq(*v, STR("1")) ? NULL : "unknown signature version";
}

static const char *read_algorithm(struct parse *parse)
{
	const struct str *a = tags_get(&parse->tags, "a");
	if (a == NULL)
		return "no a= in the signature";
	parse->signature->algorithm = str_head(*a, ALGORITHM_SHOWN);
	parse->signature->key_type = DKIM_KEY_RSA;
	if (str_ieq(*a, STR("rsa-sha256")))
		return NULL;
	parse->signature->key_type = DKIM_KEY_ED25519;
	if (str_ieq(*a, STR("ed25519-sha256")))
		return NULL;
	/* RFC 8301 section 3.1 */
	return str_ieq(*a, STR("rsa-sha1")) ? "rsa-sha1 is not accepted any more" : "unknown signature algorithm";
}

static const char *read_names(struct parse *parse)
{
	struct dkim_signature *signature = parse->signature;
	const struct str *d = tags_get(&parse->tags, "d"), *s = tags_get(&parse->tags, "s");
	bool d_good = d != NULL && read_domain(parse->arena, *d, 2, &signature->domain);
	bool s_good = s != NULL && read_domain(parse->arena, *s, 1, &signature->selector);
	if (d_good)
		signature->identity_domain = signature->domain;
	if (!d_good)
		return d == NULL ? "no d= in the signature" : "d= is no domain name";
	if (!s_good)
		return s == NULL ? "no s= in the signature" : "s= is no selector";
	signature->key_name = arena_printf(
		parse->arena, "%.*s._domainkey.%.*s", STR_ARG(signature->selector), STR_ARG(signature->domain));
	return domain_is_askable(signature->key_name) ? NULL : "the key's name is too long for the DNS";
}

static const char *read_identity(struct parse *parse)
{
	struct dkim_signature *signature = parse->signature;
	const struct str *i = tags_get(&parse->tags, "i");
	if (signature->domain.n == 0)
		return NULL;
	if (i == NULL) {
		signature->identity = arena_printf(parse->arena, "@%.*s", STR_ARG(signature->domain));
		return NULL;
	}
	struct str text, domain;
	/* Quoted, each byte can take three. */
	if (i->n > 3 * IDENTITY_MAX || !dkim_quoted_printable_decode(parse->arena, *i, &text))
		return "malformed i=";
	ptrdiff_t at = str_rindex(text, '@');
	if (at < 0 || !read_domain(parse->arena, str_skip(text, (size_t)at + 1), 1, &domain))
		return "malformed i=";
	signature->identity = arena_printf(parse->arena, "%.*s@%.*s", (int)at, text.p, STR_ARG(domain));
	signature->identity_domain = domain;
	return domain_is_within(domain, signature->domain) ? NULL : "i= is not within d=";
}

static bool read_one_canonicalization(struct str word, enum dkim_canonicalization *ret_how)
{
	word = str_trim(word);
	*ret_how = str_ieq(word, STR("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
	return *ret_how == DKIM_RELAXED || str_ieq(word, STR("simple"));
}

bool dkim_canonicalization_parse(
	struct str text, enum dkim_canonicalization *ret_header, enum dkim_canonicalization *ret_body)
{
	struct str body = text, header;
	str_cut(&body, '/', &header);
	*ret_body = DKIM_SIMPLE;
	return read_one_canonicalization(header, ret_header) &&
	       (body.p == NULL || read_one_canonicalization(body, ret_body));
}

static const char *read_canonicalization(struct parse *parse)
{
	struct dkim_signature *signature = parse->signature;
	const struct str *c = tags_get(&parse->tags, "c");
	signature->header_canonicalization = signature->body_canonicalization = DKIM_SIMPLE;
	if (c == NULL)
		return NULL;
	return dkim_canonicalization_parse(*c, &signature->header_canonicalization, &signature->body_canonicalization)
		       ? NULL
		       : "unknown canonicalization";
}

/* Unknown methods are skipped, one known has to be there. "dns" alone is what early signers wrote. */
static const char *read_query(struct parse *parse)
{
	const struct str *q = tags_get(&parse->tags, "q");
	if (q == NULL)
		return NULL;
	for (struct str rest = *q, word; str_cut(&rest, ':', &word);) {
		word = str_trim(word);
		if (str_ieq(word, STR("dns/txt")) || str_ieq(word, STR("dns")))
			return NULL;
	}
	return "unknown key query method";
}

static const char *read_header_names(struct parse *parse)
{
	const struct str *h = tags_get(&parse->tags, "h");
	if (h == NULL || h->n == 0)
		return "no h= in the signature";
	parse->signature->header_names = *h;
	for (struct str rest = *h, name; str_cut(&rest, ':', &name);)
		if (is_from(name))
			return NULL;
	/* RFC 6376 section 5.4: else anyone could replace the author. */
	return "From is not signed";
}

static const char *read_body_hash(struct parse *parse)
{
	const struct str *bh = tags_get(&parse->tags, "bh");
	size_t n;
	if (bh == NULL || bh->n == 0)
		return "no bh= in the signature";
	if (!base64_decode(*bh, parse->signature->body_hash, SHA256_SIZE, &n) || n != SHA256_SIZE)
		return "malformed bh=";
	return NULL;
}

static const char *read_signature(struct parse *parse)
{
	struct dkim_signature *signature = parse->signature;
	const struct str *b = tags_get(&parse->tags, "b");
	if (b == NULL || b->n == 0)
		return "no b= in the signature";
	char *start = arena_alloc(parse->arena, 8);
	size_t n_start = 0;
	for (size_t i = 0; i < b->n && n_start < 8; i++)
		if (!str_is_space(b->p[i]))
			start[n_start++] = b->p[i];
	signature->signature_start = str_from(start, n_start);
	uint8_t *bytes = arena_alloc(parse->arena, SIGNATURE_MAX);
	size_t n;
	/* No key that we use makes a longer one. */
	if (!base64_decode(*b, bytes, SIGNATURE_MAX, &n))
		return "malformed b=";
	signature->signature = str_from((const char *)bytes, n);
	return NULL;
}

static const char *read_body_length(struct parse *parse)
{
	const struct str *l = tags_get(&parse->tags, "l");
	parse->signature->body_length = BODY_WHOLE;
	if (l == NULL)
		return NULL;
	return read_number(*l, &parse->signature->body_length) ? NULL : "malformed l=";
}

static const char *read_times(struct parse *parse)
{
	struct dkim_signature *signature = parse->signature;
	const struct str *t = tags_get(&parse->tags, "t"), *x = tags_get(&parse->tags, "x");
	uint64_t number;
	signature->signed_at = signature->expires_at = -1;
	if (t != NULL) {
		if (!read_number(*t, &number))
			return "malformed t=";
		signature->signed_at = (int64_t)number;
	}
	if (x != NULL) {
		if (!read_number(*x, &number))
			return "malformed x=";
		signature->expires_at = (int64_t)number;
	}
	if (t != NULL && signature->signed_at > parse->now && signature->signed_at - parse->now > parse->drift)
		return "signed in the future";
	/* RFC 6376 section 3.5: x= MUST be greater; where both are past all reckoning nothing can be said. */
	if (t != NULL && x != NULL && signature->expires_at <= signature->signed_at &&
		signature->expires_at != INT64_MAX)
		return "x= is not after t=";
	if (x != NULL && signature->expires_at < parse->now && parse->now - signature->expires_at > parse->drift)
		return DKIM_REASON_EXPIRED;
	return NULL;
}

void dkim_signature_parse(
	struct arena *arena, struct str value, int64_t now, unsigned drift, struct dkim_signature *ret_signature)
{
	/* The first that complains is the reason; names are read first, for a result should say whose signature it was.
	 */
	static const char *(*const readers[])(struct parse *) = {read_names, read_identity, read_signature, read_times,
		read_version, read_algorithm, read_canonicalization, read_query, read_header_names, read_body_hash,
		read_body_length};
	struct parse parse = {.arena = arena, .signature = ret_signature, .now = now, .drift = drift};
	*ret_signature = (struct dkim_signature){.signed_at = -1, .expires_at = -1, .body_length = BODY_WHOLE};
	tags_parse(arena, value, &parse.tags);
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		const char *problem = readers[i](&parse);
		if (ret_signature->problem == NULL)
			ret_signature->problem = problem;
	}
	const struct str *r = tags_get(&parse.tags, "r");
	ret_signature->report_requested = r != NULL && str_eq(*r, STR("y"));
	if (parse.tags.error != NULL)
		ret_signature->problem = parse.tags.error;
}
