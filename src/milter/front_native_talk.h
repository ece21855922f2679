/*
 * One connection's conversation with the MTA: bytes in, calls of the session,
 * replies out. Knows no socket and no event loop, so that a fuzzer and a test can
 * be the MTA (front_native.c brings the bytes from real ones).
 *
 * The order of the commands is libmilter's, with two differences: what libmilter
 * would leave without any answer is a violation here, which ends the connection,
 * so that no MTA waits for nothing; and QUIT_NC is understood in any state.
 */
#ifndef TRIMILTER_MILTER_FRONT_NATIVE_TALK_H
#define TRIMILTER_MILTER_FRONT_NATIVE_TALK_H

#include "milter/session.h"
#include "milter/wire.h"

enum talk_state {
	TALK_NEW,        /* before the negotiation */
	TALK_NEGOTIATED, /* the client comes next */
	TALK_OPEN,       /* between messages */
	TALK_MAIL,
	TALK_RCPT,
	TALK_DATA,
	TALK_HEADER,
	TALK_EOH,
	TALK_BODY,
	TALK_ENDING /* a verdict is waited for */
};

struct talk {
	struct service *service;
	void (*wake)(void *context);
	void *wake_context;
	struct session *session; /* NULL before the negotiation, and after QUIT_NC */
	struct wire_reader reader;
	struct wire_macros macros;
	struct wire_terms terms;
	enum talk_state state;
	bool has_verdict;      /* that whoever sends @out has not sent yet; they set it back */
	const char *violation; /* why it ended; NULL: as it should. Static */
};

enum talk_step {
	TALK_READS,   /* all bytes are used up, or the rest is not a whole command yet */
	TALK_GOES_ON, /* talk_take() again */
	TALK_WAITS,   /* call talk_resume() after wake(), at the latest at talk_deadline() */
	TALK_YIELDS,  /* send what is in @out, let others have their turn, then talk_take() again */
	TALK_ENDS     /* send what is in @out and close */
};

/** @wake  as in struct front_peer */
void talk_init(struct talk *talk, struct service *service, void (*wake)(void *context), void *wake_context);
/** Drops a message under way; no wake() after this returns. */
void talk_finish(struct talk *talk);

/**
 * Use up what can be used of *@bytes, up to a command that is answered: an MTA waits for the answer, and whoever has
 * sent more behind it (a MAIL begins look-ups, an end is judged) shall not keep others from their turn meanwhile.
 * Not while a verdict is waited for.
 */
enum talk_step talk_take(struct talk *talk, struct str *bytes, struct wire_out *out);
/** Try again to get the verdict: TALK_GOES_ON when it is in @out. */
enum talk_step talk_resume(struct talk *talk, struct wire_out *out);
/** clock_monotonic_ms() from which talk_resume() waits no longer. */
int64_t talk_deadline(const struct talk *talk);

#endif
