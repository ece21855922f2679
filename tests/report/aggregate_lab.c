#include "aggregate_lab.h"

#include <stdlib.h>

struct aggregate_header lab_header(enum report_format format)
{
	return (struct aggregate_header){
		.format = format,
		.organization = STR("Receiver & Söhne"),
		.address = STR("dmarc@mx.example.net"),
		.extra_contact = STR("https://mx.example.net/dmarc"),
		.submitter = STR("mx.example.net"),
		.policy = {STR("example.com"),
			STR("v=DMARC1; p=reject; sp=quarantine; aspf=s; fo=1:d; pct=50; t=y; "
			    "rua=mailto:a@example.com,b@example.com; ruf=mailto:c@example.com"),
			STR("treewalk")},
		.begin = 1763596800,
		.end = 1763683199,
		.unique = STR("7f3a"),
	};
}

struct store_row lab_row(struct arena *arena)
{
	struct report_dkim *dkim = ARENA_ARRAY(arena, 2, struct report_dkim);
	dkim[0] = (struct report_dkim){STR("example.com"), STR("s1"), STR("fail"), STR("body hash did not verify")};
	dkim[1] = (struct report_dkim){STR("list.example.org"), STR("s2"), STR("pass"), STR("")};
	struct report_reason *reasons = ARENA_ARRAY(arena, 2, struct report_reason);
	reasons[0] = (struct report_reason){STR("policy_test_mode"), STR("")};
	reasons[1] = (struct report_reason){STR("trusted_forwarder"), STR("list.example.org")};
	return (struct store_row){
		.row = {.source_ip = STR("2001:db8::25"),
			.disposition = STR("none"),
			.dkim_aligned = false,
			.spf_aligned = false,
			.reasons = reasons,
			.n_reasons = 2,
			.header_from = STR("news.example.com"),
			.envelope_from = STR("list.example.org"),
			.envelope_to = STR("example.net"),
			.dkim = dkim,
			.n_dkim = 2,
			.spf_domain = STR("list.example.org"),
			.spf_result = STR("softfail"),
			.spf_human_result = STR("~all")},
		.count = 12,
	};
}

struct store_row lab_random_row(struct arena *arena, unsigned number)
{
	static const char *const dispositions[] = {"none", "pass", "quarantine", "reject"};
	static const char *const dkim_results[] = {
		"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"};
	static const char *const spf_results[] = {
		"none", "pass", "fail", "softfail", "neutral", "temperror", "permerror"};
	static const char *const reasons[] = {
		"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"};
	/* Knuth's multiplicative hash: any fixed scrambling will do. */
	unsigned random = number * 2654435761U;
	struct store_row row = lab_row(arena);
	struct report_dkim *dkim = ARENA_ARRAY(arena, 3, struct report_dkim);
	struct report_reason *reason = ARENA_NEW(arena, struct report_reason);
	for (unsigned i = 0; i < 3; i++)
		dkim[i] = (struct report_dkim){
			arena_printf(arena, "d%x.example", random ^ i),
			arena_printf(arena, "s%u", i),
			str_of(dkim_results[(number + i) % 7]),
			number % 2 == 0 ? STR("") : STR("no key"),
		};
	*reason = (struct report_reason){str_of(reasons[number % 5]), STR("")};
	row.count = number % 1000 + 1;
	row.row.source_ip = number % 3 == 0 ? arena_printf(arena, "2001:db8::%x:%x", random >> 16, random & 0xffff)
					    : arena_printf(arena, "%u.%u.%u.%u", random >> 24, random >> 16 & 255,
						      random >> 8 & 255, random & 255);
	row.row.disposition = str_of(dispositions[number % 4]);
	row.row.dkim_aligned = number % 5 == 0;
	row.row.spf_aligned = number % 7 == 0;
	row.row.reasons = reason;
	row.row.n_reasons = number % 2;
	row.row.envelope_from = number % 11 == 0 ? STR("") : arena_printf(arena, "b%x.example", random);
	row.row.envelope_to = number % 2 == 0 ? STR("") : STR("example.net");
	row.row.dkim = dkim;
	row.row.n_dkim = number % 4;
	row.row.spf_domain = number % 13 == 0 ? STR("") : row.row.envelope_from;
	row.row.spf_result = number % 13 == 0 ? STR("") : str_of(spf_results[number % 7]);
	return row;
}

struct store_row lab_text_row(struct arena *arena, struct str text)
{
	struct report_dkim *dkim = ARENA_NEW(arena, struct report_dkim);
	struct report_reason *reason = ARENA_NEW(arena, struct report_reason);
	*dkim = (struct report_dkim){text, text, text, text};
	*reason = (struct report_reason){text, text};
	return (struct store_row){
		.row = {text, text, true, false, reason, 1, text, text, text, dkim, 1, text, text, text},
		.count = 1,
	};
}

size_t lab_write(struct arena *arena, struct aggregate_header header, const struct store_row *rows, size_t n_rows,
	size_t maximum_bytes, struct store_report *reports, size_t capacity)
{
	size_t parts = 0;
	for (size_t i = 0; (i < n_rows || parts == 0) && parts < capacity; parts++) {
		struct aggregate_writer *writer = aggregate_begin(arena, &header, maximum_bytes);
		while (i < n_rows && aggregate_add(writer, &rows[i]))
			i++;
		if (aggregate_end(writer, &reports[parts]) != ERR_OK)
			abort();
		header.part++;
	}
	return parts;
}

struct str lab_plain(struct arena *arena, struct aggregate_header header, const struct store_row *rows, size_t n_rows)
{
	struct store_report report;
	struct buf out = buf_in(arena);
	if (lab_write(arena, header, rows, n_rows, SIZE_MAX, &report, 1) != 1 ||
		aggregate_plain(arena, &report, &out) != ERR_OK)
		abort();
	return buf_str(&out);
}
