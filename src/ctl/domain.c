/*
 * trimilterctl domain: the domains that are signed, in KeyTable and SigningTable. A key, its rows and the records to
 * publish come together or not at all.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "auth/signers.h"
#include "base/domain.h"
#include "ctl/key_tables.h"
#include "ctl/new_key.h"
#include "ctl/rotation.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl domain add -c FILE [OPTION]... DOMAIN\n"
	"       trimilterctl domain remove -c FILE [--delete-keys] [--json] DOMAIN\n"
	"       trimilterctl domain list -c FILE [--json]\n\n"
	"  add     make a key, put it into KeyTable and SigningTable, and print the records to publish;\n"
	"          all of it or nothing\n"
	"  remove  take the domain out of both tables\n"
	"  list    the domains of KeyTable, their keys, and whose mail each signs\n\n"
	"  -c FILE                   the daemon's configuration; may be repeated\n"
	"  -s, --selector SELECTOR   name of the key (default: year and month, such as 202611)\n"
	"      --type rsa|ed25519|both  kind of key (default: rsa); both signs twice and needs MultipleSignatures\n"
	"  -b, --bits BITS           size of an rsa key, 1024 to 4096 (default: 2048)\n"
	"  -D, --directory DIRECTORY where the key goes (default: beside the others, or keys/ beside KeyTable)\n"
	"      --delete-keys         remove the key files too\n"
	"      --json                one JSON object instead of text\n";

enum { OPTION_TYPE = CTL_OPTION_OWN, OPTION_DELETE_KEYS };

static const struct option options[] = {
	{"selector", required_argument, NULL, 's'},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"bits", required_argument, NULL, 'b'},
	{"directory", required_argument, NULL, 'D'},
	{"delete-keys", no_argument, NULL, OPTION_DELETE_KEYS},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

#define KEYS_MAX 2

struct request {
	struct ctl ctl;
	struct key_tables tables;
	struct files *files;
	struct str domain, selector; /* selector empty: the default */
	bool types[2];               /* by enum dkim_key_type */
	unsigned bits;
	const char *directory;
	bool delete_keys;
	/* What add makes. */
	struct new_key keys[KEYS_MAX];
	struct str names[KEYS_MAX]; /* in KeyTable */
	const char *paths[KEYS_MAX];
	size_t n_keys;
};

static struct arena *arena_of(struct request *request)
{
	return request->ctl.arena;
}

/* ---- add ---- */

static bool is_new(const struct request *request)
{
	const struct key_tables *tables = &request->tables;
	const struct key_row *row = key_tables_find(tables, request->domain, STR(""));
	if (row != NULL) {
		fprintf(stderr,
			"trimilterctl domain: %.*s has the key %.*s (selector %.*s) already, %s:%u; for a new one: "
			"trimilterctl key rotate %.*s\n",
			STR_ARG(request->domain), STR_ARG(row->name), STR_ARG(row->selector), tables->keys.path,
			row->line, STR_ARG(request->domain));
		return false;
	}
	for (size_t i = 0; i < tables->authors.rows.n; i++) {
		const struct dataset_row *author = &tables->authors.rows.rows[i];
		if (!signing_row_is_for(author, request->domain))
			continue;
		fprintf(stderr, "trimilterctl domain: %s:%u: mail of %.*s is signed with the key %.*s already\n",
			author->place.file, author->place.line, STR_ARG(request->domain),
			STR_ARG(signing_row_key(author)));
		return false;
	}
	return true;
}

static struct str default_selector(struct ctl *ctl)
{
	char text[16];
	struct tm tm;
	time_t now = (time_t)ctl->now;
	strftime(text, sizeof(text), "%Y%m", gmtime_r(&now, &tm));
	return arena_dup(ctl->arena, str_of(text));
}

