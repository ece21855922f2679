/*
 * The private keys that a configuration names: each file checked once and
 * parsed once, however many rows name it.
 *
 * Up to 1,000 distinct keys are parsed when the configuration is loaded. Of
 * more only existence, owner and mode are checked then; they are parsed at
 * first use and the 1,000 used last are kept. Any thread.
 */
#ifndef TRIMILTER_AUTH_KEYRING_H
#define TRIMILTER_AUTH_KEYRING_H

#include <sys/types.h>

#include "base/diag.h"
#include "base/err.h"
#include "dkim/dkim.h"

struct keyring_options {
	unsigned minimum_key_bits; /* RSA; below 1024 counts as 1024 */
	bool require_safe_keys;    /* what others may read or replace is an error, else a warning */
	uid_t reader;              /* who reads the keys: this process, or whom it will become */
};

struct keyring;
struct keyring_key;

/** In @arena, which releases the keys at its reset. */
struct keyring *keyring_new(struct arena *arena, const struct keyring_options *options);

/** Note a key file, or a key given as text in the table; the same file again gives the same key. */
struct keyring_key *keyring_add_file(struct keyring *keyring, struct str path, struct diag_place place);
struct keyring_key *keyring_add_text(struct keyring *keyring, struct str text, struct diag_place place);

/** All are noted: check and read them. Every mistake goes to @diag, with its remedy. */
enum err keyring_load(struct keyring *keyring, struct diag *diag);

/**
 * A reference for the caller, or NULL with *ret_why (in @arena) when the key cannot be had now.
 * Reads the file at first use where it has not been read.
 */
struct dkim_private_key *keyring_get(
	struct keyring *keyring, const struct keyring_key *key, struct arena *arena, struct str *ret_why);
/** The same for a path that is known only now ("%" in a key table). */
struct dkim_private_key *keyring_get_file(
	struct keyring *keyring, struct str path, struct arena *arena, struct str *ret_why);

/** Distinct keys noted. */
size_t keyring_count(const struct keyring *keyring);

#endif
