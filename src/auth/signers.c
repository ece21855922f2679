#include "auth/signers.h"

#include <pwd.h>
#include <unistd.h>

#include "auth/keyring.h"
#include "auth/signing_table.h"
#include "base/buf.h"
#include "base/domain.h"
#include "base/map.h"
#include "tables/nearest.h"

/* After so many unknown names the next suggestion teaches nothing, and each costs a walk over all names. */
#define SUGGESTIONS_MAX 20

/* One row of the key table. */
struct key_row {
	struct key_row *next;
	struct str name;
	struct str domain;       /* "%": the author's */
	struct str selector;     /* "%" likewise */
	struct keyring_key *key; /* NULL: the path depends on the author */
	struct str path;         /* empty: the key stands in the table */
	struct str text;         /* which is then here */
};

/* What one row of the signing table says. */
struct signing_value {
	const struct key_row *row; /* NULL: the name depends on the author */
	struct str identity;       /* i= as written, "%" in it; empty: none */
};

struct signers {
	struct arena *arena;
	struct keyring *keyring;
	struct map *by_name;
	struct key_row *first, **end;
	struct signing_table *table;
	struct signing_table *lists; /* ResignMailTo; NULL: not configured */
	bool multiple;
};

struct builder {
	struct signers *signers;
	struct diag *diag;
	struct str base_directory;
	size_t n_suggestions;
};

static bool has_percent(struct str s)
{
	return str_index(s, '%') >= 0;
}

/* ---- the key table ---- */

static bool is_path(struct str s)
{
	return str_starts(s, STR("/")) || str_starts(s, STR("./")) || str_starts(s, STR("../"));
}

static struct key_row *add_row(struct builder *builder, const struct key_row *row)
{
	struct key_row *kept = ARENA_NEW(builder->signers->arena, struct key_row);
	*kept = *row;
	*builder->signers->end = kept;
	builder->signers->end = &kept->next;
	return kept;
}

static struct key_row *add_key_file(
	struct builder *builder, struct key_row row, struct str path, struct diag_place place)
{
	struct arena *arena = builder->signers->arena;
	if (!str_starts(path, STR("/")) && builder->base_directory.n > 0)
		row.path = arena_printf(arena, "%.*s/%.*s", STR_ARG(builder->base_directory), STR_ARG(path));
	else
		row.path = arena_dup(arena, path);
	if (!has_percent(row.path))
		row.key = keyring_add_file(builder->signers->keyring, row.path, place);
	return add_row(builder, &row);
}

static struct key_row *add_key_text(
	struct builder *builder, struct key_row row, struct str text, struct diag_place place)
{
	row.text = arena_dup(builder->signers->arena, text);
	row.key = keyring_add_text(builder->signers->keyring, text, place);
	return add_row(builder, &row);
}

static bool parse_names(
	struct builder *builder, struct key_row *row, struct str domain, struct str selector, struct diag_place place)
{
	struct arena *arena = builder->signers->arena;
	if (str_eq(domain, STR("%")))
		row->domain = STR("%");
	else if (!domain_normalize(arena, domain, &row->domain) || !domain_is_hostname(row->domain)) {
		diag_error(builder->diag, place, "\"%.*s\" is not a domain (write DOMAIN:SELECTOR:/path/to/key)",
			STR_ARG(domain));
		return false;
	}
	if (!str_eq(selector, STR("%")) && !domain_is_hostname(selector)) {
		diag_error(builder->diag, place,
			"\"%.*s\" is not a selector: letters, digits, '-', '_' and dots between", STR_ARG(selector));
		return false;
	}
	row->selector = arena_dup(arena, selector);
	return true;
}

static void add_key_row(struct builder *builder, const struct dataset_row *table_row)
{
	struct signers *signers = builder->signers;
	struct str rest = table_row->value, domain = STR(""), selector = STR("");
	struct diag_place place = table_row->place;
	if (!str_cut(&rest, ':', &domain) || !str_cut(&rest, ':', &selector) || rest.p == NULL ||
		str_trim(rest).n == 0) {
		const char *missing = table_row->value.n == 0       ? "the value is missing"
				      : is_path(str_trim(domain))   ? "domain and selector are missing"
				      : is_path(str_trim(selector)) ? "the selector is missing"
								    : "the path is missing";
		diag_error(builder->diag, place, "key \"%.*s\": %s: write %.*s  DOMAIN:SELECTOR:/path/to/key",
			STR_ARG(table_row->key), missing, STR_ARG(table_row->key));
		return;
	}
	struct key_row row = {.name = arena_dup_lower(signers->arena, table_row->key)};
	if (!parse_names(builder, &row, str_trim(domain), str_trim(selector), place))
		return;
	if (map_get(signers->by_name, row.name) != NULL) {
		diag_warning(builder->diag, place, "key \"%.*s\" stands further up already; this row is never used",
			STR_ARG(table_row->key));
		return;
	}
	rest = str_trim(rest);
	map_put(signers->by_name, row.name,
		is_path(rest) ? add_key_file(builder, row, rest, place) : add_key_text(builder, row, rest, place));
}

