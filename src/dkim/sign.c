#include "dkim/base64.h"
#include "dkim/body.h"
#include "dkim/field.h"
#include "dkim/header_hash.h"
#include "dkim/private_key.h"

/* Names in h=. A message with more fields of the signed kinds is nonsense, and h= must not grow without end. */
#define NAMES_MAX 500
/* z= is for looking at; what does not fit is left out. */
#define DIAGNOSTICS_MAX 4096

/*
 * RFC 6376 section 5.4.1; and what decides how the body is shown (else a new Content-Type makes another message of
 * the signed bytes, section 8.15's class), Message-ID, and List-Unsubscribe-Post (RFC 8058 section 4 demands it).
 */
static const struct str default_names[] = {STR_INIT("from"), STR_INIT("reply-to"), STR_INIT("subject"),
	STR_INIT("date"), STR_INIT("to"), STR_INIT("cc"), STR_INIT("resent-date"), STR_INIT("resent-from"),
	STR_INIT("resent-to"), STR_INIT("resent-cc"), STR_INIT("in-reply-to"), STR_INIT("references"),
	STR_INIT("list-id"), STR_INIT("list-help"), STR_INIT("list-unsubscribe"), STR_INIT("list-subscribe"),
	STR_INIT("list-post"), STR_INIT("list-owner"), STR_INIT("list-archive"), STR_INIT("list-unsubscribe-post"),
	STR_INIT("message-id"), STR_INIT("mime-version"), STR_INIT("content-type"),
	STR_INIT("content-transfer-encoding")};
#define N_DEFAULT_NAMES (sizeof(default_names) / sizeof(default_names[0]))

struct dkim_signing {
	struct arena *arena;
	const struct dkim_sign_options *options;
	const struct dkim_signer *signer;
	int64_t now;
	struct str names;       /* h= */
	struct str diagnostics; /* z=; empty: none */
	struct header_hash header_hash;
	const struct dkim_body_hash *body_hash;
};

/* ---- which fields ---- */

static bool is_default(struct str name)
{
	for (size_t i = 0; i < N_DEFAULT_NAMES; i++)
		if (str_ieq(default_names[i], name))
			return true;
	return false;
}

static bool is_edit(struct str item)
{
	return item.n > 0 && (item.p[0] == '+' || item.p[0] == '-');
}

static struct str without_sign(struct str item)
{
	return is_edit(item) ? str_skip(item, 1) : item;
}

/*
 * OpenDKIM's way to write such lists: names; "*" for the default names; "+name" and "-name" change what stands so
 * far, and at the very beginning they change the default.
 */
static bool list_has(const struct str *list, size_t n, struct str name)
{
	bool has = n > 0 && is_edit(list[0]) && is_default(name);
	for (size_t i = 0; i < n; i++) {
		if (str_eq(list[i], STR("*")))
			has = has || is_default(name);
		else if (str_ieq(without_sign(list[i]), name))
			has = list[i].p[0] != '-';
	}
	return has;
}

static bool is_signed(const struct dkim_sign_options *options, struct str name)
{
	/* Without From a signature means nothing (RFC 6376 section 5.4), whatever the lists say. */
	if (str_ieq(name, STR("from")))
		return true;
	/* One more name than fields protects nothing unless all the fields are there. */
	if (list_has(options->oversign_headers, options->n_oversign_headers, name))
		return true;
	if (list_has(options->omit_headers, options->n_omit_headers, name))
		return false;
	return options->sign_headers == NULL ? is_default(name)
					     : list_has(options->sign_headers, options->n_sign_headers, name);
}

static void add_name(struct buf *names, struct str name)
{
	if (names->n > 0)
		buf_add_char(names, ':');
	buf_add(names, name);
}

static void add_oversigned(struct buf *names, const struct headers *headers, struct str name)
{
	/* Spelled as in the message, which looks less like a mistake. */
	const struct header_field *field = headers_find(headers, name);
	add_name(names, field != NULL ? header_field_name(field) : name);
}

static struct str choose_names(
	struct arena *arena, const struct dkim_sign_options *options, const struct headers *headers)
{
	const struct str *oversign = options->oversign_headers;
	struct buf names = buf_in(arena);
	size_t n = 0;
	for (size_t i = 0; i < headers->n && n < NAMES_MAX; i++) {
		struct str name = header_field_name(&headers->fields[i]);
		if (is_signed(options, name)) {
			add_name(&names, name);
			n++;
		}
	}
	for (size_t i = 0; i < N_DEFAULT_NAMES; i++)
		if (list_has(oversign, options->n_oversign_headers, default_names[i]))
			add_oversigned(&names, headers, default_names[i]);
	for (size_t i = 0; i < options->n_oversign_headers; i++) {
		struct str name = without_sign(oversign[i]);
		if (!is_default(name) && !str_eq(name, STR("*")) &&
			list_has(oversign, options->n_oversign_headers, name))
			add_oversigned(&names, headers, name);
	}
	/* A message without From still says that it had none. */
	if (headers_find(headers, STR("from")) == NULL && !list_has(oversign, options->n_oversign_headers, STR("from")))
		add_name(&names, STR("From"));
	return buf_str(&names);
}

/* ---- quoted-printable ---- */