/* Named as its domain, so that "%" in a SigningTable finds it; the name stays when the key is rotated. */
static int make_key(struct request *request, enum dkim_key_type type, const struct file_rights *rights)
{
	static const struct record_tags no_tags = {0};
	struct key_tables *tables = &request->tables;
	size_t i = request->n_keys;
	bool second = i > 0;
	const char *suffix = second ? "-ed25519" : "";
	struct str selector = arena_printf(arena_of(request), "%.*s%s", STR_ARG(request->selector), suffix);
	request->names[i] = arena_printf(arena_of(request), "%.*s%s", STR_ARG(request->domain), suffix);
	if (key_tables_named(tables, request->names[i]) != NULL) {
		fprintf(stderr, "trimilterctl domain: KeyTable has a key called %.*s already: rename it there first\n",
			STR_ARG(request->names[i]));
		return EX_DATAERR;
	}
	if (!new_key_make(
		    arena_of(request), type, request->bits, request->domain, selector, &no_tags, &request->keys[i])) {
		fputs("trimilterctl domain: OpenSSL cannot make such a key\n", stderr);
		return EX_SOFTWARE;
	}
	request->paths[i] =
		key_tables_place(tables, request->files, request->directory, request->domain, selector, rights);
	if (request->paths[i] == NULL)
		return EX_DATAERR;
	request->n_keys++;
	return EX_OK;
}

/* Keys first, then what names them: wherever it stops, the tables name nothing that is not there. */
static void note_changes(struct request *request, const struct file_rights *rights)
{
	struct key_tables *tables = &request->tables;
	struct buf keys = buf_in(arena_of(request)), authors = buf_in(arena_of(request));
	const char *pattern = tables->authors.rows.kind == DATASET_REFILE ? "*@" : "";
	for (size_t i = 0; i < request->n_keys; i++) {
		const struct new_key *key = &request->keys[i];
		files_create(request->files, request->paths[i], key->pem, rights);
		buf_printf(&keys, "%.*s %.*s:%.*s:%s\n", STR_ARG(request->names[i]), STR_ARG(key->domain),
			STR_ARG(key->selector), request->paths[i]);
		buf_printf(&authors, "%s%.*s %.*s\n", pattern, STR_ARG(key->domain), STR_ARG(request->names[i]));
	}
	table_file_change(
		request->files, &tables->keys, table_text_append(arena_of(request), tables->keys.text, buf_str(&keys)));
	table_file_change(request->files, &tables->authors,
		table_text_append(arena_of(request), tables->authors.text, buf_str(&authors)));
}

/* A pattern further up may decide before the new row does. */
static bool would_sign(void *context, const struct runtime *runtime)
{
	struct request *request = context;
	const struct address author = {.local_part = STR("postmaster"), .domain = request->domain};
	const struct dkim_signer *signers;
	struct str why = STR("");
	size_t n, found = 0;
	signers_select(runtime->auth.signers, arena_of(request), &author, &signers, &n, &why);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < request->n_keys; k++)
			found += str_eq(signers[i].domain, request->domain) &&
				 str_eq(signers[i].selector, request->keys[k].selector);
	if (found >= request->n_keys)
		return true;
	fprintf(stderr,
		"trimilterctl domain: mail of %.*s would not be signed with the new key: %s: a row of %s further up "
		"matches "
		"it first; put the row \"%s%.*s %.*s\" above that one by hand\n",
		STR_ARG(request->domain), why.n > 0 ? why.p : "another row decides", request->tables.authors.path,
		request->tables.authors.rows.kind == DATASET_REFILE ? "*@" : "", STR_ARG(request->domain),
		STR_ARG(request->names[0]));
	return false;
}

static struct str spf_record(void)
{
	return STR("v=spf1 mx ~all");
}

static struct str dmarc_record(struct request *request)
{
	return arena_printf(
		arena_of(request), "v=DMARC1; p=none; rua=mailto:postmaster@%.*s", STR_ARG(request->domain));
}

static void add_record_text(struct request *request, struct buf *out, struct str owner, struct str record)
{
	zone_line_add(out, arena_printf(arena_of(request), "%.*s.", STR_ARG(owner)), record);
}

