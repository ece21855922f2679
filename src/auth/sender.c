#include "auth/sender.h"

#include "auth/addresses.h"
#include "auth/users.h"

/* List-Post holds a URI where the others hold addresses (RFC 2369 section 3.4). */
static struct str address_text(struct arena *arena, struct str value)
{
	ptrdiff_t colon = str_index(value, ':');
	if (colon < 0 || !str_ieq(str_trim(str_head(value, (size_t)colon)), STR("<mailto")))
		return value;
	return arena_printf(arena, "<%.*s", STR_ARG(str_skip(value, (size_t)colon + 1)));
}

static const struct address *author_of(const struct author *author, struct str *ret_why)
{
	if (author->outcome == AUTHOR_ONE || author->outcome == AUTHOR_SEVERAL)
		return &author->addresses[0];
	*ret_why = str_of(author->reason);
	return NULL;
}

static const struct address *named_sender(struct arena *arena, const struct auth_options *options,
	const struct headers *headers, const struct author *author, struct str *ret_why)
{
	for (size_t i = 0; i < options->n_sender_headers; i++) {
		struct str name = options->sender_headers[i];
		const struct header_field *field = headers_find(headers, name);
		struct address *addresses;
		size_t n;
		const char *reason;
		if (str_eq(name, STR("from")))
			break;
		if (field == NULL)
			continue;
		if (address_list_is_read(
			    address_list_parse(arena, address_text(arena, field->value), &addresses, &n, &reason)))
			return &addresses[0];
		*ret_why = arena_printf(arena, "no usable address in the field %.*s", STR_ARG(name));
		return NULL;
	}
	return author_of(author, ret_why);
}

const struct address *sender_find(struct arena *arena, const struct auth_options *options,
	const struct headers *headers, const struct author *author, struct str *ret_why)
{
	const struct address *sender = named_sender(arena, options, headers, author, ret_why);
	if (sender == NULL || !address_set_has(options->exempt_domains, arena, sender))
		return sender;
	*ret_why = arena_printf(arena, "%.*s is in ExemptDomains", STR_ARG(sender->domain));
	return NULL;
}

bool sender_allowed(struct arena *arena, const struct auth_options *options, struct str user,
	const struct author *author, const struct address *sender)
{
	if (user.n == 0 || options->users == NULL)
		return true;
	/* All that a reader may see as author, and whose key it would be. */
	return users_may(options->users, arena, user, sender, 1) &&
	       users_may(options->users, arena, user, author->addresses, author->n_addresses);
}
