/*
 * Authentication-Results, RFC 8601: written for our own, parsed to find those
 * that claim to be ours. Pure.
 *
 * No result is ever taken from a field that arrived; the parser exists to
 * remove forgeries, for `trimilterctl explain`, and to prove the writer.
 */
#ifndef TRIMILTER_MESSAGE_RESULTS_H
#define TRIMILTER_MESSAGE_RESULTS_H

#include "base/buf.h"
#include "message/headers.h"

struct result_property {
	const char *ptype;    /* "header", "smtp", "policy" */
	const char *property; /* "d", "mailfrom" ... */
	struct str value;     /* any bytes: the writer quotes or drops what could mislead */
};

#define RESULT_PROPERTIES_MAX 6

struct result {
	const char *method; /* "dkim", "spf", "dmarc" */
	const char *value;  /* "pass" ... */
	struct str comment; /* empty: none; written in parentheses behind the value */
	struct str reason;  /* empty: none; else reason="..." */
	struct result_property properties[RESULT_PROPERTIES_MAX]; /* those with an empty value are left out */
	size_t n_properties;
};

/**
 * Append the field's value: authserv-id, then the results, one to a folded line ("\n\t" between), or "; none".
 * @eol  "\n" as milter wants it, or "\r\n"
 * Whatever bytes the values hold, a parser of RFC 8601 sees exactly these results: values are token or
 * quoted-string with \ escapes; CR, LF, NUL and control bytes become '?'; addresses keep local-part@domain
 * form where that is safe. 8-bit bytes stay if the value is UTF-8 (RFC 8616 section 4), else '?'.
 * Lines are folded at about 78 columns, none is over 998.
 * A property over 400 bytes is left out (cut short it could name another domain), comment and reason are cut at 200.
 * In comments parentheses, backslash, quote and semicolon are replaced, for parsers that know no escapes there.
 */
void results_write(
	struct buf *out, struct str authserv_id, const struct result *results, size_t n_results, const char *eol);

/** One method as read from a field. */
struct result_read {
	struct str method; /* lower case */
	struct str value;  /* lower case */
	struct str reason; /* unquoted */
	struct {
		struct str ptype, property, value;
	} properties[16];
	size_t n_properties;
};

struct results_read {
	struct str authserv_id; /* unquoted, as spelled */
	struct result_read *results;
	size_t n;
	bool none;         /* "; none" */
	const char *error; /* NULL: well-formed to its end; else static text */
};

/**
 * The value of an Authentication-Results field, RFC 8601 section 2.2; texts in @arena or borrowed from @value. With
 * an error the results are those in front of it, the last one perhaps in part. Pure.
 */
void results_parse(struct arena *arena, struct str value, struct results_read *ret_results);

/**
 * Does this field claim to come from one of @ids? Deliberately broader than the grammar: comments, quotes and
 * escapes, case, folding, a version number, a trailing dot, 8-bit look-alikes that IDNA maps to the id, NUL,
 * garbage before or after. When in doubt about a field whose id cannot be told apart from ours: true.
 * @ids  canonical authserv-ids (lower case); .domain stands for every name below it
 * An id part over 2000 bytes is no honest one: true. Nothing is left in the arena.
 */
bool results_claims(struct str value, const struct str *ids, size_t n_ids);

#endif
