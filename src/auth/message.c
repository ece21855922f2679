/*
 * The way of one message through the three protocols. See auth.h for its life,
 * job.h for what goes on beside it.
 */
#include "auth/auth.h"

#include "auth/addresses.h"
#include "auth/deletions.h"
#include "auth/field.h"
#include "auth/forwarder.h"
#include "auth/job.h"
#include "auth/origin.h"
#include "auth/policy.h"
#include "auth/signing.h"
#include "base/clock.h"
#include "tables/hosts.h"

struct auth_message {
	struct arena *arena;
	struct runtime *runtime;
	struct job *job;
	int64_t now;         /* unix seconds */
	int64_t deadline_ms; /* monotonic */
	struct auth_envelope envelope;
	struct auth_envelope source; /* the same with the client that SPF is for */
	const char *source_unknown;  /* why a SecondaryMX does not tell it; NULL */
	struct origin origin;
	struct str *rcpts;
	size_t n_rcpts, rcpts_capacity;
	struct headers headers;
	struct dkim_body *body;
	struct dkim_verifier *verifier; /* NULL: nothing is verified */
	struct signing signing;
	struct auth_findings findings;
	struct verdict verdict;
	struct str queue_id;
	struct verdict_insertion *insertions; /* the verdict's, while they are written */
	bool body_ended, done;
};

typedef void answers_step(struct auth_message *message, struct answers *answers, struct str argument);

/*
 * Run @step with the answers in hand. The job's lock must not be lost when
 * memory runs out in between, so the jump is caught here and passed on.
 */
static void with_answers(struct auth_message *message, answers_step *step, struct str argument)
{
	jmp_buf here;
	jmp_buf *volatile outer = arena_set_boundary(message->arena, NULL);
	struct answers *answers = job_lock(message->job, &here);
	if (setjmp(here) != 0) {
		job_unlock(message->job);
		arena_set_boundary(message->arena, outer);
		arena_fail(message->arena);
	}
	arena_set_boundary(message->arena, &here);
	step(message, answers, argument);
	arena_set_boundary(message->arena, outer);
	job_unlock(message->job);
}

static struct auth_envelope envelope_dup(struct arena *arena, const struct auth_envelope *envelope)
{
	struct auth_envelope copy = *envelope;
	copy.client_name = arena_dup(arena, envelope->client_name);
	copy.helo = arena_dup(arena, envelope->helo);
	copy.mail_from = arena_dup(arena, envelope->mail_from);
	copy.auth_user = arena_dup(arena, envelope->auth_user);
	copy.daemon_name = arena_dup(arena, envelope->daemon_name);
	copy.mta_name = arena_dup(arena, envelope->mta_name);
	return copy;
}

/* The domain that most often turns out to be the author's: of MAIL FROM, of HELO for the null sender. */
static struct str envelope_domain(struct auth_message *message)
{
	struct address address;
	struct str domain;
	if (address_parse_path(message->arena, message->envelope.mail_from, &address))
		return address.domain;
	if (message->envelope.mail_from.n == 0 && domain_normalize(message->arena, message->envelope.helo, &domain))
		return domain;
	return STR("");
}

static void start_spf(struct auth_message *message)
{
	struct spf_query query = {
		.identity = SPF_MAILFROM,
		.client = message->source.client,
		.helo = message->source.helo,
		.mail_from = message->source.mail_from,
		.now = message->now,
	};
	message->findings.spf_client = query.client;
	if (query.client.family == IP_NONE)
		return;
	job_start_spf(message->job, &query);
	query.identity = SPF_HELO;
	job_start_spf(message->job, &query);
}

static void start_envelope_checks(struct auth_message *message, struct answers *answers, struct str domain)
{
	/* The client of a SecondaryMX is not known before its Received field. */
	if (!message->origin.relayed)
		start_spf(message);
	if (domain.n > 0)
		dmarc_want(&message->runtime->dmarc, domain, answers);
	job_advance(message->job);
}

void auth_message_drop(struct auth_message *message)
{
	if (message == NULL)
		return;
	job_drop(message->job);
	runtime_unref(message->runtime);
	message->job = NULL;
	message->runtime = NULL;
}

static void drop(void *message)
{
	auth_message_drop(message);
}

