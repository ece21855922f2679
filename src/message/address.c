#include "message/address.h"

#include "base/buf.h"
#include "base/domain.h"
#include "base/utf8.h"
#include "message/cfws.h"

#define ADDRESSES_MAX 100
/* Addresses, readable or not, and names of groups. */
#define ELEMENTS_MAX 200
/* Words, dots and specials of one list element. The longest real display names have a few dozen. */
#define TOKENS_MAX 1000

enum token_kind { TOKEN_WORD, TOKEN_QUOTED, TOKEN_SPECIAL };

struct token {
	enum token_kind kind;
	char special;      /* TOKEN_SPECIAL: which */
	bool behind_space; /* white space or a comment stands before it */
	struct str text;   /* as it came; TOKEN_QUOTED: between the quotes */
};

/* Some tokens in a row. */
struct span {
	const struct token *tokens;
	size_t n;
};

struct parser {
	struct arena *arena;
	struct str rest;
	const char *run;      /* no encoded word is open before this point of the field */
	struct token *tokens; /* of the element being read */
	size_t n, capacity;
	struct address *addresses;
	size_t n_addresses, addresses_capacity;
	const char *error; /* the first */
	bool strict;       /* a path: neither white space nor comments */
	bool lax;          /* an address was, see ADDRESS_LIST_LAX */
};

static void note_error(struct parser *parser, const char *error)
{
	if (parser->error == NULL)
		parser->error = error;
}

/* ---- Bytes to tokens ---- */

static bool is_special(char c)
{
	return c != '\0' && strchr("()<>[]:;@\\,.\"", c) != NULL;
}

/*
 * Does an encoded word (RFC 2047) begin in @run and not end there? It may not hold quotes and
 * parentheses, but in real mail it does.
 */
static bool has_open_encoded_word(struct str run)
{
	for (;;) {
		const char *start = memmem(run.p, run.n, "=?", 2);
		if (start == NULL)
			return false;
		run = str_skip(run, (size_t)(start - run.p) + 2);
		for (int i = 0; i < 2; i++) { /* charset, encoding */
			ptrdiff_t question = str_index(run, '?');
			if (question < 0)
				return true;
			run = str_skip(run, (size_t)question + 1);
		}
		const char *end = memmem(run.p, run.n, "?=", 2);
		if (end == NULL)
			return true;
		run = str_skip(run, (size_t)(end - run.p) + 2);
	}
}

/*
 * Readers that decode encoded words before they look for comments and quotes see no comment in
 *	=?utf-8?q?(?= <a@victim.example>, =?utf-8?q?)?= <b@attacker.example>
 */
static bool hides_encoded_word_end(struct parser *parser, struct str content)
{
	if (memmem(content.p, content.n, "?=", 2) == NULL)
		return false;
	if (has_open_encoded_word(str_from(parser->run, (size_t)(content.p - parser->run))))
		return true;
	parser->run = content.p + content.n; /* so that no byte is looked at twice */
	return false;
}

static const char *take_space(struct parser *parser, bool *ret_space)
{
	struct cfws cfws;
	const char *error = cfws_skip(&parser->rest, &cfws);
	if (error != NULL)
		return error;
	*ret_space = cfws.any;
	if (cfws.any && parser->strict)
		return "white space or comment in a path";
	if (cfws.comments.n > 0 && hides_encoded_word_end(parser, cfws.comments))
		return "encoded word broken by a comment";
	return NULL;
}

static const char *take_word(struct parser *parser, struct str *ret_word)
{
	struct str at = parser->rest;
	while (at.n > 0 && !is_special(at.p[0]) && !str_is_space(at.p[0])) {
		if (is_control_at(at))
			return at.p[0] == '\0' ? "NUL byte" : "control byte";
		size_t n = utf8_length(at);
		at = str_skip(at, n > 0 ? n : 1);
	}
	*ret_word = str_from(parser->rest.p, (size_t)(at.p - parser->rest.p));
	parser->rest = at;
	return NULL;
}

static const char *take_token(struct parser *parser, struct token *ret_token)
{
	const char *start = parser->rest.p;
	if (start[0] == '"') {
		ret_token->kind = TOKEN_QUOTED;
		const char *error = quoted_string_skip(&parser->rest, &ret_token->text);
		if (error == NULL && hides_encoded_word_end(parser, ret_token->text))
			error = "encoded word broken by a quote";
		return error;
	}
	if (is_special(start[0])) {
		ret_token->kind = TOKEN_SPECIAL;
		ret_token->special = start[0];
		ret_token->text = str_head(parser->rest, 1);
		parser->rest = str_skip(parser->rest, 1);
		return NULL;
	}
	ret_token->kind = TOKEN_WORD;
	return take_word(parser, &ret_token->text);
}

