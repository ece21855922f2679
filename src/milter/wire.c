#include "milter/wire.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define LENGTH_BYTES ((size_t)4)
#define HEAD_BYTES (LENGTH_BYTES + 1)

static uint32_t get_u32(const char *p)
{
	uint32_t value;
	memcpy(&value, p, sizeof(value));
	return ntohl(value);
}

/* ---- the arguments of commands ---- */

/* The C string at the front of *data, and its NUL, taken off. False: there is no NUL. */
static bool cut_string(struct str *data, struct str *ret_string)
{
	ptrdiff_t end = str_index(*data, '\0');
	if (end < 0)
		return false;
	*ret_string = str_head(*data, (size_t)end);
	*data = str_skip(*data, (size_t)end + 1);
	return true;
}

static bool ends_in_nul(struct str data)
{
	return data.n > 0 && data.p[data.n - 1] == '\0';
}

/* Sendmail writes IPv6 addresses as in mail, "IPv6:2001:db8::1". */
static bool read_address(char family, struct str text, struct ip *ret_client)
{
	bool is_v6 = family == '6';
	if (is_v6 && str_istarts(text, STR("IPv6:")))
		text = str_skip(text, 5);
	return (str_index(text, ':') >= 0) == is_v6 && ip_parse(text, ret_client);
}

static const char *read_connect(struct str data, struct wire_command *command)
{
	static const char wrong[] = "CONNECT with wrong arguments";
	struct str address;
	if (!cut_string(&data, &command->text) || data.n == 0)
		return wrong;
	char family = data.p[0];
	command->client = (struct ip){.family = IP_NONE};
	if (family == 'U')
		return NULL;
	/* A port of two bytes stands before the address, or the path of a local socket. */
	data = str_skip(data, 3);
	if (!ends_in_nul(data) || !cut_string(&data, &address))
		return wrong;
	if (family == 'L')
		return NULL;
	if ((family == '4' || family == '6') && read_address(family, address, &command->client))
		return NULL;
	return "CONNECT with an address that is none";
}

static const char *read_header(struct str data, struct wire_command *command)
{
	if (!ends_in_nul(data) || !cut_string(&data, &command->text) || !cut_string(&data, &command->value) ||
		command->text.n == 0)
		return "a header field without name or value";
	return NULL;
}

static const char *read_offer(struct str data, struct wire_command *command)
{
	if (data.n < 12)
		return "a negotiation that is too short";
	command->offer = (struct wire_offer){get_u32(data.p), get_u32(data.p + 4), get_u32(data.p + 8)};
	return NULL;
}

static enum wire_stage stage_of(char code)
{
	switch ((enum wire_code)code) {
	case WIRE_CONNECT:
		return STAGE_CONNECT;
	case WIRE_HELO:
		return STAGE_HELO;
	case WIRE_MAIL:
		return STAGE_MAIL;
	case WIRE_RCPT:
		return STAGE_RCPT;
	case WIRE_DATA:
		return STAGE_DATA;
	case WIRE_EOH:
		return STAGE_EOH;
	case WIRE_END:
		return STAGE_END;
	case WIRE_ABORT:
	case WIRE_BODY:
	case WIRE_MACROS:
	case WIRE_QUIT_NC:
	case WIRE_HEADER:
	case WIRE_NEGOTIATE:
	case WIRE_QUIT:
	case WIRE_UNKNOWN:
		break;
	}
	return N_WIRE_STAGES;
}

static const char *read_macros(struct str data, struct wire_command *command)
{
	if (data.n == 0)
		return "macros of no command";
	if (data.n > WIRE_MACROS_MAX)
		return "too many macros";
	command->stage = stage_of(data.p[0]);
	command->text = str_skip(data, 1);
	return NULL;
}

static const char *read_arguments(struct str data, struct wire_command *command)
{
	switch (command->code) {
	case WIRE_CONNECT:
		return read_connect(data, command);
	case WIRE_HEADER:
		return read_header(data, command);
	case WIRE_NEGOTIATE:
		return read_offer(data, command);
	case WIRE_MACROS:
		return read_macros(data, command);
	case WIRE_HELO:
	case WIRE_MAIL:
	case WIRE_RCPT:
		return cut_string(&data, &command->text) ? NULL : "an argument that does not end";
	case WIRE_UNKNOWN:
	case WIRE_BODY:
		command->text = data;
		return data.n > 0 ? NULL : "a command without its argument";
	case WIRE_END:
		command->text = data;
		return NULL;
	case WIRE_ABORT:
	case WIRE_QUIT_NC:
	case WIRE_EOH:
	case WIRE_QUIT:
	case WIRE_DATA:
		return NULL;
	}
	return "a command that does not exist";
}

/* ---- packets ---- */

size_t wire_size(struct str bytes)
{
	return bytes.n < LENGTH_BYTES ? HEAD_BYTES : LENGTH_BYTES + get_u32(bytes.p);
}

