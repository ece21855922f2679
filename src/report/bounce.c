#include "report/bounce.h"

#include "message/address.h"
#include "report/mail.h"
#include "report/mime.h"
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
			    address_list_parse(reading->arena, mime_field(headers, names[i]), &addresses, &n, &reason)))
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
	struct str rest = mime_field(fields, name), type;
	str_cut(&rest, ';', &type);
	struct str address = str_trim(rest);
	return str_ieq(str_trim(type), STR("rfc822")) && mail_address_usable(address) ? address : STR("");
}

static void take_recipient(struct reading *reading, const struct headers *fields)
{
	struct bounce *bounce = reading->bounce;
	struct str diagnostic = mime_field(fields, "Diagnostic-Code"),
		   address = status_address(fields, "Original-Recipient");
	if (!str_ieq(mime_field(fields, "Action"), STR("failed")) || bounce->failed)
		return;
	if (address.n == 0)
		address = status_address(fields, "Final-Recipient");
	bounce->failed = true;
	bounce->note = submit_note(reading->arena, diagnostic.n > 0 ? diagnostic : mime_field(fields, "Status"));
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
		if (i > 0 || mime_field(&fields, "Action").n > 0)
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
	struct str type = mime_type(mime_field(&headers, "Content-Type"));
	if (str_ieq(type, STR("message/delivery-status")) || str_ieq(type, STR("message/global-delivery-status")))
		read_status(reading, body);
}

static void read_parts(struct reading *reading, struct str body, struct str boundary)
{
	struct mime_parts parts = mime_parts_of(reading->arena, body, boundary);
	struct str part;
	for (size_t i = 0; i < PARTS_MAX && mime_next_part(&parts, &part); i++)
		read_part(reading, part);
}

/* RFC 3834 section 5: an answer of a person's mailbox, which has been delivered to. */
static bool is_answer(const struct headers *headers)
{
	return str_istarts(mime_field(headers, "Auto-Submitted"), STR("auto-replied")) &&
	       !str_ieq(mime_type(mime_field(headers, "Content-Type")), STR("multipart/report"));
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
	struct str type = mime_field(&headers, "Content-Type"), boundary = mime_parameter(type, "boundary");
	if (str_istarts(type, STR("multipart/")) && boundary.n > 0)
		read_parts(&reading, body, boundary);
	/* Some MTAs bounce in plain words; only one that comes to an address of ours is taken for one. */
	if (!reading.status && reading.verp)
		ret_bounce->failed = !is_answer(&headers);
	if (!mail_address_usable(ret_bounce->recipient))
		ret_bounce->recipient = STR("");
}
