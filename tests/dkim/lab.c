#include "lab.h"

#include "base/buf.h"

void lab_init(struct lab *lab, struct arena *arena)
{
	*lab = (struct lab){
		.arena = arena,
		.now = 1528637909,
		.verify_options = {.minimum_key_bits = 1024, .maximum_signatures = 10, .clock_drift = 300},
	};
}

struct str lab_crlf(struct arena *arena, const char *text)
{
	struct buf out = buf_in(arena);
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_add_char(&out, '\r');
		buf_add_char(&out, *text);
	}
	return buf_str(&out);
}

static size_t feed(struct dkim_body *body, struct str text, size_t chunk)
{
	size_t n = text.n;
	if (chunk == 0)
		chunk = SIZE_MAX;
	while (text.n > 0) {
		bool more = dkim_body_add(body, str_head(text, chunk));
		text = str_skip(text, chunk);
		if (!more)
			break;
	}
	dkim_body_end(body);
	return n - text.n;
}

struct str lab_sign(
	struct lab *lab, const struct dkim_sign_options *options, const struct dkim_signer *signer, struct str message)
{
	struct headers headers;
	struct str body_text, value;
	struct dkim_body *body = dkim_body_new(lab->arena);
	struct buf out = buf_in(lab->arena);
	headers_init(&headers, lab->arena, SIZE_MAX, SIZE_MAX);
	headers_split(&headers, message, &body_text);
	struct dkim_signing *signing = dkim_sign_begin(lab->arena, options, signer, &headers, body, lab->now);
	feed(body, body_text, lab->chunk);
	if (!dkim_sign_end(signing, &value))
		return STR("");
	buf_add(&out, STR("DKIM-Signature:"));
	for (struct str rest = value, line; str_cut(&rest, '\n', &line);) {
		buf_add(&out, line);
		buf_add(&out, STR("\r\n"));
	}
	return buf_str(&out);
}

struct str lab_signed(
	struct lab *lab, const struct dkim_sign_options *options, const struct dkim_signer *signer, struct str message)
{
	struct str field = lab_sign(lab, options, signer, message);
	struct buf out = buf_in(lab->arena);
	buf_add(&out, field);
	buf_add(&out, message);
	return buf_str(&out);
}

static struct dns_answer *look_up(const struct lab *lab, struct str name)
{
	struct dns_record records[16];
	size_t n = 0;
	for (size_t i = 0; i < lab->n_zone && n < 16; i++) {
		if (!str_ieq(str_of(lab->zone[i].name), name))
			continue;
		if (lab->zone[i].txt == NULL)
			return dns_answer_new(DNS_FAILED, NULL, 0);
		records[n++] = (struct dns_record){.data = str_of(lab->zone[i].txt)};
	}
	return dns_answer_new(n > 0 ? DNS_DATA : DNS_NXDOMAIN, records, n);
}

bool lab_verify(struct lab *lab, struct str message)
{
	struct headers headers;
	struct str body_text, key_name;
	struct dkim_body *body = dkim_body_new(lab->arena);
	struct dkim_verifier *verifier = dkim_verifier_new(lab->arena, &lab->verify_options, lab->keys, lab->now);
	struct answers *answers = answers_new(lab->arena);
	struct dns_question question;
	lab->n_early = 0;
	headers_init(&headers, lab->arena, SIZE_MAX, SIZE_MAX);
	headers_split(&headers, message, &body_text);
	for (size_t i = 0; i < headers.n; i++) {
		if (!str_ieq(header_field_name(&headers.fields[i]), STR("dkim-signature")))
			continue;
		dkim_verifier_add(verifier, &headers.fields[i], &key_name);
		if (key_name.n > 0) {
			answers_want(answers, DNS_TXT, key_name);
			lab->n_early++;
		}
	}
	dkim_verifier_headers_done(verifier, &headers, lab->authors, lab->n_authors, body);
	lab->n_body_read = feed(body, body_text, lab->chunk);
	bool complete = false;
	/* One round for what is missing, a second for nothing: it must then be complete. */
	for (int round = 0; round < 2 && !complete; round++) {
		complete = dkim_verifier_judge(verifier, answers, &lab->results, &lab->n_results);
		while (answers_next_wanted(answers, &question))
			answers_put(answers, &question, look_up(lab, question.name));
	}
	lab->n_questions = answers_count(answers);
	return complete;
}