static enum wire_result read_body_piece(struct wire_reader *reader, struct str *bytes, struct wire_command *command)
{
	if (bytes->n == 0)
		return WIRE_INCOMPLETE;
	*command = (struct wire_command){.code = WIRE_BODY, .text = str_head(*bytes, reader->body_left)};
	*bytes = str_skip(*bytes, command->text.n);
	reader->body_left -= command->text.n;
	return WIRE_COMPLETE;
}

enum wire_result wire_read(
	struct wire_reader *reader, struct str *bytes, struct wire_command *ret_command, const char **ret_why)
{
	if (reader->body_left > 0)
		return read_body_piece(reader, bytes, ret_command);
	if (bytes->n < HEAD_BYTES)
		return WIRE_INCOMPLETE;
	size_t n = get_u32(bytes->p);
	if (n == 0 || n > WIRE_PACKET_MAX) {
		*ret_why = n == 0 ? "an empty packet" : "a packet that is too long";
		return WIRE_VIOLATION;
	}
	char code = bytes->p[LENGTH_BYTES];
	if (code == WIRE_BODY && n > 1) {
		*bytes = str_skip(*bytes, HEAD_BYTES);
		reader->body_left = n - 1;
		return read_body_piece(reader, bytes, ret_command);
	}
	/* Whoever announces too much need not be waited for. */
	if (code == WIRE_MACROS && n - 1 > WIRE_MACROS_MAX) {
		*ret_why = "too many macros";
		return WIRE_VIOLATION;
	}
	if (bytes->n < LENGTH_BYTES + n)
		return WIRE_INCOMPLETE;
	*ret_command = (struct wire_command){.code = (enum wire_code)code};
	*ret_why = read_arguments(str_from(bytes->p + HEAD_BYTES, n - 1), ret_command);
	*bytes = str_skip(*bytes, LENGTH_BYTES + n);
	return *ret_why == NULL ? WIRE_COMPLETE : WIRE_VIOLATION;
}

/* ---- negotiation ---- */

enum {
	ADD_HEADERS = 0x1,
	CHANGE_HEADERS = 0x10,
	QUARANTINE = 0x20,
	ACTIONS = ADD_HEADERS | CHANGE_HEADERS | QUARANTINE,
	/* Without any flag an MTA of version 1 is meant, that lets fields be added alone. */
	FIRST_ACTIONS = 0xF
};

#define VERSION_MIN 2

/*
 * No stage but the end of the message ever refuses anything, so none is answered. To skip the rest of a body would be
 * an answer: it is given up for the body's no-reply bit, since the MTA would wait after each chunk for it, and with
 * libmilter each chunk for a turn of the thread pool.
 * MAIL alone is answered: Postfix holds back what needs no answer, and the look-ups that begin at MAIL would else begin
 * when the whole message is there.
 */
static const uint32_t wanted_protocol = WIRE_NR_CONNECT | WIRE_NR_HELO | WIRE_NR_RCPT | WIRE_NR_HEADER | WIRE_NR_EOH |
					WIRE_NR_BODY | WIRE_NO_DATA | WIRE_NO_UNKNOWN | WIRE_LEADING_SPACE;

bool wire_agree(const struct wire_offer *offer, struct wire_terms *ret_terms)
{
	uint32_t actions = offer->actions != 0 ? offer->actions : FIRST_ACTIONS;
	if (offer->version < VERSION_MIN || (actions & ACTIONS) != ACTIONS)
		return false;
	*ret_terms = (struct wire_terms){
		.version = offer->version < WIRE_VERSION ? offer->version : WIRE_VERSION,
		.actions = ACTIONS | (actions & (WIRE_SET_MACROS | WIRE_ADD_RECIPIENT)),
		.protocol = offer->protocol & wanted_protocol,
	};
	return true;
}

bool wire_is_silent(const struct wire_terms *terms, enum wire_code code)
{
	switch (code) {
	case WIRE_CONNECT:
		return (terms->protocol & WIRE_NR_CONNECT) != 0;
	case WIRE_HELO:
		return (terms->protocol & WIRE_NR_HELO) != 0;
	case WIRE_MAIL:
		return (terms->protocol & WIRE_NR_MAIL) != 0;
	case WIRE_RCPT:
		return (terms->protocol & WIRE_NR_RCPT) != 0;
	case WIRE_HEADER:
		return (terms->protocol & WIRE_NR_HEADER) != 0;
	case WIRE_EOH:
		return (terms->protocol & WIRE_NR_EOH) != 0;
	case WIRE_BODY:
		return (terms->protocol & WIRE_NR_BODY) != 0;
	case WIRE_ABORT:
	case WIRE_MACROS:
	case WIRE_QUIT:
	case WIRE_QUIT_NC:
		return true;
	case WIRE_DATA:
	case WIRE_UNKNOWN:
	case WIRE_END:
	case WIRE_NEGOTIATE:
		break;
	}
	return false;
}
