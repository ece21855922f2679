/*
 * Reading the reports of others: from elements to rows. A table says which element
 * stands where and what its text is; whatever is not in it is passed over.
 */
#include <stddef.h>

#include "base/domain.h"
#include "base/ip.h"
#include "base/utf8.h"
#include "report/aggregate.h"
#include "report/aggregate_read_xml.h"
#include "report/aggregate_unpack.h"

#define UNPACKED_MAX ((size_t)1024 * 1024 * 1024)
#define TEXT_MAX ((size_t)4096)
#define REASONS_MAX 100
#define RECORD_MAX ((size_t)4 * 1024 * 1024) /* memory for the texts of one */
/* No host gets as many messages in a day, and the sum of all that fit into a document does not overflow. */
#define COUNT_MAX ((uint64_t)100 * 1000 * 1000 * 1000)

/* ---- where what stands ---- */

enum place {
	NOWHERE,
	FEEDBACK,
	METADATA,
	DATE_RANGE,
	POLICY,
	RECORD,
	ROW,
	EVALUATED,
	REASON,
	IDENTIFIERS,
	AUTH_RESULTS,
	DKIM,
	SPF,
};

static const struct container {
	enum place within;
	struct str name;
	enum place place;
} containers[] = {
	{NOWHERE, STR_INIT("feedback"), FEEDBACK},
	{FEEDBACK, STR_INIT("report_metadata"), METADATA},
	{METADATA, STR_INIT("date_range"), DATE_RANGE},
	{FEEDBACK, STR_INIT("policy_published"), POLICY},
	{FEEDBACK, STR_INIT("record"), RECORD},
	{RECORD, STR_INIT("row"), ROW},
	{ROW, STR_INIT("policy_evaluated"), EVALUATED},
	{EVALUATED, STR_INIT("reason"), REASON},
	{RECORD, STR_INIT("identifiers"), IDENTIFIERS},
	{RECORD, STR_INIT("identities"), IDENTIFIERS}, /* some reporters' name for it */
	{RECORD, STR_INIT("auth_results"), AUTH_RESULTS},
	{AUTH_RESULTS, STR_INIT("dkim"), DKIM},
	{AUTH_RESULTS, STR_INIT("spf"), SPF},
};

enum kind { TEXT, WORD, DOMAIN };

/* All texts of a record and of what is in it more than once, before they are made into a row. */
struct texts {
	struct str begin, end;
	struct str source_ip, count, disposition, dkim, spf;
	struct str header_from, envelope_from, envelope_to;
	struct report_dkim signature;
	struct str spf_domain, spf_scope, spf_result, spf_human_result;
	struct report_reason reason;
};

static const struct leaf {
	enum place within;
	struct str name;
	enum kind kind;
	bool in_document; /* else in the texts */
	size_t offset;
} leaves[] = {
#define DOCUMENT(member) true, offsetof(struct aggregate_document, member)
#define TEXTS(member) false, offsetof(struct texts, member)
	{FEEDBACK, STR_INIT("version"), TEXT, DOCUMENT(version)},
	{METADATA, STR_INIT("org_name"), TEXT, DOCUMENT(organization)},
	{METADATA, STR_INIT("email"), TEXT, DOCUMENT(address)},
	{METADATA, STR_INIT("extra_contact_info"), TEXT, DOCUMENT(extra_contact)},
	{METADATA, STR_INIT("report_id"), TEXT, DOCUMENT(report_id)},
	{METADATA, STR_INIT("error"), TEXT, DOCUMENT(error)},
	{METADATA, STR_INIT("generator"), TEXT, DOCUMENT(generator)},
	{DATE_RANGE, STR_INIT("begin"), TEXT, TEXTS(begin)},
	{DATE_RANGE, STR_INIT("end"), TEXT, TEXTS(end)},
	{POLICY, STR_INIT("domain"), DOMAIN, DOCUMENT(domain)},
	{POLICY, STR_INIT("p"), WORD, DOCUMENT(p)},
	{POLICY, STR_INIT("sp"), WORD, DOCUMENT(sp)},
	{POLICY, STR_INIT("np"), WORD, DOCUMENT(np)},
	{POLICY, STR_INIT("adkim"), WORD, DOCUMENT(adkim)},
	{POLICY, STR_INIT("aspf"), WORD, DOCUMENT(aspf)},
	{POLICY, STR_INIT("fo"), WORD, DOCUMENT(fo)},
	{POLICY, STR_INIT("testing"), WORD, DOCUMENT(testing)},
	{POLICY, STR_INIT("discovery_method"), WORD, DOCUMENT(discovery)},
	{POLICY, STR_INIT("pct"), TEXT, DOCUMENT(pct)},
	{ROW, STR_INIT("source_ip"), TEXT, TEXTS(source_ip)},
	{ROW, STR_INIT("count"), TEXT, TEXTS(count)},
	{EVALUATED, STR_INIT("disposition"), WORD, TEXTS(disposition)},
	{EVALUATED, STR_INIT("dkim"), WORD, TEXTS(dkim)},
	{EVALUATED, STR_INIT("spf"), WORD, TEXTS(spf)},
	{REASON, STR_INIT("type"), WORD, TEXTS(reason.type)},
	{REASON, STR_INIT("comment"), TEXT, TEXTS(reason.comment)},
	{IDENTIFIERS, STR_INIT("header_from"), DOMAIN, TEXTS(header_from)},
	{IDENTIFIERS, STR_INIT("envelope_from"), DOMAIN, TEXTS(envelope_from)},
	{IDENTIFIERS, STR_INIT("envelope_to"), DOMAIN, TEXTS(envelope_to)},
	{DKIM, STR_INIT("domain"), DOMAIN, TEXTS(signature.domain)},
	{DKIM, STR_INIT("selector"), TEXT, TEXTS(signature.selector)},
	{DKIM, STR_INIT("result"), WORD, TEXTS(signature.result)},
	{DKIM, STR_INIT("human_result"), TEXT, TEXTS(signature.human_result)},
	{SPF, STR_INIT("domain"), DOMAIN, TEXTS(spf_domain)},
	{SPF, STR_INIT("scope"), WORD, TEXTS(spf_scope)},
	{SPF, STR_INIT("result"), WORD, TEXTS(spf_result)},
	{SPF, STR_INIT("human_result"), TEXT, TEXTS(spf_human_result)},
#undef DOCUMENT
#undef TEXTS
};

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))
#define DEPTH_MAX 8 /* of containers: the table has five */

