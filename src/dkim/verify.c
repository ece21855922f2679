#include "dkim/body.h"
#include "dkim/header_hash.h"
#include "dkim/public_key.h"
#include "dkim/signature.h"

/* Fields beyond these are not even parsed; no genuine message comes near. */
#define PARSED_MAX 100
/* One name should have one record; a few are tried while a key is being replaced. Each may cost an RSA check. */
#define KEY_RECORDS_MAX 4

struct verification {
	const struct header_field *field;
	struct dkim_signature signature;
	bool chosen; /* it is to be verified */
	bool judged;
	uint8_t header_hash[SHA256_SIZE];
	bool header_hash_usable;
	const struct dkim_body_hash *body_hash;
};

struct dkim_verifier {
	struct arena *arena;
	const struct dkim_verify_options *options;
	struct dkim_keys *keys;
	int64_t now;
	struct verification *verifications; /* at most PARSED_MAX, the first of the results */
	size_t n_verifications, verifications_capacity;
	struct dkim_result *results;
	size_t n_results, results_capacity;
	size_t n_named; /* keys that were named early */
};

const char *dkim_status_text(enum dkim_status status)
{
	switch (status) {
	case DKIM_NONE:
		return "none";
	case DKIM_PASS:
		return "pass";
	case DKIM_FAIL:
		return "fail";
	case DKIM_POLICY:
		return "policy";
	case DKIM_NEUTRAL:
		return "neutral";
	case DKIM_TEMPERROR:
		return "temperror";
	case DKIM_PERMERROR:
		return "permerror";
	}
	return "none";
}

struct dkim_verifier *dkim_verifier_new(
	struct arena *arena, const struct dkim_verify_options *options, struct dkim_keys *keys, int64_t now)
{
	struct dkim_verifier *verifier = ARENA_NEW(arena, struct dkim_verifier);
	verifier->arena = arena;
	verifier->options = options;
	verifier->keys = keys;
	verifier->now = now;
	return verifier;
}

/* ---- fields ---- */

static void settle(struct dkim_result *result, enum dkim_status status, const char *reason)
{
	result->status = status;
	result->reason = reason;
}

static struct dkim_result *add_result(struct dkim_verifier *verifier)
{
	verifier->results = arena_grow(verifier->arena, verifier->results, &verifier->results_capacity,
		verifier->n_results + 1, sizeof(*verifier->results));
	struct dkim_result *result = &verifier->results[verifier->n_results++];
	*result = (struct dkim_result){.signed_at = -1};
	settle(result, DKIM_POLICY, "more signatures than are verified");
	return result;
}

void dkim_verifier_add(struct dkim_verifier *verifier, const struct header_field *field, struct str *ret_key_name)
{
	*ret_key_name = STR("");
	struct dkim_result *result = add_result(verifier);
	if (verifier->n_verifications == PARSED_MAX)
		return;
	verifier->verifications = arena_grow(verifier->arena, verifier->verifications,
		&verifier->verifications_capacity, verifier->n_verifications + 1, sizeof(*verifier->verifications));
	struct verification *verification = &verifier->verifications[verifier->n_verifications++];
	*verification = (struct verification){.field = field};
	struct dkim_signature *signature = &verification->signature;
	dkim_signature_parse(verifier->arena, field->value, verifier->now, verifier->options->clock_drift, signature);
	result->domain = signature->domain;
	result->selector = signature->selector;
	result->identity = signature->identity;
	result->algorithm = signature->algorithm;
	result->signature = signature->signature_start;
	result->signed_at = signature->signed_at;
	result->report_requested = signature->report_requested;
	if (signature->problem != NULL) {
		settle(result, DKIM_PERMERROR, signature->problem);
		return;
	}
	/* Which will be verified is not known yet: no more keys are named early than could be. */
	if (verifier->n_named == verifier->options->maximum_signatures)
		return;
	verifier->n_named++;
	*ret_key_name = signature->key_name;
}

/* ---- choice ---- */

enum relation { RELATION_SAME, RELATION_RELATED, RELATION_NONE, RELATION_END };

static enum relation relation_to_authors(struct str domain, const struct str *authors, size_t n_authors)
{
	enum relation closest = RELATION_NONE;
	for (size_t i = 0; i < n_authors; i++) {
		if (str_eq(domain, authors[i]))
			return RELATION_SAME;
		if (domain_is_within(domain, authors[i]) || domain_is_within(authors[i], domain))
			closest = RELATION_RELATED;
	}
	return closest;
}

static void prepare(
	struct verification *verification, const struct headers *headers, struct sha256 *sha256, struct dkim_body *body)
{
	const struct dkim_signature *signature = &verification->signature;
	const struct header_field *field = verification->field;
	struct header_hash hash;
	verification->chosen = true;
	header_hash_begin(&hash, sha256, signature->header_canonicalization, headers, signature->header_names, field);
	verification->header_hash_usable = header_hash_end(&hash, field->name, field->value, verification->header_hash);
	verification->body_hash = dkim_body_want(body, signature->body_canonicalization, signature->body_length);
}

void dkim_verifier_headers_done(struct dkim_verifier *verifier, const struct headers *headers,
	const struct str *author_domains, size_t n_author_domains, struct dkim_body *body)
{
	size_t n_chosen = 0;
	struct sha256 *sha256 = verifier->n_verifications > 0 ? sha256_new(verifier->arena) : NULL;
	for (enum relation wanted = RELATION_SAME; wanted < RELATION_END; wanted++) {
		for (size_t i = 0; i < verifier->n_verifications; i++) {
			struct verification *verification = &verifier->verifications[i];
			const struct dkim_signature *signature = &verification->signature;
			if (signature->problem != NULL || n_chosen == verifier->options->maximum_signatures ||
				relation_to_authors(signature->domain, author_domains, n_author_domains) != wanted)
				continue;
			/* What was dropped may have been signed, and may be shown: nothing can be said of such a
			 * header. */
			if (headers->dropped > 0) {
				settle(&verifier->results[i], DKIM_POLICY, "more header fields than are read");
				continue;
			}
			prepare(verification, headers, sha256, body);
			n_chosen++;
		}
	}
}

