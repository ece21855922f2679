/*
 * One private key file: who else may read or replace it, and what is in it.
 * Every complaint goes to a diag, with the command that mends it.
 */
#ifndef TRIMILTER_AUTH_KEYFILE_H
#define TRIMILTER_AUTH_KEYFILE_H

#include "auth/keyring.h"

/** RFC 8301 section 3.2 */
#define KEYFILE_MINIMUM_BITS 1024
#define KEYFILE_RECOMMENDED_BITS 2048

/** Remembers the directories that it has looked at. In @arena; @options borrowed. */
struct keyfile_checker;
struct keyfile_checker *keyfile_checker_new(struct arena *arena, const struct keyring_options *options);

/**
 * It exists, is a regular file, this process may read it, and only root and this process's user may read or replace
 * it, the directories above it included. False where there was an error.
 */
bool keyfile_check(struct keyfile_checker *checker, struct str path, struct diag_place place, struct diag *diag);

/** Read and parse; sizes are checked. A reference for the caller; NULL: @diag says why. */
struct dkim_private_key *keyfile_read(
	const struct keyring_options *options, struct str path, struct diag_place place, struct diag *diag);
/** The same for a key at hand; @path empty: it stands in a table. */
struct dkim_private_key *keyfile_parse(const struct keyring_options *options, struct str path, struct str text,
	struct diag_place place, struct diag *diag);

#endif