static void add_token(struct parser *parser, const struct token *token)
{
	parser->tokens = arena_grow(parser->arena, parser->tokens, &parser->capacity, parser->n + 1, sizeof(*token));
	parser->tokens[parser->n++] = *token;
}

static bool follows_at(const struct parser *parser)
{
	return parser->n > 0 && parser->tokens[parser->n - 1].special == '@';
}

/*
 * Read the tokens up to the next ',' ';' or ':' that stands outside of angle brackets
 * and domain literals.
 * *ret_end is that character, NUL at the end of the field. False: the rest cannot be read at all.
 */
static bool read_element(struct parser *parser, char *ret_end)
{
	char closing = '\0'; /* of the brackets that are open */
	parser->n = 0;
	for (;;) {
		struct token token = {0};
		const char *error = take_space(parser, &token.behind_space);
		if (error == NULL && parser->rest.n == 0) {
			*ret_end = '\0';
			return true;
		}
		if (error == NULL)
			error = take_token(parser, &token);
		if (error == NULL && parser->n == TOKENS_MAX)
			error = "display name too long";
		if (error != NULL) {
			note_error(parser, error);
			return false;
		}
		if (closing == '\0' && token.special != '\0' && strchr(",;:", token.special) != NULL) {
			*ret_end = token.special;
			return true;
		}
		if (token.special == '<')
			closing = '>';
		else if (token.special == '[' && closing == '\0' && follows_at(parser))
			closing = ']';
		else if (token.special == closing)
			closing = '\0';
		add_token(parser, &token);
	}
}

/* ---- Tokens to addresses ---- */

static struct span span_part(struct span span, size_t from, size_t to)
{
	return (struct span){span.tokens + from, to - from};
}

/* Index of the first @special at or behind @from; span.n where there is none. */
static size_t find_special(struct span span, size_t from, char special)
{
	while (from < span.n && span.tokens[from].special != special)
		from++;
	return from;
}

static bool is_encoded_word(struct str text)
{
	const char *start = memmem(text.p, text.n, "=?", 2);
	return start != NULL && memmem(start + 2, text.n - (size_t)(start + 2 - text.p), "?=", 2) != NULL;
}

/*
 * local-part, obs-local-part; besides, dots at its ends and in a row, which some carriers' customers have: all
 * readers agree on the domain. RFC 5322 section 3.4.1, 4.4
 */
static const char *parse_local_part(struct arena *arena, struct span span, struct str *ret_local_part)
{
	struct buf text = buf_in(arena);
	bool after_word = false;
	if (span.n == 0)
		return "address without local part";
	for (size_t i = 0; i < span.n; i++) {
		const struct token *token = &span.tokens[i];
		bool is_word = token->kind != TOKEN_SPECIAL;
		if (!is_word && token->special != '.')
			return "special character in a local part";
		if (is_word && after_word)
			return "two words in a local part";
		if (!utf8_is_valid(token->text))
			return "address is not UTF-8";
		buf_add(&text, token->kind == TOKEN_QUOTED ? quoted_string_text(arena, token->text) : token->text);
		after_word = is_word;
	}
	*ret_local_part = buf_str(&text);
	/* RFC 2047 section 5 forbids it; a reader that decodes it all the same shows another address. */
	return is_encoded_word(*ret_local_part) ? "encoded word in an address" : NULL;
}

/*
 * domain, obs-domain, with one dot at its end.
 *
 * White space and comments are allowed round the dots, but in "a@victim.example .attacker.example" a simple
 * reader sees the address end early, so what stands before them must not look like a domain by itself.
 */
static const char *parse_domain(struct arena *arena, struct span span, struct str *ret_domain)
{
	struct buf text = buf_in(arena);
	size_t n_labels = 0;
	if (span.n == 0)
		return "address without domain";
	if (span.tokens[0].special == '[')
		return "domain literal";
	for (size_t i = 0; i < span.n; i++) {
		const struct token *token = &span.tokens[i];
		bool label_expected = i % 2 == 0;
		if (label_expected ? token->kind != TOKEN_WORD : token->special != '.')
			return "bad domain";
		if (token->behind_space && n_labels > 1)
			return "white space within a domain";
		n_labels += label_expected;
		buf_add(&text, token->text);
	}
	if (!domain_normalize(arena, buf_str(&text), ret_domain) || !domain_is_hostname(*ret_domain))
		return "domain is no host name";
	return NULL;
}

