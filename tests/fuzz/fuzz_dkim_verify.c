/*
 * A key record on the first line, then a message: verified with that record under every name; then signed with a
 * key of ours and verified, which must pass whatever the message is.
 */
#include "dkim/dkim.h"

#define SEED "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define RECORD "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct dkim_body *body, struct str text, size_t chunk)
{
	while (text.n > 0 && dkim_body_add(body, str_head(text, chunk)))
		text = str_skip(text, chunk);
	dkim_body_end(body);
}

static enum dkim_status verify(
	struct arena *arena, const struct headers *headers, struct str body_text, struct str record, size_t chunk)
{
	static const struct dkim_verify_options options = {
		.minimum_key_bits = 1024, .maximum_signatures = 10, .clock_drift = 300};
	struct dkim_verifier *verifier = dkim_verifier_new(arena, &options, NULL, NOW);
	struct answers *answers = answers_new(arena);
	struct dkim_body *body = dkim_body_new(arena);
	const struct dkim_result *results;
	struct dns_record txt = {.data = record};
	struct dns_question question;
	struct str key_name;
	size_t n;
	for (size_t i = 0; i < headers->n; i++)
		if (str_ieq(header_field_name(&headers->fields[i]), STR("dkim-signature")))
			dkim_verifier_add(verifier, &headers->fields[i], &key_name);
	dkim_verifier_headers_done(verifier, headers, NULL, 0, body);
	feed(body, body_text, chunk);
	while (!dkim_verifier_judge(verifier, answers, &results, &n))
		while (answers_next_wanted(answers, &question))
			answers_put(answers, &question, dns_answer_new(DNS_DATA, &txt, 1));
	return n > 0 ? results[0].status : DKIM_NONE;
}

static void sign_and_verify(struct arena *arena, const struct headers *headers, struct str body_text, unsigned how)
{
	static const struct str oversign[] = {STR_INIT("from"), STR_INIT("x")};
	const char *error;
	struct dkim_sign_options options = {.header_canonicalization = how & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
		.body_canonicalization = how & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
		.body_lengths = how & 4,
		.diagnostics = how & 8,
		.oversign_headers = oversign,
		.n_oversign_headers = 2};
	struct dkim_private_key *key = dkim_private_key_parse(STR(SEED), &error);
	struct dkim_signer signer = {STR("example.com"), STR("s"), STR(""), key};
	struct dkim_body *body = dkim_body_new(arena);
	struct str value;
	struct headers signed_headers;
	struct dkim_signing *signing = dkim_sign_begin(arena, &options, &signer, headers, body, NOW);
	feed(body, body_text, 3);
	if (!dkim_sign_end(signing, &value))
		__builtin_trap();
	headers_init(&signed_headers, arena, SIZE_MAX, SIZE_MAX);
	headers_add(&signed_headers, STR("DKIM-Signature"), value);
	for (size_t i = 0; i < headers->n; i++)
		headers_add(&signed_headers, headers->fields[i].name, headers->fields[i].value);
	if (verify(arena, &signed_headers, body_text, STR(RECORD), 7) != DKIM_PASS)
		__builtin_trap();
	dkim_private_key_unref(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(0);
	struct str message = str_from((const char *)data, size), record, body_text;
	struct headers headers;
	str_cut(&message, '\n', &record);
	headers_init(&headers, arena, 1000, SIZE_MAX);
	headers_split(&headers, message, &body_text);
	verify(arena, &headers, body_text, record, 1 + size % 50);
	if (headers.dropped == 0)
		sign_and_verify(arena, &headers, body_text, (unsigned)size);
	arena_free(arena);
	return 0;
}
