/*
 * trimilterctl key advance: each rotation goes one stage on, where its condition holds. What is signed with is changed
 * only by the step from published to signing, after the new record has been seen once more.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/daemon.h"
#include "ctl/key.h"
#include "ctl/key_dns.h"

#define RELOAD_TIMEOUT_MS 10000

struct advance {
	struct key_request *request;
	struct key_dns *dns;
	struct rotation *rotation;
	struct files *files;
	struct str what; /* what was done, or what it waits for */
	bool tables_changed;
	bool reload_due; /* some tables were changed */
};

static struct arena *arena_of(struct advance *advance)
{
	return advance->request->ctl.arena;
}

static void enter(struct advance *advance, enum rotation_stage stage)
{
	advance->rotation->stage = stage;
	advance->rotation->since = advance->request->ctl.now;
}

/* ---- the record of the new key ---- */

static bool read_key(struct advance *advance, struct dkim_private_key **ret_key)
{
	struct arena *arena = arena_of(advance);
	const char *path = advance->rotation->new_key.p, *error = strerror(ENOENT);
	struct str text;
	if (dataset_read_file(arena, path, &text) != ERR_OK) {
		fprintf(stderr, "trimilterctl key: %s: %s\n", path, strerror(errno));
		return false;
	}
	*ret_key = dkim_private_key_parse(text, &error);
	if (*ret_key == NULL)
		fprintf(stderr, "trimilterctl key: %s: %s\n", path, error);
	return *ret_key != NULL;
}

/* False: the key cannot be read. */
static bool look_for_record(
	struct advance *advance, enum key_presence *ret_presence, uint32_t *ret_ttl, struct str *ret_why)
{
	const struct rotation *rotation = advance->rotation;
	struct dkim_private_key *key;
	if (!read_key(advance, &key))
		return false;
	*ret_presence = key_dns_ask(advance->dns, rotation->new_selector, rotation->domain, key, ret_ttl, ret_why);
	dkim_private_key_unref(key);
	return true;
}

static void lose_sight(struct advance *advance, struct str why)
{
	struct rotation *rotation = advance->rotation;
	if (rotation->stage != ROTATION_PENDING)
		enter(advance, ROTATION_PENDING);
	rotation->seen = rotation->ttl = 0;
	advance->what = arena_printf(arena_of(advance), "waits for %.*s._domainkey.%.*s: %.*s",
		STR_ARG(rotation->new_selector), STR_ARG(rotation->domain), STR_ARG(why));
}

static int step_pending(struct advance *advance)
{
	struct rotation *rotation = advance->rotation;
	int64_t now = advance->request->ctl.now;
	enum key_presence presence;
	uint32_t ttl;
	struct str why;
	if (!look_for_record(advance, &presence, &ttl, &why))
		return EX_DATAERR;
	if (presence != KEY_EVERYWHERE) {
		lose_sight(advance, why);
		return EX_OK;
	}
	if (rotation->seen == 0)
		rotation->seen = now;
	if (ttl > rotation->ttl)
		rotation->ttl = ttl;
	int64_t wait = rotation->ttl > advance->request->wait ? rotation->ttl : advance->request->wait;
	int64_t left = rotation->seen + wait - now;
	if (left > 0) {
		advance->what = arena_printf(arena_of(advance),
			"the record is there; %lld seconds more, until no cache can be without it", (long long)left);
		return EX_OK;
	}
	enter(advance, ROTATION_PUBLISHED);
	advance->what = STR("the record is there, and no cache can be without it");
	return EX_OK;
}

/* ---- the tables ---- */

/* "NAME DOMAIN:SELECTOR:PATH" in the place of each row that has the old selector. */
static struct str switched_text(struct advance *advance, size_t *ret_n)
{
	const struct key_tables *tables = &advance->request->tables;
	const struct rotation *rotation = advance->rotation;
	struct str text = tables->keys.text;
	*ret_n = 0;
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (!str_eq(row->domain, rotation->domain) || !str_ieq(row->selector, rotation->old_selector))
			continue;
		struct str line = arena_printf(arena_of(advance), "%.*s %.*s:%.*s:%.*s", STR_ARG(row->name),
			STR_ARG(rotation->domain), STR_ARG(rotation->new_selector), STR_ARG(rotation->new_key));
		text = table_text_change(arena_of(advance), text, row->line, line);
		++*ret_n;
	}
	return text;
}

