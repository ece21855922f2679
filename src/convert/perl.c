#include "convert/perl.h"

#include "base/buf.h"

struct lexer {
	struct arena *arena;
	struct str rest;
	unsigned line;
	struct perl_word *words;
	size_t n, capacity;
	const char *failure; /* NULL: none */
};

static char peek(const struct lexer *lexer)
{
	return lexer->rest.n > 0 ? lexer->rest.p[0] : '\0';
}

static void step(struct lexer *lexer)
{
	if (peek(lexer) == '\n')
		lexer->line++;
	lexer->rest = str_skip(lexer->rest, 1);
}

static void add(struct lexer *lexer, enum perl_kind kind, struct str text, unsigned line)
{
	lexer->words = arena_grow(lexer->arena, lexer->words, &lexer->capacity, lexer->n + 1, sizeof(*lexer->words));
	lexer->words[lexer->n++] = (struct perl_word){kind, text, line};
}

static bool is_name_char(char c)
{
	return str_is_alpha(c) || str_is_digit(c) || c == '_' || c == ':';
}

static size_t name_length(struct str s)
{
	size_t n = 0;
	while (n < s.n && is_name_char(s.p[n]))
		n++;
	return n;
}

static void skip_line(struct lexer *lexer)
{
	while (lexer->rest.n > 0 && peek(lexer) != '\n')
		step(lexer);
	step(lexer);
}

/* Lines up to the one that is @last; "=cut", or the end of a here-document. */
static void skip_to(struct lexer *lexer, struct str last)
{
	while (lexer->rest.n > 0) {
		struct str rest = lexer->rest, line;
		str_cut(&rest, '\n', &line);
		skip_line(lexer);
		if (str_eq(str_trim(line), last))
			return;
	}
	lexer->failure = "a text of several lines does not end";
}

/* What stands between the delimiters; pairs of brackets nest. The lexer stands on the first. */
static struct str read_delimited(struct lexer *lexer)
{
	static const char pairs[] = "()[]{}<>";
	char open = peek(lexer), close = open;
	const char *pair = open != '\0' ? strchr(pairs, open) : NULL;
	if (pair != NULL && (pair - pairs) % 2 == 0)
		close = pair[1];
	step(lexer);
	const char *start = lexer->rest.p;
	for (unsigned depth = 1; lexer->rest.n > 0; step(lexer)) {
		char c = peek(lexer);
		if (c == '\\') {
			step(lexer);
			continue;
		}
		depth += c == open && open != close ? 1 : 0;
		depth -= c == close ? 1 : 0;
		if (depth == 0)
			break;
	}
	if (lexer->rest.n == 0) {
		lexer->failure = "a string does not end";
		return STR("");
	}
	struct str inner = str_from(start, (size_t)(lexer->rest.p - start));
	step(lexer);
	return inner;
}

/* @interpolates  a string in which a variable would be replaced is not told. */
static void add_string(struct lexer *lexer, struct str inner, bool interpolates, unsigned line)
{
	struct buf out = buf_in(lexer->arena);
	for (size_t i = 0; i < inner.n; i++) {
		char next = i + 1 < inner.n ? inner.p[i + 1] : '\0';
		if (interpolates && (inner.p[i] == '$' || (inner.p[i] == '@' && (is_name_char(next) || next == '{')))) {
			add(lexer, PERL_OTHER, inner, line);
			return;
		}
		if (inner.p[i] == '\\' && interpolates && str_is_alpha(next)) {
			add(lexer, PERL_OTHER, inner, line); /* \n and its like */
			return;
		}
		if (inner.p[i] == '\\' && (interpolates || next == '\\' || next == '\''))
			i++;
		if (i < inner.n)
			buf_add_char(&out, inner.p[i]);
	}
	add(lexer, PERL_STRING, buf_str(&out), line);
}

/* q qq qw qr m s tr y, and what follows. False: it is an ordinary word. */
static bool read_quote_operator(struct lexer *lexer, struct str word)
{
	static const char *const operators[] = {"q", "qq", "qw", "qr", "m", "s", "tr", "y"};
	size_t i = 0, n = sizeof(operators) / sizeof(*operators), blank = word.n;
	unsigned line = lexer->line;
	while (i < n && !str_eq(word, str_of(operators[i])))
		i++;
	while (blank < lexer->rest.n && str_is_space(lexer->rest.p[blank]))
		blank++;
	/* "s => 1" and "(s)" are words. */
	if (i == n || blank >= lexer->rest.n || strchr("=,;)}", lexer->rest.p[blank]) != NULL ||
		is_name_char(lexer->rest.p[blank]))
		return false;
	for (size_t k = 0; k < blank; k++)
		step(lexer);
	char open = peek(lexer);
	struct str inner = read_delimited(lexer);
	if (i <= 1)
		add_string(lexer, inner, i == 1, line);
	else
		add(lexer, i == 2 ? PERL_LIST : PERL_OTHER, inner, line);
	if (i < 5)
		return true;
	/* The other half: "s{a}{b}", "s/a/b/" */
	if (strchr("([{<", open) == NULL)
		lexer->rest = str_from(lexer->rest.p - 1, lexer->rest.n + 1);
	read_delimited(lexer);
	return true;
}