struct auth_message *auth_message_new(struct arena *arena, struct runtime *runtime, struct dns *dns, int64_t now,
	const struct auth_envelope *envelope, auth_wake *wake, void *wake_context)
{
	const struct auth_options *options = &runtime->auth;
	struct auth_message *message = ARENA_NEW(arena, struct auth_message);
	message->arena = arena;
	message->now = now;
	message->deadline_ms = clock_monotonic_ms() + (int64_t)options->evaluation_timeout * 1000;
	message->envelope = envelope_dup(arena, envelope);
	message->source = message->envelope;
	message->origin = origin_of(options, &message->envelope);
	message->findings.origin = message->origin.kind;
	message->findings.judged = message->origin.judge;
	headers_init(&message->headers, arena, options->maximum_headers, options->maximum_header_bytes);
	message->body = dkim_body_new(arena);
	signing_init(&message->signing, arena, runtime, &message->headers, message->body);
	if (message->origin.may_verify)
		message->verifier = dkim_verifier_new(arena, &runtime->dkim_verify, runtime->dkim_keys, now);
	/* From here on the arena's reset gives back what is held outside of it. */
	arena_on_reset(arena, drop, message);
	message->job = job_new(dns, runtime->dns.timeout_ms, &runtime->spf, arena_meter(arena), wake, wake_context);
	if (message->job == NULL)
		arena_fail(arena);
	message->runtime = runtime_ref(runtime);
	if (message->origin.judge)
		with_answers(message, start_envelope_checks, envelope_domain(message));
	return message;
}

static void add_rcpt(struct auth_message *message, struct str rcpt)
{
	message->rcpts = arena_grow(message->arena, message->rcpts, &message->rcpts_capacity, message->n_rcpts + 1,
		sizeof(*message->rcpts));
	message->rcpts[message->n_rcpts++] = arena_dup(message->arena, rcpt);
}

void auth_rcpt(struct auth_message *message, struct str rcpt)
{
	if (message->origin.judge)
		add_rcpt(message, rcpt);
	if (message->runtime->auth.mode_sign && message->origin.kind != AUTH_PEER)
		signing_rcpt(&message->signing, rcpt);
}

/* ---- header fields ---- */

static void want_text(struct auth_message *message, struct answers *answers, struct str name)
{
	answers_want(answers, DNS_TXT, name);
	job_advance(message->job);
}

static bool is_called(const struct header_field *field, struct str name)
{
	return str_ieq(header_field_name(field), name);
}

static void add_signature(struct auth_message *message, const struct header_field *field)
{
	struct str key_name = STR("");
	dkim_verifier_add(message->verifier, field, &key_name);
	if (key_name.n > 0)
		with_answers(message, want_text, key_name);
}

void auth_header(struct auth_message *message, struct str name, struct str value)
{
	const struct header_field *field = headers_add(&message->headers, name, value);
	/* What will be signed here needs no keys of others; the rest is asked for before the body comes. */
	if (field != NULL && message->verifier != NULL && !message->origin.may_sign &&
		is_called(field, STR("DKIM-Signature")))
		add_signature(message, field);
}

/* The one author that nearly all mail has; for several the evaluation asks within its own bounds. */
static void want_author(struct auth_message *message, struct answers *answers, struct str domain)
{
	dmarc_want(&message->runtime->dmarc, domain, answers);
	job_advance(message->job);
}

static void begin_verifying(struct auth_message *message)
{
	const struct author *author = &message->findings.author;
	if (message->origin.may_sign)
		for (size_t i = 0; i < message->headers.n; i++)
			if (is_called(&message->headers.fields[i], STR("DKIM-Signature")))
				add_signature(message, &message->headers.fields[i]);
	dkim_verifier_headers_done(
		message->verifier, &message->headers, author->domains, author->n_domains, message->body);
}

static void start_source_checks(struct auth_message *message, struct answers *answers, struct str unused)
{
	(void)answers;
	(void)unused;
	start_spf(message);
	job_advance(message->job);
}

/* SecondaryMX */
static void find_source(struct auth_message *message)
{
	struct received received;
	message->source_unknown =
		forwarder_client(message->arena, &message->runtime->auth, &message->headers, &received);
	if (message->source_unknown != NULL)
		return;
	message->source.client = received.client;
	message->source.helo = received.helo;
	with_answers(message, start_source_checks, STR(""));
}

