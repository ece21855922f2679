/*
 * What the tests of DKIM share: a message signed or verified in one call, over a zone of records.
 */
#ifndef TRIMILTER_TESTS_DKIM_LAB_H
#define TRIMILTER_TESTS_DKIM_LAB_H

#include "dkim/dkim.h"

struct lab_record {
	const char *name;
	const char *txt; /* NULL: the DNS does not answer; several rows of one name: several records */
};

struct lab {
	struct arena *arena;
	int64_t now;
	size_t chunk; /* bytes per dkim_body_add(), 0: all at once */
	struct dkim_verify_options verify_options;
	struct dkim_keys *keys; /* NULL: none are kept */
	const struct lab_record *zone;
	size_t n_zone;
	const struct str *authors;
	size_t n_authors;
	/* what became of the last lab_verify() */
	const struct dkim_result *results;
	size_t n_results;
	size_t n_questions; /* names asked for */
	size_t n_early;     /* of them named by dkim_verifier_add() */
	size_t n_body_read; /* bytes until dkim_body_add() had enough */
};

/** Today's defaults; everything else zero. */
void lab_init(struct lab *lab, struct arena *arena);
/** The field, "DKIM-Signature: ...", with CRLF; the message itself has CRLF. */
struct str lab_sign(
	struct lab *lab, const struct dkim_sign_options *options, const struct dkim_signer *signer, struct str message);
/** The signed message. */
struct str lab_signed(
	struct lab *lab, const struct dkim_sign_options *options, const struct dkim_signer *signer, struct str message);
/** False when something is missing that nobody was asked for. */
bool lab_verify(struct lab *lab, struct str message);
/** LF to CRLF. */
struct str lab_crlf(struct arena *arena, const char *text);

#endif
