/*
 * Aggregate reports, written row by row: XML through libxml2, compressed as it is
 * written. RFC 9990 appendix A, RFC 7489 appendix C.
 */
#include "base/domain.h"
#include "dmarc/record.h"
#include "report/aggregate.h"
#include "report/aggregate_gzip.h"
#include "report/aggregate_write_xml.h"

#define NAMESPACE "urn:ietf:params:xml:ns:dmarc-2.0"
/* The end of the root element. */
#define TAIL ((size_t)64)
/* Of one part's XML: who gets it unpacks it, most often to a tree in memory that is ten times as large. */
#define PLAIN_MAX ((uint64_t)128 * 1024 * 1024)

struct aggregate_writer {
	struct arena *arena;
	struct arena *scratch; /* of one row */
	struct aggregate_header header;
	struct xml_writer *xml;
	struct gzip_writer *gzip;
	size_t maximum_bytes;
	size_t inside;  /* bytes of XML that may still be within the compressor */
	uint64_t plain; /* bytes of XML in all */
	struct str id;  /* Report-ID, and unique-id of the file name */
	struct str domain;
	uint64_t messages, rows;
};

static bool is_old(const struct aggregate_writer *writer)
{
	return writer->header.format == REPORT_RFC7489;
}

/* ---- elements ---- */

static void element(struct aggregate_writer *writer, const char *name, struct str text)
{
	xml_element(writer->xml, writer->scratch, name, text);
}

/* An element that may be absent. */
static void element_if(struct aggregate_writer *writer, const char *name, struct str text)
{
	if (text.n > 0)
		element(writer, name, text);
}

static void element_number(struct aggregate_writer *writer, const char *name, int64_t number)
{
	element(writer, name, arena_printf(writer->scratch, "%lld", (long long)number));
}

/* A domain as A-labels, RFC 5890; what cannot be one stays as it was seen. */
static void element_domain(struct aggregate_writer *writer, const char *name, struct str text)
{
	struct str domain;
	element(writer, name, domain_normalize(writer->scratch, text, &domain) ? domain : text);
}

/* One of the schema's words; a word that it does not have would make the whole report worthless. */
static void element_word(struct aggregate_writer *writer, const char *name, struct str word, const char *const *words)
{
	size_t i = 1;
	while (words[i] != NULL && !str_eq(word, str_of(words[i])))
		i++;
	element(writer, name, str_of(words[i] != NULL ? words[i] : words[0]));
}

/* The first one stands in for any other word. */
static const char *const disposition_words[] = {"none", "pass", "quarantine", "reject", NULL};
static const char *const disposition_words_old[] = {"none", "quarantine", "reject", NULL};
static const char *const dkim_words[] = {"neutral", "none", "pass", "fail", "policy", "temperror", "permerror", NULL};
static const char *const spf_words[] = {"neutral", "none", "pass", "fail", "softfail", "temperror", "permerror", NULL};
static const char *const reason_words[] = {
	"other", "local_policy", "mailing_list", "policy_test_mode", "trusted_forwarder", NULL};
static const char *const reason_words_old[] = {"other", "local_policy", "mailing_list", "trusted_forwarder", NULL};

/* ---- the head ---- */

static enum dmarc_discovery discovery(const struct aggregate_writer *writer)
{
	return str_eq(writer->header.policy.discovery, STR("psl")) ? DMARC_PSL : DMARC_TREE_WALK;
}

static void write_metadata(struct aggregate_writer *writer)
{
	const struct aggregate_header *header = &writer->header;
	xml_begin(writer->xml, "report_metadata");
	element(writer, "org_name", header->organization);
	element(writer, "email", header->address);
	element_if(writer, "extra_contact_info", header->extra_contact);
	element(writer, "report_id", writer->id);
	xml_begin(writer->xml, "date_range");
	element_number(writer, "begin", header->begin);
	element_number(writer, "end", header->end);
	xml_end(writer->xml);
	element_if(writer, "error", dmarc_record_faults(writer->scratch, discovery(writer), header->policy.record));
	if (!is_old(writer))
		element(writer, "generator", STR("Trimilter " TRIMILTER_VERSION));
	xml_end(writer->xml);
}

static void element_policy(struct aggregate_writer *writer, const char *name, enum dmarc_policy policy)
{
	element(writer, name, str_of(dmarc_policy_text(policy)));
}

static void element_mode(struct aggregate_writer *writer, const char *name, enum dmarc_mode mode)
{
	element(writer, name, mode == DMARC_STRICT ? STR("s") : STR("r"));
}

