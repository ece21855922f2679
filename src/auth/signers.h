/*
 * Whose mail is signed, and with which key: Domain/Selector/KeyFile, or
 * KeyTable and SigningTable. Immutable once built; any thread.
 *
 * Look-ups are by hash and by suffix: a table of 100,000 domains costs what
 * one of 10 costs.
 */
#ifndef TRIMILTER_AUTH_SIGNERS_H
#define TRIMILTER_AUTH_SIGNERS_H

#include "dkim/dkim.h"
#include "message/address.h"
#include "tables/dataset.h"

struct signers;

struct signers_source {
	/* One key for some domains ... */
	const struct str *domains; /* Domain, canonical; "*": every author's own domain */
	size_t n_domains;
	struct str selector;
	struct str key_file;
	bool subdomains; /* SubDomains: sign below the domains too */
	/* ... or tables; NULL: not configured. With tables the above is not looked at. */
	const struct dataset *key_table;     /* name -> domain:selector:keyfile; % for the author's domain */
	const struct dataset *lists;         /* ResignMailTo: recipient -> key name; NULL: none */
	const struct dataset *signing_table; /* user@host, host, .domain, user@*, * -> key name[:signer] */
	/* Checks. */
	unsigned minimum_key_bits; /* RSA keys below it are errors; never below 1024 */
	bool require_safe_keys;    /* a key that others may read, or replace, is an error, else a warning */
	bool multiple_signatures;  /* every matching row of the signing table signs, not the first alone */
	struct str user;           /* UserID: who will read the keys, where this process is root; empty: this process */
	struct str base_directory; /* where relative key paths start; empty: the working directory */
	struct diag_place place;   /* of the option that named them */
};

/**
 * Reads and checks every key up to 1,000 distinct ones; beyond that existence, owner and mode alone, and a
 * key is parsed at first use. Every mistake goes to @diag: a missing, unreadable, unsafe or too small key, a row
 * that names an unknown key, a malformed row. @arena must live as long as the signers.
 */
enum err signers_build(
	struct arena *arena, const struct signers_source *source, struct diag *diag, struct signers **ret_signers);

enum signers_outcome {
	SIGNERS_FOUND,
	SIGNERS_NO_MATCH,  /* this author's mail is not signed by us */
	SIGNERS_KEY_BROKEN /* it should be signed, but the key cannot be had: never send it unsigned */
};

/**
 * @author       the address whose mail is to be signed
 * *ret_signers  in @arena, keys held until its reset; in table order
 * *ret_why      for KEY_BROKEN, in @arena
 * NULL @signers: NO_MATCH.
 */
enum signers_outcome signers_select(const struct signers *signers, struct arena *arena, const struct address *author,
	const struct dkim_signer **ret_signers, size_t *ret_n, struct str *ret_why);

/** Has this author a row? @arena  scratch */
bool signers_have_author(const struct signers *signers, struct arena *arena, const struct address *author);

/** Is there any recipient for whose mail a list signs? NULL @signers: no. */
bool signers_have_lists(const struct signers *signers);
/** Is it this one? @arena  scratch */
bool signers_have_list(const struct signers *signers, struct arena *arena, const struct address *recipient);
/** Its keys, like signers_select(); where a row says "%", that is the recipient's domain. */
enum signers_outcome signers_select_list(const struct signers *signers, struct arena *arena,
	const struct address *recipient, const struct dkim_signer **ret_signers, size_t *ret_n, struct str *ret_why);

/** @pattern of a KeyTable with @domain in the place of each "%"; in @arena, or @pattern itself where it has none. */
struct str signers_fill_in(struct arena *arena, struct str pattern, struct str domain);

/** A key that signs, for trimilterctl. Borrowed from the signers. */
struct signers_entry {
	struct str name;
	struct str domain, selector; /* "%": the author's domain */
	struct str key_file;         /* path, "%" in it likewise; empty: the key stands in the table itself */
	struct str key_text;         /* which is then here */
};
/** Every distinct (domain, selector); calls @visit until it returns false. */
void signers_each(
	const struct signers *signers, bool (*visit)(void *context, const struct signers_entry *entry), void *context);

#endif