/* ---- judgement ---- */

static const char *compare_body(const struct verification *verification, enum dkim_status *ret_status)
{
	const struct dkim_body_hash *hash = verification->body_hash;
	*ret_status = DKIM_TEMPERROR;
	if (!hash->usable || !verification->header_hash_usable)
		return "internal error";
	*ret_status = DKIM_PERMERROR;
	if (hash->limit != BODY_WHOLE && hash->n_hashed < hash->limit)
		return "l= is larger than the body";
	*ret_status = DKIM_FAIL;
	if (memcmp(hash->digest, verification->signature.body_hash, SHA256_SIZE) != 0)
		return DKIM_REASON_BODY_HASH;
	*ret_status = DKIM_PASS;
	return NULL;
}

static const char *compare_signature(struct arena *arena, const struct verification *verification,
	const struct dkim_public_key *key, enum dkim_status *ret_status)
{
	enum crypto_verdict verdict = CRYPTO_REFUSED;
	if (key->crypto != NULL)
		verdict = crypto_key_verify(key->crypto, verification->header_hash, verification->signature.signature);
	if (key->crypto != NULL && verdict != CRYPTO_GOOD && crypto_is_starved())
		arena_fail(arena);
	switch (verdict) {
	case CRYPTO_GOOD:
		*ret_status = DKIM_PASS;
		return NULL;
	case CRYPTO_BAD:
		*ret_status = DKIM_FAIL;
		return "signature did not verify";
	case CRYPTO_REFUSED:
		break;
	}
	*ret_status = DKIM_PERMERROR;
	return "unusable key";
}

/* What is wrong with the key for this signature, or NULL. */
static const char *check_key(const struct dkim_verifier *verifier, const struct dkim_signature *signature,
	const struct dkim_key *key, enum dkim_status *ret_status)
{
	*ret_status = key->status;
	if (key->problem != NULL)
		return key->problem;
	*ret_status = DKIM_PERMERROR;
	if (key->type != signature->key_type)
		return "the key's type is not that of a=";
	if (key->strict && !str_eq(signature->identity_domain, signature->domain))
		return "the key demands that i= be d=";
	*ret_status = DKIM_POLICY;
	if (key->type == DKIM_KEY_RSA && key->bits < verifier->options->minimum_key_bits)
		return "RSA key smaller than is accepted here";
	return NULL;
}

static void judge_with_record(const struct dkim_verifier *verifier, const struct verification *verification,
	struct str record, struct dkim_result *result)
{
	enum dkim_status status;
	const struct dkim_public_key *key = dkim_public_key_get(verifier->keys, verifier->arena, record);
	const char *reason = check_key(verifier, &verification->signature, &key->record, &status);
	if (reason == NULL)
		reason = compare_body(verification, &status);
	if (reason == NULL)
		reason = compare_signature(verifier->arena, verification, key, &status);
	settle(result, status, reason);
	result->key_bits = key->record.bits;
	result->key_testing = key->record.testing;
	result->partial_body = verification->body_hash->exceeded;
	result->counts = status == DKIM_PASS && (!result->partial_body || verifier->options->allow_partial_body) &&
			 (!key->record.testing || !verifier->options->strict_test_mode);
}

/* Of several records the one that got furthest tells most. */
static int progress(enum dkim_status status)
{
	switch (status) {
	case DKIM_PASS:
		return 4;
	case DKIM_FAIL:
		return 3;
	case DKIM_POLICY:
		return 2;
	case DKIM_TEMPERROR:
		return 1;
	case DKIM_NONE:
	case DKIM_NEUTRAL:
	case DKIM_PERMERROR:
		break;
	}
	return 0;
}

static void judge_with_answer(const struct dkim_verifier *verifier, const struct verification *verification,
	const struct dns_answer *answer, struct dkim_result *result)
{
	result->key_security = answer->security;
	if (answer->status == DNS_FAILED) {
		settle(result, DKIM_TEMPERROR, "the DNS did not answer for the key");
		return;
	}
	if (answer->status != DNS_DATA || answer->n_records == 0) {
		settle(result, DKIM_PERMERROR, DKIM_REASON_NO_KEY);
		result->no_key = true;
		return;
	}
	struct dkim_result best = *result;
	for (size_t i = 0; i < answer->n_records && i < KEY_RECORDS_MAX; i++) {
		struct dkim_result one = *result;
		judge_with_record(verifier, verification, answer->records[i].data, &one);
		if (i == 0 || progress(one.status) > progress(best.status))
			best = one;
		if (best.status == DKIM_PASS)
			break;
	}
	*result = best;
}

bool dkim_verifier_judge(
	struct dkim_verifier *verifier, struct answers *answers, const struct dkim_result **ret_results, size_t *ret_n)
{
	bool complete = true;
	for (size_t i = 0; i < verifier->n_verifications; i++) {
		struct verification *verification = &verifier->verifications[i];
		if (!verification->chosen || verification->judged)
			continue;
		const struct dns_answer *answer = answers_get(answers, DNS_TXT, verification->signature.key_name);
		if (answer == NULL) {
			complete = false;
			continue;
		}
		judge_with_answer(verifier, verification, answer, &verifier->results[i]);
		verification->judged = true;
	}
	*ret_results = verifier->results;
	*ret_n = verifier->n_results;
	return complete;
}
