/*
 * Reading the reports of others, in many dialects: those of tests/fuzz/corpus/report_read, given by name.
 */
#include "test.h"

#include <stdlib.h>

#include "aggregate_lab.h"
#include "report/aggregate_gzip.h"
#include "tables/dataset.h"

#include "arena_test.h" /* last: its `arena` is in nobody's way then */

static const char *corpus; /* directory */

/* All rows as one line each: what a reader of them would look at. */
static bool describe(void *context, const struct store_row *store_row)
{
	struct buf *out = context;
	const struct report_row *row = &store_row->row;
	buf_printf(out, "%.*s %llu %.*s dkim=%d spf=%d %.*s <%.*s> to=%.*s", STR_ARG(row->source_ip),
		(unsigned long long)store_row->count, STR_ARG(row->disposition), row->dkim_aligned, row->spf_aligned,
		STR_ARG(row->header_from), STR_ARG(row->envelope_from), STR_ARG(row->envelope_to));
	for (size_t i = 0; i < row->n_dkim; i++)
		buf_printf(out, " %.*s/%.*s=%.*s", STR_ARG(row->dkim[i].domain), STR_ARG(row->dkim[i].selector),
			STR_ARG(row->dkim[i].result));
	buf_printf(out, " spf:%.*s=%.*s", STR_ARG(row->spf_domain), STR_ARG(row->spf_result));
	for (size_t i = 0; i < row->n_reasons; i++)
		buf_printf(out, " %.*s(%.*s)", STR_ARG(row->reasons[i].type), STR_ARG(row->reasons[i].comment));
	buf_add_char(out, '\n');
	return true;
}

static struct str read_corpus(const char *name)
{
	struct str data;
	if (dataset_read_file(arena, arena_printf(arena, "%s/%s", corpus, name).p, &data) != ERR_OK)
		fail_msg("%s cannot be read", name);
	return data;
}

/* The row that most of the files have. */
#define ROW "192.0.2.1 3 none dkim=1 spf=0 example.com <> to= example.com/s1=pass spf:bounce.example.com=softfail\n"
#define ROW7 "192.0.2.1 7 none dkim=1 spf=0 example.com <> to= example.com/s1=pass spf:bounce.example.com=softfail\n"