static void show_added_text(struct request *request, struct buf *out)
{
	const struct key_tables *tables = &request->tables;
	struct str domain = request->domain;
	for (size_t i = 0; i < request->n_keys; i++)
		buf_printf(out, "New key %.*s (%s, %u bits) in %s\n", STR_ARG(request->keys[i].selector),
			key_type_text(request->keys[i].type), request->keys[i].bits, request->paths[i]);
	buf_printf(out, "Rows added to %s and %s\n\n1. Publish:\n\n", tables->keys.path, tables->authors.path);
	for (size_t i = 0; i < request->n_keys; i++)
		add_record_text(request, out, request->keys[i].owner, request->keys[i].record);
	buf_add_cstr(out, "\n   Where a form asks for name and value:\n\n");
	for (size_t i = 0; i < request->n_keys; i++)
		buf_printf(
			out, "   %.*s\n   %.*s\n\n", STR_ARG(request->keys[i].owner), STR_ARG(request->keys[i].record));
	buf_add_cstr(
		out, "   If the domain has none yet, these too; add to the first whatever else sends its mail:\n\n");
	add_record_text(request, out, domain, spf_record());
	add_record_text(
		request, out, arena_printf(arena_of(request), "_dmarc.%.*s", STR_ARG(domain)), dmarc_record(request));
	buf_add_cstr(out, "\n2. When they have spread:  trimilterctl testkey");
	for (size_t i = 0; i < request->ctl.n_config_paths; i++)
		buf_printf(out, " -c %s", request->ctl.config_paths[i]);
	buf_printf(out, " -d %.*s\n3. Then let the daemon sign:  %.*s\n", STR_ARG(domain),
		STR_ARG(key_tables_reload_command(tables)));
	out->n--;
}

static void json_record(struct json *json, struct str owner, struct str record)
{
	json_object_begin(json, NULL);
	json_str(json, "owner", owner);
	json_str(json, "record", record);
	json_object_end(json);
}

static void show_added_json(struct request *request, struct buf *out)
{
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_str(&json, "domain", request->domain);
	json_cstr(&json, "key_table", request->tables.keys.path);
	json_cstr(&json, "signing_table", request->tables.authors.path);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < request->n_keys; i++) {
		const struct new_key *key = &request->keys[i];
		json_object_begin(&json, NULL);
		json_str(&json, "name", request->names[i]);
		json_str(&json, "selector", key->selector);
		json_cstr(&json, "algorithm", key_type_text(key->type));
		json_int(&json, "key_bits", key->bits);
		json_cstr(&json, "key_file", request->paths[i]);
		json_str(&json, "owner", key->owner);
		json_str(&json, "record", key->record);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_array_begin(&json, "suggestions");
	json_record(&json, request->domain, spf_record());
	json_record(
		&json, arena_printf(arena_of(request), "_dmarc.%.*s", STR_ARG(request->domain)), dmarc_record(request));
	json_array_end(&json);
	json_object_end(&json);
}

static int add_domain(struct request *request)
{
	struct key_tables *tables = &request->tables;
	struct file_rights rights;
	bool both = request->types[DKIM_KEY_RSA] && request->types[DKIM_KEY_ED25519];
	if (!is_new(request))
		return EX_DATAERR;
	if (both && !tables->multiple_signatures) {
		fputs("trimilterctl domain: --type both: set MultipleSignatures to yes first, else only one of the "
		      "two would sign\n",
			stderr);
		return EX_CONFIG;
	}
	if (request->selector.n == 0)
		request->selector = default_selector(&request->ctl);
	if (!key_tables_rights(tables, &rights))
		return EX_CONFIG;
	int status = EX_OK;
	for (int type = DKIM_KEY_RSA; status == EX_OK && type <= DKIM_KEY_ED25519; type++)
		if (request->types[type])
			status = make_key(request, (enum dkim_key_type)type, &rights);
	if (status != EX_OK)
		return status;
	note_changes(request, &rights);
	status = key_tables_apply(tables, request->files, would_sign, request);
	if (status != EX_OK)
		return status;
	struct buf out = buf_in(arena_of(request));
	if (request->ctl.json)
		show_added_json(request, &out);
	else
		show_added_text(request, &out);
	ctl_print(&out);
	return EX_OK;
}

/* ---- remove ---- */

/* @row has a key of @domain. */
static bool names_key_of(const struct key_tables *tables, const struct dataset_row *row, struct str domain)
{
	const struct key_row *key = key_tables_named(tables, signing_row_key(row));
	return key != NULL && str_eq(key->domain, domain);
}

static bool is_used_by_others(const struct key_tables *tables, const struct key_row *row)
{
	for (size_t i = 0; i < tables->n_rows; i++)
		if (!str_eq(tables->rows[i].domain, row->domain) && str_eq(tables->rows[i].path, row->path))
			return true;
	return false;
}

