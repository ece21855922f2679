#include "auth/deletions.h"

#include "base/domain.h"
#include "message/results.h"

/* No honest field hides even one results field. */
#define HIDDEN_RESULTS_MAX 10

/* Whose results are ours. */
struct own_names {
	struct str *ids;
	size_t n;
};

static struct own_names own_names_of(struct arena *arena, const struct auth_options *options, struct str mta_name)
{
	struct own_names own = {.ids = ARENA_ARRAY(arena, options->n_own_ids + 1, struct str)};
	for (; own.n < options->n_own_ids; own.n++)
		own.ids[own.n] = options->own_ids[own.n];
	own.n += domain_normalize(arena, mta_name, &own.ids[own.n]);
	return own;
}

static bool is_called(const struct header_field *field, struct str name)
{
	return str_ieq(header_field_name(field), name);
}

/* Does the field claim to be a results field of ours, or what stands in it for readers that begin another one there? */
static bool is_forged(const struct header_field *field, const struct own_names *own)
{
	const struct str name = STR("Authentication-Results");
	if (is_called(field, name) && results_claims(field->value, own->ids, own->n))
		return true;
	struct str rest = field->value;
	size_t n_hidden = 0;
	for (struct header_field hidden; header_next_hidden(&rest, &hidden);)
		if (is_called(&hidden, name) &&
			(++n_hidden > HIDDEN_RESULTS_MAX || results_claims(hidden.value, own->ids, own->n)))
			return true;
	return false;
}

struct deletions deletions_find(struct arena *arena, const struct auth_options *options, const struct headers *headers,
	struct str mta_name, bool is_signed)
{
	struct own_names own = own_names_of(arena, options, mta_name);
	struct deletions deletions = {.n = 0};
	struct verdict_deletion *list = NULL;
	size_t capacity = 0;
	for (size_t i = headers->n; i > 0; i--) {
		const struct header_field *field = &headers->fields[i - 1];
		bool forged = !options->keep_results && is_forged(field, &own);
		bool old = is_signed && options->remove_old_signatures && is_called(field, STR("DKIM-Signature"));
		if (!forged && !old)
			continue;
		list = arena_grow(arena, list, &capacity, deletions.n + 1, sizeof(*list));
		list[deletions.n++] = (struct verdict_deletion){header_field_name(field), field->ordinal};
		deletions.n_forged += forged;
	}
	deletions.list = list;
	return deletions;
}
