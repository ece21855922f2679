/*
 * Signing one message: who signs, with which options, and the fields that come of it. Pure but for keys that are
 * read at first use.
 *
 * Two ways lead to a signature: the author's row of SigningTable, for mail that is ours; and a recipient in
 * ResignMailTo, for mail from anywhere to a list, which is then signed beside being verified.
 */
#ifndef TRIMILTER_AUTH_SIGNING_H
#define TRIMILTER_AUTH_SIGNING_H

#include "auth/origin.h"
#include "auth/signers.h"

struct signing {
	struct arena *arena;
	const struct runtime *runtime;
	const struct headers *headers;
	struct dkim_body *body;
	/* What the recipients say. */
	struct str unsigned_rcpt; /* one in DontSignMailTo; empty: none */
	bool body_length;         /* one is in BodyLengthDB */
	struct address list;      /* the first in ResignMailTo; empty domain: none */
	/* Chosen at the end of the headers. */
	const struct dkim_signer *signers;
	size_t n_signers;
	struct dkim_signing **begun; /* one to each */
	bool is_list;                /* the signers are the list's */
	struct str failure;          /* it should be signed and cannot be: why; empty: no */
	struct str unsigned_why;     /* it is not signed: why */
	bool why_matters;            /* that is worth a word in the log always, not by LogWhy alone */
	/* At the end. */
	struct dkim_signer *signed_by; /* whose signature was added */
	size_t n_signed;
};

/** All is borrowed and must outlive the signing; at most one message each. */
void signing_init(struct signing *signing, struct arena *arena, const struct runtime *runtime,
	const struct headers *headers, struct dkim_body *body);

/** A recipient, without brackets or with. */
void signing_rcpt(struct signing *signing, struct str rcpt);

/**
 * The header is complete: choose signers and register the body hashes.
 * @user  who authenticated; empty: nobody
 */
void signing_begin(struct signing *signing, const struct origin *origin, const struct author *author, struct str user,
	int64_t now);

/** It is or should be signed as ours, so that nobody needs to verify it. */
bool signing_is_ours(const struct signing *signing);

/**
 * After dkim_body_end(). Appends a DKIM-Signature to @insertions for each signer, unless one is there already.
 * @verified  a list's signature is due
 */
void signing_end(struct signing *signing, bool verified, struct verdict_insertion *insertions, size_t *n);

#endif
