/*
 * Records as JSON and back: docs/report-records.md. Writer and reader of each
 * object stand side by side.
 */
#include "base/ip.h"
#include "base/json.h"
#include "report/json_reader.h"
#include "report/line.h"
#include "report/record.h"

/* More than any message has; it bounds what a foreign line can make us allocate. */
#define MAX_REASONS 16

/* ---- members ---- */

static void put(struct json *json, const char *name, struct str text)
{
	json_str(json, name, text.n > 0 ? text : STR(""));
}

/* What is mostly empty is left out then. */
static void put_if_any(struct json *json, const char *name, struct str text)
{
	if (text.n > 0)
		json_str(json, name, text);
}

/* A reader notes the first thing that is wrong and goes on. */
struct reader {
	struct arena *arena;
	const char *problem;
};

static void complain(struct reader *reader, const char *problem)
{
	if (reader->problem == NULL)
		reader->problem = problem;
}

static struct str get(struct reader *reader, const struct json_t *object, const char *name, const char *problem)
{
	struct str text = STR("");
	if (!json_as_str(json_member(object, name), &text))
		complain(reader, problem);
	return text;
}

static struct str get_if_any(struct reader *reader, const struct json_t *object, const char *name, const char *problem)
{
	const struct json_t *member = json_member(object, name);
	struct str text = STR("");
	if (member != NULL && !json_as_str(member, &text))
		complain(reader, problem);
	return text;
}

static bool get_bool(struct reader *reader, const struct json_t *object, const char *name, const char *problem)
{
	bool value = false;
	if (!json_as_bool(json_member(object, name), &value))
		complain(reader, problem);
	return value;
}

/* Absent is empty. */
static const struct json_t *get_array(struct reader *reader, const struct json_t *object, const char *name,
	size_t maximum, const char *problem, size_t *ret_n)
{
	const struct json_t *array = json_member(object, name);
	*ret_n = 0;
	if (array != NULL && (!json_as_array(array, ret_n) || *ret_n > maximum))
		complain(reader, problem);
	if (*ret_n > maximum)
		*ret_n = 0;
	return array;
}

static void check_word(struct reader *reader, struct str word, const char *const *words, const char *problem)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (str_eq(word, str_of(words[i])))
			return;
	complain(reader, problem);
}

/* ---- the row ---- */

static void write_dkim(struct json *json, const struct report_row *row)
{
	json_array_begin(json, "dkim");
	for (size_t i = 0; i < row->n_dkim; i++) {
		const struct report_dkim *dkim = &row->dkim[i];
		json_object_begin(json, NULL);
		put(json, "domain", dkim->domain);
		put(json, "selector", dkim->selector);
		put(json, "result", dkim->result);
		put_if_any(json, "human_result", dkim->human_result);
		json_object_end(json);
	}
	json_array_end(json);
}

static void read_dkim(struct reader *reader, const struct json_t *object, struct report_row *row)
{
	static const char problem[] = "row.dkim is not as it should be";
	const struct json_t *array = get_array(reader, object, "dkim", REPORT_MAX_DKIM, problem, &row->n_dkim);
	struct report_dkim *dkim = ARENA_ARRAY(reader->arena, row->n_dkim + 1, struct report_dkim);
	for (size_t i = 0; i < row->n_dkim; i++) {
		const struct json_t *element = json_element(array, i);
		dkim[i] = (struct report_dkim){
			.domain = get(reader, element, "domain", problem),
			.selector = get(reader, element, "selector", problem),
			.result = get(reader, element, "result", problem),
			.human_result = get_if_any(reader, element, "human_result", problem),
		};
	}
	row->dkim = dkim;
}

static void write_reasons(struct json *json, const struct report_row *row)
{
	json_array_begin(json, "reasons");
	for (size_t i = 0; i < row->n_reasons; i++) {
		json_object_begin(json, NULL);
		put(json, "type", row->reasons[i].type);
		put_if_any(json, "comment", row->reasons[i].comment);
		json_object_end(json);
	}
	json_array_end(json);
}

