/*
 * trimilterctl key: keys are replaced in stages, so that nothing is ever signed with a key whose record is not there.
 * The stages themselves are in key_advance.c.
 */
#include "ctl/key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/domain.h"
#include "ctl/command_line.h"
#include "ctl/new_key.h"
#include "ctl/verbs.h"

static const char usage[] =
	"Usage: trimilterctl key rotate -c FILE [-s SELECTOR] [-b BITS] [--json] DOMAIN\n"
	"       trimilterctl key advance -c FILE [--wait SECONDS] [--keep-days DAYS] [--reload] [OPTION]... [DOMAIN]\n"
	"       trimilterctl key cancel -c FILE DOMAIN\n"
	"       trimilterctl key list -c FILE [--json]\n\n"
	"  rotate   make a key that is to replace the domain's, and print its record; nothing is signed with it yet\n"
	"  advance  move each rotation one stage on where it is ready; for a timer\n"
	"  cancel   give a rotation up that does not sign yet\n"
	"  list     all keys, and in which stage they are\n\n"
	"Stages: pending, published, signing, retiring, gone.\n\n"
	"  -s, --selector SELECTOR  name of the new key (default: year and month, such as 202611)\n"
	"  -b, --bits BITS          size of an rsa key (default: as the old one, at least 2048)\n"
	"      --wait SECONDS       how long the new record must have been seen, if its TTL is not longer (default: "
	"3600)\n"
	"      --keep-days DAYS     how long the old record is to stay (default: 7)\n"
	"      --reload             let the daemon reload where KeyTable was changed (needs PidFile)\n"
	"      --reloaded           it has reloaded since; where there is no PidFile to see it by\n" CTL_COMMON_USAGE;

enum { OPTION_WAIT = CTL_OPTION_OWN, OPTION_KEEP_DAYS, OPTION_RELOAD, OPTION_RELOADED };

static const struct option options[] = {
	{"selector", required_argument, NULL, 's'},
	{"bits", required_argument, NULL, 'b'},
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"keep-days", required_argument, NULL, OPTION_KEEP_DAYS},
	{"reload", no_argument, NULL, OPTION_RELOAD},
	{"reloaded", no_argument, NULL, OPTION_RELOADED},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

#define DAY 86400
#define RSA_BITS_DEFAULT 2048u
#define SELECTORS_MAX 100

static struct arena *arena_of(struct key_request *request)
{
	return request->ctl.arena;
}

/* ---- rotate ---- */

static bool read_old_key(
	struct key_request *request, const struct key_row *row, enum dkim_key_type *ret_type, unsigned *ret_bits)
{
	struct str text = row->text;
	const char *error = NULL;
	struct dkim_private_key *key = NULL;
	if (row->path.n > 0 && dataset_read_file(arena_of(request), row->path.p, &text) != ERR_OK)
		error = strerror(errno);
	else
		key = dkim_private_key_parse(text, &error);
	if (key == NULL) {
		fprintf(stderr, "trimilterctl key: the present key %.*s: %s\n",
			row->path.n > 0 ? (int)row->path.n : (int)row->name.n,
			row->path.n > 0 ? row->path.p : row->name.p, error);
		return false;
	}
	*ret_type = dkim_private_key_type(key);
	*ret_bits = dkim_private_key_bits(key);
	dkim_private_key_unref(key);
	return true;
}

static bool is_taken(struct key_request *request, struct str selector)
{
	if (key_tables_find(&request->tables, request->domain, selector) != NULL)
		return true;
	for (size_t i = 0; i < request->rotations.n; i++) {
		const struct rotation *rotation = &request->rotations.list[i];
		if (str_eq(rotation->domain, request->domain) &&
			(str_ieq(rotation->old_selector, selector) || str_ieq(rotation->new_selector, selector)))
			return true;
	}
	return false;
}

static struct str new_selector(struct key_request *request)
{
	char text[16];
	struct tm tm;
	time_t now = (time_t)request->ctl.now;
	strftime(text, sizeof(text), "%Y%m", gmtime_r(&now, &tm));
	struct str wanted = request->selector.n > 0 ? request->selector : arena_dup(arena_of(request), str_of(text));
	struct str selector = wanted;
	for (int i = 2; i < SELECTORS_MAX && is_taken(request, selector); i++)
		selector = arena_printf(arena_of(request), "%.*s-%d", STR_ARG(wanted), i);
	return selector;
}

