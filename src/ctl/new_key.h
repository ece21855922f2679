/*
 * A key that is made, and its record as the DNS wants it.
 */
#ifndef TRIMILTER_CTL_NEW_KEY_H
#define TRIMILTER_CTL_NEW_KEY_H

#include "base/buf.h"
#include "ctl/files.h"
#include "dkim/key.h"

/** What a record says beside the key; zeroed: nothing. */
struct record_tags {
	bool testing, mail_only, strict; /* t=y, s=email, t=s */
	const char *note;                /* n=; NULL: none */
};

struct new_key {
	enum dkim_key_type type;
	unsigned bits;
	struct str domain;   /* empty: not known */
	struct str selector; /* its name below _domainkey */
	struct str pem;      /* PKCS#8 */
	struct str owner;    /* SELECTOR._domainkey.DOMAIN */
	struct str record;   /* v=DKIM1; ... */
};

/** The value of -b. EX_OK, or EX_USAGE with what is wrong said on stderr in the name of @verb. */
int new_key_bits(const char *verb, const char *text, unsigned *ret_bits);

/** @bits for RSA only. False: OpenSSL refused. All in @arena. */
bool new_key_make(struct arena *arena, enum dkim_key_type type, unsigned bits, struct str domain, struct str selector,
	const struct record_tags *tags, struct new_key *ret_key);

/** "rsa", "ed25519" */
const char *key_type_text(enum dkim_key_type type);
/** "rsa" or "ed25519"; false: neither. */
bool key_type_parse(const char *text, enum dkim_key_type *ret_type);

/** The public half's record of a private key. */
struct str key_record(struct arena *arena, const struct dkim_private_key *key, const struct record_tags *tags);

/** @record as the strings of a TXT record in a zone file: ( "..." "..." ), without the newline. */
void zone_strings_add(struct buf *out, struct str record);

/** A line of a zone file; @name as it is to stand there, with its dot at the end where it is absolute. */
void zone_line_add(struct buf *out, struct str name, struct str record);

/** Rights of a private key: 0600, owned by @user ("user", "user:group"; empty: this process). False: no such user. */
bool key_rights(struct str user, struct file_rights *ret_rights);

#endif
