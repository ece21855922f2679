#include "ctl/rotation.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "report/json_reader.h"

static const char *const stages[] = {"pending", "published", "signing", "retiring", "gone"};

#define N_STAGES (sizeof(stages) / sizeof(*stages))

const char *rotation_stage_text(enum rotation_stage stage)
{
	return stages[stage];
}

static bool parse_stage(struct str text, enum rotation_stage *ret_stage)
{
	for (size_t i = 0; i < N_STAGES; i++) {
		if (str_eq(text, str_of(stages[i]))) {
			*ret_stage = (enum rotation_stage)i;
			return true;
		}
	}
	return false;
}

static bool parse(struct arena *arena, struct str line, struct rotation *rotation)
{
	const struct json_t *object = json_read_object(arena, line);
	struct str stage;
	*rotation = (struct rotation){0};
	json_as_str(json_member(object, "old_key"), &rotation->old_key);
	return json_as_str(json_member(object, "domain"), &rotation->domain) &&
	       json_as_str(json_member(object, "old_selector"), &rotation->old_selector) &&
	       json_as_str(json_member(object, "new_selector"), &rotation->new_selector) &&
	       json_as_str(json_member(object, "new_key"), &rotation->new_key) &&
	       json_as_str(json_member(object, "stage"), &stage) && parse_stage(stage, &rotation->stage) &&
	       json_as_int(json_member(object, "since"), &rotation->since) &&
	       json_as_int(json_member(object, "seen"), &rotation->seen) &&
	       json_as_int(json_member(object, "ttl"), &rotation->ttl);
}

int rotations_read(const struct key_tables *tables, struct rotations *ret_rotations)
{
	struct arena *arena = tables->ctl->arena;
	struct rotations *rotations = ret_rotations;
	unsigned number = 0;
	*rotations =
		(struct rotations){.arena = arena, .path = arena_printf(arena, "%s.rotations", tables->keys.path).p};
	rotations->exists = dataset_read_file(arena, rotations->path, &rotations->text) == ERR_OK;
	if (!rotations->exists && errno != ENOENT) {
		fprintf(stderr, "trimilterctl %s: %s: %s\n", tables->verb, rotations->path, strerror(errno));
		return EX_IOERR;
	}
	for (struct str rest = rotations->text, line; rest.n > 0 && str_cut(&rest, '\n', &line);) {
		struct rotation rotation;
		number++;
		if (!parse(arena, line, &rotation)) {
			fprintf(stderr, "trimilterctl %s: %s:%u: not a line of ours: mend it or remove it\n",
				tables->verb, rotations->path, number);
			return EX_DATAERR;
		}
		rotations_add(rotations, &rotation);
	}
	return EX_OK;
}

struct rotation *rotations_add(struct rotations *rotations, const struct rotation *rotation)
{
	rotations->list = arena_grow(
		rotations->arena, rotations->list, &rotations->capacity, rotations->n + 1, sizeof(*rotations->list));
	rotations->list[rotations->n] = *rotation;
	return &rotations->list[rotations->n++];
}

struct rotation *rotations_find(struct rotations *rotations, struct str domain, struct str old_selector)
{
	for (size_t i = 0; i < rotations->n; i++) {
		struct rotation *rotation = &rotations->list[i];
		if (!rotation->dropped && str_eq(rotation->domain, domain) &&
			(old_selector.n == 0 || str_ieq(rotation->old_selector, old_selector)))
			return rotation;
	}
	return NULL;
}

static struct str write(const struct rotations *rotations)
{
	struct buf out = buf_in(rotations->arena);
	for (size_t i = 0; i < rotations->n; i++) {
		const struct rotation *rotation = &rotations->list[i];
		struct json json = json_to(&out);
		if (rotation->dropped)
			continue;
		json_object_begin(&json, NULL);
		json_str(&json, "domain", rotation->domain);
		json_str(&json, "old_selector", rotation->old_selector);
		json_str(&json, "new_selector", rotation->new_selector);
		json_str_or_null(&json, "old_key", rotation->old_key);
		json_str(&json, "new_key", rotation->new_key);
		json_cstr(&json, "stage", rotation_stage_text(rotation->stage));
		json_int(&json, "since", rotation->since);
		json_int(&json, "seen", rotation->seen);
		json_int(&json, "ttl", rotation->ttl);
		json_object_end(&json);
		buf_add_char(&out, '\n');
	}
	return buf_str(&out);
}

void rotations_change(struct files *files, const struct rotations *rotations)
{
	static const struct file_rights rights = {(uid_t)-1, (gid_t)-1, 0644};
	if (rotations->exists)
		files_replace(files, rotations->path, rotations->text, write(rotations));
	else
		files_create(files, rotations->path, write(rotations), &rights);
}

void rotations_changed(struct rotations *rotations)
{
	rotations->exists = true;
	rotations->text = write(rotations);
}