struct reader {
	struct arena *arena;     /* of the document */
	struct arena *row_arena; /* reset with each record */
	bool (*visit)(void *context, const struct store_row *row);
	void *context;
	struct aggregate_document *document;
	const char *error;
	bool ended; /* the root element is complete, or @visit wants no more */

	enum place places[DEPTH_MAX];
	size_t depth;
	size_t unknown; /* elements that are open and not in the tables; leaves count among them */
	const struct leaf *leaf;
	char text[TEXT_MAX];
	size_t n_text;

	/* the record */
	struct texts texts;
	struct report_dkim *dkim;
	struct report_reason *reasons;
	size_t n_dkim, n_reasons;
	struct report_row row; /* its SPF members */
};

/* ---- texts ---- */

static struct str as_domain(struct arena *arena, struct str text)
{
	ptrdiff_t at = str_rindex(text, '@');
	struct str domain = str_skip(text, (size_t)(at + 1));
	domain = str_ends(domain, STR(">")) ? str_head(domain, domain.n - 1) : domain;
	return domain_normalize(arena, domain, &domain) ? domain : arena_dup(arena, text);
}

/* Bytes of a document that says UTF-8 and is not are most often of Latin-1. */
static struct str as_utf8(struct arena *arena, struct str text)
{
	struct buf out = buf_in(arena);
	if (utf8_is_valid(text))
		return text;
	for (size_t n; text.n > 0; text = str_skip(text, n)) {
		unsigned char c = (unsigned char)text.p[0];
		n = utf8_length(text);
		if (n > 0) {
			buf_add(&out, str_head(text, n));
			continue;
		}
		buf_add_char(&out, (char)(0xc0 | c >> 6));
		buf_add_char(&out, (char)(0x80 | (c & 0x3f)));
		n = 1;
	}
	return buf_str(&out);
}

static struct str convert(struct arena *arena, enum kind kind, struct str text)
{
	text = as_utf8(arena, text);
	switch (kind) {
	case WORD:
		return arena_dup_lower(arena, text);
	case DOMAIN:
		return as_domain(arena, text);
	case TEXT:
		break;
	}
	return arena_dup(arena, text);
}

static void fail_record(struct reader *reader, struct str why)
{
	unsigned long long number = reader->document->rows + 1;
	reader->error = arena_printf(reader->arena, "record %llu: %.*s", number, STR_ARG(why)).p;
}

/* The first one stands: a thousand others cost no memory. */
static void end_leaf(struct reader *reader)
{
	const struct leaf *leaf = reader->leaf;
	char *base = leaf->in_document ? (char *)reader->document : (char *)&reader->texts;
	struct str *text = (struct str *)(void *)(base + leaf->offset);
	struct str read = str_trim(str_from(reader->text, reader->n_text));
	if (text->n == 0 && read.n > 0)
		*text = convert(leaf->in_document ? reader->arena : reader->row_arena, leaf->kind, read);
	if (arena_used(reader->row_arena) > RECORD_MAX)
		fail_record(reader, STR("it is larger than any that is meant to be read"));
	reader->leaf = NULL;
}