static void test_dialects(void **state)
{
	(void)state;
	static const struct {
		const char *file, *organization, *rows;
	} rows[] = {
		{"no-namespace.xml", "receiver.example",
			ROW "2001:db8::25 4 reject dkim=0 spf=0 example.com <> to= example.com/s1=pass "
			    "spf:bounce.example.com=softfail\n"},
		{"xsi.xml", "Outlook-like",
			"192.0.2.1 3 none dkim=1 spf=0 example.com <bounce.example.com> to=example.net "
			"example.com/s1=pass "
			"spf:bounce.example.com=softfail\n"},
		{"no-declaration.xml", "nodecl", ROW},
		{"old-namespace.xml", "oldns", ROW},
		{"prefixed.xml", "prefix", ROW},
		{"new-namespace.xml", "New",
			"192.0.2.1 3 pass dkim=1 spf=0 example.com <> to= example.com/s1=pass "
			"spf:bounce.example.com=softfail "
			"policy_test_mode(t=y) local_policy()\n"},
		{"bare-ampersand.xml", "AT  g; z;  Mail", ROW},
		{"sloppy.xml", "AT&T\n Mail",
			"192.0.2.7 5 none dkim=1 spf=0 example.com <bounce.example.com> to= example.com/s1=pass "
			"spf:bounce.example.com=fail sampled_out() forwarded(x)\n"
			"192.0.2.1 3 none dkim=1 spf=0 example.com <> to= xn--bcher-kva.example/=permerror "
			"spf:example.com=temperror\n"},
		{"stray-schema.xml", "stray", ROW ROW},
		{"whole-schema.xml", "whole", ROW},
		{"invalid-utf8.xml", "S\xc3\xb6hne", ROW},
		{"latin1.xml", "S\xc3\xb6hne", ROW},
		{"utf16.xml", "S\xc3\xb6hne", ROW},
		{"bom.xml", "bom", ROW},
		{"leading-space.xml", "space", ROW},
		{"control.xml", "abc", ROW},
		{"records-first.xml", "last", ROW},
		{"cdata.xml", "a <b> c",
			"192.0.2.9 3 none dkim=1 spf=0 example.com <> to= example.com/s1=pass "
			"spf:bounce.example.com=softfail\n"},
		{"empty-values.xml", "", " 0  dkim=0 spf=0  <> to= spf:=\n"},
		{"no-records.xml", "none", ""},
		{"upper-names.xml", "upper", ROW},
		{"plain.xml.gz", "packed", ROW ROW7},
		{"two-members.xml.gz", "packed", ROW ROW7},
		{"no-trailer.xml.gz", "packed", ROW ROW7},
		{"deflate.zip", "packed", ROW ROW7},
		{"stored.zip", "packed", ROW ROW7},
		{"descriptor.zip", "packed", ROW ROW7},
		{"folder.zip", "packed", ROW ROW7},
		{"nameless.zip", "packed", ROW ROW7},
		{"twice.xml.gz.gz", "packed", ROW ROW7},
		{"twice.zip", "packed", ROW ROW7},
		{"mail-gzip.eml", "packed", ROW ROW7},
		{"mail-lf.eml", "packed", ROW ROW7},
		{"mail-zip-alone.eml", "packed", ROW ROW7},
		{"mail-quoted-printable.eml", "packed", ROW ROW7},
		{"mail-forwarded.eml", "packed", ROW ROW7},
		{"mail-no-end.eml", "packed", ROW ROW7},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct aggregate_document document;
		struct buf out = buf_in(arena);
		const char *error = aggregate_read(arena, read_corpus(rows[i].file), describe, &out, &document);
		if (error != NULL)
			fail_msg("%s: %s", rows[i].file, error);
		check_str(rows[i].file, document.organization, rows[i].organization);
		check_str(rows[i].file, buf_str(&out), rows[i].rows);
	}
}

