/*
 * One stored message through the daemon's own way (src/auth), with a file in the place of the MTA: what check, explain
 * and sign share.
 */
#ifndef TRIMILTER_CTL_MESSAGE_H
#define TRIMILTER_CTL_MESSAGE_H

#include "ctl/command_line.h"

/* A message is read whole here; the daemon never does that. */
#define MESSAGE_MAX ((size_t)256 * 1024 * 1024)
#define MESSAGE_RCPTS_MAX 64

struct message_request {
	struct ctl ctl;
	const char *verb;
	struct auth_envelope envelope;
	struct str rcpts[MESSAGE_RCPTS_MAX];
	size_t n_rcpts;
	struct str text;
};

/**
 * After ctl_open(). *ret_message is to be dropped before the arena goes; findings and verdict belong to it.
 */
const struct verdict *message_pass(struct message_request *request, struct auth_message **ret_message);

/* clang-format off */
#define MESSAGE_USAGE \
	"  --client-ip IP           address of the client that brought it; without it SPF is not evaluated\n" \
	"  --client-name NAME       its verified name\n" \
	"  --helo NAME              what it said in HELO or EHLO\n" \
	"  --mail-from ADDR         what it said in MAIL FROM\n" \
	"  --rcpt ADDR              a recipient; may be repeated\n" \
	"  --auth USER              the client has authenticated as USER\n" CTL_COMMON_USAGE
/* clang-format on */

/** Verify a message as the command line @argv of @verb says, and print what @show makes of it. An exit status. */
int message_verify(int argc, char **argv, const char *verb, const char *usage,
	void (*show)(struct message_request *request, struct buf *out, const struct auth_findings *findings,
		const struct verdict *verdict));

/** The reply, "550 5.7.1 text"; p NULL where there is none. */
struct str message_reply(struct arena *arena, const struct verdict *verdict);

#endif
