/*
 * The milter protocol as bytes, versions 2 to 6: commands in, replies out, what
 * is negotiated, and the macros that the MTA gives. No I/O; knows no session.
 *
 * What comes in is another program's word and may be anything: whatever is not
 * exactly as the protocol has it is a violation, and the connection's end.
 */
#ifndef TRIMILTER_MILTER_WIRE_H
#define TRIMILTER_MILTER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"

/**
 * Bytes that a packet may have behind its length: a field as large as MaximumHeaders lets a whole section be comes
 * through, so that one beyond it is answered, not cut off. Postfix and Sendmail cut fields far below it (100 KiB, 32
 * KiB).
 */
#define WIRE_PACKET_MAX ((size_t)5 * 1024 * 1024)
/** Nobody sends so many macros at a time. */
#define WIRE_MACROS_MAX ((size_t)64 * 1024)
/** The value of a macro that is read; it is kept for as long as its connection. */
#define WIRE_MACRO_VALUE_MAX ((size_t)1000)

/* ---- commands ---- */

enum wire_code {
	WIRE_ABORT = 'A',
	WIRE_BODY = 'B',
	WIRE_CONNECT = 'C',
	WIRE_MACROS = 'D',
	WIRE_END = 'E',
	WIRE_HELO = 'H',
	WIRE_QUIT_NC = 'K', /* quit, a new connection follows */
	WIRE_HEADER = 'L',
	WIRE_MAIL = 'M',
	WIRE_EOH = 'N',
	WIRE_NEGOTIATE = 'O',
	WIRE_QUIT = 'Q',
	WIRE_RCPT = 'R',
	WIRE_DATA = 'T',
	WIRE_UNKNOWN = 'U' /* an SMTP command that the MTA does not know */
};

/** Stages to which macros belong, in the order in which they come. */
enum wire_stage { STAGE_CONNECT, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_EOH, STAGE_END, N_WIRE_STAGES };

struct wire_offer {
	uint32_t version, actions, protocol;
};

/** All text is borrowed from the bytes read; what C strings on the wire hold, without their NUL. */
struct wire_command {
	enum wire_code code;
	/*
	 * CONNECT: the client's name. HELO: its argument. MAIL, RCPT: the first argument. HEADER: the field's name.
	 * BODY, END: the bytes, perhaps none. MACROS: names and values, each ended by a NUL.
	 */
	struct str text;
	struct str value;        /* HEADER */
	struct ip client;        /* CONNECT; IP_NONE: local, or unknown */
	enum wire_stage stage;   /* MACROS; N_WIRE_STAGES: of a command that has none here */
	struct wire_offer offer; /* NEGOTIATE */
};

struct wire_reader {
	size_t body_left; /* bytes of a body chunk that are still to come */
};

enum wire_result { WIRE_INCOMPLETE, WIRE_COMPLETE, WIRE_VIOLATION };

/**
 * Take a command off the front of *@bytes. A body chunk is handed out in as many pieces as it arrives in, so nobody
 * has to hold one; all else waits until it is whole.
 * WIRE_INCOMPLETE: *bytes is as it was, more is needed. WIRE_VIOLATION: *ret_why says what is wrong (static).
 */
enum wire_result wire_read(
	struct wire_reader *reader, struct str *bytes, struct wire_command *ret_command, const char **ret_why);

/** Bytes that the packet of which @bytes is the beginning will have in all. */
size_t wire_size(struct str bytes);

/* ---- negotiation ---- */

/** What the MTA understands or need not do, as far as it matters here. */
enum {
	WIRE_NR_HEADER = 0x80, /* "NR": needs no reply */
	WIRE_NO_UNKNOWN = 0x100,
	WIRE_NO_DATA = 0x200,
	WIRE_NR_CONNECT = 0x1000,
	WIRE_NR_HELO = 0x2000,
	WIRE_NR_MAIL = 0x4000,
	WIRE_NR_RCPT = 0x8000,
	WIRE_NR_EOH = 0x40000,
	WIRE_NR_BODY = 0x80000,
	WIRE_LEADING_SPACE = 0x100000
};

/** The MTA can be told which macros are wanted (an action). */
#define WIRE_SET_MACROS 0x100U
#define WIRE_ADD_RECIPIENT 0x4U

struct wire_terms {
	uint32_t version, actions, protocol;
};

/** Macros to be given at a stage, by the numbers of smfi_setsymlist(): it has the message's end before the header's. */
struct wire_macro_list {
	uint32_t stage;
	struct str names; /* apart by blanks; ends in a NUL */
};
#define WIRE_MACRO_LISTS 6
extern const struct wire_macro_list wire_macro_lists[WIRE_MACRO_LISTS];

/** The latest version of the protocol, which has all that is asked for. */
#define WIRE_VERSION 6

/** What we ask for of @offer, whichever front asks. False: the MTA does not allow what we need. */
bool wire_agree(const struct wire_offer *offer, struct wire_terms *ret_terms);

/** No reply is expected to that command under @terms. */
bool wire_is_silent(const struct wire_terms *terms, enum wire_code code);

/* ---- replies ---- */

enum wire_reply {
	REPLY_CONTINUE = 'c',
	REPLY_DISCARD = 'd',
	REPLY_REJECT = 'r',
	REPLY_TEMPFAIL = 't',
	REPLY_INSERT = 'i',
	REPLY_CHANGE = 'm',
	REPLY_ADD_RECIPIENT = '+',
	REPLY_QUARANTINE = 'q',
	REPLY_TEXT = 'y'
};

/** Replies that wait to be sent. Begins as {0}. */
struct wire_out {
	char *p;
	size_t n, capacity;
	bool failed; /* out of memory: what is there is not all */
};

void wire_out_finish(struct wire_out *out);

void wire_put(struct wire_out *out, enum wire_reply reply);
/** Our side of the negotiation, with the macros that we want to be given. */
void wire_put_terms(struct wire_out *out, const struct wire_terms *terms);
/** INSERT, CHANGE. False, and nothing is put: it does not fit into a packet, or the name is empty. */
bool wire_put_field(struct wire_out *out, enum wire_reply reply, uint32_t index, const char *name, const char *value);
/** ADD_RECIPIENT, QUARANTINE, TEXT. False, and nothing is put: it does not fit, or is empty. */
bool wire_put_text(struct wire_out *out, enum wire_reply reply, const char *text);

/* ---- macros ---- */

/** Begins as {0}. */
struct wire_macros {
	struct {
		char *p;
		size_t n, capacity;
	} sets[N_WIRE_STAGES];
};

void wire_macros_finish(struct wire_macros *macros);
/**
 * Takes the place of the former set of that stage; one without any macro changes nothing. Of @pairs only the macros
 * that we ask for are kept, so that a look-up costs the same whatever else was sent. NULL, or why not (static).
 */
const char *wire_macros_set(struct wire_macros *macros, enum wire_stage stage, struct str pairs);
/** Forget the sets of @first and of what comes after it. */
void wire_macros_clear(struct wire_macros *macros, enum wire_stage first);
/** Of the latest stage that has it; "i" and "{i}" are the same. p is NULL when there is none. */
struct str wire_macros_get(const struct wire_macros *macros, const char *name);

#endif