static void test_errors(void **state)
{
	(void)state;
	static const struct {
		const char *file, *error;
	} rows[] = {
		{"error-count.xml", "record 2: its count \"many\" is no number of messages"},
		{"error-truncated.xml", "line 2: the document ends early"},
		{"error-mismatch.xml", "line 2: Opening and ending tag mismatch: row line 2 and raw"},
		{"error-mismatch-in-schema.xml", "line 2: start and end tags do not match"},
		{"error-doctype.xml", "line 2: it has a document type declaration, which no report has and which could "
				      "make it grow without "
				      "bound"},
		{"error-external.xml", "line 2: it has a document type declaration, which no report has and which "
				       "could make it grow without "
				       "bound"},
		{"error-html.xml", "it is no DMARC aggregate report: its root element is \"html\""},
		{"error-text.txt",
			"it is neither XML, gzip nor a zip file, nor a mail message with one of these attached"},
		{"error-empty.xml",
			"it is neither XML, gzip nor a zip file, nor a mail message with one of these attached"},
		{"error-deep.xml", "line 1: too many elements within each other"},
		{"error-cut.xml.gz", "the compressed data are damaged or end early"},
		{"error-damaged.xml.gz", "the compressed data are damaged or end early"},
		{"error-cut.xml.gz.gz", "the compressed data are damaged or end early"},
		{"error-thrice.gz", "line 1: Document is empty"},
		{"error-two.zip", "there is more than one document in the zip file"},
		{"error-empty.zip", "there is no document in the zip file"},
		{"error-lzma.zip", "the zip file is compressed in a way that is not known here"},
		{"error-encrypted.zip", "the zip file is encrypted"},
		{"error-cut.zip", "the zip file is damaged or ends early"},
		{"error-offset.zip", "the zip file is damaged"},
		{"error-mail.eml",
			"it is neither XML, gzip nor a zip file, nor a mail message with one of these attached"},
		{"error-mail-zip.eml", "there is more than one document in the zip file"},
		{"error-mail-loop.eml",
			"it is neither XML, gzip nor a zip file, nor a mail message with one of these attached"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct aggregate_document document;
		struct buf out = buf_in(arena);
		const char *error = aggregate_read(arena, read_corpus(rows[i].file), describe, &out, &document);
		check_str(rows[i].file, str_of(error), rows[i].error);
	}
}

static bool count_row(void *context, const struct store_row *row)
{
	(void)row;
	return --*(int *)context > 0;
}

static void test_document(void **state)
{
	(void)state;
	struct aggregate_document document;
	struct buf out = buf_in(arena);
	assert_null(aggregate_read(arena, read_corpus("new-namespace.xml"), describe, &out, &document));
	check_str("version", document.version, "1.0");
	check_str("email", document.address, "a@receiver.example");
	check_str("extra_contact_info", document.extra_contact, "b");
	check_str("report_id", document.report_id, "x@y");
	check_str("error", document.error, "sp=x");
	check_str("generator", document.generator, "G 1");
	check_int("begin", document.begin, 10);
	check_int("end", document.end, 19);
	check_str("domain", document.domain, "example.com");
	check_str("p", document.p, "reject");
	check_str("sp", document.sp, "none");
	check_str("np", document.np, "quarantine");
	check_str("fo", document.fo, "1:d");
	check_str("adkim", document.adkim, "s");
	check_str("aspf", document.aspf, "r");
	check_str("testing", document.testing, "y");
	check_str("discovery_method", document.discovery, "treewalk");
	check_str("pct", document.pct, "");
	check_int("rows", (long long)document.rows, 1);
	check_int("messages", (long long)document.messages, 3);
	assert_null(aggregate_read(arena, read_corpus("sloppy.xml"), describe, &out, &document));
	check_str("report_id", document.report_id, "<abc@def>");
	check_int("begin", document.begin, 1763596800);
	check_str("p", document.p, "none");
	check_str("pct", document.pct, "100");
	/* the visitor has had enough */
	int wanted = 1;
	assert_null(aggregate_read(arena, read_corpus("stray-schema.xml"), count_row, &wanted, &document));
	check_int("rows", (long long)document.rows, 1);
	assert_null(aggregate_read(arena, read_corpus("many-signatures.xml"), describe, &out, &document));
	assert_non_null(strstr(buf_cstr(&out), "d99.example/=fail"));
	assert_null(strstr(buf_cstr(&out), "d100.example"));
}

/* Ours, read back, are what was written. */
static void test_ours(void **state)
{
	(void)state;
	for (enum report_format format = REPORT_RFC9990; format <= REPORT_RFC7489; format++) {
		struct store_row *rows = ARENA_ARRAY(arena, 200, struct store_row);
		struct store_report report;
		struct aggregate_document document;
		struct buf wanted = buf_in(arena), got = buf_in(arena);
		for (unsigned i = 0; i < 200; i++) {
			rows[i] = lab_random_row(arena, i);
			/* what RFC 7489 has no words for, and how an address is spelled, is not under test here */
			if (format == REPORT_RFC7489 && (str_eq(rows[i].row.disposition, STR("pass")) || i % 13 == 0 ||
								rows[i].row.n_reasons > 0))
				rows[i] = lab_random_row(arena, 2);
			rows[i].row.source_ip = STR("192.0.2.1");
			describe(&wanted, &rows[i]);
		}
		lab_write(arena, lab_header(format), rows, 200, SIZE_MAX, &report, 1);
		assert_null(aggregate_read(arena, report.data, describe, &got, &document));
		check_str("rows", buf_str(&got), buf_cstr(&wanted));
		check_int("messages", (long long)document.messages, (long long)report.messages);
		check_str("report id", document.report_id, "7f3a");
	}
}

/* ---- bounds ---- */

static struct str repeated(const char *before, const char *piece, size_t n, const char *behind)
{
	struct buf out = buf_in(arena);
	buf_add_cstr(&out, before);
	for (size_t i = 0; i < n; i++)
		buf_add_cstr(&out, piece);
	buf_add_cstr(&out, behind);
	return buf_str(&out);
}

/* What a hostile document can make us keep is little, whatever its size. */
static void test_memory(void **state)
{
	(void)state;
	static const struct {
		const char *before, *piece, *behind, *error;
	} rows[] = {
		{"<feedback><report_metadata>", "<org_name>name</org_name>", "</report_metadata></feedback>", ""},
		{"<feedback>", "<record><row><count>1</count></row></record>", "</feedback>", ""},
		{"<feedback><record><row>", "<count>1</count>", "</row></record></feedback>", ""},
		{"<feedback><record><row><count>1</count></row><auth_results>",
			"<spf><domain>0123456789.0123456789.0123456789.example</domain></spf>",
			"</auth_results></record></feedback>",
			"record 1: it is larger than any that is meant to be read"},
		{"<feedback><record><row><count>1</count></row><auth_results>",
			"<dkim><domain>0123456789.0123456789.0123456789.example</domain></dkim>",
			"</auth_results></record></feedback>",
			"record 1: it is larger than any that is meant to be read"},
		{"<feedback><report_metadata><org_name>", "0123456789", "</org_name></report_metadata></feedback>", ""},
		{"<feedback>", "<unknown attribute='x'/>", "</feedback>", ""},
		{"<feedback", " attribute='0123456789012345678901234567'", "></feedback>",
			"line 1: a tag or a comment does not end"},
		{"<feedback><a b='", "01234567890123456789012345678901234567", "'/></feedback>",
			"line 1: a tag or a comment does not end"},
		{"<feedback><!--", "01234567890123456789012345678901234567", "--></feedback>",
			"line 1: a tag or a comment does not end"},
		{"<feedback>", "<a>", "", "line 1: too many elements within each other"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct aggregate_document document;
		int wanted = 1000000;
		struct str data = repeated(rows[i].before, rows[i].piece, 120000, rows[i].behind);
		/* Row arenas are not counted here: RECORD_MAX is their bound. */
		struct arena *small = arena_new((size_t)32 * 1024);
		const char *error = aggregate_read(small, data, count_row, &wanted, &document);
		check_str(rows[i].piece, str_of(error), rows[i].error);
		if (document.organization.n > 4096)
			fail_msg("%zu bytes of a name are kept", document.organization.n);
		arena_free(small);
	}
}

/* More than 1 GiB comes out of one MiB. */
static void test_bomb(void **state)
{
	(void)state;
	struct aggregate_document document;
	int wanted = 1;
	struct gzip_writer *writer = gzip_writer_new(arena);
	const char *blanks = memset(arena_alloc(arena, 1 << 20), ' ', 1 << 20);
	gzip_add(writer, STR("<feedback>"));
	for (unsigned i = 0; i < 1026; i++)
		gzip_add(writer, str_from(blanks, 1 << 20));
	const char *error = aggregate_read(arena, gzip_end(writer), count_row, &wanted, &document);
	check_str("bomb", str_of(error), "it is larger than 1 GiB when unpacked");
}

/* Gzip within gzip that goes on with empty members for more than 64 MiB: what stands behind them is not read. */
static void test_inner_bomb(void **state)
{
	(void)state;
	struct aggregate_document document;
	int wanted = 1;
	struct str empty = gzip_end(gzip_writer_new(arena)), packed = read_corpus("plain.xml.gz");
	struct buf many = buf_in(arena);
	while (many.n < 1 << 20)
		buf_add(&many, empty);
	for (unsigned n_mib = 1; n_mib <= 65; n_mib += 64) {
		struct gzip_writer *writer = gzip_writer_new(arena);
		for (unsigned i = 0; i < n_mib; i++)
			gzip_add(writer, buf_str(&many));
		gzip_add(writer, packed);
		const char *error = aggregate_read(arena, gzip_end(writer), count_row, &wanted, &document);
		check_str("inner bomb", str_of(error == NULL ? "" : error),
			n_mib == 1 ? "" : "the compressed data are damaged or end early");
	}
}

/* Out of memory anywhere in it: the caller's boundary is jumped to, and the arena gives all back (ASan sees it). */
static void test_out_of_memory(void **state)
{
	(void)state;
	static const char *const files[] = {"sloppy.xml", "mail-forwarded.eml", "stored.zip"};
	jmp_buf boundary;
	volatile unsigned failed = 0, done = 0;
	for (size_t volatile i = 0; i < COUNT(files); i++) {
		struct str volatile data = read_corpus(files[i]);
		for (size_t volatile cap = 64; cap < 32768; cap += 128) {
			struct arena *volatile small = arena_new(cap);
			struct aggregate_document document;
			int wanted = 1000;
			if (setjmp(boundary) == 0) {
				arena_set_boundary(small, &boundary);
				assert_null(aggregate_read(small, data, count_row, &wanted, &document));
				done++;
			} else {
				failed++;
			}
			arena_free(small);
		}
	}
	assert_true(failed > 0 && done > 0);
}

/* More than a buffer full, that does not compress, in and out in pieces. */
static void test_gzip(void **state)
{
	(void)state;
	static char bytes[300000], back[sizeof(bytes) + 1];
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)((random = random * 1664525 + 1013904223) >> 24);
	struct gzip_writer *writer = gzip_writer_new(arena);
	gzip_add(writer, str_from(bytes, 200000));
	gzip_flush(writer);
	gzip_flush(writer); /* nothing to do */
	size_t size = gzip_size(writer);
	assert_true(size > 200000 && size <= gzip_bound(200000));
	gzip_add(writer, str_from(bytes + 200000, 100000));
	struct str file = gzip_end(writer);
	assert_true(file.n <= size + gzip_bound(100000));
	for (int whole = 0; whole < 2; whole++) {
		struct gzip_reader *reader =
			gzip_reader_new(arena, GZIP_FILE, whole ? file : str_head(file, file.n - 1));
		size_t n, all = 0;
		bool good;
		while ((good = gzip_read(reader, back + all, all < 1000 ? 100 : sizeof(back) - all, &n)) && n > 0)
			all += n;
		check_int("whole", good, whole);
		assert_true(all == sizeof(bytes) || !whole);
		assert_memory_equal(back, bytes, all);
	}
}

static bool no_memory;

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return no_memory ? NULL : __real_realloc(p, n);
}

/* Within libxml2's callback nobody may jump: the boundary hears of it afterwards. */
static void test_out_of_memory_within_a_callback(void **state)
{
	(void)state;
	jmp_buf boundary;
	struct str volatile data = read_corpus("sloppy.xml");
	struct aggregate_document document;
	int wanted = 1000;
	volatile bool jumped = false;
	no_memory = true;
	if (setjmp(boundary) == 0) {
		arena_set_boundary(arena, &boundary);
		aggregate_read(arena, data, count_row, &wanted, &document);
	} else {
		jumped = true;
	}
	no_memory = false;
	arena_set_boundary(arena, NULL);
	assert_true(jumped);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(test_dialects),
		ARENA_TEST(test_errors),
		ARENA_TEST(test_document),
		ARENA_TEST(test_ours),
		ARENA_TEST(test_memory),
		ARENA_TEST(test_bomb),
		ARENA_TEST(test_inner_bomb),
		ARENA_TEST(test_out_of_memory),
		ARENA_TEST(test_gzip),
		ARENA_TEST(test_out_of_memory_within_a_callback),
	};
	corpus = argc > 1 ? argv[1] : "tests/fuzz/corpus/report_read";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
