/*
 * Records as JSON and back: docs/report-records.md. Of each object one table tells writer and reader what it has.
 */
#include <stddef.h>

#include "base/ip.h"
#include "base/json.h"
#include "report/json_reader.h"
#include "report/line.h"
#include "report/record.h"

/* More than any message has; it bounds what a foreign line can make us allocate. */
#define MAX_REASONS 16

/* ---- members ---- */

enum member_kind {
	MEMBER_TEXT,
	MEMBER_TEXT_IF_ANY, /* mostly empty, and left out then */
	MEMBER_BOOL
};

struct member {
	const char *name;
	enum member_kind kind;
	size_t offset; /* in the struct */
};

/* In the order in which they are written: the store knows rows by their bytes. */
struct shape {
	size_t size; /* of the struct */
	const struct member *members;
	size_t n;
};

/* Another type than the kind's does not compile. */
/* clang-format off */
#define TEXT_AS(kind, name, object, field) {name, kind, _Generic(((object *)NULL)->field, struct str: offsetof(object, field))}
#define TEXT(object, field) TEXT_AS(MEMBER_TEXT, #field, object, field)
#define TEXT_IF_ANY(object, field) TEXT_AS(MEMBER_TEXT_IF_ANY, #field, object, field)
#define BOOL(object, field) {#field, MEMBER_BOOL, _Generic(((object *)NULL)->field, bool: offsetof(object, field))}
#define SHAPE(object, ...) {sizeof(object), (const struct member[]){__VA_ARGS__}, \
	sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member)}
/* clang-format on */

static void put(struct json *json, const char *name, struct str text)
{
	json_str(json, name, text.n > 0 ? text : STR(""));
}

static void write_members(struct json *json, const struct shape *shape, const void *object)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct member *member = &shape->members[i];
		const void *value = (const char *)object + member->offset;
		switch (member->kind) {
		case MEMBER_TEXT:
			put(json, member->name, *(const struct str *)value);
			break;
		case MEMBER_TEXT_IF_ANY:
			if (((const struct str *)value)->n > 0)
				put(json, member->name, *(const struct str *)value);
			break;
		case MEMBER_BOOL:
			json_bool(json, member->name, *(const bool *)value);
			break;
		}
	}
}

static void write_array(struct json *json, const char *name, const struct shape *shape, const void *objects, size_t n)
{
	json_array_begin(json, name);
	for (size_t i = 0; i < n; i++) {
		json_object_begin(json, NULL);
		write_members(json, shape, (const char *)objects + i * shape->size);
		json_object_end(json);
	}
	json_array_end(json);
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

static void read_members(struct reader *reader, const struct json_t *object, const struct shape *shape,
	const char *problem, void *ret_object)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct member *member = &shape->members[i];
		void *value = (char *)ret_object + member->offset;
		switch (member->kind) {
		case MEMBER_TEXT_IF_ANY:
			*(struct str *)value = STR("");
			if (json_member(object, member->name) == NULL)
				break;
			*(struct str *)value = get(reader, object, member->name, problem);
			break;
		case MEMBER_TEXT:
			*(struct str *)value = get(reader, object, member->name, problem);
			break;
		case MEMBER_BOOL:
			if (!json_as_bool(json_member(object, member->name), value))
				complain(reader, problem);
			break;
		}
	}
}

/* Absent is empty. More than @maximum elements: none. */
static void *read_array(struct reader *reader, const struct json_t *object, const char *name, const struct shape *shape,
	size_t maximum, const char *problem, size_t *ret_n)
{
	const struct json_t *array = json_member(object, name);
	size_t n = 0;
	if (array != NULL && (!json_as_array(array, &n) || n > maximum))
		complain(reader, problem);
	if (n > maximum)
		n = 0;
	char *objects = arena_alloc_array(reader->arena, n + 1, shape->size);
	for (size_t i = 0; i < n; i++)
		read_members(reader, json_element(array, i), shape, problem, objects + i * shape->size);
	*ret_n = n;
	return objects;
}

static void check_word(struct reader *reader, struct str word, const char *const *words, const char *problem)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (str_eq(word, str_of(words[i])))
			return;
	complain(reader, problem);
}

/* ---- the row ---- */

static const struct shape dkim_shape =
	SHAPE(struct report_dkim, TEXT(struct report_dkim, domain), TEXT(struct report_dkim, selector),
		TEXT(struct report_dkim, result), TEXT_IF_ANY(struct report_dkim, human_result));

static const struct shape reason_shape =
	SHAPE(struct report_reason, TEXT(struct report_reason, type), TEXT_IF_ANY(struct report_reason, comment));

/* In front of the reasons, and behind them. */
static const struct shape evaluated_shape =
	SHAPE(struct report_row, TEXT(struct report_row, source_ip), TEXT(struct report_row, disposition),
		BOOL(struct report_row, dkim_aligned), BOOL(struct report_row, spf_aligned));

