/*
 * amavisd.conf: dkim_key(), @dkim_signature_options_bysender_maps, @mynetworks.
 *
 * amavisd looks up each option of a signature by itself, from the author's address over its domain and those above to
 * ".", and signs with the key of d=, or else of the author's domain or the nearest above. A row of ours decides alone;
 * so each pattern gets what all patterns above it come to.
 */
#include "base/domain.h"
#include "base/map.h"
#include "convert/collect.h"
#include "convert/perl.h"

struct key {
	struct str domain, selector, path; /* domain "%": any */
	struct diag_place place;
};

/* One entry of the map, or what several come to; p NULL: not said. */
struct entry {
	struct str pattern; /* "user@domain", "domain", ".domain", "." */
	struct str d, s, c, ttl;
	struct diag_place place;
};

struct amavisd {
	struct conversion *conversion;
	const char *file;
	const struct perl_word *at;
	struct map *variables; /* struct str */
	struct key *keys;
	size_t n_keys, keys_capacity;
	struct entry *entries;
	size_t n_entries, entries_capacity;
	struct buf others; /* variables that are not about DKIM */
};

static struct diag_place here(const struct amavisd *amavisd)
{
	return (struct diag_place){amavisd->file, amavisd->at->line};
}

static bool is_sign(const struct perl_word *word, const char *sign)
{
	return word->kind == PERL_SIGN && str_eq(word->text, str_of(sign));
}

static bool take_sign(struct amavisd *amavisd, const char *sign)
{
	if (!is_sign(amavisd->at, sign))
		return false;
	amavisd->at++;
	return true;
}

static bool is_name(const struct perl_word *word, enum perl_kind kind, const char *name)
{
	return word->kind == kind && str_eq(word->text, str_of(name));
}

/* A string, or a variable that holds one. */
static bool take_string(struct amavisd *amavisd, struct str *ret_text)
{
	const struct perl_word *word = amavisd->at;
	const struct str *value = word->kind == PERL_VARIABLE ? map_get(amavisd->variables, word->text) : NULL;
	if (word->kind != PERL_STRING && value == NULL)
		return false;
	*ret_text = value != NULL ? *value : word->text;
	amavisd->at++;
	return true;
}

/* 'text', 3600, 21*24*3600, undef (empty) */
static bool take_value(struct amavisd *amavisd, struct str *ret_text)
{
	uint64_t product = 1, factor;
	if (is_name(amavisd->at, PERL_WORD, "undef")) {
		amavisd->at++;
		*ret_text = STR("");
		return true;
	}
	if (amavisd->at->kind != PERL_NUMBER)
		return take_string(amavisd, ret_text);
	do {
		if (amavisd->at->kind != PERL_NUMBER || !str_to_u64(amavisd->at->text, 4294967295u, &factor) ||
			__builtin_mul_overflow(product, factor, &product))
			return false;
		amavisd->at++;
	} while (take_sign(amavisd, "*"));
	*ret_text = arena_printf(amavisd->conversion->arena, "%llu", (unsigned long long)product);
	return true;
}

static bool take_option_name(struct amavisd *amavisd, struct str *ret_name)
{
	if (amavisd->at->kind != PERL_WORD && amavisd->at->kind != PERL_STRING)
		return false;
	*ret_name = amavisd->at->text;
	amavisd->at++;
	return take_sign(amavisd, "=>");
}

/* ---- statements ---- */

/* dkim_key('example.com', 'sel', '/path/key.pem' [, k=>'rsa' ...]): what follows is about the record in the DNS. */
static bool take_key(struct amavisd *amavisd)
{
	struct key key = {.place = here(amavisd)};
	struct str domain, name, value;
	amavisd->at++;
	bool bracket = take_sign(amavisd, "(");
	if (!take_string(amavisd, &domain) || !take_sign(amavisd, ",") || !take_string(amavisd, &key.selector) ||
		!take_sign(amavisd, ",") || !take_string(amavisd, &key.path))
		return false;
	while (take_sign(amavisd, ",") && !is_sign(amavisd->at, ")"))
		if (!take_option_name(amavisd, &name) || !take_value(amavisd, &value))
			return false;
	if ((bracket && !take_sign(amavisd, ")")) || !is_sign(amavisd->at, ";"))
		return false;
	key.domain = STR("%");
	if (!str_eq(domain, STR("*")) &&
		!convert_domain(amavisd->conversion, domain, "dkim_key", key.place, &key.domain))
		return true;
	amavisd->keys = arena_grow(amavisd->conversion->arena, amavisd->keys, &amavisd->keys_capacity,
		amavisd->n_keys + 1, sizeof(*amavisd->keys));
	amavisd->keys[amavisd->n_keys++] = key;
	return true;
}