/* Digits at the front; 0: there are none. Some reporters write fractions of seconds. */
static int64_t time_of(struct str text)
{
	uint64_t seconds;
	size_t n = 0;
	while (n < text.n && str_is_digit(text.p[n]))
		n++;
	return str_to_u64(str_head(text, n), INT64_MAX, &seconds) ? (int64_t)seconds : 0;
}

static struct str canonical_ip(struct arena *arena, struct str text)
{
	char canonical[IP_TEXT_SIZE];
	struct ip ip;
	return ip_parse(text, &ip) ? arena_printf(arena, "%s", ip_text(&ip, canonical)) : text;
}

/* Words of drafts and of RFC 7489's schema, in its comments. */
static struct str result_of(struct str word)
{
	if (str_eq(word, STR("hardfail")))
		return STR("fail");
	if (str_eq(word, STR("unknown")))
		return STR("temperror");
	if (str_eq(word, STR("error")))
		return STR("permerror");
	return word;
}

/* ---- what is complete ---- */

static void add_signature(struct reader *reader)
{
	if (reader->dkim == NULL)
		reader->dkim = ARENA_ARRAY(reader->row_arena, REPORT_MAX_DKIM, struct report_dkim);
	reader->texts.signature.result = result_of(reader->texts.signature.result);
	if (reader->n_dkim < REPORT_MAX_DKIM)
		reader->dkim[reader->n_dkim++] = reader->texts.signature;
}

/* There may be one for HELO besides, which is none of DMARC's. */
static void add_spf(struct reader *reader)
{
	const struct texts *texts = &reader->texts;
	bool first = reader->row.spf_domain.n == 0 && reader->row.spf_result.n == 0;
	if (!first && str_eq(texts->spf_scope, STR("helo")))
		return;
	reader->row.spf_domain = texts->spf_domain;
	reader->row.spf_result = result_of(texts->spf_result);
	reader->row.spf_human_result = texts->spf_human_result;
}

static void add_reason(struct reader *reader)
{
	if (reader->reasons == NULL)
		reader->reasons = ARENA_ARRAY(reader->row_arena, REASONS_MAX, struct report_reason);
	if (reader->n_reasons < REASONS_MAX && reader->texts.reason.type.n > 0)
		reader->reasons[reader->n_reasons++] = reader->texts.reason;
}

static void forget_record(struct reader *reader)
{
	reader->texts = (struct texts){0};
	reader->row = (struct report_row){0};
	reader->dkim = NULL;
	reader->reasons = NULL;
	reader->n_dkim = reader->n_reasons = 0;
	arena_reset(reader->row_arena);
}

static void end_record(struct reader *reader)
{
	const struct texts *texts = &reader->texts;
	struct store_row row = {.row = reader->row};
	if (!str_to_u64(texts->count, COUNT_MAX, &row.count)) {
		struct str count = str_head(texts->count, 40);
		fail_record(reader,
			arena_printf(reader->arena, "its count \"%.*s\" is no number of messages", STR_ARG(count)));
		return;
	}
	row.row.source_ip = canonical_ip(reader->row_arena, texts->source_ip);
	row.row.disposition = texts->disposition;
	row.row.dkim_aligned = str_eq(texts->dkim, STR("pass"));
	row.row.spf_aligned = str_eq(texts->spf, STR("pass"));
	row.row.reasons = reader->reasons;
	row.row.n_reasons = reader->n_reasons;
	row.row.header_from = texts->header_from;
	row.row.envelope_from = texts->envelope_from;
	row.row.envelope_to = texts->envelope_to;
	row.row.dkim = reader->dkim;
	row.row.n_dkim = reader->n_dkim;
	reader->document->rows++;
	reader->document->messages += row.count;
	reader->ended = !reader->visit(reader->context, &row);
	forget_record(reader);
}

static void end_place(struct reader *reader, enum place place)
{
	switch (place) {
	case FEEDBACK:
		reader->ended = true;
		break;
	case DATE_RANGE:
		reader->document->begin = time_of(reader->texts.begin);
		reader->document->end = time_of(reader->texts.end);
		break;
	case RECORD:
		end_record(reader);
		break;
	case REASON:
		add_reason(reader);
		break;
	case DKIM:
		add_signature(reader);
		break;
	case SPF:
		add_spf(reader);
		break;
	case NOWHERE:
	case METADATA:
	case POLICY:
	case ROW:
	case EVALUATED:
	case IDENTIFIERS:
	case AUTH_RESULTS:
		break;
	}
}

