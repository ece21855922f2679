#include "auth/origin.h"

#include "tables/hosts.h"

static bool names(const struct str *list, size_t n, struct str word)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i], word))
			return true;
	return false;
}

static enum auth_origin kind_of(const struct auth_options *options, const struct auth_envelope *envelope)
{
	if (hosts_contain(options->peers, &envelope->client, envelope->client_name))
		return AUTH_PEER;
	if (envelope->auth_user.n > 0)
		return AUTH_AUTHENTICATED;
	if (hosts_contain(options->internal_hosts, &envelope->client, envelope->client_name) ||
		names(options->local_daemons, options->n_local_daemons, envelope->daemon_name) ||
		names(options->mta_daemons, options->n_mta_daemons, envelope->daemon_name))
		return AUTH_INTERNAL;
	return AUTH_OUTSIDE;
}

struct origin origin_of(const struct auth_options *options, const struct auth_envelope *envelope)
{
	struct origin origin = {.kind = kind_of(options, envelope)};
	bool authenticated = origin.kind == AUTH_AUTHENTICATED;
	bool ours = authenticated || origin.kind == AUTH_INTERNAL;
	if (origin.kind == AUTH_PEER)
		return origin;
	origin.may_sign = options->mode_sign && ours &&
			  (options->n_sign_daemons == 0 ||
				  names(options->sign_daemons, options->n_sign_daemons, envelope->daemon_name));
	origin.judge = options->mode_verify && origin.kind != AUTH_INTERNAL &&
		       !(authenticated && options->ignore_authenticated_clients) &&
		       !hosts_contain(options->ignore_hosts, &envelope->client, envelope->client_name);
	origin.relayed = origin.judge && hosts_contain(options->secondary_mx, &envelope->client, envelope->client_name);
	/* What an authenticated user sends on is his business; what an internal host relays is worth a look. */
	origin.may_verify = options->mode_verify && (!authenticated || origin.judge || options->verify_authenticated);
	origin.external_ignored = hosts_contain(options->external_ignore, &envelope->client, envelope->client_name);
	return origin;
}