void auth_headers_done(struct auth_message *message)
{
	if (message->origin.relayed)
		find_source(message);
	author_find(message->arena, &message->headers, &message->findings.author);
	if (message->origin.judge && message->findings.author.n_domains == 1)
		with_answers(message, want_author, message->findings.author.domains[0]);
	if (message->runtime->auth.mode_sign && message->origin.kind != AUTH_PEER)
		signing_begin(&message->signing, &message->origin, &message->findings.author,
			message->envelope.auth_user, message->now);
	/* What we sign ourselves is not verified as well, unless it is judged. */
	if (signing_is_ours(&message->signing) && !message->origin.judge)
		message->verifier = NULL;
	if (message->verifier != NULL)
		begin_verifying(message);
}

bool auth_body(struct auth_message *message, struct str chunk)
{
	return dkim_body_add(message->body, chunk);
}

/* ---- the end ---- */

static bool judge_spf(struct auth_message *message)
{
	struct auth_findings *findings = &message->findings;
	if (!findings->judged || message->source.client.family == IP_NONE)
		return true;
	if (message->source_unknown != NULL) {
		bool null_sender = message->source.mail_from.n == 0;
		message->source.helo = STR("");
		findings->spf = findings->spf_helo = (struct spf_result){
			.status = SPF_NONE, .identity = SPF_HELO, .reason = message->source_unknown};
		findings->spf.identity = null_sender ? SPF_HELO : SPF_MAILFROM;
		findings->spf_evaluated = true;
		return true;
	}
	const struct spf_result *mail_from = job_spf(message->job, SPF_MAILFROM),
				*helo = job_spf(message->job, SPF_HELO);
	if (mail_from == NULL || helo == NULL)
		return false;
	findings->spf = *mail_from;
	findings->spf_helo = *helo;
	findings->spf_evaluated = true;
	return true;
}

static bool judge_dkim(struct auth_message *message, struct answers *answers)
{
	struct auth_findings *findings = &message->findings;
	if (message->verifier == NULL || findings->dkim_verified)
		return true;
	findings->dkim_verified = dkim_verifier_judge(message->verifier, answers, &findings->dkim, &findings->n_dkim);
	return findings->dkim_verified;
}

static bool judge_dmarc(struct auth_message *message, struct answers *answers)
{
	struct auth_findings *findings = &message->findings;
	const struct author *author = &findings->author;
	if (!findings->judged)
		return true;
	struct dmarc_dkim_input *dkim = ARENA_ARRAY(message->arena, findings->n_dkim, struct dmarc_dkim_input);
	for (size_t i = 0; i < findings->n_dkim; i++)
		dkim[i] = (struct dmarc_dkim_input){
			findings->dkim[i].domain, findings->dkim[i].status, findings->dkim[i].counts};
	struct dmarc_input input = {
		.author = author->outcome,
		.author_reason = author->reason,
		.author_domains = author->domains,
		.n_author_domains = author->n_domains,
		.dkim = dkim,
		.n_dkim = findings->n_dkim,
	};
	if (findings->spf_evaluated) {
		input.spf_domain = findings->spf.domain;
		input.spf_status = findings->spf.status;
	}
	findings->dmarc_evaluated =
		dmarc_evaluate(message->arena, &message->runtime->dmarc, &input, answers, &findings->dmarc);
	return findings->dmarc_evaluated;
}

static void judge(struct auth_message *message, struct answers *answers, struct str unused)
{
	(void)unused;
	if (job_failed(message->job))
		arena_fail(message->arena);
	if (clock_monotonic_ms() >= message->deadline_ms)
		job_give_up(message->job);
	do {
		bool spf = judge_spf(message), dkim = judge_dkim(message, answers);
		message->done = spf && dkim && judge_dmarc(message, answers);
	} while (!message->done && job_advance(message->job));
	job_set_waiting(message->job, !message->done);
}

static void find_deletions(struct auth_message *message)
{
	struct deletions deletions = deletions_find(message->arena, &message->runtime->auth, &message->headers,
		message->envelope.mta_name, message->signing.n_signed > 0);
	message->verdict.deletions = deletions.list;
	message->verdict.n_deletions = deletions.n;
	message->findings.n_results_removed = deletions.n_forged;
}

static struct str software_value(const struct auth_message *message, struct str queue_id)
{
	return arena_printf(message->arena, " Trimilter v" TRIMILTER_VERSION " %.*s %.*s",
		STR_ARG(message->runtime->auth.authserv_id), STR_ARG(queue_id));
}