/* ---- the signing table ---- */

static void report_unknown_key(struct builder *builder, struct str name, const struct dataset_row *row)
{
	struct nearest nearest = nearest_to(name);
	if (builder->n_suggestions++ < SUGGESTIONS_MAX)
		for (const struct key_row *key = builder->signers->first; key != NULL; key = key->next)
			nearest_consider(&nearest, key->name);
	if (nearest.best.n > 0)
		diag_error(builder->diag, row->place,
			"\"%.*s\" names the key \"%.*s\", which KeyTable has not: did you mean \"%.*s\"?",
			STR_ARG(row->key), STR_ARG(name), STR_ARG(nearest.best));
	else
		diag_error(builder->diag, row->place,
			"\"%.*s\" names the key \"%.*s\", which KeyTable has not: add it there", STR_ARG(row->key),
			STR_ARG(name));
}

static void add_signing_row(struct builder *builder, const struct dataset_row *row)
{
	struct signers *signers = builder->signers;
	struct str rest = row->value, name = STR("");
	str_cut(&rest, ':', &name);
	name = str_trim(name);
	if (name.n == 0) {
		diag_error(builder->diag, row->place, "\"%.*s\" names no key: write %.*s  NAME-IN-KEYTABLE",
			STR_ARG(row->key), STR_ARG(row->key));
		return;
	}
	struct signing_value *value = ARENA_NEW(signers->arena, struct signing_value);
	value->identity = rest.p != NULL ? arena_dup(signers->arena, str_trim(rest)) : STR("");
	if (!str_eq(name, STR("%"))) {
		value->row = map_get(signers->by_name, arena_dup_lower(signers->arena, name));
		if (value->row == NULL) {
			report_unknown_key(builder, name, row);
			return;
		}
	}
	signing_table_add(signers->table, row->key, value, row->place, builder->diag);
}

/* ResignMailTo. Without a KeyTable, where keys have no names, it is the one of KeyFile. */
static void add_list(struct builder *builder, const struct dataset_row *row, bool key_table)
{
	struct signers *signers = builder->signers;
	struct signing_value *value = ARENA_NEW(signers->arena, struct signing_value);
	struct str name = arena_dup_lower(signers->arena, str_trim(row->value));
	value->row = key_table ? map_get(signers->by_name, name) : signers->first;
	if (key_table && name.n == 0)
		diag_error(builder->diag, row->place,
			"ResignMailTo: \"%.*s\" names no key: write %.*s  NAME-IN-KEYTABLE", STR_ARG(row->key),
			STR_ARG(row->key));
	else if (value->row == NULL)
		report_unknown_key(builder, name, row);
	else
		signing_table_add(signers->lists, row->key, value, row->place, builder->diag);
}

/* Domain, Selector, KeyFile: the same as a key table and a signing table of a row to each domain. */
static void add_domains(struct builder *builder, const struct signers_source *source)
{
	struct signers *signers = builder->signers;
	for (size_t i = 0; i < source->n_domains; i++) {
		struct str domain = source->domains[i];
		bool any = str_eq(domain, STR("*"));
		struct key_row row = {.name = arena_dup(signers->arena, domain)};
		if (!parse_names(builder, &row, any ? STR("%") : domain, source->selector, source->place))
			return;
		struct signing_value *value = ARENA_NEW(signers->arena, struct signing_value);
		value->row = add_key_file(builder, row, source->key_file, source->place);
		signing_table_add(signers->table, domain, value, source->place, builder->diag);
		if (source->subdomains && !any)
			signing_table_add(signers->table, arena_printf(signers->arena, ".%.*s", STR_ARG(domain)), value,
				source->place, builder->diag);
	}
}