static const char *parse_addr_spec(struct arena *arena, struct span span, struct address *ret_address)
{
	size_t at = find_special(span, 0, '@');
	if (at == span.n)
		return "address without domain";
	const char *error = parse_domain(arena, span_part(span, at + 1, span.n), &ret_address->domain);
	if (error != NULL)
		return error;
	return parse_local_part(arena, span_part(span, 0, at), &ret_address->local_part);
}

/*
 * obs-route: "@a.example,@b.example:", without empty elements: there are readers that end the address at the comma of
 * one. RFC 5322 section 4.4
 */
static const char *parse_route(struct arena *arena, struct span span)
{
	for (size_t from = 0, to; from <= span.n; from = to + 1) {
		struct str domain;
		to = find_special(span, from, ',');
		if (to == from || span.tokens[from].special != '@')
			return "bad route";
		if (parse_domain(arena, span_part(span, from + 1, to), &domain) != NULL)
			return "bad domain in a route";
	}
	return NULL;
}

static const char *parse_angle_inside(struct arena *arena, struct span span, struct address *ret_address)
{
	if (span.n == 0)
		return "empty angle brackets";
	size_t colon = find_special(span, 0, ':');
	if (colon == span.n)
		return parse_addr_spec(arena, span, ret_address);
	const char *error = parse_route(arena, span_part(span, 0, colon));
	if (error != NULL)
		return error;
	return parse_addr_spec(arena, span_part(span, colon + 1, span.n), ret_address);
}

/*
 * "bob@x.example <bob@x.example>", perhaps with words before it: which address a reader takes makes no difference where
 * the domains are equal. It has to end the phrase, since there are readers that make one domain of "bob@x.co m", and
 * everything has to be plain words, since others decode or unquote what else stands there and look again.
 */
static bool ends_in_address_of(struct arena *arena, struct span phrase, size_t at, struct str domain)
{
	struct buf text = buf_in(arena);
	struct str found;
	for (size_t i = 0; i < phrase.n; i++) {
		const struct token *token = &phrase.tokens[i];
		bool is_plain = token->kind == TOKEN_WORD && memmem(token->text.p, token->text.n, "=?", 2) == NULL;
		if (!is_plain && token->special != '.' && i != at)
			return false;
		if (token->behind_space && i >= at)
			return false;
		if (i > at)
			buf_add(&text, token->text);
	}
	struct str name = buf_str(&text);
	if (str_ends(name, STR("'"))) /* 'bob@x.example' <bob@x.example> */
		name.n--;
	return at > 0 && phrase.tokens[at - 1].kind == TOKEN_WORD && domain_normalize(arena, name, &found) &&
	       str_eq(found, domain);
}

/*
 * A display name: words and dots (obs-phrase), and what is frequent and harmless without quotes: brackets in
 * pairs, and an address of @domain. Empty @domain: the name of a group, without addresses.
 */
static const char *check_phrase(struct arena *arena, struct span phrase, struct str domain)
{
	bool in_brackets = false;
	for (size_t i = 0; i < phrase.n; i++) {
		const struct token *token = &phrase.tokens[i];
		if (token->kind != TOKEN_SPECIAL || token->special == '.')
			continue;
		if (token->special == '@' && !ends_in_address_of(arena, phrase, i, domain))
			return "another address in a display name";
		if (token->special == '@')
			continue;
		if (token->special != (in_brackets ? ']' : '['))
			return "special character in a display name";
		in_brackets = !in_brackets;
	}
	return in_brackets ? "special character in a display name" : NULL;
}

/* mailbox = name-addr / addr-spec */
static const char *parse_mailbox(struct arena *arena, struct span span, struct address *ret_address)
{
	size_t open = find_special(span, 0, '<'), close = find_special(span, open, '>');
	if (open == span.n)
		return parse_addr_spec(arena, span, ret_address);
	if (close == span.n)
		return "unterminated angle brackets";
	const char *error = parse_angle_inside(arena, span_part(span, open + 1, close), ret_address);
	if (error != NULL)
		return error;
	if (close + 1 != span.n)
		return "text behind an address";
	return check_phrase(arena, span_part(span, 0, open), ret_address->domain);
}

static const char *check_group_name(struct arena *arena, struct span name)
{
	return name.n > 0 ? check_phrase(arena, name, STR("")) : "group without name";
}

