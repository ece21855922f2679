/*
 * Mail that others hand on to us: whom they had it from, and whether we trust them to forward what breaks. Pure.
 */
#ifndef TRIMILTER_AUTH_FORWARDER_H
#define TRIMILTER_AUTH_FORWARDER_H

#include "auth/auth.h"
#include "message/received.h"

/**
 * Whom a SecondaryMX had the message from. Its own Received field is the topmost; where that names the host itself
 * (a content filter) or another SecondaryMX, the next one is that host's, and so on.
 * NULL: *ret_client is filled; else why it is not known (static).
 */
const char *forwarder_client(struct arena *arena, const struct auth_options *options, const struct headers *headers,
	struct received *ret_client);

/**
 * The host in TrustedForwarders that brought the message, or the domain in DomainWhitelist that has authenticated it
 * (SPF for MAIL FROM, or a signature that counts). Empty: none.
 * @findings  SPF and DKIM are evaluated
 */
struct str forwarder_trusted(struct arena *arena, const struct auth_options *options,
	const struct auth_envelope *envelope, const struct auth_findings *findings);

#endif