static void set_entry(const struct amavisd *amavisd, struct entry *entry, struct str name, struct str value)
{
	if (str_eq(name, STR("d")))
		entry->d = arena_dup_lower(amavisd->conversion->arena, value);
	else if (str_eq(name, STR("s")))
		entry->s = value;
	else if (str_eq(name, STR("c")))
		entry->c = value;
	else if (str_eq(name, STR("ttl")))
		entry->ttl = value;
	else if (!str_eq(name, STR("a")) ||
		 (!str_ieq(value, STR("rsa-sha256")) && !str_ieq(value, STR("ed25519-sha256"))))
		diag_warning(amavisd->conversion->diag, here(amavisd), "%.*s => '%.*s' is not converted: %s",
			STR_ARG(name), STR_ARG(value),
			str_eq(name, STR("a")) ? "the kind of key decides, and SHA-1 is never used"
					       : "see SignatureOptions and SigningTable (NAME:SIGNER for i=)");
}

/* '.example.com' => { ttl => 21*24*3600, c => 'relaxed/simple' } */
static bool take_entry(struct amavisd *amavisd)
{
	struct entry entry = {.place = here(amavisd)};
	struct str name, value;
	if (!take_option_name(amavisd, &name) || !take_sign(amavisd, "{"))
		return false;
	entry.pattern = arena_dup_lower(amavisd->conversion->arena, name);
	while (!take_sign(amavisd, "}")) {
		if (!take_option_name(amavisd, &name) || !take_value(amavisd, &value))
			return false;
		set_entry(amavisd, &entry, name, value);
		if (!take_sign(amavisd, ",") && !is_sign(amavisd->at, "}"))
			return false;
	}
	struct str domain = str_skip(entry.pattern, (size_t)(str_rindex(entry.pattern, '@') + 1));
	domain = domain.n > 1 && domain.p[0] == '.' ? str_skip(domain, 1) : domain;
	if (!str_eq(entry.pattern, STR(".")) && !convert_domain(amavisd->conversion, domain,
							"@dkim_signature_options_bysender_maps", entry.place, &domain))
		return true;
	amavisd->entries = arena_grow(amavisd->conversion->arena, amavisd->entries, &amavisd->entries_capacity,
		amavisd->n_entries + 1, sizeof(*amavisd->entries));
	amavisd->entries[amavisd->n_entries++] = entry;
	return true;
}

/* @dkim_signature_options_bysender_maps = ( { ... }, { ... } ); */
static bool take_maps(struct amavisd *amavisd)
{
	amavisd->at++;
	if (!take_sign(amavisd, "=") || !take_sign(amavisd, "("))
		return false;
	while (take_sign(amavisd, "{")) {
		while (!take_sign(amavisd, "}")) {
			if (!take_entry(amavisd))
				return false;
			if (!take_sign(amavisd, ",") && !is_sign(amavisd->at, "}"))
				return false;
		}
		take_sign(amavisd, ",");
	}
	return take_sign(amavisd, ")") && is_sign(amavisd->at, ";");
}

/* "[::1]/128" is "::1/128" with us. */
static void add_network(const struct amavisd *amavisd, struct str text, struct diag_place place)
{
	struct buf out = buf_in(amavisd->conversion->arena);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '[' && text.p[i] != ']')
			buf_add_char(&out, text.p[i]);
	const struct dataset_row row = {buf_str(&out), STR(""), place};
	dataset_add(amavisd->conversion->arena, &amavisd->conversion->internal, &row);
}

/* @mynetworks = qw( 127.0.0.0/8 [::1] ... ); */
static bool take_networks(struct amavisd *amavisd)
{
	amavisd->at++;
	if (!take_sign(amavisd, "=") || amavisd->at->kind != PERL_LIST || !is_sign(amavisd->at + 1, ";"))
		return false;
	struct str list = amavisd->at->text;
	struct diag_place place = here(amavisd);
	add_network(amavisd, STR("local"), place);
	while ((list = str_trim(list)).n > 0) {
		size_t n = 0;
		while (n < list.n && !str_is_space(list.p[n]))
			n++;
		add_network(amavisd, str_head(list, n), place);
		list = str_skip(list, n);
	}
	amavisd->at++;
	return true;
}

