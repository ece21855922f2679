/*
 * What was found, as our Authentication-Results field (RFC 8601) and as the log line. Pure.
 */
#ifndef TRIMILTER_AUTH_FIELD_H
#define TRIMILTER_AUTH_FIELD_H

#include "auth/auth.h"

/**
 * The field's value, folded with "\n\t", beginning with a space.
 * @envelope     as given at MAIL
 * @disposition  what DMARC did, for the comment that ResultComments adds
 * @queue_id     for AuthservIDWithJobID
 */
struct str field_results(struct arena *arena, const struct auth_options *options, const struct auth_findings *findings,
	const struct auth_envelope *envelope, enum dmarc_policy disposition, struct str queue_id);

/** The value of a Received-SPF field (RFC 7208 section 9.1) in the same form; after SPF was evaluated. */
struct str field_received_spf(struct arena *arena, const struct auth_options *options,
	const struct auth_findings *findings, const struct auth_envelope *envelope);

struct logline_input {
	const struct auth_findings *findings;
	const struct auth_envelope *envelope;
	const struct verdict *verdict;
	const struct dkim_signer *signers; /* that signed */
	size_t n_signers;
	struct str queue_id;
	struct str reason;       /* of the verdict; empty: none */
	struct str unsigned_why; /* why an internal message was not signed; empty: nothing to say */
};

/** "QID: client=... from=... spf=... dkim=... dmarc=... action=..."; values with odd bytes are quoted. */
struct str logline_write(struct arena *arena, const struct logline_input *input);

#endif