static void read_reasons(struct reader *reader, const struct json_t *object, struct report_row *row)
{
	static const char *const types[] = {
		"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder", NULL};
	static const char problem[] = "row.reasons is not as it should be";
	const struct json_t *array = get_array(reader, object, "reasons", MAX_REASONS, problem, &row->n_reasons);
	struct report_reason *reasons = ARENA_ARRAY(reader->arena, row->n_reasons + 1, struct report_reason);
	for (size_t i = 0; i < row->n_reasons; i++) {
		const struct json_t *element = json_element(array, i);
		reasons[i] = (struct report_reason){
			.type = get(reader, element, "type", problem),
			.comment = get_if_any(reader, element, "comment", problem),
		};
		check_word(reader, reasons[i].type, types, "row.reasons has an unknown type");
	}
	row->reasons = reasons;
}

static void write_row(struct json *json, const char *name, const struct report_row *row)
{
	json_object_begin(json, name);
	put(json, "source_ip", row->source_ip);
	put(json, "disposition", row->disposition);
	json_bool(json, "dkim_aligned", row->dkim_aligned);
	json_bool(json, "spf_aligned", row->spf_aligned);
	write_reasons(json, row);
	put(json, "header_from", row->header_from);
	put(json, "envelope_from", row->envelope_from);
	put(json, "envelope_to", row->envelope_to);
	write_dkim(json, row);
	if (row->spf_domain.n > 0) {
		json_object_begin(json, "spf");
		put(json, "domain", row->spf_domain);
		put(json, "result", row->spf_result);
		put_if_any(json, "human_result", row->spf_human_result);
		json_object_end(json);
	}
	json_object_end(json);
}

static void read_row(struct reader *reader, const struct json_t *object, struct report_row *row)
{
	static const char *const dispositions[] = {"none", "pass", "quarantine", "reject", NULL};
	static const char problem[] = "the row is not complete";
	struct ip ip;
	*row = (struct report_row){
		.source_ip = get(reader, object, "source_ip", problem),
		.disposition = get(reader, object, "disposition", problem),
		.dkim_aligned = get_bool(reader, object, "dkim_aligned", problem),
		.spf_aligned = get_bool(reader, object, "spf_aligned", problem),
		.header_from = get(reader, object, "header_from", problem),
		.envelope_from = get(reader, object, "envelope_from", problem),
		.envelope_to = get(reader, object, "envelope_to", problem),
	};
	if (!ip_parse(row->source_ip, &ip))
		complain(reader, "row.source_ip is no address");
	check_word(reader, row->disposition, dispositions, "row.disposition is an unknown word");
	read_reasons(reader, object, row);
	read_dkim(reader, object, row);
	const struct json_t *spf = json_member(object, "spf");
	if (spf == NULL)
		return;
	row->spf_domain = get(reader, spf, "domain", "row.spf is not as it should be");
	row->spf_result = get(reader, spf, "result", "row.spf is not as it should be");
	row->spf_human_result = get_if_any(reader, spf, "human_result", "row.spf is not as it should be");
}

void report_row_write(const struct report_row *row, struct buf *out)
{
	struct json json = json_to(out);
	write_row(&json, NULL, row);
}

const char *report_row_read(struct arena *arena, struct str text, struct report_row *ret_row)
{
	struct reader reader = {.arena = arena};
	const struct json_t *object = json_read_object(arena, text);
	if (object == NULL)
		return "no JSON object";
	read_row(&reader, object, ret_row);
	return reader.problem;
}

/* ---- a failure ---- */

static void write_signatures(struct json *json, const struct report_failure *failure)
{
	json_array_begin(json, "signatures");
	for (size_t i = 0; i < failure->n_signatures; i++) {
		const struct report_failed_signature *signature = &failure->signatures[i];
		json_object_begin(json, NULL);
		put(json, "domain", signature->domain);
		put(json, "selector", signature->selector);
		put(json, "identity", signature->identity);
		put(json, "result", signature->result);
		put_if_any(json, "reason", signature->reason);
		json_bool(json, "aligned", signature->aligned);
		json_bool(json, "report_requested", signature->report_requested);
		json_object_end(json);
	}
	json_array_end(json);
}

static void read_signatures(struct reader *reader, const struct json_t *object, struct report_failure *failure)
{
	static const char problem[] = "failure.signatures is not as it should be";
	const struct json_t *array =
		get_array(reader, object, "signatures", REPORT_MAX_DKIM, problem, &failure->n_signatures);
	struct report_failed_signature *signatures =
		ARENA_ARRAY(reader->arena, failure->n_signatures + 1, struct report_failed_signature);
	for (size_t i = 0; i < failure->n_signatures; i++) {
		const struct json_t *element = json_element(array, i);
		signatures[i] = (struct report_failed_signature){
			.domain = get(reader, element, "domain", problem),
			.selector = get(reader, element, "selector", problem),
			.identity = get(reader, element, "identity", problem),
			.result = get(reader, element, "result", problem),
			.reason = get_if_any(reader, element, "reason", problem),
			.aligned = get_bool(reader, element, "aligned", problem),
			.report_requested = get_bool(reader, element, "report_requested", problem),
		};
	}
	failure->signatures = signatures;
}