static const char *place_beside(struct key_request *request, struct files *files, const struct key_row *row,
	struct str selector, const struct file_rights *rights)
{
	ptrdiff_t slash = str_rindex(row->path, '/');
	const char *directory = slash > 0 ? arena_dup(arena_of(request), str_head(row->path, (size_t)slash)).p : NULL;
	return key_tables_place(&request->tables, files, directory, request->domain, selector, rights);
}

static int start_one(
	struct key_request *request, struct files *files, const struct key_row *row, struct new_key *ret_key)
{
	static const struct record_tags no_tags = {0};
	struct file_rights rights;
	enum dkim_key_type type;
	unsigned bits;
	if (!read_old_key(request, row, &type, &bits) || !key_tables_rights(&request->tables, &rights))
		return EX_DATAERR;
	if (type == DKIM_KEY_RSA)
		bits = request->bits > 0 ? request->bits : bits > RSA_BITS_DEFAULT ? bits : RSA_BITS_DEFAULT;
	struct str selector = new_selector(request);
	if (!new_key_make(arena_of(request), type, bits, request->domain, selector, &no_tags, ret_key)) {
		fputs("trimilterctl key: OpenSSL cannot make such a key\n", stderr);
		return EX_SOFTWARE;
	}
	const char *path = place_beside(request, files, row, selector, &rights);
	if (path == NULL)
		return EX_DATAERR;
	files_create(files, path, ret_key->pem, &rights);
	rotations_add(&request->rotations, &(struct rotation){
						   .domain = request->domain,
						   .old_selector = row->selector,
						   .new_selector = selector,
						   .old_key = row->path,
						   .new_key = str_of(path),
						   .stage = ROTATION_PENDING,
						   .since = request->ctl.now,
					   });
	return EX_OK;
}

static void started_json(const struct key_request *request, const struct new_key *keys, size_t n, struct buf *out)
{
	struct json json = json_to(out);
	json_object_begin(&json, NULL);
	json_str(&json, "domain", request->domain);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < n; i++) {
		json_object_begin(&json, NULL);
		json_str(&json, "selector", keys[i].selector);
		json_cstr(&json, "algorithm", key_type_text(keys[i].type));
		json_int(&json, "key_bits", keys[i].bits);
		json_str(&json, "owner", keys[i].owner);
		json_str(&json, "record", keys[i].record);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
}

static void started_text(const struct key_request *request, const struct new_key *keys, size_t n, struct buf *out)
{
	buf_printf(out, "Publish%s, and leave what is there:\n\n", n > 1 ? " these" : "");
	for (size_t i = 0; i < n; i++)
		zone_line_add(out, arena_printf(out->arena, "%.*s.", STR_ARG(keys[i].owner)), keys[i].record);
	buf_add_cstr(out, "\nThe present key signs on. Then, by hand or by a timer:  trimilterctl key advance");
	for (size_t i = 0; i < request->ctl.n_config_paths; i++)
		buf_printf(out, " -c %s", request->ctl.config_paths[i]);
}

static void show_started(struct key_request *request, const struct new_key *keys, size_t n)
{
	struct buf out = buf_in(arena_of(request));
	if (request->ctl.json)
		started_json(request, keys, n, &out);
	else
		started_text(request, keys, n, &out);
	ctl_print(&out);
}

/* One for each selector, however many rows have it. */
static bool is_first_of_selector(const struct key_tables *tables, const struct key_row *row)
{
	return key_tables_find(tables, row->domain, row->selector) == row;
}

