#include "auth/origin.h"

#include "tables/hosts.h"

static enum auth_origin kind_of(const struct auth_options *options, const struct auth_envelope *envelope)
{
	if (envelope->auth_user.n > 0)
		return AUTH_AUTHENTICATED;
	if (hosts_contain(options->internal_hosts, &envelope->client, envelope->client_name))
		return AUTH_INTERNAL;
	return AUTH_OUTSIDE;
}

static bool daemon_signs(const struct auth_options *options, struct str daemon_name)
{
	for (size_t i = 0; i < options->n_sign_daemons; i++)
		if (str_eq(options->sign_daemons[i], daemon_name))
			return true;
	return options->n_sign_daemons == 0;
}

struct origin origin_of(const struct auth_options *options, const struct auth_envelope *envelope)
{
	struct origin origin = {.kind = kind_of(options, envelope)};
	bool authenticated = origin.kind == AUTH_AUTHENTICATED;
	bool ours = authenticated || origin.kind == AUTH_INTERNAL;
	origin.may_sign = options->mode_sign && ours && daemon_signs(options, envelope->daemon_name);
	origin.judge = options->mode_verify && origin.kind != AUTH_INTERNAL &&
		       !(authenticated && options->ignore_authenticated_clients) &&
		       !hosts_contain(options->ignore_hosts, &envelope->client, envelope->client_name);
	/* What an authenticated user sends on is his business; what an internal host relays is worth a look. */
	origin.may_verify = options->mode_verify && (!authenticated || origin.judge || options->verify_authenticated);
	origin.external_ignored = hosts_contain(options->external_ignore, &envelope->client, envelope->client_name);
	return origin;
}
