#include "ctl/public_keys.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "auth/signers.h"
#include "ctl/new_key.h"
#include "ctl/rotation.h"

struct finder {
	struct ctl *ctl;
	const char *verb;
	struct str domain, selector;
	struct public_keys *keys;
	int status;
};

static bool is_there(const struct public_keys *keys, struct str domain, struct str selector)
{
	for (size_t i = 0; i < keys->n; i++)
		if (str_eq(keys->list[i].domain, domain) && str_ieq(keys->list[i].selector, selector))
			return true;
	return false;
}

/* Several rows may have the same key; it has one record. */
static void add(struct finder *finder, struct public_key found, struct str text)
{
	static const struct record_tags no_tags = {0};
	struct arena *arena = finder->ctl->arena;
	const char *error = NULL;
	struct dkim_private_key *key = NULL;
	if ((finder->domain.n > 0 && !str_eq(finder->domain, found.domain)) ||
		(finder->selector.n > 0 && !str_ieq(finder->selector, found.selector)) ||
		is_there(finder->keys, found.domain, found.selector))
		return;
	if (found.key_file.n > 0 && dataset_read_file(arena, arena_dup(arena, found.key_file).p, &text) != ERR_OK)
		error = strerror(errno);
	else
		key = dkim_private_key_parse(text, &error);
	if (key == NULL) {
		fprintf(stderr, "trimilterctl %s: %.*s: %s\n", finder->verb, STR_ARG(found.key_file), error);
		finder->status = EX_CONFIG;
		return;
	}
	found.owner = arena_printf(arena, "%.*s._domainkey.%.*s", STR_ARG(found.selector), STR_ARG(found.domain));
	found.type = dkim_private_key_type(key);
	found.bits = dkim_private_key_bits(key);
	found.record = key_record(arena, key, &no_tags);
	dkim_private_key_unref(key);
	struct public_keys *keys = finder->keys;
	keys->list = arena_grow(arena, keys->list, &keys->capacity, keys->n + 1, sizeof(*keys->list));
	keys->list[keys->n++] = found;
}

static bool add_entry(void *context, const struct signers_entry *entry)
{
	struct finder *finder = context;
	struct arena *arena = finder->ctl->arena;
	struct public_key found = {.domain = entry->domain, .selector = entry->selector, .key_file = entry->key_file};
	if (finder->domain.n > 0) {
		found.domain = signers_fill_in(arena, found.domain, finder->domain);
		found.selector = signers_fill_in(arena, found.selector, finder->domain);
		found.key_file = signers_fill_in(arena, found.key_file, finder->domain);
	} else if (str_index(found.domain, '%') >= 0 || str_index(found.selector, '%') >= 0 ||
		   str_index(found.key_file, '%') >= 0) {
		fprintf(stderr, "trimilterctl %s: the key \"%.*s\" depends on the author's domain: give one with -d\n",
			finder->verb, STR_ARG(entry->name));
		return true;
	}
	add(finder, found, entry->key_text);
	return true;
}

static int add_rotations(struct finder *finder)
{
	struct key_tables tables;
	struct rotations rotations;
	if (!key_tables_are_files(finder->ctl))
		return EX_OK;
	int status = key_tables_open(&tables, finder->ctl, finder->verb);
	if (status == EX_OK)
		status = rotations_read(&tables, &rotations);
	for (size_t i = 0; status == EX_OK && i < rotations.n; i++) {
		const struct rotation *rotation = &rotations.list[i];
		bool is_new = rotation->stage < ROTATION_SIGNING;
		struct str file = is_new ? rotation->new_key : rotation->old_key;
		if (rotation->stage != ROTATION_GONE && file.n > 0)
			add(finder,
				(struct public_key){
					.domain = rotation->domain,
					.selector = is_new ? rotation->new_selector : rotation->old_selector,
					.key_file = file,
					.stage = is_new ? rotation_stage_text(rotation->stage) : "retiring",
				},
				STR(""));
	}
	return status;
}

int public_keys_find(
	struct ctl *ctl, const char *verb, struct str domain, struct str selector, struct public_keys *ret_keys)
{
	struct finder finder = {ctl, verb, domain, selector, ret_keys, EX_OK};
	*ret_keys = (struct public_keys){0};
	signers_each(ctl->runtime->auth.signers, add_entry, &finder);
	int status = add_rotations(&finder);
	if (status == EX_OK)
		status = finder.status;
	if (status == EX_OK && ret_keys->n == 0) {
		fprintf(stderr, "trimilterctl %s: the configuration has no such key\n", verb);
		status = EX_CONFIG;
	}
	return status;
}
