#include "base/utf8.h"
#include "message/cfws.h"
#include "message/results.h"
#include "message/results_grammar.h"

/* More than anybody writes into one field; bounds what a hostile one costs. */
#define RESULTS_MAX 100

/* The first error ends the parse: every function returns at once when one is noted, and reads nothing more. */
struct parser {
	struct arena *arena;
	struct str rest;
	const char *error;
};

static void note_error(struct parser *parser, const char *error)
{
	if (parser->error == NULL)
		parser->error = error;
	parser->rest = str_skip(parser->rest, parser->rest.n);
}

/* True: there was some. */
static bool skip_cfws(struct parser *parser)
{
	struct cfws cfws;
	const char *error = cfws_skip(&parser->rest, &cfws);
	if (error != NULL)
		note_error(parser, error);
	return cfws.any;
}

static bool at_char(const struct parser *parser, char c)
{
	return parser->rest.n > 0 && parser->rest.p[0] == c;
}

static bool take_char(struct parser *parser, char c)
{
	if (!at_char(parser, c))
		return false;
	parser->rest = str_skip(parser->rest, 1);
	return true;
}

static struct str take_digits(struct parser *parser)
{
	size_t n = 0;
	while (n < parser->rest.n && str_is_digit(parser->rest.p[n]))
		n++;
	struct str digits = str_head(parser->rest, n);
	parser->rest = str_skip(parser->rest, n);
	return digits;
}

/* Keyword = Ldh-str, RFC 5321 section 4.1.2; in lower case. */
static struct str take_keyword(struct parser *parser)
{
	size_t n = 0;
	while (n < parser->rest.n &&
		(str_is_alpha(parser->rest.p[n]) || str_is_digit(parser->rest.p[n]) || parser->rest.p[n] == '-'))
		n++;
	if (n == 0 || parser->rest.p[n - 1] == '-') {
		note_error(parser, "keyword expected");
		return STR("");
	}
	struct str keyword = arena_dup_lower(parser->arena, str_head(parser->rest, n));
	parser->rest = str_skip(parser->rest, n);
	return keyword;
}

static struct str take_quoted(struct parser *parser)
{
	struct str inside = STR("");
	const char *error = quoted_string_skip(&parser->rest, &inside);
	if (error == NULL && !utf8_is_valid(inside))
		error = "quoted string is not UTF-8";
	if (error != NULL) {
		note_error(parser, error);
		return STR("");
	}
	return quoted_string_text(parser->arena, inside);
}

/* What stands up to white space or a character that no value may hold without quotes. */
static struct str take_run(struct parser *parser)
{
	struct str at = parser->rest;
	while (at.n > 0 && at.p[0] != ' ' && !is_control_at(at) && strchr("\t()<>,;:\\\"[]", at.p[0]) == NULL) {
		size_t n = utf8_length(at);
		if (n == 0)
			break;
		at = str_skip(at, n);
	}
	struct str run = str_from(parser->rest.p, (size_t)(at.p - parser->rest.p));
	parser->rest = at;
	return run;
}

/* value = token / quoted-string */
static struct str take_value(struct parser *parser)
{
	if (at_char(parser, '"'))
		return take_quoted(parser);
	struct str run = take_run(parser);
	if (!results_is_token(run))
		note_error(parser, "value expected");
	return run;
}

/* pvalue = [CFWS] ( value / [ [ local-part ] "@" ] domain-name ) [CFWS] */
static struct str take_pvalue(struct parser *parser)
{
	skip_cfws(parser);
	if (!at_char(parser, '"')) {
		struct str run = take_run(parser);
		if (!results_is_token(run) && !results_is_plain_address(run) && !results_is_domain_name(run))
			note_error(parser, "property without value");
		return run;
	}
	struct str text = take_quoted(parser);
	if (!take_char(parser, '@'))
		return text;
	struct str domain = take_run(parser);
	if (!results_is_domain_name(domain))
		note_error(parser, "bad domain in a property");
	return arena_printf(parser->arena, "%.*s@%.*s", STR_ARG(text), STR_ARG(domain));
}