/* $name = 'text'; kept for what names it. */
static bool take_assignment(struct amavisd *amavisd)
{
	const struct perl_word *word = amavisd->at;
	if (word->kind != PERL_VARIABLE || word->text.p[0] != '$' || !is_sign(word + 1, "=") ||
		word[2].kind != PERL_STRING || !is_sign(word + 3, ";"))
		return false;
	struct str *value = ARENA_NEW(amavisd->conversion->arena, struct str);
	*value = word[2].text;
	if (!map_put(amavisd->variables, word->text, value))
		*(struct str *)map_get(amavisd->variables, word->text) = *value;
	return true;
}

static bool is_about_dkim(const struct perl_word *from, const struct perl_word *to)
{
	for (; from < to; from++)
		if ((from->kind == PERL_WORD || from->kind == PERL_VARIABLE) &&
			(memmem(from->text.p, from->text.n, "dkim", 4) != NULL ||
				str_eq(from->text, STR("$signed_header_fields")) ||
				str_eq(from->text, STR("@mynetworks"))))
			return true;
	return false;
}

/* The end of the statement that begins at @word: its ';', or the '}' of a block. */
static const struct perl_word *end_of(const struct perl_word *word)
{
	bool is_block = word->kind == PERL_WORD && !is_sign(word + 1, "(") && !is_sign(word + 1, "=>");
	static const char *const blocks[] = {"if", "unless", "for", "foreach", "while", "sub", "BEGIN"};
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		is_block = is_block || is_name(word, PERL_WORD, blocks[i]);
	unsigned depth = 0;
	for (; word->kind != PERL_END; word++) {
		if (word->kind != PERL_SIGN)
			continue;
		if (strchr("([{", word->text.p[0]) != NULL)
			depth++;
		if (strchr(")]}", word->text.p[0]) != NULL && depth > 0)
			depth--;
		bool closes_block = is_block && word->text.p[0] == '}' && !is_name(word + 1, PERL_WORD, "else") &&
				    !is_name(word + 1, PERL_WORD, "elsif");
		if (depth == 0 && (word->text.p[0] == ';' || closes_block))
			break;
	}
	return word;
}

static void note_statement(struct amavisd *amavisd, const struct perl_word *start, const struct perl_word *end)
{
	struct diag_place place = {amavisd->file, start->line}, at = here(amavisd);
	struct diag *diag = amavisd->conversion->diag;
	if (is_name(start, PERL_VARIABLE, "$enable_dkim_signing") ||
		is_name(start, PERL_VARIABLE, "$enable_dkim_verification")) {
		if (end - start < 3 || !is_name(start + 2, PERL_NUMBER, "1"))
			diag_warning(diag, place,
				"%.*s is not 1: trimilter verifies, and signs for what has a key; Mode s or Mode v "
				"does one of both",
				STR_ARG(start->text));
	} else if (is_about_dkim(start, end)) {
		diag_error(diag, at,
			"\"%.*s\" in the statement of line %u, which is about DKIM or whom it signs for, is more than "
			"is read here: write it as the "
			"amavisd documentation does, or see to it yourself",
			STR_ARG(amavisd->at->text), start->line);
	} else if (start->kind == PERL_VARIABLE) {
		buf_printf(&amavisd->others, "%s%.*s (%u)", amavisd->others.n > 0 ? ", " : "", STR_ARG(start->text),
			start->line);
	} else if (!is_name(start, PERL_WORD, "use") && start->kind != PERL_NUMBER && start != end) {
		diag_warning(diag, place, "\"%.*s ...\": this statement is not read", STR_ARG(start->text));
	}
}

static void read_statement(struct amavisd *amavisd)
{
	const struct perl_word *start = amavisd->at, *end = end_of(start);
	bool taken = is_name(start, PERL_WORD, "dkim_key")                                    ? take_key(amavisd)
		     : is_name(start, PERL_VARIABLE, "@dkim_signature_options_bysender_maps") ? take_maps(amavisd)
		     : is_name(start, PERL_VARIABLE, "@mynetworks")                           ? take_networks(amavisd)
											      : false;
	if (!taken) {
		take_assignment(amavisd);
		note_statement(amavisd, start, end);
	}
	amavisd->at = end->kind == PERL_END ? end : end + 1;
}

