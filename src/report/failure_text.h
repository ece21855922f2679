/*
 * The text of a failure report; the rules are failure.c's. Pure.
 */
#ifndef TRIMILTER_REPORT_FAILURE_TEXT_H
#define TRIMILTER_REPORT_FAILURE_TEXT_H

#include "report/failure.h"

enum failure_kind { FAILURE_NONE, FAILURE_DMARC, FAILURE_DKIM, FAILURE_SPF };

/**
 * @signature  that DKIM-Domain and its like name; NULL: none
 * Whatever a message held, its bytes stay within the field that they belong to.
 */
void failure_compose(struct arena *arena, const struct failure_context *context, const struct report_record *record,
	enum failure_kind kind, const struct report_failed_signature *signature, struct str to, struct mail *ret_mail);

#endif