/* <<"END", <<'END', <<END: its lines begin on the next one, and nothing in it is needed. */
static void read_here_document(struct lexer *lexer)
{
	unsigned line = lexer->line;
	struct str last;
	step(lexer);
	step(lexer);
	if (peek(lexer) == '"' || peek(lexer) == '\'') {
		last = read_delimited(lexer);
	} else {
		last = str_head(lexer->rest, name_length(lexer->rest));
		lexer->rest = str_skip(lexer->rest, last.n);
	}
	add(lexer, PERL_OTHER, last, line);
	if (peek(lexer) == ';') {
		add(lexer, PERL_SIGN, STR(";"), line);
		step(lexer);
	}
	skip_line(lexer);
	skip_to(lexer, last);
}

static void read_variable(struct lexer *lexer)
{
	size_t n = 1 + name_length(str_skip(lexer->rest, 1));
	/* "$#x", "@{...}", "$$": signs of an expression. */
	if (n == 1 && lexer->rest.n > 1 && strchr("#!$&", lexer->rest.p[1]) != NULL)
		n = 2;
	add(lexer, n > 1 && is_name_char(lexer->rest.p[1]) ? PERL_VARIABLE : PERL_OTHER, str_head(lexer->rest, n),
		lexer->line);
	lexer->rest = str_skip(lexer->rest, n);
}

static void read_sign(struct lexer *lexer)
{
	size_t n = str_starts(lexer->rest, STR("=>")) ? 2 : 1;
	bool known = strchr("(){}[],;=*\\", peek(lexer)) != NULL;
	add(lexer, known ? PERL_SIGN : PERL_OTHER, str_head(lexer->rest, n), lexer->line);
	lexer->rest = str_skip(lexer->rest, n);
}

static void read_word(struct lexer *lexer)
{
	struct str word = str_head(lexer->rest, name_length(lexer->rest));
	if (read_quote_operator(lexer, word))
		return;
	bool number = true;
	for (size_t i = 0; i < word.n; i++)
		number = number && str_is_digit(word.p[i]);
	add(lexer, number ? PERL_NUMBER : PERL_WORD, word, lexer->line);
	lexer->rest = str_skip(lexer->rest, word.n);
}

/* A line of its own begins here. False: nothing special does. */
static bool read_line_start(struct lexer *lexer)
{
	struct str rest = lexer->rest, line;
	str_cut(&rest, '\n', &line);
	line = str_trim(line);
	if (str_eq(line, STR("__END__")) || str_eq(line, STR("__DATA__"))) {
		lexer->rest = STR("");
		return true;
	}
	if (line.n < 2 || lexer->rest.p[0] != '=' || !str_is_alpha(lexer->rest.p[1]))
		return false;
	skip_to(lexer, STR("=cut"));
	return true;
}

static bool is_here_document(struct str rest)
{
	return str_starts(rest, STR("<<")) && rest.n > 2 &&
	       (rest.p[2] == '"' || rest.p[2] == '\'' || str_is_alpha(rest.p[2]) || rest.p[2] == '_');
}

static void read_one(struct lexer *lexer)
{
	char c = peek(lexer);
	unsigned line = lexer->line;
	if (str_is_space(c))
		step(lexer);
	else if (c == '#')
		skip_line(lexer);
	else if (c == '\'' || c == '"')
		add_string(lexer, read_delimited(lexer), c == '"', line);
	else if (c == '$' || c == '@' || c == '%')
		read_variable(lexer);
	else if (is_here_document(lexer->rest))
		read_here_document(lexer);
	else if (is_name_char(c))
		read_word(lexer);
	else
		read_sign(lexer);
}

const struct perl_word *perl_words(struct arena *arena, struct str text, const char *file, struct diag *diag)
{
	struct lexer lexer = {.arena = arena, .rest = text, .line = 1};
	unsigned seen = 0;
	while (lexer.rest.n > 0 && lexer.failure == NULL) {
		bool starts = lexer.line != seen;
		seen = lexer.line;
		if (!starts || !read_line_start(&lexer))
			read_one(&lexer);
	}
	if (lexer.failure != NULL)
		diag_error(diag, (struct diag_place){file, seen},
			"%s: what follows is not read: give the lines about DKIM in a file of their own",
			lexer.failure);
	add(&lexer, PERL_END, STR(""), lexer.line);
	return lexer.words;
}