/*
 * Brackets, a dot where a word has to stand, an address as display name. Not "Joe Q. <joe@x.example>", which all
 * readers know, nor a route, whose '@' are its own.
 */
static bool is_lax(struct span span)
{
	bool behind_dot = false, behind_special = true;
	size_t n_at = 0;
	for (size_t i = 0; i < span.n; i++) {
		char special = span.tokens[i].special;
		if (special == '[' || special == ']' || (special == '.' && behind_special))
			return true;
		if (behind_dot && special != '\0' && special != '<')
			return true;
		n_at += special == '@';
		behind_dot = special == '.';
		behind_special = special != '\0';
	}
	return behind_dot || (n_at > 1 && find_special(span, 0, ':') == span.n);
}

static void add_mailbox(struct parser *parser)
{
	struct address address = {0};
	struct span span = {parser->tokens, parser->n};
	const char *error = parse_mailbox(parser->arena, span, &address);
	if (error == NULL && parser->n_addresses == ADDRESSES_MAX)
		error = "too many addresses";
	if (error != NULL) {
		note_error(parser, error);
		return;
	}
	parser->addresses = arena_grow(parser->arena, parser->addresses, &parser->addresses_capacity,
		parser->n_addresses + 1, sizeof(address));
	parser->lax = parser->lax || is_lax(span);
	parser->addresses[parser->n_addresses++] = address;
}

/* What is wrong with an element's end in its place; NULL: nothing. @end as read_element() gives it. */
static const char *check_element_end(char end, bool in_group, bool after_group, bool is_empty)
{
	if (after_group && (!is_empty || end == ';' || end == ':'))
		return "text behind a group";
	if (in_group && end == ':')
		return "group within a group";
	if (in_group && end == '\0')
		return "unterminated group";
	return !in_group && end == ';' ? "semicolon outside of a group" : NULL;
}

/*
 * address-list with empty elements and groups. After an error the next element is read all the same,
 * so that as many authors as possible are known. RFC 5322 section 3.4, 4.4, RFC 6854
 */
static void parse_list(struct parser *parser)
{
	bool in_group = false, after_group = false;
	size_t n_elements = 0;
	char end;
	while (read_element(parser, &end)) {
		n_elements += parser->n > 0;
		if (n_elements > ELEMENTS_MAX) {
			note_error(parser, "too many addresses");
			break;
		}
		const char *error = check_element_end(end, in_group, after_group, parser->n == 0);
		if (error == NULL && end == ':')
			error = check_group_name(parser->arena, (struct span){parser->tokens, parser->n});
		if (error != NULL)
			note_error(parser, error);
		if (end != ':' && parser->n > 0)
			add_mailbox(parser);
		if (end == '\0')
			break;
		after_group = end == ';';
		in_group = end == ':' || (in_group && end == ',');
	}
}

enum address_list_outcome address_list_parse(
	struct arena *arena, struct str value, struct address **ret_addresses, size_t *ret_n, const char **ret_reason)
{
	struct parser parser = {.arena = arena, .rest = value, .run = value.p};
	parse_list(&parser);
	*ret_addresses = parser.addresses;
	*ret_n = parser.n_addresses;
	*ret_reason = parser.error;
	if (parser.error != NULL)
		return ADDRESS_LIST_MALFORMED;
	if (parser.n_addresses == 0)
		return ADDRESS_LIST_EMPTY;
	return parser.lax ? ADDRESS_LIST_LAX : ADDRESS_LIST_OK;
}

struct str address_without_brackets(struct str path)
{
	path = str_trim(path);
	if (path.n >= 2 && path.p[0] == '<' && path.p[path.n - 1] == '>')
		path = str_from(path.p + 1, path.n - 2);
	return path;
}

bool address_parse_path(struct arena *arena, struct str path, struct address *ret_address)
{
	struct parser parser = {.arena = arena, .rest = path, .run = path.p, .strict = true};
	struct address address;
	char end;
	if (!read_element(&parser, &end) || end != '\0' || parser.n == 0)
		return false;
	/* A display name before the brackets is no part of a path. */
	bool has_brackets = parser.tokens[0].special == '<';
	if (!has_brackets && find_special((struct span){parser.tokens, parser.n}, 0, '<') < parser.n)
		return false;
	if (parse_mailbox(arena, (struct span){parser.tokens, parser.n}, &address) != NULL)
		return false;
	*ret_address = address;
	return true;
}
