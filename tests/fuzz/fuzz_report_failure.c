/*
 * A failure report from hostile text: names and values (tests/report/failure_lab.h), each ended by NUL; in a value a
 * byte 1 stands for NUL. Then the requests of RFC 6651, from spf_record.
 */
#include <stdlib.h>

#include "../report/failure_lab.h"
#include "report/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool what)
{
	if (!what)
		abort();
}

static struct str with_nul(struct arena *arena, struct str value)
{
	char *copy = arena_alloc(arena, value.n + 1);
	for (size_t i = 0; i < value.n; i++)
		copy[i] = value.p[i] == 1 ? '\0' : value.p[i];
	return str_from(copy, value.n);
}

/* Each line a field of ours, once, or the rest of one; printable US-ASCII. */
static void check_feedback(struct str text)
{
	static const char *const once[] = {
		"Feedback-Type: ", "Version: ", "Auth-Failure: ", "Reported-Domain: ", "Source-IP: "};
	size_t counts[sizeof(once) / sizeof(*once)] = {0};
	struct str line;
	expect(str_ends(text, STR("\r\n")));
	text.n -= 2;
	while (str_cut(&text, '\n', &line)) {
		if (str_ends(line, STR("\r")))
			line.n--;
		expect(line.n > 0 && line.n <= 998);
		for (size_t i = 0; i < line.n; i++)
			expect(line.p[i] >= ' ' && line.p[i] <= '~');
		ptrdiff_t colon = str_index(line, ':');
		expect(line.p[0] == ' ' || colon > 0);
		for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
			counts[i] += str_starts(line, str_of(once[i]));
	}
	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
		expect(counts[i] <= 1);
	expect(counts[0] == 1);
}

static void check_mail(struct arena *arena, struct failure_lab *lab)
{
	struct mail mail;
	failure_lab_write(arena, lab, &mail);
	expect(mail.n_parts == 3 && str_eq(mail.from, lab->options.address));
	for (size_t i = 0; i < mail.subject.n; i++)
		expect(mail.subject.p[i] != '\r' && mail.subject.p[i] != '\n');
	for (size_t i = 0; i < mail.message_id.n; i++)
		expect(mail.message_id.p[i] > ' ' && mail.message_id.p[i] <= '~');
	check_feedback(mail.parts[1].data);
}

static void check_redaction(struct arena *arena, struct str headers)
{
	struct str redacted = redact_headers(arena, STR("key"), headers);
	size_t n = 0, n_redacted = 0;
	for (size_t i = 0; i < headers.n; i++)
		n += headers.p[i] == '\n';
	for (size_t i = 0; i < redacted.n; i++)
		n_redacted += redacted.p[i] == '\n';
	expect(n == n_redacted);
}

static void check_request(struct arena *arena, struct str record)
{
	struct dkim_report_request request;
	const struct report_failed_signature signature = {.result = STR("fail"), .report_requested = true};
	if (!dkim_report_request_parse(arena, STR("example.com"), record, &request))
		return;
	expect(mail_address_usable(request.address) && str_ends(request.address, STR("@example.com")));
	expect(str_index(request.address, '@') == str_rindex(request.address, '@') && request.percent <= 100);
	dkim_report_wanted(arena, &request, &signature, record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		abort();
	struct str rest = str_from((const char *)data, size), name, value;
	struct failure_lab lab;
	failure_lab_init(&lab);
	while (rest.n > 0 && str_cut(&rest, '\0', &name) && str_cut(&rest, '\0', &value))
		failure_lab_set(&lab, name, with_nul(arena, value));
	lab.options.failure_from = STR("");
	lab.to = STR("ruf@example.com");
	lab.options.failure = true;
	failure_due(arena, &lab.options, &lab.record);
	check_mail(arena, &lab);
	check_redaction(arena, lab.failure.headers);
	check_request(arena, lab.context.spf_record);
	arena_free(arena);
	return 0;
}