static void parse_property(struct parser *parser, struct str ptype, struct result_read *result)
{
	if (!take_char(parser, '.')) {
		note_error(parser, "property expected");
		return;
	}
	skip_cfws(parser);
	struct str property = take_keyword(parser);
	skip_cfws(parser);
	if (!take_char(parser, '=')) {
		note_error(parser, "property without '='");
		return;
	}
	struct str value = take_pvalue(parser);
	if (parser->error != NULL)
		return;
	const size_t max = sizeof(result->properties) / sizeof(result->properties[0]);
	if (result->n_properties == max) {
		note_error(parser, "too many properties");
		return;
	}
	result->properties[result->n_properties].ptype = ptype;
	result->properties[result->n_properties].property = property;
	result->properties[result->n_properties++].value = value;
}

/* [ CFWS reasonspec ] [ CFWS 1*propspec ], up to ';' or the end. A value's own CFWS separates as well. */
static void parse_details(struct parser *parser, struct result_read *result)
{
	bool reason_possible = true;
	for (;;) {
		bool separated = skip_cfws(parser);
		if (parser->rest.n == 0 || at_char(parser, ';'))
			return;
		if (!separated) {
			note_error(parser, "text behind a value");
			return;
		}
		struct str word = take_keyword(parser);
		skip_cfws(parser);
		if (reason_possible && str_eq(word, STR("reason")) && take_char(parser, '=')) {
			skip_cfws(parser);
			result->reason = take_value(parser);
		} else {
			parse_property(parser, word, result);
		}
		reason_possible = false;
	}
}

/* resinfo behind its ';'. False: it was "none", or an error. */
static bool parse_result(struct parser *parser, struct result_read *result, bool *ret_none)
{
	skip_cfws(parser);
	result->method = take_keyword(parser);
	skip_cfws(parser);
	if (parser->error == NULL && parser->rest.n == 0 && str_eq(result->method, STR("none"))) {
		*ret_none = true;
		return false;
	}
	if (take_char(parser, '/')) {
		skip_cfws(parser);
		if (take_digits(parser).n == 0)
			note_error(parser, "bad method version");
		skip_cfws(parser);
	}
	if (!take_char(parser, '=')) {
		note_error(parser, "method without '='");
		return false;
	}
	skip_cfws(parser);
	result->value = take_keyword(parser);
	if (parser->error != NULL)
		return false;
	parse_details(parser, result);
	return true;
}

static void parse_results(struct parser *parser, struct results_read *results)
{
	size_t capacity = 0;
	while (take_char(parser, ';')) {
		struct result_read result = {0};
		bool none = false, read = parse_result(parser, &result, &none);
		if (none && results->n > 0)
			note_error(parser, "none behind a result");
		if (none && results->n == 0)
			results->none = true;
		if (read && results->n == RESULTS_MAX) {
			note_error(parser, "too many results");
			read = false;
		}
		if (!read)
			break;
		results->results =
			arena_grow(parser->arena, results->results, &capacity, results->n + 1, sizeof(result));
		results->results[results->n++] = result;
	}
	if (parser->rest.n > 0)
		note_error(parser, "text behind a result");
	if (results->n == 0 && !results->none)
		note_error(parser, "no result");
}

void results_parse(struct arena *arena, struct str value, struct results_read *ret_results)
{
	struct parser parser = {.arena = arena, .rest = value};
	*ret_results = (struct results_read){.authserv_id = STR("")};
	skip_cfws(&parser);
	struct str id = take_value(&parser);
	if (parser.error == NULL) {
		ret_results->authserv_id = id;
		/* authres-version, which white space or a comment must separate; "id1" is an id. */
		if (skip_cfws(&parser) && take_digits(&parser).n > 0)
			skip_cfws(&parser);
		parse_results(&parser, ret_results);
	}
	ret_results->error = parser.error;
}
