/*
 * For tests: a record and all that a failure report is made of, from names and values.
 */
#ifndef TRIMILTER_TESTS_FAILURE_LAB_H
#define TRIMILTER_TESTS_FAILURE_LAB_H

#include <stdlib.h>

#include "report/failure.h"

struct failure_lab {
	struct report_options options;
	struct failure_context context;
	struct report_record record;
	struct report_failure failure;
	struct report_failed_signature signature;
	bool dkim; /* a DKIM failure report of the signature, not one of DMARC */
	struct str to;
};

static inline void failure_lab_init(struct failure_lab *lab)
{
	*lab = (struct failure_lab){.to = STR("ruf@example.com")};
	lab->options.address = STR("reports@receiver.example");
	lab->context.options = &lab->options;
	lab->context.now = lab->record.time = 1700000000;
	lab->context.reporter = STR("mx.receiver.example");
	lab->context.redaction_key = STR("key");
	lab->record.id = STR("17-4");
	lab->record.policy.discovery = STR("treewalk");
	lab->record.failure = &lab->failure;
	lab->failure.signatures = &lab->signature;
}

/** False: there is nothing of this name. */
static inline bool failure_lab_set(struct failure_lab *lab, struct str name, struct str value)
{
	const struct {
		struct str name, *value;
	} texts[] = {
		{STR("to"), &lab->to},
		{STR("failure_from"), &lab->options.failure_from},
		{STR("reporter"), &lab->context.reporter},
		{STR("spf_record"), &lab->context.spf_record},
		{STR("redaction_key"), &lab->context.redaction_key},
		{STR("id"), &lab->record.id},
		{STR("queue_id"), &lab->record.queue_id},
		{STR("policy_domain"), &lab->record.policy.domain},
		{STR("policy_record"), &lab->record.policy.record},
		{STR("source_ip"), &lab->record.row.source_ip},
		{STR("header_from"), &lab->record.row.header_from},
		{STR("spf_domain"), &lab->record.row.spf_domain},
		{STR("spf_result"), &lab->record.row.spf_result},
		{STR("mail_from"), &lab->failure.mail_from},
		{STR("rcpt"), &lab->failure.rcpt},
		{STR("delivery_result"), &lab->failure.delivery_result},
		{STR("authentication_results"), &lab->failure.authentication_results},
		{STR("headers"), &lab->failure.headers},
		{STR("dkim_domain"), &lab->signature.domain},
		{STR("dkim_selector"), &lab->signature.selector},
		{STR("dkim_identity"), &lab->signature.identity},
		{STR("dkim_result"), &lab->signature.result},
		{STR("dkim_reason"), &lab->signature.reason},
	};
	const struct {
		struct str name;
		bool *value;
	} flags[] = {
		{STR("verp"), &lab->options.verp},
		{STR("redact"), &lab->options.redact},
		{STR("dkim_aligned"), &lab->record.row.dkim_aligned},
		{STR("spf_aligned"), &lab->record.row.spf_aligned},
		{STR("signature_aligned"), &lab->signature.aligned},
		{STR("headers_cut"), &lab->failure.headers_cut},
		{STR("dkim"), &lab->dkim},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (str_eq(name, texts[i].name)) {
			*texts[i].value = value;
			lab->failure.n_signatures = lab->signature.domain.n > 0;
			return true;
		}
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (str_eq(name, flags[i].name)) {
			*flags[i].value = str_eq(value, STR("yes"));
			return true;
		}
	return str_eq(name, STR("incidents")) && str_to_u64(value, UINT64_MAX, &lab->context.incidents);
}

static inline void failure_lab_write(struct arena *arena, struct failure_lab *lab, struct mail *ret_mail)
{
	if (lab->dkim)
		dkim_failure_write(arena, &lab->context, &lab->record, &lab->signature, lab->to, ret_mail);
	else
		failure_write(arena, &lab->context, &lab->record, lab->to, ret_mail);
}

#endif