static void element_fo(struct aggregate_writer *writer, unsigned bits)
{
	struct buf out = buf_in(writer->scratch);
	for (unsigned i = 0; i < 4; i++)
		if ((bits & 1U << i) != 0)
			buf_printf(&out, "%s%c", out.n > 0 ? ":" : "", "01ds"[i]);
	element(writer, "fo", buf_str(&out));
}

/* "The elements from p and onwards contain the discovered or default value": RFC 9990 section 3.1.1.5. */
static void write_policy(struct aggregate_writer *writer)
{
	struct dmarc_record record;
	if (!dmarc_record_parse(discovery(writer), writer->header.policy.record, &record) || !record.usable)
		record = (struct dmarc_record){.p = DMARC_P_NONE, .pct = 100};
	enum dmarc_policy sp = record.sp != DMARC_POLICY_UNSET ? record.sp : record.p;
	xml_begin(writer->xml, "policy_published");
	element(writer, "domain", writer->domain);
	/* The methods differ in which tags they know. */
	if (!is_old(writer))
		element(writer, "discovery_method", discovery(writer) == DMARC_PSL ? STR("psl") : STR("treewalk"));
	element_policy(writer, "p", record.p);
	element_policy(writer, "sp", sp);
	if (!is_old(writer) && discovery(writer) == DMARC_TREE_WALK)
		element_policy(writer, "np", record.np != DMARC_POLICY_UNSET ? record.np : sp);
	element_fo(writer, dmarc_record_fo(&record));
	element_mode(writer, "adkim", record.adkim);
	element_mode(writer, "aspf", record.aspf);
	if (is_old(writer))
		element_number(writer, "pct", record.pct);
	else if (discovery(writer) == DMARC_TREE_WALK)
		element(writer, "testing", record.testing ? STR("y") : STR("n"));
	xml_end(writer->xml);
}

/* ---- a row ---- */

static void write_reasons(struct aggregate_writer *writer, const struct report_row *row)
{
	for (size_t i = 0; i < row->n_reasons; i++) {
		const struct report_reason *reason = &row->reasons[i];
		struct str comment = reason->comment;
		xml_begin(writer->xml, "reason");
		element_word(writer, "type", reason->type, is_old(writer) ? reason_words_old : reason_words);
		/* RFC 7489 has no word for it. */
		if (is_old(writer) && comment.n == 0 && str_eq(reason->type, STR("policy_test_mode")))
			comment = reason->type;
		element_if(writer, "comment", comment);
		xml_end(writer->xml);
	}
}

static void write_row(struct aggregate_writer *writer, const struct store_row *row)
{
	xml_begin(writer->xml, "row");
	element(writer, "source_ip", row->row.source_ip);
	element(writer, "count", arena_printf(writer->scratch, "%llu", (unsigned long long)row->count));
	xml_begin(writer->xml, "policy_evaluated");
	element_word(writer, "disposition", row->row.disposition,
		is_old(writer) ? disposition_words_old : disposition_words);
	element(writer, "dkim", row->row.dkim_aligned ? STR("pass") : STR("fail"));
	element(writer, "spf", row->row.spf_aligned ? STR("pass") : STR("fail"));
	write_reasons(writer, &row->row);
	xml_end(writer->xml);
	xml_end(writer->xml);
}

static void write_identifiers(struct aggregate_writer *writer, const struct report_row *row)
{
	xml_begin(writer->xml, "identifiers");
	if (row->envelope_to.n > 0)
		element_domain(writer, "envelope_to", row->envelope_to);
	element_domain(writer, "envelope_from", row->envelope_from);
	element_domain(writer, "header_from", row->header_from);
	xml_end(writer->xml);
}

static void write_auth_results(struct aggregate_writer *writer, const struct report_row *row)
{
	xml_begin(writer->xml, "auth_results");
	for (size_t i = 0; i < row->n_dkim && i < REPORT_MAX_DKIM; i++) {
		xml_begin(writer->xml, "dkim");
		element_domain(writer, "domain", row->dkim[i].domain);
		element(writer, "selector", row->dkim[i].selector);
		element_word(writer, "result", row->dkim[i].result, dkim_words);
		element_if(writer, "human_result", row->dkim[i].human_result);
		xml_end(writer->xml);
	}
	bool checked = row->spf_domain.n > 0 || row->spf_result.n > 0;
	/* By RFC 7489 there is always one. */
	if (checked || is_old(writer)) {
		xml_begin(writer->xml, "spf");
		element_domain(writer, "domain", checked ? row->spf_domain : row->envelope_from);
		element(writer, "scope", STR("mfrom"));
		element_word(writer, "result", checked ? row->spf_result : STR("none"), spf_words);
		if (!is_old(writer))
			element_if(writer, "human_result", row->spf_human_result);
		xml_end(writer->xml);
	}
	xml_end(writer->xml);
}