/* ---- what they come to ---- */

/* Does @pattern hold for all that @narrow stands for? */
static bool covers(struct str pattern, struct str narrow)
{
	struct str domain = str_skip(narrow, (size_t)(str_rindex(narrow, '@') + 1));
	if (str_eq(pattern, STR(".")) || str_eq(pattern, narrow))
		return true;
	if (pattern.p[0] != '.')
		return str_eq(pattern, domain);
	domain = domain.n > 0 && domain.p[0] == '.' ? str_skip(domain, 1) : domain;
	return domain_is_within(domain, str_skip(pattern, 1));
}

/* The most specific first: longer ones, of equal ones the exact one. */
static bool is_narrower(const struct entry *a, const struct entry *b)
{
	bool user_a = str_index(a->pattern, '@') >= 0, user_b = str_index(b->pattern, '@') >= 0;
	bool above_a = a->pattern.p[0] == '.', above_b = b->pattern.p[0] == '.';
	if (user_a != user_b)
		return user_a;
	if (above_a != above_b)
		return above_b;
	return a->pattern.n > b->pattern.n;
}

static void complete(struct entry *all, const struct entry *other)
{
	struct str *mine[] = {&all->d, &all->s, &all->c, &all->ttl};
	const struct str theirs[] = {other->d, other->s, other->c, other->ttl};
	for (size_t i = 0; i < 4; i++)
		if (mine[i]->p == NULL)
			*mine[i] = theirs[i];
}

/* Entries are sorted. */
static struct entry merge(const struct amavisd *amavisd, struct str pattern, struct diag_place place)
{
	struct entry all = {.pattern = pattern, .place = place};
	for (size_t i = 0; i < amavisd->n_entries; i++)
		if (covers(amavisd->entries[i].pattern, pattern))
			complete(&all, &amavisd->entries[i]);
	return all;
}

static const struct key *find_key(const struct amavisd *amavisd, const struct entry *entry)
{
	struct str pattern = str_skip(entry->pattern, (size_t)(str_rindex(entry->pattern, '@') + 1));
	struct str domain = pattern.n > 0 && pattern.p[0] == '.' ? str_skip(pattern, 1) : pattern;
	for (struct str name = entry->d.n > 0 ? entry->d : domain; name.n > 0; name = domain_parent(name)) {
		for (size_t i = 0; i < amavisd->n_keys; i++)
			if (str_eq(amavisd->keys[i].domain, name) &&
				(entry->s.n == 0 || str_eq(entry->s, amavisd->keys[i].selector)))
				return &amavisd->keys[i];
		if (entry->d.n > 0)
			break;
	}
	for (size_t i = 0; i < amavisd->n_keys; i++)
		if (str_eq(amavisd->keys[i].domain, STR("%")) && entry->d.n == 0)
			return &amavisd->keys[i];
	return NULL;
}

static void add_options(
	const struct amavisd *amavisd, struct str pattern, const struct entry *entry, const struct entry *root)
{
	struct buf out = buf_in(amavisd->conversion->arena);
	if (entry->c.n > 0 && !str_eq(entry->c, root->c))
		buf_printf(&out, "c=%.*s", STR_ARG(entry->c));
	if (entry->ttl.n > 0 && !str_eq(entry->ttl, root->ttl))
		buf_printf(&out, "%sttl=%.*s", out.n > 0 ? " " : "", STR_ARG(entry->ttl));
	for (size_t i = 0; i < amavisd->conversion->options.n; i++)
		if (str_eq(amavisd->conversion->options.rows[i].key, pattern))
			return;
	if (out.n == 0)
		return;
	const struct dataset_row row = {pattern, buf_str(&out), entry->place};
	dataset_add(amavisd->conversion->arena, &amavisd->conversion->options, &row);
}