/* From the last line up, so that the numbers of the others stay right. */
static struct str without_authors(struct request *request)
{
	const struct table_file *authors = &request->tables.authors;
	struct str text = authors->text;
	for (size_t i = authors->rows.n; i-- > 0;)
		if (names_key_of(&request->tables, &authors->rows.rows[i], request->domain))
			text = table_text_change(
				arena_of(request), text, authors->rows.rows[i].place.line, (struct str){NULL, 0});
	return text;
}

/* A new key that waits for its turn goes with the domain that it was for. */
static int end_rotations(struct request *request)
{
	struct rotations rotations;
	struct rotation *rotation;
	int status = rotations_read(&request->tables, &rotations);
	if (status != EX_OK || rotations_find(&rotations, request->domain, STR("")) == NULL)
		return status;
	while ((rotation = rotations_find(&rotations, request->domain, STR(""))) != NULL) {
		rotation->dropped = true;
		if (request->delete_keys && rotation->stage < ROTATION_SIGNING)
			files_remove(request->files, rotation->new_key.p);
	}
	rotations_change(request->files, &rotations);
	return EX_OK;
}

static int remove_domain(struct request *request)
{
	struct key_tables *tables = &request->tables;
	struct buf out = buf_in(arena_of(request));
	struct json json = json_to(&out);
	struct str keys = tables->keys.text;
	if (key_tables_find(tables, request->domain, STR("")) == NULL) {
		fprintf(stderr, "trimilterctl domain: KeyTable (%s) has no key of %.*s\n", tables->keys.path,
			STR_ARG(request->domain));
		return EX_DATAERR;
	}
	if (request->ctl.json) {
		json_object_begin(&json, NULL);
		json_str(&json, "domain", request->domain);
		json_array_begin(&json, "keys");
	}
	/* What names the keys goes first. */
	table_file_change(request->files, &tables->authors, without_authors(request));
	for (size_t i = tables->n_rows; i-- > 0;)
		if (str_eq(tables->rows[i].domain, request->domain))
			keys = table_text_change(arena_of(request), keys, tables->rows[i].line, (struct str){NULL, 0});
	table_file_change(request->files, &tables->keys, keys);
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (!str_eq(row->domain, request->domain))
			continue;
		bool gone = request->delete_keys && row->path.n > 0 && !is_used_by_others(tables, row);
		if (gone)
			files_remove(request->files, row->path.p);
		if (request->ctl.json) {
			json_object_begin(&json, NULL);
			json_str(&json, "selector", row->selector);
			json_str(&json, "key_file", row->path.n > 0 ? row->path : (struct str){NULL, 0});
			json_bool(&json, "deleted", gone);
			json_object_end(&json);
		} else {
			buf_printf(&out, "%.*s is not in the tables any more; its key %s %.*s\n",
				STR_ARG(row->selector), gone ? "is removed:" : "stays:", STR_ARG(row->path));
		}
	}
	int status = end_rotations(request);
	if (status == EX_OK)
		status = key_tables_apply(tables, request->files, NULL, NULL);
	if (status != EX_OK)
		return status;
	if (request->ctl.json) {
		json_array_end(&json);
		json_object_end(&json);
	} else {
		buf_printf(&out,
			"Now:  %.*s\nLeave its records in the DNS for a week: mail that is under way needs them.",
			STR_ARG(key_tables_reload_command(tables)));
	}
	ctl_print(&out);
	return EX_OK;
}

/* ---- list ---- */

static int list_domains(struct request *request)
{
	const struct key_tables *tables = &request->tables;
	struct buf out = buf_in(arena_of(request));
	struct json json = json_to(&out);
	bool as_json = request->ctl.json;
	if (as_json) {
		json_object_begin(&json, NULL);
		json_array_begin(&json, "keys");
	}
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (as_json) {
			json_object_begin(&json, NULL);
			json_str(&json, "domain", row->domain);
			json_str(&json, "selector", row->selector);
			json_str(&json, "name", row->name);
			json_str(&json, "key_file", row->path.n > 0 ? row->path : (struct str){NULL, 0});
			json_array_begin(&json, "signs");
		} else {
			buf_printf(&out, "%-30.*s %-20.*s %s\n", STR_ARG(row->domain), STR_ARG(row->selector),
				row->path.n > 0 ? row->path.p : "(the key stands in KeyTable)");
		}
		for (size_t k = 0; k < tables->authors.rows.n; k++) {
			const struct dataset_row *author = &tables->authors.rows.rows[k];
			if (!str_ieq(signing_row_key(author), row->name))
				continue;
			if (as_json)
				json_str(&json, NULL, author->key);
			else
				buf_printf(&out, "    signs %.*s\n", STR_ARG(author->key));
		}
		if (as_json) {
			json_array_end(&json);
			json_object_end(&json);
		}
	}
	if (as_json) {
		json_array_end(&json);
		json_object_end(&json);
	} else if (out.n > 0) {
		out.n--;
	} else {
		buf_printf(&out, "KeyTable (%s) has no rows", tables->keys.path);
	}
	ctl_print(&out);
	return EX_OK;
}

