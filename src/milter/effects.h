/*
 * Carries out a verdict in the terms of the milter protocol; the same for every
 * front, so that their replies cannot differ.
 */
#ifndef TRIMILTER_MILTER_EFFECTS_H
#define TRIMILTER_MILTER_EFFECTS_H

#include "auth/verdict.h"

/** The modifications of the protocol; false: the MTA did not take it. All text is NUL-terminated and borrowed. */
struct effects_port {
	bool (*delete_field)(void *context, const char *name, unsigned ordinal);
	/** At the very top. */
	bool (*insert_field)(void *context, const char *name, const char *value);
	/** Where the MTA does not let recipients be added: false. */
	bool (*add_recipient)(void *context, const char *address);
	bool (*quarantine)(void *context, const char *reason);
	/** @text  '%' is doubled already */
	bool (*set_reply)(void *context, const char *code, const char *enhanced_code, const char *text);
	void *context;
	bool leading_space; /* SMFIP_HDR_LEADSPC was negotiated: values carry the space behind the colon */
};

/**
 * Deletions in the order given, then insertions, the recipient to add, quarantine; for REJECT and TEMPFAIL the reply
 * alone, for DISCARD nothing. What the protocol calls the action is the front's to say. False: something was not taken
 * (but for the recipient, which is lost with a word in the log); the rest was not tried then.
 */
bool effects_apply(const struct effects_port *port, const struct verdict *verdict);

#endif