static void add_pattern(
	const struct amavisd *amavisd, struct str pattern, const struct entry *entry, const struct entry *root)
{
	struct conversion *conversion = amavisd->conversion;
	const struct key *key = find_key(amavisd, entry);
	if (key == NULL && entry->d.n > 0)
		diag_error(conversion->diag, entry->place,
			"\"%.*s\" wants the key of %.*s%s%.*s, which no dkim_key names: its mail "
			"will not be signed: give its file to this command as well, or correct it",
			STR_ARG(entry->pattern), STR_ARG(entry->d), entry->s.n > 0 ? ", selector " : "",
			STR_ARG(entry->s));
	if (key != NULL)
		convert_author(conversion, pattern,
			convert_key(conversion, key->domain, key->selector, key->path, key->place), entry->place);
	add_options(amavisd, pattern, entry, root);
}

/* amavisd's ".example.com" is example.com and all below. */
static void add_merged(
	const struct amavisd *amavisd, struct str pattern, struct diag_place place, const struct entry *root)
{
	struct entry entry = merge(amavisd, pattern, place);
	if (str_eq(pattern, STR("."))) {
		if (find_key(amavisd, &entry) != NULL || entry.d.n > 0)
			add_pattern(amavisd, STR("*"), &entry, root);
		return;
	}
	if (pattern.p[0] == '.') {
		struct entry exact = merge(amavisd, str_skip(pattern, 1), place);
		add_pattern(amavisd, exact.pattern, &exact, root);
	}
	add_pattern(amavisd, pattern, &entry, root);
}

static void sort_entries(struct amavisd *amavisd)
{
	for (size_t i = 1; i < amavisd->n_entries; i++)
		for (size_t k = i; k > 0 && is_narrower(&amavisd->entries[k], &amavisd->entries[k - 1]); k--) {
			struct entry moved = amavisd->entries[k];
			amavisd->entries[k] = amavisd->entries[k - 1];
			amavisd->entries[k - 1] = moved;
		}
}

static void use_rest(const struct amavisd *amavisd)
{
	for (size_t i = 0; i < amavisd->n_keys; i++) {
		const struct key *key = &amavisd->keys[i];
		struct str name = arena_printf(amavisd->conversion->arena, "%.*s._domainkey.%.*s",
			STR_ARG(key->selector), STR_ARG(str_eq(key->domain, STR("%")) ? STR("any") : key->domain));
		bool used = false;
		for (size_t k = 0; k < amavisd->conversion->keys.n; k++)
			used = used || str_ieq(amavisd->conversion->keys.rows[k].key, name);
		if (used)
			continue;
		convert_key(amavisd->conversion, key->domain, key->selector, key->path, key->place);
		diag_warning(amavisd->conversion->diag, key->place,
			"%.*s signs nothing, as with amavisd: no sender asks for it", STR_ARG(name));
	}
}

static void build(struct amavisd *amavisd)
{
	struct conversion *conversion = amavisd->conversion;
	sort_entries(amavisd);
	struct entry root = merge(amavisd, STR("."), (struct diag_place){amavisd->file, 0});
	for (size_t i = 0; i < amavisd->n_entries; i++)
		if (str_eq(amavisd->entries[i].pattern, STR(".")))
			root.place = amavisd->entries[i].place;
	if (root.c.n > 0)
		convert_set(conversion, "Canonicalization", root.c, root.place);
	if (root.ttl.n > 0)
		convert_set(conversion, "SignatureTTL", root.ttl, root.place);
	for (size_t i = 0; i < amavisd->n_entries; i++)
		add_merged(amavisd, amavisd->entries[i].pattern, amavisd->entries[i].place, &root);
	for (size_t i = 0; i < amavisd->n_keys; i++) {
		bool any = str_eq(amavisd->keys[i].domain, STR("%"));
		add_merged(amavisd,
			any ? STR(".") : arena_printf(conversion->arena, ".%.*s", STR_ARG(amavisd->keys[i].domain)),
			amavisd->keys[i].place, &root);
	}
	use_rest(amavisd);
	if (amavisd->others.n > 0)
		diag_warning(conversion->diag, (struct diag_place){amavisd->file, 0},
			"not about DKIM, and not read: %.*s", STR_ARG(buf_str(&amavisd->others)));
}

void convert_amavisd(struct conversion *conversion, struct str text, const char *file)
{
	struct amavisd amavisd = {
		.conversion = conversion,
		.file = file,
		.at = perl_words(conversion->arena, text, file, conversion->diag),
		.variables = map_new(conversion->arena),
		.others = buf_in(conversion->arena),
	};
	while (amavisd.at->kind != PERL_END)
		read_statement(&amavisd);
	build(&amavisd);
}