/* RFC 6376 section 2.11; "|" too, which separates the fields in z=. */
static void write_quoted_printable(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c > ' ' && c < 0x7f && c != ';' && c != '=' && c != '|')
			buf_add_char(out, (char)c);
		else
			buf_printf(out, "=%02X", c);
	}
}

/* The signed fields as they were, for whoever looks for what changed on the way. */
static struct str copy_fields(
	struct arena *arena, const struct dkim_sign_options *options, const struct headers *headers)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < headers->n; i++) {
		const struct header_field *field = &headers->fields[i];
		if (!is_signed(options, header_field_name(field)) || field->value.n > DIAGNOSTICS_MAX)
			continue;
		size_t before = out.n;
		if (before > 0)
			buf_add_char(&out, '|');
		write_quoted_printable(&out, field->name);
		buf_add_char(&out, ':');
		write_quoted_printable(&out, field->value);
		if (out.n > DIAGNOSTICS_MAX)
			out.n = before;
	}
	return buf_str(&out);
}

/* ---- the field ---- */

struct dkim_signing *dkim_sign_begin(struct arena *arena, const struct dkim_sign_options *options,
	const struct dkim_signer *signer, const struct headers *headers, struct dkim_body *body, int64_t now)
{
	struct dkim_signing *signing = ARENA_NEW(arena, struct dkim_signing);
	signing->arena = arena;
	signing->options = options;
	signing->signer = signer;
	signing->now = now;
	signing->names = choose_names(arena, options, headers);
	if (options->diagnostics)
		signing->diagnostics = copy_fields(arena, options, headers);
	header_hash_begin(&signing->header_hash, sha256_new(arena), options->header_canonicalization, headers,
		signing->names, NULL);
	signing->body_hash = dkim_body_want(body, options->body_canonicalization, BODY_WHOLE);
	return signing;
}

static const char *canonicalization_text(enum dkim_canonicalization how)
{
	switch (how) {
	case DKIM_SIMPLE:
		return "simple";
	case DKIM_RELAXED:
		return "relaxed";
	}
	return "simple";
}

static struct str algorithm_of(const struct dkim_private_key *key)
{
	switch (dkim_private_key_type(key)) {
	case DKIM_KEY_RSA:
		return STR("rsa-sha256");
	case DKIM_KEY_ED25519:
		return STR("ed25519-sha256");
	}
	return STR("");
}

static void write_names(struct field_writer *field, struct str names)
{
	field_tag_begin(field, "h");
	for (struct str rest = names, name; str_cut(&rest, ':', &name);) {
		struct str piece = rest.p != NULL ? str_from(name.p, name.n + 1) : name;
		field_tag_add(field, piece);
	}
	field_tag_end(field);
}

/* All but the value of b=. */
static void write_tags(struct field_writer *field, const struct dkim_signing *signing)
{
	const struct dkim_sign_options *options = signing->options;
	const struct dkim_signer *signer = signing->signer;
	const struct dkim_body_hash *body = signing->body_hash;
	struct arena *arena = signing->arena;
	struct buf identity = buf_in(arena), digest = buf_in(arena);
	field_tag(field, "v", STR("1"));
	field_tag(field, "a", algorithm_of(signer->key));
	field_tag(field, "c",
		arena_printf(arena, "%s/%s", canonicalization_text(options->header_canonicalization),
			canonicalization_text(options->body_canonicalization)));
	field_tag(field, "d", signer->domain);
	field_tag(field, "s", signer->selector);
	if (signer->identity.n > 0) {
		write_quoted_printable(&identity, signer->identity);
		field_tag(field, "i", buf_str(&identity));
	}
	field_tag(field, "t", arena_printf(arena, "%lld", (long long)signing->now));
	if (options->signature_ttl > 0)
		field_tag(field, "x", arena_printf(arena, "%lld", (long long)signing->now + options->signature_ttl));
	if (options->body_lengths)
		field_tag(field, "l", arena_printf(arena, "%llu", (unsigned long long)body->n_hashed));
	if (options->report_requested)
		field_tag(field, "r", STR("y"));
	write_names(field, signing->names);
	if (signing->diagnostics.n > 0) {
		field_tag_begin_line(field, "z");
		field_tag_fill(field, signing->diagnostics);
		field_tag_end(field);
	}
	base64_write(&digest, body->digest, SHA256_SIZE);
	field_tag(field, "bh", buf_str(&digest));
	field_tag_begin_line(field, "b");
}

bool dkim_sign_end(struct dkim_signing *signing, struct str *ret_value)
{
	uint8_t hash[SHA256_SIZE], signature[SIGNATURE_MAX];
	size_t n;
	struct field_writer field;
	struct buf text = buf_in(signing->arena);
	if (!signing->body_hash->usable)
		return false;
	field_begin(&field, signing->arena, "DKIM-Signature");
	write_tags(&field, signing);
	if (!header_hash_end(&signing->header_hash, STR("DKIM-Signature"), buf_str(&field.out), hash) ||
		!crypto_key_sign(dkim_private_key_crypto(signing->signer->key), hash, signature, &n))
		return false;
	base64_write(&text, signature, n);
	field_tag_fill(&field, buf_str(&text));
	*ret_value = buf_str(&field.out);
	return true;
}