static int step_published(struct advance *advance)
{
	struct key_tables *tables = &advance->request->tables;
	const struct rotation *rotation = advance->rotation;
	enum key_presence presence;
	uint32_t ttl;
	struct str why;
	size_t n;
	if (!look_for_record(advance, &presence, &ttl, &why))
		return EX_DATAERR;
	if (presence != KEY_EVERYWHERE) {
		lose_sight(advance, why);
		return EX_OK;
	}
	struct str text = switched_text(advance, &n);
	/* Stopped between the table and the file of rotations, the table is switched already. */
	if (n == 0 && key_tables_find(tables, rotation->domain, rotation->new_selector) == NULL) {
		fprintf(stderr,
			"trimilterctl key: KeyTable (%s) has no key %.*s of %.*s any more: trimilterctl key cancel "
			"%.*s\n",
			tables->keys.path, STR_ARG(rotation->old_selector), STR_ARG(rotation->domain),
			STR_ARG(rotation->domain));
		return EX_DATAERR;
	}
	if (n > 0)
		table_file_change(advance->files, &tables->keys, text);
	advance->tables_changed = true;
	enter(advance, ROTATION_SIGNING);
	advance->what = arena_printf(arena_of(advance), "KeyTable names the new key; the daemon has to reload: %.*s",
		STR_ARG(key_tables_reload_command(tables)));
	return EX_OK;
}

/* ---- the daemon ---- */

static int tell_daemon(const struct key_request *request)
{
	if (request->tables.pid_file.n == 0) {
		fputs("trimilterctl key: --reload: the configuration sets no PidFile\n", stderr);
		return EX_CONFIG;
	}
	switch (daemon_reload("key", request->tables.pid_file, RELOAD_TIMEOUT_MS)) {
	case DAEMON_RELOADED:
		return EX_OK;
	case DAEMON_NOT_SO_FAR:
		fputs("trimilterctl key: the daemon was asked to reload, and has not so far: its log tells why\n",
			stderr);
		return EX_UNAVAILABLE;
	case DAEMON_NOT_RUNNING:
		return EX_UNAVAILABLE;
	}
	return EX_SOFTWARE;
}

/* ---- the old key ---- */

static int step_signing(struct advance *advance)
{
	const struct key_request *request = advance->request;
	const struct key_tables *tables = &request->tables;
	const struct rotation *rotation = advance->rotation;
	if (key_tables_find(tables, rotation->domain, rotation->new_selector) == NULL ||
		key_tables_find(tables, rotation->domain, rotation->old_selector) != NULL) {
		fprintf(stderr,
			"trimilterctl key: KeyTable (%s) does not name the new key %.*s of %.*s alone: mend it\n",
			tables->keys.path, STR_ARG(rotation->new_selector), STR_ARG(rotation->domain));
		return EX_DATAERR;
	}
	bool has_read = request->reloaded || daemon_has_read(tables->pid_file, tables->keys.path);
	if (!has_read && request->reload && tell_daemon(request) == EX_OK)
		has_read = daemon_has_read(tables->pid_file, tables->keys.path);
	if (!has_read) {
		advance->what =
			tables->pid_file.n > 0
				? arena_printf(arena_of(advance), "waits for the daemon to reload: %.*s",
					  STR_ARG(key_tables_reload_command(tables)))
				: STR("without a PidFile it cannot be seen whether the daemon has reloaded: when "
				      "it has, trimilterctl key advance --reloaded");
		return EX_OK;
	}
	enter(advance, ROTATION_RETIRING);
	advance->what = arena_printf(arena_of(advance),
		"the daemon signs with the new key; leave %.*s._domainkey.%.*s in the DNS for %lld days",
		STR_ARG(rotation->old_selector), STR_ARG(rotation->domain), (long long)request->keep / 86400);
	return EX_OK;
}

static bool is_in_use(const struct key_tables *tables, struct str path)
{
	for (size_t i = 0; i < tables->n_rows; i++)
		if (str_eq(tables->rows[i].path, path))
			return true;
	return false;
}

static int step_retiring(struct advance *advance)
{
	const struct key_request *request = advance->request;
	struct rotation *rotation = advance->rotation;
	int64_t left = rotation->since + request->keep - request->ctl.now;
	struct str owner = arena_printf(
		arena_of(advance), "%.*s._domainkey.%.*s", STR_ARG(rotation->old_selector), STR_ARG(rotation->domain));
	if (left > 0) {
		advance->what = arena_printf(arena_of(advance),
			"%.*s stays in the DNS for %lld hours more: mail under way needs it", STR_ARG(owner),
			(long long)(left + 3599) / 3600);
		return EX_OK;
	}
	bool remove = rotation->old_key.n > 0 && !is_in_use(&request->tables, rotation->old_key);
	struct str text;
	if (remove && dataset_read_file(arena_of(advance), rotation->old_key.p, &text) == ERR_OK)
		files_remove(advance->files, rotation->old_key.p);
	enter(advance, ROTATION_GONE);
	advance->what = arena_printf(arena_of(advance), "%s; remove %.*s from the DNS now",
		remove ? "the old private key is removed"
		       : "the old private key is used elsewhere, or in no file of its own",
		STR_ARG(owner));
	return EX_OK;
}