static void insert(struct auth_message *message, struct str name, struct str value)
{
	message->insertions[message->verdict.n_insertions++] = (struct verdict_insertion){name, value};
}

/* Mail of ours needs no verification to be signed by a list. */
static bool is_verified(const struct auth_findings *findings)
{
	bool verified = !findings->judged || (findings->dmarc_evaluated && findings->dmarc.status == DMARC_PASS);
	for (size_t i = 0; i < findings->n_dkim; i++)
		verified = verified || (findings->dkim[i].status == DKIM_PASS && findings->dkim[i].counts);
	return verified;
}

static void write_signatures(struct auth_message *message)
{
	/* Behind the signatures: software, Received-SPF, results. */
	message->insertions = ARENA_ARRAY(message->arena, message->signing.n_signers + 3, struct verdict_insertion);
	message->verdict.insertions = message->insertions;
	signing_end(&message->signing, is_verified(&message->findings), message->insertions,
		&message->verdict.n_insertions);
	message->findings.n_signatures_added = message->signing.n_signed;
}

static void write_results(struct auth_message *message, struct str queue_id)
{
	struct auth_findings *findings = &message->findings;
	const struct auth_options *options = &message->runtime->auth;
	const struct auth_envelope *envelope = &message->source;
	bool results = findings->judged || (findings->dkim_verified && findings->origin != AUTH_AUTHENTICATED);
	if (options->software_header && (message->verdict.n_insertions > 0 || results))
		insert(message, STR("DKIM-Filter"), software_value(message, queue_id));
	if (options->received_spf && findings->spf_evaluated)
		insert(message, STR("Received-SPF"), field_received_spf(message->arena, options, findings, envelope));
	if (!results)
		return;
	findings->results_value =
		field_results(message->arena, options, findings, envelope, message->verdict.disposition, queue_id);
	insert(message, STR("Authentication-Results"), findings->results_value);
}

static void conclude(struct auth_message *message, struct str queue_id)
{
	const struct auth_options *options = &message->runtime->auth;
	const struct author *author = &message->findings.author;
	message->queue_id = arena_dup(message->arena, queue_id);
	write_signatures(message);
	find_deletions(message);
	struct policy_input input = {
		.findings = &message->findings,
		.headers = &message->headers,
		.signing_failed = message->signing.failure.n > 0,
		.signing_failure = message->signing.failure,
		.author_exempt = address_set_has_all(
			options->exempt_domains, message->arena, author->addresses, author->n_addresses),
		.author_ignored = address_set_has_all(
			options->ignore_mail_from, message->arena, author->addresses, author->n_addresses),
		.spf_ignored = hosts_contain(
			options->spf_ignore_hosts, &message->envelope.client, message->envelope.client_name),
		.forwarder = forwarder_trusted(message->arena, options, &message->envelope, &message->findings),
		.from_list = headers_find(&message->headers, STR("List-Id")) != NULL,
	};
	struct logline_input line = {
		.findings = &message->findings,
		.envelope = &message->envelope,
		.verdict = &message->verdict,
		.signers = message->signing.signed_by,
		.n_signers = message->signing.n_signed,
		.queue_id = queue_id,
	};
	policy_decide(message->arena, options, &input, &message->verdict, &line.reason);
	write_results(message, queue_id);
	if (message->signing.why_matters || options->log_why)
		line.unsigned_why = message->signing.unsigned_why;
	message->verdict.log_line = logline_write(message->arena, &line);
}

enum auth_step auth_end(struct auth_message *message, struct str queue_id, const struct verdict **ret_verdict)
{
	if (!message->body_ended) {
		message->body_ended = true;
		dkim_body_end(message->body);
	}
	with_answers(message, judge, STR(""));
	if (!message->done)
		return AUTH_WAITING;
	conclude(message, queue_id);
	*ret_verdict = &message->verdict;
	return AUTH_DONE;
}

int64_t auth_deadline(const struct auth_message *message)
{
	return message->deadline_ms;
}

const struct auth_findings *auth_findings(const struct auth_message *message)
{
	return &message->findings;
}

struct auth_facts auth_facts(const struct auth_message *message)
{
	return (struct auth_facts){
		.runtime = message->runtime,
		.envelope = &message->envelope,
		.rcpts = message->rcpts,
		.n_rcpts = message->n_rcpts,
		.headers = &message->headers,
		.findings = &message->findings,
		.verdict = &message->verdict,
		.queue_id = message->queue_id,
	};
}
