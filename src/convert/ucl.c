#include "convert/ucl.h"

#include "base/buf.h"

#define DEPTH_MAX 16

struct parser {
	struct arena *arena;
	struct str rest;
	const char *file;
	unsigned line;
	struct diag *diag;
	bool failed;
};

static void fail(struct parser *parser, const char *what)
{
	if (!parser->failed)
		diag_error(parser->diag, (struct diag_place){parser->file, parser->line},
			"%s: the file is not read further: write this more simply", what);
	parser->failed = true;
}

static char peek(const struct parser *parser)
{
	return parser->rest.n > 0 ? parser->rest.p[0] : '\0';
}

static void step(struct parser *parser)
{
	if (peek(parser) == '\n')
		parser->line++;
	parser->rest = str_skip(parser->rest, 1);
}

static void skip_line(struct parser *parser)
{
	while (parser->rest.n > 0 && peek(parser) != '\n')
		step(parser);
}

/* Comments of this kind nest. */
static void skip_comment(struct parser *parser)
{
	unsigned depth = 0;
	do {
		if (str_starts(parser->rest, STR("/*"))) {
			depth++;
			step(parser);
		} else if (str_starts(parser->rest, STR("*/"))) {
			depth--;
			step(parser);
		}
		step(parser);
	} while (depth > 0 && parser->rest.n > 0);
	if (depth > 0)
		fail(parser, "a comment does not end");
}

/* @separators  ",;" where they may stand between as well */
static void skip_blank(struct parser *parser, bool separators)
{
	while (parser->rest.n > 0) {
		char c = peek(parser);
		if (str_is_space(c) || (separators && (c == ';' || c == ',')))
			step(parser);
		else if (c == '#')
			skip_line(parser);
		else if (str_starts(parser->rest, STR("/*")))
			skip_comment(parser);
		else
			break;
	}
}

static struct str read_quoted(struct parser *parser)
{
	struct buf out = buf_in(parser->arena);
	char quote = peek(parser);
	step(parser);
	while (parser->rest.n > 0 && peek(parser) != quote) {
		if (peek(parser) == '\\' && parser->rest.n > 1 && quote == '"')
			step(parser);
		buf_add_char(&out, peek(parser));
		step(parser);
	}
	if (parser->rest.n == 0)
		fail(parser, "a string does not end");
	step(parser);
	return buf_str(&out);
}

static bool ends_key(char c)
{
	return str_is_space(c) || strchr("=:{}[];,\"", c) != NULL;
}

static struct str read_key(struct parser *parser)
{
	if (peek(parser) == '"' || peek(parser) == '\'')
		return read_quoted(parser);
	size_t n = 0;
	while (n < parser->rest.n && !ends_key(parser->rest.p[n]))
		n++;
	struct str key = str_head(parser->rest, n);
	parser->rest = str_skip(parser->rest, n);
	return key;
}

/* Up to what ends a value: braces of "${NAME}" belong to it. */
static struct str read_bare(struct parser *parser)
{
	size_t n = 0, braces = 0;
	while (n < parser->rest.n) {
		char c = parser->rest.p[n];
		if (c == '\n' || c == ';' || c == ',' || c == ']' || c == '#' || (c == '}' && braces == 0))
			break;
		braces += c == '{' ? 1 : 0;
		braces -= c == '}' ? 1 : 0;
		n++;
	}
	struct str value = str_trim(str_head(parser->rest, n));
	parser->rest = str_skip(parser->rest, n);
	return value;
}

static void read_members(struct parser *parser, struct ucl_node *node, unsigned depth);

static void read_value(struct parser *parser, struct ucl_node *node, unsigned depth)
{
	char c = peek(parser);
	node->kind = c == '{' ? UCL_OBJECT : c == '[' ? UCL_ARRAY : UCL_TEXT;
	if (node->kind != UCL_TEXT) {
		step(parser);
		read_members(parser, node, depth + 1);
	} else if (str_starts(parser->rest, STR("<<"))) {
		fail(parser, "a text of several lines (<<)");
	} else {
		node->text = c == '"' || c == '\'' ? read_quoted(parser) : read_bare(parser);
	}
}

static void skip_spaces(struct parser *parser)
{
	while (peek(parser) == ' ' || peek(parser) == '\t')
		step(parser);
}

/* A name and its '{' come next; "${NAME}" is no name. */
static bool is_section(const struct parser *parser)
{
	struct parser ahead = *parser;
	ahead.failed = true; /* what is wrong is said when it is read */
	struct str name = read_key(&ahead);
	skip_spaces(&ahead);
	return name.n > 0 && name.p[name.n - 1] != '$' && peek(&ahead) == '{';
}

/* "key = value", "key: value", "key value", "key { ... }"; "key name { ... }" is "key { name { ... } }". */
static void read_pair(struct parser *parser, struct ucl_node *node, unsigned depth)
{
	node->key = read_key(parser);
	if (node->key.n == 0) {
		fail(parser, "here a name is expected");
		return;
	}
	skip_spaces(parser);
	bool assigned = peek(parser) == '=' || peek(parser) == ':';
	if (assigned)
		step(parser);
	skip_blank(parser, false);
	if (assigned || depth >= DEPTH_MAX || !is_section(parser)) {
		read_value(parser, node, depth);
		return;
	}
	node->kind = UCL_OBJECT;
	node->first = ARENA_NEW(parser->arena, struct ucl_node);
	node->first->line = parser->line;
	read_pair(parser, node->first, depth + 1);
}

static void read_members(struct parser *parser, struct ucl_node *node, unsigned depth)
{
	struct ucl_node **end = &node->first;
	char closing = depth == 0 ? '\0' : node->kind == UCL_ARRAY ? ']' : '}';
	if (depth > DEPTH_MAX)
		fail(parser, "too deep");
	while (!parser->failed) {
		skip_blank(parser, true);
		if (parser->rest.n == 0 || peek(parser) == closing)
			break;
		if (peek(parser) == '.') {
			diag_error(parser->diag, (struct diag_place){parser->file, parser->line},
				"what .include and its like bring in is not read: give these files to this command as "
				"well");
			skip_line(parser);
			continue;
		}
		if (strchr("}]", peek(parser)) != NULL) {
			fail(parser, "a bracket that nothing opens");
			break;
		}
		struct ucl_node *member = ARENA_NEW(parser->arena, struct ucl_node);
		member->line = parser->line;
		if (node->kind == UCL_ARRAY)
			read_value(parser, member, depth);
		else
			read_pair(parser, member, depth);
		*end = member;
		end = &member->next;
	}
	if (closing != '\0' && parser->rest.n == 0)
		fail(parser, "a bracket does not close");
	step(parser);
}

const struct ucl_node *ucl_parse(struct arena *arena, struct str text, const char *file, struct diag *diag)
{
	struct parser parser = {arena, text, file, 1, diag, false};
	struct ucl_node *root = ARENA_NEW(arena, struct ucl_node);
	root->kind = UCL_OBJECT;
	root->line = 1;
	read_members(&parser, root, 0);
	return root;
}

const struct ucl_node *ucl_find(const struct ucl_node *object, const char *key)
{
	const struct ucl_node *found = NULL;
	for (const struct ucl_node *node = object->first; node != NULL; node = node->next)
		if (str_ieq(node->key, str_of(key)))
			found = node;
	return found;
}