/* ---- the document ---- */

static void compress(struct aggregate_writer *writer)
{
	struct str xml = xml_written(writer->xml);
	gzip_add(writer->gzip, xml);
	writer->inside += xml.n;
	writer->plain += xml.n;
	xml_forget(writer->xml);
	arena_reset(writer->scratch);
}

/* What goes into names and fields of the mail: a host name's characters and nothing that has a meaning there. */
static struct str name_of_domain(struct arena *arena, struct str domain)
{
	struct str name;
	if (!domain_normalize(arena, domain, &name))
		name = arena_dup(arena, domain);
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < name.n; i++)
		buf_add_char(&out, domain_is_hostname(str_from(name.p + i, 1)) || name.p[i] == '.' ? name.p[i] : '_');
	return buf_str(&out);
}

struct aggregate_writer *aggregate_begin(
	struct arena *arena, const struct aggregate_header *header, size_t maximum_bytes)
{
	struct aggregate_writer *writer = ARENA_NEW(arena, struct aggregate_writer);
	*writer = (struct aggregate_writer){.arena = arena, .header = *header, .maximum_bytes = maximum_bytes};
	writer->scratch = arena_new_within(arena);
	writer->domain = name_of_domain(arena, header->policy.domain);
	/* One and the same wherever it stands, RFC 9990 section 3.1.4; so it has a file name's characters alone. */
	writer->id = header->part == 0 ? arena_dup(arena, header->unique)
				       : arena_printf(arena, "%.*sp%u", STR_ARG(header->unique), header->part);
	writer->gzip = gzip_writer_new(arena);
	writer->xml = xml_writer_new(arena, "feedback", is_old(writer) ? NULL : NAMESPACE);
	element(writer, "version", STR("1.0"));
	write_metadata(writer);
	write_policy(writer);
	compress(writer);
	return writer;
}

/* Do @n more bytes of XML, and the end, certainly fit? The compressor is asked for exact numbers only near the limit.
 */
static bool fits(struct aggregate_writer *writer, size_t n)
{
	if (writer->plain + n + TAIL > PLAIN_MAX)
		return false;
	if (gzip_size(writer->gzip) + gzip_bound(writer->inside + n + TAIL) <= writer->maximum_bytes)
		return true;
	gzip_flush(writer->gzip);
	writer->inside = 0;
	return gzip_size(writer->gzip) + gzip_bound(n + TAIL) <= writer->maximum_bytes;
}

bool aggregate_add(struct aggregate_writer *writer, const struct store_row *row)
{
	xml_begin(writer->xml, "record");
	write_row(writer, row);
	write_identifiers(writer, &row->row);
	write_auth_results(writer, &row->row);
	xml_end(writer->xml);
	if (writer->rows > 0 && !fits(writer, xml_written(writer->xml).n)) {
		xml_forget(writer->xml);
		arena_reset(writer->scratch);
		return false;
	}
	compress(writer);
	writer->rows++;
	writer->messages += row->count;
	return true;
}

enum err aggregate_end(struct aggregate_writer *writer, struct store_report *ret_report)
{
	const struct aggregate_header *header = &writer->header;
	struct arena *arena = writer->arena;
	xml_finish(writer->xml);
	compress(writer);
	struct str submitter = name_of_domain(arena, header->submitter);
	*ret_report = (struct store_report){
		.report_id = writer->id,
		.domain = header->policy.domain,
		.begin = header->begin,
		.end = header->end,
		.messages = writer->messages,
		.rows = writer->rows,
		.file_name = arena_printf(arena, "%.*s!%.*s!%lld!%lld!%.*s.xml.gz", STR_ARG(submitter),
			STR_ARG(writer->domain), (long long)header->begin, (long long)header->end, STR_ARG(writer->id)),
		.subject = arena_printf(arena, "Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s>",
			STR_ARG(writer->domain), STR_ARG(submitter), STR_ARG(writer->id)),
		.data = gzip_end(writer->gzip),
	};
	return xml_failed(writer->xml) ? ERR_LIBRARY : ERR_OK;
}

enum err aggregate_plain(struct arena *arena, const struct store_report *report, struct buf *out)
{
	char piece[16 * 1024];
	size_t n;
	struct gzip_reader *reader = gzip_reader_new(arena, GZIP_FILE, report->data);
	do {
		if (!gzip_read(reader, piece, sizeof(piece), &n))
			return ERR_LIBRARY;
		buf_add(out, str_from(piece, n));
	} while (n > 0);
	return ERR_OK;
}