static void write_failure(struct json *json, const struct report_failure *failure)
{
	json_object_begin(json, "failure");
	put(json, "mail_from", failure->mail_from);
	put(json, "rcpt", failure->rcpt);
	put(json, "client_name", failure->client_name);
	put(json, "helo", failure->helo);
	put(json, "delivery_result", failure->delivery_result);
	put(json, "authentication_results", failure->authentication_results);
	put(json, "headers", failure->headers);
	json_bool(json, "headers_cut", failure->headers_cut);
	write_signatures(json, failure);
	json_object_end(json);
}

static const struct report_failure *read_failure(struct reader *reader, const struct json_t *object)
{
	static const char problem[] = "the failure is not complete";
	struct report_failure *failure = ARENA_NEW(reader->arena, struct report_failure);
	*failure = (struct report_failure){
		.mail_from = get(reader, object, "mail_from", problem),
		.rcpt = get(reader, object, "rcpt", problem),
		.client_name = get(reader, object, "client_name", problem),
		.helo = get(reader, object, "helo", problem),
		.delivery_result = get(reader, object, "delivery_result", problem),
		.authentication_results = get(reader, object, "authentication_results", problem),
		.headers = get(reader, object, "headers", problem),
		.headers_cut = get_bool(reader, object, "headers_cut", problem),
	};
	read_signatures(reader, object, failure);
	return failure;
}

/* ---- the record ---- */

static void write_policy(struct json *json, const struct report_policy *policy)
{
	json_object_begin(json, "policy");
	put(json, "domain", policy->domain);
	put(json, "record", policy->record);
	put(json, "discovery", policy->discovery);
	json_object_end(json);
}

static void read_policy(struct reader *reader, const struct json_t *object, struct report_policy *policy)
{
	static const char *const methods[] = {"treewalk", "psl", NULL};
	static const char problem[] = "the policy is not complete";
	*policy = (struct report_policy){
		.domain = get(reader, object, "domain", problem),
		.record = get(reader, object, "record", problem),
		.discovery = get(reader, object, "discovery", problem),
	};
	check_word(reader, policy->discovery, methods, "policy.discovery is an unknown word");
}

void report_record_write(const struct report_record *record, struct buf *out)
{
	struct buf text = buf_in(out->arena);
	struct json json = json_to(&text);
	json_object_begin(&json, NULL);
	put(&json, "id", record->id);
	json_int(&json, "time", record->time);
	put(&json, "reporter", record->reporter);
	put(&json, "queue_id", record->queue_id);
	if (record->policy.domain.n > 0)
		write_policy(&json, &record->policy);
	write_row(&json, "row", &record->row);
	if (record->failure != NULL)
		write_failure(&json, record->failure);
	json_object_end(&json);
	report_line_write(buf_str(&text), out);
}

const char *report_record_read(struct arena *arena, struct str line, struct report_record *ret_record)
{
	struct reader reader = {.arena = arena};
	struct str text;
	const char *problem = report_line_read(line, &text);
	if (problem != NULL)
		return problem;
	const struct json_t *object = json_read_object(arena, text);
	if (object == NULL)
		return "no JSON object";
	*ret_record = (struct report_record){
		.id = get(&reader, object, "id", "there is no id"),
		.reporter = get(&reader, object, "reporter", "there is no reporter"),
		.queue_id = get(&reader, object, "queue_id", "there is no queue_id"),
	};
	if (!json_as_int(json_member(object, "time"), &ret_record->time) || ret_record->time < 0)
		complain(&reader, "there is no time");
	if (json_member(object, "policy") != NULL)
		read_policy(&reader, json_member(object, "policy"), &ret_record->policy);
	read_row(&reader, json_member(object, "row"), &ret_record->row);
	if (json_member(object, "failure") != NULL)
		ret_record->failure = read_failure(&reader, json_member(object, "failure"));
	if (ret_record->id.n == 0)
		complain(&reader, "there is no id");
	return reader.problem;
}