/* "user" or "user:group", by name or number. */
static bool find_reader(const struct signers_source *source, struct diag *diag, uid_t *ret_reader)
{
	*ret_reader = geteuid();
	if (source->user.n == 0 || *ret_reader != 0)
		return true;
	struct str rest = source->user, name;
	struct passwd entry, *found = NULL;
	char room[4096];
	uint64_t number;
	str_cut(&rest, ':', &name);
	if (str_to_u64(name, UINT32_MAX - 1, &number)) {
		*ret_reader = (uid_t)number;
		return true;
	}
	getpwnam_r(arena_dup(diag->arena, name).p, &entry, room, sizeof(room), &found);
	if (found == NULL) {
		diag_error(diag, source->place,
			"UserID \"%.*s\": there is no such user, who would have to read the keys: adduser "
			"--system --group %.*s",
			STR_ARG(name), STR_ARG(name));
		return false;
	}
	*ret_reader = entry.pw_uid;
	return true;
}

enum err signers_build(
	struct arena *arena, const struct signers_source *source, struct diag *diag, struct signers **ret_signers)
{
	size_t errors = diag->n_errors;
	struct keyring_options options = {source->minimum_key_bits, source->require_safe_keys, 0};
	if (!find_reader(source, diag, &options.reader)) {
		*ret_signers = NULL;
		return ERR_CONFIG;
	}
	bool tables = source->key_table != NULL && source->signing_table != NULL;
	struct signers *signers = ARENA_NEW(arena, struct signers);
	signers->arena = arena;
	signers->keyring = keyring_new(arena, &options);
	signers->by_name = map_new(arena);
	signers->end = &signers->first;
	signers->table = signing_table_new(
		arena, tables ? source->signing_table->kind : DATASET_FILE, "this mail would leave unsigned");
	signers->multiple = source->multiple_signatures;

	struct builder builder = {signers, diag, source->base_directory, 0};
	if (tables) {
		for (size_t i = 0; i < source->key_table->n; i++)
			add_key_row(&builder, &source->key_table->rows[i]);
		for (size_t i = 0; i < source->signing_table->n; i++)
			add_signing_row(&builder, &source->signing_table->rows[i]);
	} else {
		add_domains(&builder, source);
	}
	if (source->lists != NULL)
		signers->lists = signing_table_new(arena, source->lists->kind, "no list signs by it");
	for (size_t i = 0; source->lists != NULL && i < source->lists->n; i++)
		add_list(&builder, &source->lists->rows[i], tables);
	keyring_load(signers->keyring, diag);
	*ret_signers = diag->n_errors == errors ? signers : NULL;
	return diag->n_errors == errors ? ERR_OK : ERR_CONFIG;
}

/* ---- asking ---- */

struct selection {
	const struct signers *signers;
	struct arena *arena;
	struct str author_domain;
	struct dkim_signer *signers_found;
	size_t n, capacity;
	struct str why;
};

struct str signers_fill_in(struct arena *arena, struct str pattern, struct str domain)
{
	if (!has_percent(pattern))
		return pattern;
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < pattern.n; i++) {
		if (pattern.p[i] == '%')
			buf_add(&out, domain);
		else
			buf_add_char(&out, pattern.p[i]);
	}
	return buf_str(&out);
}

/* i= must lie within d=, RFC 6376 section 3.5; opendkim.conf(5) says that it is left out where it does not. */
static struct str identity_of(struct selection *selection, struct str pattern, struct str signing_domain)
{
	struct str identity = signers_fill_in(selection->arena, pattern, selection->author_domain);
	if (identity.n == 0)
		return identity;
	ptrdiff_t at = str_rindex(identity, '@');
	if (at < 0) {
		identity = arena_printf(selection->arena, "@%.*s", STR_ARG(identity));
		at = 0;
	}
	struct str domain = arena_dup_lower(selection->arena, str_skip(identity, (size_t)at + 1));
	return domain_is_within(domain, signing_domain) ? identity : STR("");
}

static void release_key(void *key)
{
	dkim_private_key_unref(key);
}

static bool already_chosen(const struct selection *selection, const struct dkim_signer *signer)
{
	for (size_t i = 0; i < selection->n; i++)
		if (str_eq(selection->signers_found[i].domain, signer->domain) &&
			str_eq(selection->signers_found[i].selector, signer->selector))
			return true;
	return false;
}

