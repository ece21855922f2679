#include "report/bounce.h"

#include "message/address.h"
#include "report/mail.h"
#include "report/submit.h"

/* Of one message; a bounce has a dozen of each. */
#define FIELDS_MAX 500
#define FIELD_BYTES_MAX ((size_t)1 << 20)
#define PARTS_MAX 50
#define RECIPIENTS_MAX 100

struct reading {
	struct arena *arena;
	struct str report_address;
	struct bounce *bounce;
	bool verp;   /* recipient is from the sender's address */
	bool status; /* there is a delivery status */
};

/* ---- fields ---- */

static struct headers split(struct arena *arena, struct str text, struct str *ret_rest)
{
	struct headers headers;
	headers_init(&headers, arena, FIELDS_MAX, FIELD_BYTES_MAX);
	headers_split(&headers, text, ret_rest);
	return headers;
}

static struct str field(const struct headers *headers, const char *name)
{
	const struct header_field *found = headers_find(headers, str_of(name));
	return found != NULL ? str_trim(found->value) : STR("");
}

/* What stands in front of the first ';', "multipart/report" */
static struct str media_type(struct str value)
{
	struct str type = STR("");
	str_cut(&value, ';', &type);
	return str_trim(type);
}

/* A parameter's value, RFC 2045 section 5.1; empty: it is not there. Quotes may hold a ';'. */
static struct str parameter(struct str value, const char *name)
{
	struct str rest = value, word;
	str_cut(&rest, ';', &word);
	while (rest.p != NULL) {
		ptrdiff_t equals = str_index(rest, '=');
		if (equals < 0)
			break;
		struct str key = str_trim(str_head(rest, (size_t)equals)), text;
		rest = str_trim(str_skip(rest, (size_t)equals + 1));
		bool quoted = str_starts(rest, STR("\""));
		if (quoted)
			rest = str_skip(rest, 1);
		if (!str_cut(&rest, quoted ? '"' : ';', &text))
			break;
		if (str_ieq(key, str_of(name)))
			return quoted ? text : str_trim(text);
		if (quoted && rest.p != NULL)
			str_cut(&rest, ';', &word);
	}
	return STR("");
}

/* ---- whom it came back from ---- */

static bool take_verp(struct reading *reading, struct str address)
{
	reading->verp = reading->verp ||
			mail_verp_parse(reading->arena, reading->report_address, address, &reading->bounce->recipient);
	return reading->verp;
}

/* Where the MTA wrote which address the message came to; To last, since everybody writes that. */
static void find_verp(struct reading *reading, const struct headers *headers)
{
	static const char *const names[] = {"Delivered-To", "X-Original-To", "Envelope-To", "To"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct address *addresses;
		const char *reason;
		size_t n;
		if (!address_list_is_read(
			    address_list_parse(reading->arena, field(headers, names[i]), &addresses, &n, &reason)))
			continue;
		for (size_t j = 0; j < n; j++)
			if (take_verp(reading, arena_printf(reading->arena, "%.*s@%.*s",
						       STR_ARG(addresses[j].local_part), STR_ARG(addresses[j].domain))))
				return;
	}
}

/* ---- delivery status, RFC 3464 section 2.3 ---- */

/* "rfc822;alice@example.org" */
static struct str status_address(const struct headers *fields, const char *name)
{
	struct str rest = field(fields, name), type;
	str_cut(&rest, ';', &type);
	struct str address = str_trim(rest);
	return str_ieq(str_trim(type), STR("rfc822")) && mail_address_usable(address) ? address : STR("");
}

static void take_recipient(struct reading *reading, const struct headers *fields)
{
	struct bounce *bounce = reading->bounce;
	struct str diagnostic = field(fields, "Diagnostic-Code"),
		   address = status_address(fields, "Original-Recipient");
	if (!str_ieq(field(fields, "Action"), STR("failed")) || bounce->failed)
		return;
	if (address.n == 0)
		address = status_address(fields, "Final-Recipient");
	bounce->failed = true;
	bounce->note = submit_note(reading->arena, diagnostic.n > 0 ? diagnostic : field(fields, "Status"));
	if (!reading->verp)
		bounce->recipient = address;
}

static void read_status(struct reading *reading, struct str text)
{
	struct str rest = text;
	reading->status = true;
	/* The first block is about the message as a whole. */
	for (size_t i = 0; i <= RECIPIENTS_MAX && rest.n > 0; i++) {
		struct str before = rest;
		while (str_starts(rest, STR("\r\n")) || str_starts(rest, STR("\n")))
			rest = str_skip(rest, rest.p[0] == '\r' ? 2 : 1);
		struct headers fields = split(reading->arena, rest, &rest);
		if (i > 0 || field(&fields, "Action").n > 0)
			take_recipient(reading, &fields);
		if (rest.n == before.n)
			break;
	}
}

/* ---- parts ---- */

static void read_part(struct reading *reading, struct str part)
{
	struct str body;
	struct headers headers = split(reading->arena, part, &body);
	struct str type = media_type(field(&headers, "Content-Type"));
	if (str_ieq(type, STR("message/delivery-status")) || str_ieq(type, STR("message/global-delivery-status")))
		read_status(reading, body);
}

/* Behind the line that the delimiter begins. */
static struct str behind_line(struct str rest)
{
	ptrdiff_t end = str_index(rest, '\n');
	return end >= 0 ? str_skip(rest, (size_t)end + 1) : STR("");
}

static void read_parts(struct reading *reading, struct str body, struct str boundary)
{
	struct str delimiter = arena_printf(reading->arena, "\n--%.*s", STR_ARG(boundary));
	/* The first one may stand at the very beginning. */
	struct str rest = arena_printf(reading->arena, "\n%.*s", STR_ARG(body));
	const char *at = memmem(rest.p, rest.n, delimiter.p, delimiter.n);
	for (size_t i = 0; i < PARTS_MAX && at != NULL; i++) {
		rest = str_skip(rest, (size_t)(at - rest.p) + delimiter.n);
		if (str_starts(rest, STR("--")))
			break;
		rest = behind_line(rest);
		at = rest.n > 0 ? memmem(rest.p, rest.n, delimiter.p, delimiter.n) : NULL;
		read_part(reading, at != NULL ? str_head(rest, (size_t)(at - rest.p) + 1) : rest);
	}
}

/* RFC 3834 section 5: an answer of a person's mailbox, which has been delivered to. */
static bool is_answer(const struct headers *headers)
{
	return str_istarts(field(headers, "Auto-Submitted"), STR("auto-replied")) &&
	       !str_ieq(media_type(field(headers, "Content-Type")), STR("multipart/report"));
}

void bounce_read(struct arena *arena, struct str message, struct str report_address, struct str sender,
	struct bounce *ret_bounce)
{
	struct reading reading = {.arena = arena, .report_address = report_address, .bounce = ret_bounce};
	struct str body;
	*ret_bounce = (struct bounce){.recipient = STR(""), .note = STR("")};
	struct headers headers = split(arena, message, &body);
	if (sender.n > 0)
		take_verp(&reading, sender);
	if (!reading.verp)
		find_verp(&reading, &headers);
	struct str type = field(&headers, "Content-Type"), boundary = parameter(type, "boundary");
	if (str_istarts(type, STR("multipart/")) && boundary.n > 0)
		read_parts(&reading, body, boundary);
	/* Some MTAs bounce in plain words; only one that comes to an address of ours is taken for one. */
	if (!reading.status && reading.verp)
		ret_bounce->failed = !is_answer(&headers);
	if (!mail_address_usable(ret_bounce->recipient))
		ret_bounce->recipient = STR("");
}