static int rotate(struct key_request *request)
{
	const struct key_tables *tables = &request->tables;
	struct files *files = files_new(arena_of(request), "key");
	struct new_key *keys = ARENA_ARRAY(arena_of(request), tables->n_rows + 1, struct new_key);
	size_t n = 0;
	const struct rotation *present = rotations_find(&request->rotations, request->domain, STR(""));
	if (present != NULL) {
		fprintf(stderr, "trimilterctl key: %.*s is being rotated already, from %.*s to %.*s: %s\n",
			STR_ARG(request->domain), STR_ARG(present->old_selector), STR_ARG(present->new_selector),
			rotation_stage_text(present->stage));
		return EX_DATAERR;
	}
	for (size_t i = 0; i < tables->n_rows; i++) {
		const struct key_row *row = &tables->rows[i];
		if (!str_eq(row->domain, request->domain) || !is_first_of_selector(tables, row))
			continue;
		int status = start_one(request, files, row, &keys[n++]);
		if (status != EX_OK)
			return status;
	}
	if (n == 0) {
		fprintf(stderr,
			"trimilterctl key: KeyTable (%s) has no key of %.*s; rows with %% are rotated by hand\n",
			tables->keys.path, STR_ARG(request->domain));
		return EX_DATAERR;
	}
	rotations_change(files, &request->rotations);
	if (!files_apply(files))
		return EX_IOERR;
	files_finish(files);
	show_started(request, keys, n);
	return EX_OK;
}

/* ---- cancel ---- */

static int cancel(struct key_request *request)
{
	struct files *files = files_new(arena_of(request), "key");
	struct buf out = buf_in(arena_of(request));
	struct rotation *rotation;
	if (rotations_find(&request->rotations, request->domain, STR("")) == NULL) {
		fprintf(stderr, "trimilterctl key: no key of %.*s is being rotated\n", STR_ARG(request->domain));
		return EX_DATAERR;
	}
	while ((rotation = rotations_find(&request->rotations, request->domain, STR(""))) != NULL) {
		bool named = key_tables_find(&request->tables, rotation->domain, rotation->new_selector) != NULL;
		if (named || rotation->stage > ROTATION_PUBLISHED) {
			fprintf(stderr,
				"trimilterctl key: the new key %.*s signs already: let it end, then rotate once more\n",
				STR_ARG(rotation->new_selector));
			return EX_DATAERR;
		}
		files_remove(files, rotation->new_key.p);
		rotation->dropped = true;
		buf_printf(&out, "The key %.*s is removed; remove %.*s._domainkey.%.*s from the DNS\n",
			STR_ARG(rotation->new_selector), STR_ARG(rotation->new_selector), STR_ARG(rotation->domain));
	}
	rotations_change(files, &request->rotations);
	if (!files_apply(files))
		return EX_IOERR;
	files_finish(files);
	fwrite(out.p, 1, out.n, stdout);
	return EX_OK;
}

/* ---- list ---- */

struct listing {
	struct buf out;
	struct json json;
	bool as_json;
};

static void list_key(struct listing *listing, struct str domain, struct str selector, const char *state, int64_t since,
	struct str key_file)
{
	char day[32] = "-";
	struct tm tm;
	time_t time = (time_t)since;
	if (listing->as_json) {
		json_object_begin(&listing->json, NULL);
		json_str(&listing->json, "domain", domain);
		json_str(&listing->json, "selector", selector);
		json_cstr(&listing->json, "state", state);
		if (since > 0)
			json_int(&listing->json, "since", since);
		else
			json_cstr(&listing->json, "since", NULL);
		json_str_or_null(&listing->json, "key_file", key_file);
		json_object_end(&listing->json);
		return;
	}
	if (since > 0)
		strftime(day, sizeof(day), "%Y-%m-%d %H:%M", gmtime_r(&time, &tm));
	buf_printf(&listing->out, "%-30.*s %-20.*s %-10s %-17s%.*s\n", STR_ARG(domain), STR_ARG(selector), state, day,
		STR_ARG(key_file));
}

/* Since when it signs; 0: no rotation tells. */
static int64_t signs_since(const struct rotations *rotations, const struct key_row *row)
{
	for (size_t i = 0; i < rotations->n; i++) {
		const struct rotation *rotation = &rotations->list[i];
		if (str_eq(rotation->domain, row->domain) && str_ieq(rotation->new_selector, row->selector))
			return rotation->since;
	}
	return 0;
}