static int step_gone(struct advance *advance)
{
	struct rotation *rotation = advance->rotation;
	uint32_t ttl;
	struct str why, owner = arena_printf(arena_of(advance), "%.*s._domainkey.%.*s", STR_ARG(rotation->old_selector),
				STR_ARG(rotation->domain));
	rotation->dropped =
		key_dns_ask(advance->dns, rotation->old_selector, rotation->domain, NULL, &ttl, &why) == KEY_NOWHERE;
	advance->what = arena_printf(arena_of(advance),
		rotation->dropped ? "%.*s is out of the DNS: done" : "remove %.*s from the DNS", STR_ARG(owner));
	return EX_OK;
}

/* ---- all of them ---- */

static int take_step(struct advance *advance)
{
	switch (advance->rotation->stage) {
	case ROTATION_PENDING:
		return step_pending(advance);
	case ROTATION_PUBLISHED:
		return step_published(advance);
	case ROTATION_SIGNING:
		return step_signing(advance);
	case ROTATION_RETIRING:
		return step_retiring(advance);
	case ROTATION_GONE:
		return step_gone(advance);
	}
	return EX_SOFTWARE;
}

static bool differs(const struct rotation *a, const struct rotation *b)
{
	return a->stage != b->stage || a->since != b->since || a->seen != b->seen || a->ttl != b->ttl ||
	       a->dropped != b->dropped;
}

/* What is in the files afterwards is what the rotation says, whatever happens. */
static int advance_one(struct advance *advance)
{
	struct key_request *request = advance->request;
	const struct rotation before = *advance->rotation;
	advance->files = files_new(arena_of(advance), "key");
	advance->tables_changed = false;
	int status = take_step(advance);
	if (status == EX_OK && differs(&before, advance->rotation)) {
		rotations_change(advance->files, &request->rotations);
		if (advance->tables_changed)
			status = key_tables_apply(&request->tables, advance->files, NULL, NULL);
		else if (files_apply(advance->files))
			files_finish(advance->files);
		else
			status = EX_IOERR;
	}
	if (status != EX_OK) {
		*advance->rotation = before;
		return status;
	}
	rotations_changed(&request->rotations);
	advance->reload_due |= advance->tables_changed;
	return advance->tables_changed ? key_tables_open(&request->tables, &request->ctl, "key") : EX_OK;
}

static void show(struct advance *advance, struct buf *out, struct json *json, enum rotation_stage before)
{
	const struct rotation *rotation = advance->rotation;
	const char *stage = rotation->dropped ? "done" : rotation_stage_text(rotation->stage);
	if (!advance->request->ctl.json) {
		buf_printf(out, "%.*s: %.*s -> %.*s: %s%s%s: %.*s\n", STR_ARG(rotation->domain),
			STR_ARG(rotation->old_selector), STR_ARG(rotation->new_selector), rotation_stage_text(before),
			strcmp(stage, rotation_stage_text(before)) != 0 ? " -> " : "",
			strcmp(stage, rotation_stage_text(before)) != 0 ? stage : "", STR_ARG(advance->what));
		return;
	}
	json_object_begin(json, NULL);
	json_str(json, "domain", rotation->domain);
	json_str(json, "old_selector", rotation->old_selector);
	json_str(json, "new_selector", rotation->new_selector);
	json_cstr(json, "before", rotation_stage_text(before));
	json_cstr(json, "stage", stage);
	json_int(json, "since", rotation->since);
	json_str(json, "note", advance->what);
	json_object_end(json);
}

int key_advance(struct key_request *request)
{
	struct advance advance = {.request = request};
	struct buf out = buf_in(request->ctl.arena);
	struct json json = json_to(&out);
	int status = key_dns_open(&request->tables, &advance.dns), worst = status;
	if (request->ctl.json) {
		json_object_begin(&json, NULL);
		json_array_begin(&json, "rotations");
	}
	for (size_t i = 0; status == EX_OK && i < request->rotations.n; i++) {
		advance.rotation = &request->rotations.list[i];
		enum rotation_stage before = advance.rotation->stage;
		if (request->domain.n > 0 && !str_eq(request->domain, advance.rotation->domain))
			continue;
		int one = advance_one(&advance);
		if (one == EX_OK)
			show(&advance, &out, &json, before);
		else
			worst = one;
	}
	key_dns_close(advance.dns);
	if (request->ctl.json) {
		json_array_end(&json);
		json_object_end(&json);
	} else if (out.n > 0) {
		out.n--;
	} else {
		buf_add_cstr(&out, "no key is being rotated");
	}
	if (status == EX_OK)
		ctl_print(&out);
	if (worst == EX_OK && request->reload && advance.reload_due)
		worst = tell_daemon(request);
	return worst;
}