static const struct shape identifier_shape = SHAPE(struct report_row, TEXT(struct report_row, header_from),
	TEXT(struct report_row, envelope_from), TEXT(struct report_row, envelope_to));

static const struct shape spf_shape =
	SHAPE(struct report_row, TEXT_AS(MEMBER_TEXT, "domain", struct report_row, spf_domain),
		TEXT_AS(MEMBER_TEXT, "result", struct report_row, spf_result),
		TEXT_AS(MEMBER_TEXT_IF_ANY, "human_result", struct report_row, spf_human_result));

static void write_row(struct json *json, const char *name, const struct report_row *row)
{
	json_object_begin(json, name);
	write_members(json, &evaluated_shape, row);
	write_array(json, "reasons", &reason_shape, row->reasons, row->n_reasons);
	write_members(json, &identifier_shape, row);
	write_array(json, "dkim", &dkim_shape, row->dkim, row->n_dkim);
	if (row->spf_domain.n > 0) {
		json_object_begin(json, "spf");
		write_members(json, &spf_shape, row);
		json_object_end(json);
	}
	json_object_end(json);
}

static void check_row(struct reader *reader, const struct report_row *row)
{
	static const char *const dispositions[] = {"none", "pass", "quarantine", "reject", NULL};
	static const char *const types[] = {
		"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder", NULL};
	struct ip ip;
	if (!ip_parse(row->source_ip, &ip))
		complain(reader, "row.source_ip is no address");
	check_word(reader, row->disposition, dispositions, "row.disposition is an unknown word");
	for (size_t i = 0; i < row->n_reasons; i++)
		check_word(reader, row->reasons[i].type, types, "row.reasons has an unknown type");
}

static void read_row(struct reader *reader, const struct json_t *object, struct report_row *row)
{
	static const char problem[] = "the row is not complete";
	const struct json_t *spf = json_member(object, "spf");
	*row = (struct report_row){.n_reasons = 0};
	read_members(reader, object, &evaluated_shape, problem, row);
	row->reasons = read_array(reader, object, "reasons", &reason_shape, MAX_REASONS,
		"row.reasons is not as it should be", &row->n_reasons);
	read_members(reader, object, &identifier_shape, problem, row);
	row->dkim = read_array(
		reader, object, "dkim", &dkim_shape, REPORT_MAX_DKIM, "row.dkim is not as it should be", &row->n_dkim);
	if (spf != NULL)
		read_members(reader, spf, &spf_shape, "row.spf is not as it should be", row);
	check_row(reader, row);
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

static const struct shape signature_shape =
	SHAPE(struct report_failed_signature, TEXT(struct report_failed_signature, domain),
		TEXT(struct report_failed_signature, selector), TEXT(struct report_failed_signature, identity),
		TEXT(struct report_failed_signature, result), TEXT_IF_ANY(struct report_failed_signature, reason),
		BOOL(struct report_failed_signature, aligned), BOOL(struct report_failed_signature, report_requested));

static const struct shape failure_shape = SHAPE(struct report_failure, TEXT(struct report_failure, mail_from),
	TEXT(struct report_failure, rcpt), TEXT(struct report_failure, client_name), TEXT(struct report_failure, helo),
	TEXT(struct report_failure, delivery_result), TEXT(struct report_failure, authentication_results),
	TEXT(struct report_failure, headers), BOOL(struct report_failure, headers_cut));

static void write_failure(struct json *json, const struct report_failure *failure)
{
	json_object_begin(json, "failure");
	write_members(json, &failure_shape, failure);
	write_array(json, "signatures", &signature_shape, failure->signatures, failure->n_signatures);
	json_object_end(json);
}

static const struct report_failure *read_failure(struct reader *reader, const struct json_t *object)
{
	struct report_failure *failure = ARENA_NEW(reader->arena, struct report_failure);
	read_members(reader, object, &failure_shape, "the failure is not complete", failure);
	failure->signatures = read_array(reader, object, "signatures", &signature_shape, REPORT_MAX_DKIM,
		"failure.signatures is not as it should be", &failure->n_signatures);
	return failure;
}

/* ---- the record ---- */

static const struct shape policy_shape = SHAPE(struct report_policy, TEXT(struct report_policy, domain),
	TEXT(struct report_policy, record), TEXT(struct report_policy, discovery));

static void write_policy(struct json *json, const struct report_policy *policy)
{
	json_object_begin(json, "policy");
	write_members(json, &policy_shape, policy);
	json_object_end(json);
}

static void read_policy(struct reader *reader, const struct json_t *object, struct report_policy *policy)
{
	static const char *const methods[] = {"treewalk", "psl", NULL};
	read_members(reader, object, &policy_shape, "the policy is not complete", policy);
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
