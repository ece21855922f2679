#include "auth/signing.h"

#include "auth/addresses.h"
#include "auth/sender.h"
#include "auth/signature_options.h"

/* Looking at each costs a signature check; beyond some a sender is buying our CPU. */
#define OWN_SIGNATURES_MAX 10

void signing_init(struct signing *signing, struct arena *arena, const struct runtime *runtime,
	const struct headers *headers, struct dkim_body *body)
{
	*signing = (struct signing){.arena = arena, .runtime = runtime, .headers = headers, .body = body};
}

void signing_rcpt(struct signing *signing, struct str rcpt)
{
	const struct auth_options *options = &signing->runtime->auth;
	struct address address;
	bool wanted = options->dont_sign_mail_to != NULL || options->body_length_rcpts != NULL ||
		      signers_have_lists(options->signers);
	if (!wanted || !address_parse_path(signing->arena, rcpt, &address))
		return;
	if (signing->unsigned_rcpt.n == 0 && address_set_has(options->dont_sign_mail_to, signing->arena, &address))
		signing->unsigned_rcpt = arena_dup(signing->arena, rcpt);
	if (address_set_has(options->body_length_rcpts, signing->arena, &address))
		signing->body_length = true;
	if (signing->list.domain.n > 0 || !signers_have_list(options->signers, signing->arena, &address))
		return;
	signing->list = (struct address){.local_part = arena_dup(signing->arena, address.local_part),
		.domain = arena_dup(signing->arena, address.domain)};
}

/* ---- who ---- */

/* The address whose row it is; NULL: *unsigned_why says why it is nobody's. */
static const struct address *choose_sender(struct signing *signing, const struct author *author, struct str user)
{
	struct arena *arena = signing->arena;
	const struct auth_options *options = &signing->runtime->auth;
	if (signing->unsigned_rcpt.n > 0) {
		signing->unsigned_why =
			arena_printf(arena, "%.*s is in DontSignMailTo", STR_ARG(signing->unsigned_rcpt));
		return NULL;
	}
	const struct address *address = sender_find(arena, options, signing->headers, author, &signing->unsigned_why);
	if (address == NULL || sender_allowed(arena, options, user, author, address))
		return address;
	signing->why_matters = true;
	signing->unsigned_why = arena_printf(arena, "UserDomains does not let '%.*s' sign as '%.*s@%.*s'",
		STR_ARG(user), STR_ARG(address->local_part), STR_ARG(address->domain));
	return NULL;
}

static void choose_ours(struct signing *signing, const struct address *address)
{
	switch (signers_select(signing->runtime->auth.signers, signing->arena, address, &signing->signers,
		&signing->n_signers, &signing->failure)) {
	case SIGNERS_FOUND:
	case SIGNERS_KEY_BROKEN:
		break;
	case SIGNERS_NO_MATCH:
		signing->unsigned_why = arena_printf(signing->arena, "no signing table match for '%.*s@%.*s'",
			STR_ARG(address->local_part), STR_ARG(address->domain));
		break;
	}
}

/* ExternalIgnoreList. What most often is the matter when mail leaves unsigned, and else a forgery. */
static void note_outsider(struct signing *signing, const struct origin *origin, const struct author *author)
{
	const struct address *address = author->n_addresses == 1 ? &author->addresses[0] : NULL;
	if (origin->kind != AUTH_OUTSIDE || origin->external_ignored || address == NULL ||
		!signers_have_author(signing->runtime->auth.signers, signing->arena, address))
		return;
	signing->why_matters = true;
	signing->unsigned_why = arena_printf(signing->arena,
		"neither internal nor authenticated, yet '%.*s@%.*s' is in the signing table",
		STR_ARG(address->local_part), STR_ARG(address->domain));
}

void signing_begin(
	struct signing *signing, const struct origin *origin, const struct author *author, struct str user, int64_t now)
{
	const struct runtime *runtime = signing->runtime;
	const struct address *address = origin->may_sign ? choose_sender(signing, author, user) : NULL;
	if (address != NULL)
		choose_ours(signing, address);
	if (!origin->may_sign)
		note_outsider(signing, origin, author);
	if (!signing_is_ours(signing) && signing->list.domain.n > 0) {
		signing->is_list = true;
		address = &signing->list;
		signers_select_list(runtime->auth.signers, signing->arena, address, &signing->signers,
			&signing->n_signers, &signing->failure);
	}
	if (signing->n_signers == 0)
		return;
	struct dkim_sign_options *options = ARENA_NEW(signing->arena, struct dkim_sign_options);
	*options =
		*signature_options_for(runtime->auth.signature_options, signing->arena, address, &runtime->dkim_sign);
	options->body_lengths = options->body_lengths || signing->body_length;
	signing->begun = ARENA_ARRAY(signing->arena, signing->n_signers, struct dkim_signing *);
	for (size_t i = 0; i < signing->n_signers; i++)
		signing->begun[i] = dkim_sign_begin(
			signing->arena, options, &signing->signers[i], signing->headers, signing->body, now);
}

bool signing_is_ours(const struct signing *signing)
{
	return !signing->is_list && (signing->n_signers > 0 || signing->failure.n > 0);
}

/* ---- the end ---- */

static bool signed_before(const struct signing *signing, const struct dkim_signer *signer)
{
	const struct header_field *field;
	for (size_t i = 0; i < OWN_SIGNATURES_MAX &&
			   (field = headers_from_bottom(signing->headers, STR("DKIM-Signature"), i)) != NULL;
		i++)
		if (dkim_signed_by(signing->arena, field, signing->headers, signing->body, signer))
			return true;
	return false;
}

void signing_end(struct signing *signing, bool verified, struct verdict_insertion *insertions, size_t *n)
{
	const struct auth_options *options = &signing->runtime->auth;
	if (signing->is_list && !verified && !options->resign_all) {
		signing->unsigned_why = arena_printf(signing->arena,
			"not signed again for '%.*s@%.*s', since its author is not verified",
			STR_ARG(signing->list.local_part), STR_ARG(signing->list.domain));
		signing->n_signers = 0;
		signing->failure = STR("");
	}
	signing->signed_by = ARENA_ARRAY(signing->arena, signing->n_signers, struct dkim_signer);
	for (size_t i = 0; i < signing->n_signers; i++) {
		const struct dkim_signer *signer = &signing->signers[i];
		struct str value;
		if (!options->remove_old_signatures && signed_before(signing, signer))
			continue;
		if (!dkim_sign_end(signing->begun[i], &value)) {
			signing->failure = arena_printf(signing->arena, "signing failed (s=%.*s, d=%.*s)",
				STR_ARG(signer->selector), STR_ARG(signer->domain));
			continue;
		}
		insertions[(*n)++] = (struct verdict_insertion){STR("DKIM-Signature"), value};
		signing->signed_by[signing->n_signed++] = *signer;
	}
}