/* What may stand several times in a record begins anew each time. */
static void begin_place(struct reader *reader, enum place place)
{
	struct texts *texts = &reader->texts;
	reader->places[reader->depth++] = place;
	if (place == DKIM)
		texts->signature = (struct report_dkim){0};
	else if (place == REASON)
		texts->reason = (struct report_reason){0};
	else if (place == SPF)
		texts->spf_domain = texts->spf_scope = texts->spf_result = texts->spf_human_result = STR("");
}

/* ---- elements ---- */

static const struct container *find_container(enum place within, struct str name)
{
	for (size_t i = 0; i < COUNT_OF(containers); i++)
		if (containers[i].within == within && str_ieq(name, containers[i].name))
			return &containers[i];
	return NULL;
}

static const struct leaf *find_leaf(enum place within, struct str name)
{
	for (size_t i = 0; i < COUNT_OF(leaves); i++)
		if (leaves[i].within == within && str_ieq(name, leaves[i].name))
			return &leaves[i];
	return NULL;
}

static void on_begin(struct reader *reader, struct str name)
{
	enum place within = reader->depth > 0 ? reader->places[reader->depth - 1] : NOWHERE;
	const struct container *container = reader->unknown == 0 ? find_container(within, name) : NULL;
	if (container != NULL) {
		begin_place(reader, container->place);
		return;
	}
	if (within == NOWHERE && reader->unknown == 0)
		reader->error = arena_printf(reader->arena,
			"it is no DMARC aggregate report: its root element is \"%.*s\"", STR_ARG(str_head(name, 40)))
					.p;
	if (reader->unknown++ > 0)
		return;
	reader->leaf = find_leaf(within, name);
	reader->n_text = 0;
}

static void on_end(struct reader *reader)
{
	if (reader->unknown > 0) {
		if (--reader->unknown == 0 && reader->leaf != NULL)
			end_leaf(reader);
	} else if (reader->depth > 0) {
		end_place(reader, reader->places[--reader->depth]);
	}
}

static void on_text(struct reader *reader, struct str text)
{
	if (reader->leaf == NULL || reader->unknown != 1)
		return;
	/* White space in front is none of the text, and may be longer than it. */
	while (reader->n_text == 0 && text.n > 0 && str_is_space(text.p[0]))
		text = str_skip(text, 1);
	text = str_head(text, TEXT_MAX - reader->n_text);
	if (text.n > 0)
		memcpy(reader->text + reader->n_text, text.p, text.n);
	reader->n_text += text.n;
}

static void take_events(struct reader *reader, struct xml_reader *xml)
{
	struct xml_event event;
	while (reader->error == NULL && !reader->ended && xml_reader_next(xml, &event)) {
		switch (event.kind) {
		case XML_BEGIN:
			on_begin(reader, event.text);
			break;
		case XML_END:
			on_end(reader);
			break;
		case XML_TEXT:
			on_text(reader, event.text);
			break;
		}
	}
}

/* What stands behind the root element, and whether the packing is whole there, is nobody's concern. */
static const char *read_document(struct reader *reader, struct gzip_reader *packed)
{
	struct xml_reader *xml = xml_reader_new(reader->arena);
	char piece[16 * 1024];
	size_t total = 0, n;
	do {
		bool whole = gzip_read(packed, piece, sizeof(piece), &n);
		const char *error = whole || n > 0 ? xml_reader_add(xml, str_from(piece, n)) : NULL;
		take_events(reader, xml);
		if (reader->error != NULL || reader->ended)
			return reader->error;
		if (error != NULL)
			return error;
		if (!whole)
			return "the compressed data are damaged or end early";
		total += n;
		if (total > UNPACKED_MAX)
			return "it is larger than 1 GiB when unpacked";
	} while (n > 0);
	return "it ends early";
}

const char *aggregate_read(struct arena *arena, struct str data,
	bool (*visit)(void *context, const struct store_row *row), void *context,
	struct aggregate_document *ret_document)
{
	struct gzip_reader *packed;
	struct reader *reader = ARENA_NEW(arena, struct reader);
	*ret_document = (struct aggregate_document){0};
	const char *error = aggregate_unpack(arena, data, &packed);
	if (error != NULL)
		return error;
	reader->arena = arena;
	reader->row_arena = arena_new_within(arena);
	reader->visit = visit;
	reader->context = context;
	reader->document = ret_document;
	return read_document(reader, packed);
}
