#include "ctl/domain.h"

#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "auth/signers.h"

static bool is_new(const struct domain_request *request)
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
static int make_key(struct domain_request *request, enum dkim_key_type type, const struct file_rights *rights)
{
	static const struct record_tags no_tags = {0};
	struct key_tables *tables = &request->tables;
	size_t i = request->n_keys;
	bool second = i > 0;
	const char *suffix = second ? "-ed25519" : "";
	struct str selector = arena_printf(request->ctl.arena, "%.*s%s", STR_ARG(request->selector), suffix);
	request->names[i] = arena_printf(request->ctl.arena, "%.*s%s", STR_ARG(request->domain), suffix);
	if (key_tables_named(tables, request->names[i]) != NULL) {
		fprintf(stderr, "trimilterctl domain: KeyTable has a key called %.*s already: rename it there first\n",
			STR_ARG(request->names[i]));
		return EX_DATAERR;
	}
	if (!new_key_make(
		    request->ctl.arena, type, request->bits, request->domain, selector, &no_tags, &request->keys[i])) {
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
static void note_changes(struct domain_request *request, const struct file_rights *rights)
{
	struct key_tables *tables = &request->tables;
	struct buf keys = buf_in(request->ctl.arena), authors = buf_in(request->ctl.arena);
	const char *pattern = tables->authors.rows.kind == DATASET_REFILE ? "*@" : "";
	for (size_t i = 0; i < request->n_keys; i++) {
		const struct new_key *key = &request->keys[i];
		files_create(request->files, request->paths[i], key->pem, rights);
		buf_printf(&keys, "%.*s %.*s:%.*s:%s\n", STR_ARG(request->names[i]), STR_ARG(key->domain),
			STR_ARG(key->selector), request->paths[i]);
		buf_printf(&authors, "%s%.*s %.*s\n", pattern, STR_ARG(key->domain), STR_ARG(request->names[i]));
	}
	table_file_change(request->files, &tables->keys,
		table_text_append(request->ctl.arena, tables->keys.text, buf_str(&keys)));
	table_file_change(request->files, &tables->authors,
		table_text_append(request->ctl.arena, tables->authors.text, buf_str(&authors)));
}

/* A pattern further up may decide before the new row does. */
static bool would_sign(void *context, const struct runtime *runtime)
{
	struct domain_request *request = context;
	const struct address author = {.local_part = STR("postmaster"), .domain = request->domain};
	const struct dkim_signer *signers;
	struct str why = STR("");
	size_t n, found = 0;
	signers_select(runtime->auth.signers, request->ctl.arena, &author, &signers, &n, &why);
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

static struct str dmarc_record(struct domain_request *request)
{
	return arena_printf(
		request->ctl.arena, "v=DMARC1; p=none; rua=mailto:postmaster@%.*s", STR_ARG(request->domain));
}

static void add_record_text(struct domain_request *request, struct buf *out, struct str owner, struct str record)
{
	zone_line_add(out, arena_printf(request->ctl.arena, "%.*s.", STR_ARG(owner)), record);
}

static void show_added_text(struct domain_request *request, struct buf *out)
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
		request, out, arena_printf(request->ctl.arena, "_dmarc.%.*s", STR_ARG(domain)), dmarc_record(request));
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

static void show_added_json(struct domain_request *request, struct buf *out)
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
	json_record(&json, arena_printf(request->ctl.arena, "_dmarc.%.*s", STR_ARG(request->domain)),
		dmarc_record(request));
	json_array_end(&json);
	json_object_end(&json);
}

int domain_add(struct domain_request *request)
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
	struct buf out = buf_in(request->ctl.arena);
	if (request->ctl.json)
		show_added_json(request, &out);
	else
		show_added_text(request, &out);
	ctl_print(&out);
	return EX_OK;
}