/* False: the key cannot be had. */
static bool choose(struct selection *selection, const struct key_row *row, struct str identity)
{
	struct arena *arena = selection->arena;
	struct dkim_signer signer = {
		.domain = signers_fill_in(arena, row->domain, selection->author_domain),
		.selector = signers_fill_in(arena, row->selector, selection->author_domain),
	};
	if (already_chosen(selection, &signer))
		return true;
	struct dkim_private_key *key;
	if (row->key != NULL)
		key = keyring_get(selection->signers->keyring, row->key, arena, &selection->why);
	else
		key = keyring_get_file(selection->signers->keyring,
			signers_fill_in(arena, row->path, selection->author_domain), arena, &selection->why);
	if (key == NULL)
		return false;
	arena_on_reset(arena, release_key, key);
	signer.key = key;
	signer.identity = identity_of(selection, identity, signer.domain);
	selection->signers_found = arena_grow(arena, selection->signers_found, &selection->capacity, selection->n + 1,
		sizeof(*selection->signers_found));
	selection->signers_found[selection->n++] = signer;
	return true;
}

static bool apply(struct selection *selection, const struct signing_value *value)
{
	const struct key_row *row = value->row;
	if (row == NULL)
		row = map_get(selection->signers->by_name, selection->author_domain);
	if (row == NULL) {
		selection->why = arena_printf(selection->arena,
			"the signing table's \"%%\" stands for the key \"%.*s\", which KeyTable has not",
			STR_ARG(selection->author_domain));
		return false;
	}
	return choose(selection, row, value->identity);
}

static enum signers_outcome select_from(const struct signers *signers, const struct signing_table *table, bool all,
	struct arena *arena, const struct address *address, struct selection *ret_selection)
{
	const struct signing_row **rows;
	*ret_selection = (struct selection){
		.signers = signers, .arena = arena, .author_domain = address->domain, .why = STR("")};
	/* A domain that is no host name could reach outside a key directory through "%". */
	if (table == NULL || !domain_is_hostname(address->domain))
		return SIGNERS_NO_MATCH;
	size_t n = signing_table_match(table, arena, address, all, &rows);
	for (size_t i = 0; i < n; i++) {
		if (!apply(ret_selection, rows[i]->value)) {
			ret_selection->n = 0;
			return SIGNERS_KEY_BROKEN;
		}
	}
	return n > 0 ? SIGNERS_FOUND : SIGNERS_NO_MATCH;
}

enum signers_outcome signers_select(const struct signers *signers, struct arena *arena, const struct address *author,
	const struct dkim_signer **ret_signers, size_t *ret_n, struct str *ret_why)
{
	struct selection selection;
	enum signers_outcome outcome = select_from(signers, signers != NULL ? signers->table : NULL,
		signers != NULL && signers->multiple, arena, author, &selection);
	*ret_signers = selection.signers_found;
	*ret_n = selection.n;
	*ret_why = selection.why;
	return outcome;
}

static bool has_row(const struct signing_table *table, struct arena *arena, const struct address *address)
{
	const struct signing_row **rows;
	return table != NULL && signing_table_match(table, arena, address, false, &rows) > 0;
}

bool signers_have_author(const struct signers *signers, struct arena *arena, const struct address *author)
{
	return signers != NULL && has_row(signers->table, arena, author);
}

bool signers_have_lists(const struct signers *signers)
{
	return signers != NULL && signers->lists != NULL;
}

bool signers_have_list(const struct signers *signers, struct arena *arena, const struct address *recipient)
{
	return signers != NULL && has_row(signers->lists, arena, recipient);
}

enum signers_outcome signers_select_list(const struct signers *signers, struct arena *arena,
	const struct address *recipient, const struct dkim_signer **ret_signers, size_t *ret_n, struct str *ret_why)
{
	struct selection selection;
	enum signers_outcome outcome =
		select_from(signers, signers != NULL ? signers->lists : NULL, false, arena, recipient, &selection);
	*ret_signers = selection.signers_found;
	*ret_n = selection.n;
	*ret_why = selection.why;
	return outcome;
}

void signers_each(
	const struct signers *signers, bool (*visit)(void *context, const struct signers_entry *entry), void *context)
{
	for (const struct key_row *row = signers != NULL ? signers->first : NULL; row != NULL; row = row->next) {
		const struct signers_entry entry = {
			.name = row->name,
			.domain = row->domain,
			.selector = row->selector,
			.key_file = row->path,
			.key_text = row->text,
		};
		if (!visit(context, &entry))
			return;
	}
}