/* ---- the command line ---- */

static int take_option(struct request *request, int option)
{
	uint64_t bits;
	int taken = ctl_option(&request->ctl, option, optarg);
	if (taken >= EX_OK)
		return taken;
	switch (option) {
	case 's':
		request->selector = str_of(optarg);
		return domain_is_hostname(request->selector)
			       ? EX_OK
			       : ctl_usage_error("domain", "-s: \"%s\" is not a selector", optarg);
	case 'b':
		if (!str_to_u64(str_of(optarg), RSA_BITS_MAX, &bits) || bits < RSA_BITS_MIN)
			return ctl_usage_error("domain", "-b: %s is not within 1024 to 4096", optarg);
		request->bits = (unsigned)bits;
		return EX_OK;
	case OPTION_TYPE: {
		enum dkim_key_type type = DKIM_KEY_RSA;
		bool both = strcmp(optarg, "both") == 0;
		if (!both && !key_type_parse(optarg, &type))
			return ctl_usage_error("domain", "--type: \"%s\" is none of rsa, ed25519 and both", optarg);
		request->types[DKIM_KEY_RSA] = both || type == DKIM_KEY_RSA;
		request->types[DKIM_KEY_ED25519] = both || type == DKIM_KEY_ED25519;
		return EX_OK;
	}
	case 'D':
		request->directory = optarg;
		return EX_OK;
	case OPTION_DELETE_KEYS:
		request->delete_keys = true;
		return EX_OK;
	default:
		return ctl_usage_error("domain", "unknown or incomplete option");
	}
}

static const struct action {
	const char *name;
	bool has_domain;
	int (*run)(struct request *request);
} actions[] = {
	{"add", true, add_domain},
	{"remove", true, remove_domain},
	{"list", false, list_domains},
};

static int run(struct request *request, const struct action *action, int n_words, char **words)
{
	struct ctl *ctl = &request->ctl;
	if (n_words != (action->has_domain ? 1 : 0))
		return ctl_usage_error(
			"domain", action->has_domain ? "exactly one DOMAIN is needed" : "list takes no DOMAIN");
	if (action->has_domain && (!domain_normalize(ctl->arena, str_of(words[0]), &request->domain) ||
					  !domain_is_hostname(request->domain)))
		return ctl_usage_error("domain", "\"%s\" is not a domain", words[0]);
	request->files = files_new(ctl->arena, "domain");
	int status = key_tables_open(&request->tables, ctl, "domain");
	if (status != EX_OK || !action->has_domain)
		return status != EX_OK ? status : action->run(request);
	/* What was read before the lock may be out of date. */
	if (!key_tables_lock(&request->tables, request->files))
		return EX_UNAVAILABLE;
	status = key_tables_open(&request->tables, ctl, "domain");
	return status == EX_OK ? action->run(request) : status;
}

int ctl_domain(int argc, char **argv)
{
	struct request request = {.types = {[DKIM_KEY_RSA] = true}, .bits = 2048};
	ctl_init(&request.ctl);
	for (int option; (option = getopt_long(argc, argv, "c:s:b:D:h", options, NULL)) != -1;) {
		if (option == 'h')
			return fputs(usage, stdout), ctl_close(&request.ctl, EX_OK);
		int status = take_option(&request, option);
		if (status != EX_OK)
			return ctl_close(&request.ctl, status);
	}
	const char *what = optind < argc ? argv[optind] : "";
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(what, actions[i].name) == 0)
			return ctl_close(
				&request.ctl, run(&request, &actions[i], argc - optind - 1, argv + optind + 1));
	return ctl_close(&request.ctl, ctl_usage_error("domain", "one of add, remove and list is needed"));
}