static int list(struct key_request *request)
{
	const struct key_tables *tables = &request->tables;
	const struct rotations *rotations = &request->rotations;
	struct listing listing = {.out = buf_in(arena_of(request)), .as_json = request->ctl.json};
	listing.json = json_to(&listing.out);
	if (listing.as_json) {
		json_object_begin(&listing.json, NULL);
		json_array_begin(&listing.json, "keys");
	}
	for (size_t i = 0; i < tables->n_rows; i++)
		if (is_first_of_selector(tables, &tables->rows[i]))
			list_key(&listing, tables->rows[i].domain, tables->rows[i].selector, "signing",
				signs_since(rotations, &tables->rows[i]), tables->rows[i].path);
	for (size_t i = 0; i < rotations->n; i++) {
		const struct rotation *rotation = &rotations->list[i];
		const char *stage = rotation_stage_text(rotation->stage);
		if (rotation->stage < ROTATION_SIGNING)
			list_key(&listing, rotation->domain, rotation->new_selector, stage, rotation->since,
				rotation->new_key);
		else
			list_key(&listing, rotation->domain, rotation->old_selector,
				rotation->stage == ROTATION_GONE ? "gone" : "retiring", rotation->since,
				rotation->old_key);
	}
	if (listing.as_json) {
		json_array_end(&listing.json);
		json_object_end(&listing.json);
	} else if (listing.out.n > 0) {
		listing.out.n--;
	} else {
		buf_printf(&listing.out, "KeyTable (%s) has no rows", tables->keys.path);
	}
	ctl_print(&listing.out);
	return EX_OK;
}

/* ---- the command line ---- */

static bool take_number(const char *text, uint64_t max, int64_t unit, int64_t *ret_seconds)
{
	uint64_t number;
	if (!str_to_u64(str_of(text), max, &number))
		return false;
	*ret_seconds = (int64_t)number * unit;
	return true;
}

static int take_option(void *context, int option, const char *argument)
{
	struct key_request *request = context;
	switch (option) {
	case 's':
		return ctl_take_selector("key", argument, &request->selector);
	case 'b':
		return new_key_bits("key", argument, &request->bits);
	case OPTION_WAIT:
		return take_number(argument, 365 * DAY, 1, &request->wait)
			       ? EX_OK
			       : ctl_usage_error("key", "--wait: \"%s\" is not a number of seconds", argument);
	case OPTION_KEEP_DAYS:
		return take_number(argument, 3650, DAY, &request->keep)
			       ? EX_OK
			       : ctl_usage_error("key", "--keep-days: \"%s\" is not a number of days", argument);
	case OPTION_RELOAD:
		request->reload = true;
		return EX_OK;
	case OPTION_RELOADED:
		request->reloaded = true;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct action {
	const char *name;
	int domains_min, domains_max;
	bool changes;
	int (*run)(struct key_request *request);
} actions[] = {
	{"rotate", 1, 1, true, rotate},
	{"advance", 0, 1, true, key_advance},
	{"cancel", 1, 1, true, cancel},
	{"list", 0, 0, false, list},
};

static int read_all(struct key_request *request)
{
	int status = key_tables_open(&request->tables, &request->ctl, "key");
	return status == EX_OK ? rotations_read(&request->tables, &request->rotations) : status;
}

static int run(struct key_request *request, const struct action *action, int n_words, char **words)
{
	struct ctl *ctl = &request->ctl;
	if (n_words < action->domains_min || n_words > action->domains_max)
		return ctl_usage_error("key", "%s takes %s DOMAIN", action->name,
			action->domains_min == 1   ? "exactly one"
			: action->domains_max == 1 ? "at most one"
						   : "no");
	if (n_words == 1 && (!domain_normalize(ctl->arena, str_of(words[0]), &request->domain) ||
				    !domain_is_hostname(request->domain)))
		return ctl_usage_error("key", "\"%s\" is not a domain", words[0]);
	int status = read_all(request);
	if (status != EX_OK || !action->changes)
		return status != EX_OK ? status : action->run(request);
	/* What was read before the lock may be out of date. */
	if (!key_tables_lock(&request->tables, files_new(ctl->arena, "key")))
		return EX_UNAVAILABLE;
	status = read_all(request);
	return status == EX_OK ? action->run(request) : status;
}

static const struct ctl_command command = {"key", usage, "c:s:b:h", options, take_option};

int ctl_key(int argc, char **argv)
{
	struct key_request request = {.wait = 3600, .keep = 7 * DAY};
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	const char *what = optind < argc ? argv[optind] : "";
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(what, actions[i].name) == 0)
			return ctl_close(
				&request.ctl, run(&request, &actions[i], argc - optind - 1, argv + optind + 1));
	return ctl_close(&request.ctl, ctl_usage_error("key", "one of rotate, advance, cancel and list is needed"));
}
