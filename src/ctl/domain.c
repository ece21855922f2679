/*
 * trimilterctl domain: the domains that are signed, in KeyTable and SigningTable. A key, its rows and the records to
 * publish come together or not at all.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/domain.h"
#include "ctl/command_line.h"
#include "ctl/domain.h"
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
static struct str without_authors(struct domain_request *request)
{
	const struct table_file *authors = &request->tables.authors;
	struct str text = authors->text;
	for (size_t i = authors->rows.n; i-- > 0;)
		if (names_key_of(&request->tables, &authors->rows.rows[i], request->domain))
			text = table_text_change(
				request->ctl.arena, text, authors->rows.rows[i].place.line, (struct str){NULL, 0});
	return text;
}

/* A new key that waits for its turn goes with the domain that it was for. */
static int end_rotations(struct domain_request *request)
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

static struct str without_keys(struct domain_request *request)
{
	const struct key_tables *tables = &request->tables;
	struct str text = tables->keys.text;
	for (size_t i = tables->n_rows; i-- > 0;)
		if (str_eq(tables->rows[i].domain, request->domain))
			text = table_text_change(request->ctl.arena, text, tables->rows[i].line, (struct str){NULL, 0});
	return text;
}

/* The key file of a row goes as well. */
static bool is_deleted(const struct domain_request *request, const struct key_row *row)
{
	return request->delete_keys && row->path.n > 0 && !is_used_by_others(&request->tables, row);
}

static void show_removed_json(const struct domain_request *request, struct buf *out)
{
	const struct key_tables *tables = &request->tables;
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_str(&json, "domain", request->domain);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (!str_eq(row->domain, request->domain))
			continue;
		json_object_begin(&json, NULL);
		json_str(&json, "selector", row->selector);
		json_str_or_null(&json, "key_file", row->path);
		json_bool(&json, "deleted", is_deleted(request, row));
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
}

static void show_removed_text(const struct domain_request *request, struct buf *out)
{
	const struct key_tables *tables = &request->tables;
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (str_eq(row->domain, request->domain))
			buf_printf(out, "%.*s is not in the tables any more; its key %s %.*s\n", STR_ARG(row->selector),
				is_deleted(request, row) ? "is removed:" : "stays:", STR_ARG(row->path));
	}
	buf_printf(out, "Now:  %.*s\nLeave its records in the DNS for a week: mail that is under way needs them.",
		STR_ARG(key_tables_reload_command(tables)));
}

static int remove_domain(struct domain_request *request)
{
	struct key_tables *tables = &request->tables;
	if (key_tables_find(tables, request->domain, STR("")) == NULL) {
		fprintf(stderr, "trimilterctl domain: KeyTable (%s) has no key of %.*s\n", tables->keys.path,
			STR_ARG(request->domain));
		return EX_DATAERR;
	}
	/* What names the keys goes first. */
	table_file_change(request->files, &tables->authors, without_authors(request));
	table_file_change(request->files, &tables->keys, without_keys(request));
	for (size_t i = 0; i < tables->n_rows; i++)
		if (str_eq(tables->rows[i].domain, request->domain) && is_deleted(request, &tables->rows[i]))
			files_remove(request->files, tables->rows[i].path.p);
	int status = end_rotations(request);
	if (status == EX_OK)
		status = key_tables_apply(tables, request->files, NULL, NULL);
	if (status != EX_OK)
		return status;
	struct buf out = buf_in(request->ctl.arena);
	if (request->ctl.json)
		show_removed_json(request, &out);
	else
		show_removed_text(request, &out);
	ctl_print(&out);
	return EX_OK;
}

/* ---- list ---- */

/* An author's row that names this key. */
static bool signs_with(const struct dataset_row *author, const struct key_row *row)
{
	return str_ieq(signing_row_key(author), row->name);
}

static void list_json(const struct key_tables *tables, struct buf *out)
{
	const struct dataset *authors = &tables->authors.rows;
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		json_object_begin(&json, NULL);
		json_str(&json, "domain", row->domain);
		json_str(&json, "selector", row->selector);
		json_str(&json, "name", row->name);
		json_str_or_null(&json, "key_file", row->path);
		json_array_begin(&json, "signs");
		for (size_t k = 0; k < authors->n; k++)
			if (signs_with(&authors->rows[k], row))
				json_str(&json, NULL, authors->rows[k].key);
		json_array_end(&json);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
}

static void list_text(const struct key_tables *tables, struct buf *out)
{
	const struct dataset *authors = &tables->authors.rows;
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		buf_printf(out, "%-30.*s %-20.*s %s\n", STR_ARG(row->domain), STR_ARG(row->selector),
			row->path.n > 0 ? row->path.p : "(the key stands in KeyTable)");
		for (size_t k = 0; k < authors->n; k++)
			if (signs_with(&authors->rows[k], row))
				buf_printf(out, "    signs %.*s\n", STR_ARG(authors->rows[k].key));
	}
	if (out->n > 0)
		out->n--;
	else
		buf_printf(out, "KeyTable (%s) has no rows", tables->keys.path);
}

static int list_domains(struct domain_request *request)
{
	struct buf out = buf_in(request->ctl.arena);
	if (request->ctl.json)
		list_json(&request->tables, &out);
	else
		list_text(&request->tables, &out);
	ctl_print(&out);
	return EX_OK;
}

/* ---- the command line ---- */

static int take_option(void *context, int option, const char *argument)
{
	struct domain_request *request = context;
	switch (option) {
	case 's':
		return ctl_take_selector("domain", argument, &request->selector);
	case 'b':
		return new_key_bits("domain", argument, &request->bits);
	case OPTION_TYPE: {
		enum dkim_key_type type = DKIM_KEY_RSA;
		bool both = strcmp(argument, "both") == 0;
		if (!both && !key_type_parse(argument, &type))
			return ctl_usage_error("domain", "--type: \"%s\" is none of rsa, ed25519 and both", argument);
		request->types[DKIM_KEY_RSA] = both || type == DKIM_KEY_RSA;
		request->types[DKIM_KEY_ED25519] = both || type == DKIM_KEY_ED25519;
		return EX_OK;
	}
	case 'D':
		request->directory = argument;
		return EX_OK;
	case OPTION_DELETE_KEYS:
		request->delete_keys = true;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct action {
	const char *name;
	bool has_domain;
	int (*run)(struct domain_request *request);
} actions[] = {
	{"add", true, domain_add},
	{"remove", true, remove_domain},
	{"list", false, list_domains},
};

static int run(struct domain_request *request, const struct action *action, int n_words, char **words)
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

static const struct ctl_command command = {"domain", usage, "c:s:b:D:h", options, take_option};

int ctl_domain(int argc, char **argv)
{
	struct domain_request request = {.types = {[DKIM_KEY_RSA] = true}, .bits = 2048};
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	const char *what = optind < argc ? argv[optind] : "";
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(what, actions[i].name) == 0)
			return ctl_close(
				&request.ctl, run(&request, &actions[i], argc - optind - 1, argv + optind + 1));
	return ctl_close(&request.ctl, ctl_usage_error("domain", "one of add, remove and list is needed"));
}
