/*
 * trimilterctl testkey: does the DNS have the public halves of our keys?
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "auth/runtime.h"
#include "auth/signers.h"
#include "ctl/command_line.h"
#include "ctl/verbs.h"
#include "dkim/key.h"
#include "tables/dataset.h"

/* Records asked for at a time. */
#define BATCH 200

static const char usage[] =
	"Usage: trimilterctl testkey -c FILE... [-d DOMAIN] [-s SELECTOR] [OPTION]...\n"
	"       trimilterctl testkey -d DOMAIN -s SELECTOR [-k KEYFILE] [OPTION]...\n"
	"Compare the keys of a configuration, or one key, with what is published. Exit 0 only if all match.\n\n"
	"  -d, --domain DOMAIN      only keys of this domain; stands in for % in a KeyTable\n"
	"  -s, --selector SELECTOR  only keys of this name\n"
	"  -k, --key KEYFILE        the private key; without it only the record is looked at\n"
	"  -v, --verbose            the records too\n" CTL_COMMON_USAGE;

static const struct option options[] = {
	{"domain", required_argument, NULL, 'd'},
	{"selector", required_argument, NULL, 's'},
	{"key", required_argument, NULL, 'k'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

enum outcome { OUTCOME_OK, OUTCOME_MISSING, OUTCOME_MISMATCH, OUTCOME_UNUSABLE, OUTCOME_KEY_ERROR, OUTCOME_DNS_ERROR };

static const char *const outcome_words[] = {"ok", "missing", "mismatch", "unusable", "key-error", "dns-error"};

struct test {
	struct str name; /* in KeyTable; empty: none */
	struct str domain, selector, key_file, key_text;
	bool has_key;
	struct str owner; /* SELECTOR._domainkey.DOMAIN */
	enum outcome outcome;
	struct str reason; /* empty for an unremarkable match */
	struct str record;
	const char *type;
	unsigned bits;
	enum dns_security security;
};

struct tester {
	struct ctl *ctl;
	struct str domain, selector; /* empty: any */
	const char *key_file;        /* NULL: none was named */
	bool verbose;
	struct test *tests;
	size_t n, capacity;
};

/* ---- what there is to test ---- */

static void add_test(struct tester *tester, struct test test)
{
	struct arena *arena = tester->ctl->arena;
	test.owner = arena_printf(arena, "%.*s._domainkey.%.*s", STR_ARG(test.selector), STR_ARG(test.domain));
	tester->tests = arena_grow(arena, tester->tests, &tester->capacity, tester->n + 1, sizeof(*tester->tests));
	tester->tests[tester->n++] = test;
}

static bool add_entry(void *context, const struct signers_entry *entry)
{
	struct tester *tester = context;
	struct arena *arena = tester->ctl->arena;
	struct test test = {
		.name = entry->name,
		.domain = entry->domain,
		.selector = entry->selector,
		.key_file = entry->key_file,
		.key_text = entry->key_text,
		.has_key = true,
	};
	if (tester->domain.n > 0) {
		test.domain = signers_fill_in(arena, test.domain, tester->domain);
		test.selector = signers_fill_in(arena, test.selector, tester->domain);
		test.key_file = signers_fill_in(arena, test.key_file, tester->domain);
		if (!str_eq(test.domain, tester->domain))
			return true;
	}
	if (tester->selector.n > 0 && !str_ieq(test.selector, tester->selector))
		return true;
	add_test(tester, test);
	return true;
}

/* ---- the tests ---- */

static void conclude(struct test *test, enum outcome outcome, struct str reason)
{
	test->outcome = outcome;
	test->reason = reason;
}

static struct dkim_private_key *read_key(struct tester *tester, struct test *test)
{
	struct arena *arena = tester->ctl->arena;
	struct str text = test->key_text;
	const char *error = NULL;
	if (test->key_file.n > 0 && dataset_read_file(arena, arena_dup(arena, test->key_file).p, &text) != ERR_OK) {
		conclude(test, OUTCOME_KEY_ERROR,
			arena_printf(arena, "cannot read %.*s: %s", STR_ARG(test->key_file), strerror(errno)));
		return NULL;
	}
	struct dkim_private_key *key = dkim_private_key_parse(text, &error);
	if (key == NULL)
		conclude(test, OUTCOME_KEY_ERROR, arena_printf(arena, "%.*s: %s", STR_ARG(test->key_file), error));
	return key;
}

static void look_at_record(struct tester *tester, struct test *test, struct str record)
{
	struct dkim_key published;
	dkim_key_parse(tester->ctl->arena, record, &published);
	test->record = record;
	test->type = published.type == DKIM_KEY_ED25519 ? "ed25519" : "rsa";
	test->bits = published.bits;
	if (published.problem != NULL)
		conclude(test, OUTCOME_UNUSABLE,
			arena_printf(tester->ctl->arena, "the record cannot be used: %s", published.problem));
	else if (published.testing)
		conclude(test, OUTCOME_OK, STR("the record says that the key is under test (t=y)"));
	else
		conclude(test, OUTCOME_OK, STR(""));
}

static void compare(struct tester *tester, struct test *test, const struct dns_answer *answer)
{
	struct arena *arena = tester->ctl->arena;
	struct dkim_private_key *key = NULL;
	if (test->has_key) {
		key = read_key(tester, test);
		if (key == NULL)
			return;
	}
	/* Several records are an error of the zone (RFC 6376 section 3.6.2.2), yet verifiers try each. */
	for (size_t i = 0; i < answer->n_records; i++) {
		struct str record = answer->records[i].data;
		look_at_record(tester, test, record);
		const char *wrong =
			key != NULL && test->outcome == OUTCOME_OK ? dkim_key_compare(arena, record, key) : NULL;
		if (wrong != NULL)
			conclude(test, OUTCOME_MISMATCH, str_of(wrong));
		if (test->outcome == OUTCOME_OK)
			break;
	}
	if (test->outcome == OUTCOME_OK && answer->n_records > 1)
		test->reason = arena_printf(arena, "%zu records are published, there must be one", answer->n_records);
	dkim_private_key_unref(key);
}

static void judge(struct tester *tester, struct test *test, const struct dns_answer *answer)
{
	struct arena *arena = tester->ctl->arena;
	test->security = answer->security;
	if (str_index(test->owner, '%') >= 0)
		conclude(test, OUTCOME_MISSING, STR("its name depends on the author's domain: give one with -d"));
	else if (answer->status == DNS_FAILED)
		conclude(test, OUTCOME_DNS_ERROR,
			arena_printf(
				arena, "the DNS does not answer: %s", answer->why != NULL ? answer->why : "failure"));
	else if (answer->status == DNS_NXDOMAIN)
		conclude(test, OUTCOME_MISSING, STR("the name does not exist in the DNS: publish the record"));
	else if (answer->status == DNS_NODATA)
		conclude(test, OUTCOME_MISSING, STR("the name exists, but has no TXT record: publish it"));
	else
		compare(tester, test, answer);
}

static void run_batch(struct tester *tester, struct test *tests, size_t n)
{
	struct answers *answers = answers_new(tester->ctl->arena);
	for (size_t i = 0; i < n; i++)
		if (str_index(tests[i].owner, '%') < 0)
			answers_want(answers, DNS_TXT, tests[i].owner);
	dns_fetch(tester->ctl->dns, answers, tester->ctl->dns_timeout_ms);
	answers_give_up(answers);
	for (size_t i = 0; i < n; i++)
		judge(tester, &tests[i], answers_get(answers, DNS_TXT, tests[i].owner));
}

/* ---- the report ---- */

/* Nothing where no TrustAnchorFile lets it be known. */
static const char *security_text(enum dns_security security)
{
	switch (security) {
	case DNS_SECURE:
		return ", DNSSEC";
	case DNS_INSECURE:
		return ", no DNSSEC";
	case DNS_SECURITY_UNKNOWN:
		return "";
	}
	return "";
}

static void show_text(const struct tester *tester, const struct test *test)
{
	struct buf out = buf_in(tester->ctl->arena);
	buf_printf(&out, "%.*s: %s", STR_ARG(test->owner), outcome_words[test->outcome]);
	if (test->outcome == OUTCOME_OK)
		buf_printf(&out, " (%s, %u bits%s%s)", test->type, test->bits,
			test->has_key ? "" : ", private key not looked at", security_text(test->security));
	if (test->reason.n > 0)
		buf_printf(&out, ": %.*s", STR_ARG(test->reason));
	if (test->key_file.n > 0)
		buf_printf(&out, " [%.*s]", STR_ARG(test->key_file));
	if (tester->verbose && test->record.n > 0) {
		buf_add_char(&out, '\n');
		ctl_text_row(&out, "record", test->record);
		out.n--;
	}
	ctl_print(&out);
}

static void show_json(const struct tester *tester, bool ok)
{
	struct buf out = buf_in(tester->ctl->arena);
	struct json json = json_to(&out);
	json_object_begin(&json, NULL);
	json_bool(&json, "ok", ok);
	json_array_begin(&json, "keys");
	for (size_t i = 0; i < tester->n; i++) {
		const struct test *test = &tester->tests[i];
		json_object_begin(&json, NULL);
		json_str(&json, "domain", test->domain);
		json_str(&json, "selector", test->selector);
		json_str_or_null(&json, "name", test->name);
		json_str_or_null(&json, "key_file", test->key_file);
		json_str(&json, "owner", test->owner);
		json_cstr(&json, "result", outcome_words[test->outcome]);
		json_str_or_null(&json, "reason", test->reason);
		json_cstr(&json, "algorithm", test->type);
		if (test->bits > 0)
			json_int(&json, "key_bits", test->bits);
		else
			json_cstr(&json, "key_bits", NULL);
		if (test->security == DNS_SECURITY_UNKNOWN)
			json_cstr(&json, "secure", NULL);
		else
			json_bool(&json, "secure", test->security == DNS_SECURE);
		json_str_or_null(&json, "record", test->record);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	ctl_print(&out);
}

static int run(struct tester *tester)
{
	size_t bad = 0, dns_errors = 0;
	for (size_t i = 0; i < tester->n; i += BATCH)
		run_batch(tester, &tester->tests[i], tester->n - i < BATCH ? tester->n - i : BATCH);
	for (size_t i = 0; i < tester->n; i++) {
		bad += tester->tests[i].outcome != OUTCOME_OK;
		dns_errors += tester->tests[i].outcome == OUTCOME_DNS_ERROR;
		if (!tester->ctl->json)
			show_text(tester, &tester->tests[i]);
	}
	if (tester->ctl->json)
		show_json(tester, bad == 0);
	if (bad == 0)
		return EX_OK;
	return bad == dns_errors ? EX_UNAVAILABLE : EX_DATAERR;
}

static int prepare(struct tester *tester)
{
	const char *key_file = tester->key_file;
	struct ctl *ctl = tester->ctl;
	int status = ctl_open(ctl);
	if (status != EX_OK)
		return status;
	bool single = key_file != NULL || ctl->n_config_paths == 0;
	if (single)
		add_test(tester, (struct test){
					 .domain = tester->domain,
					 .selector = tester->selector,
					 .key_file = str_of(key_file != NULL ? key_file : ""),
					 .has_key = key_file != NULL,
				 });
	else
		signers_each(ctl->runtime->auth.signers, add_entry, tester);
	if (tester->n > 0)
		return EX_OK;
	fputs("trimilterctl testkey: the configuration has no such key\n", stderr);
	return EX_CONFIG;
}

static int take_option(void *context, int option, const char *argument)
{
	struct tester *tester = context;
	switch (option) {
	case 'd':
		return ctl_take_domain(tester->ctl->arena, "testkey", argument, &tester->domain);
	case 's':
		return ctl_take_selector("testkey", argument, &tester->selector);
	case 'k':
		tester->key_file = argument;
		return EX_OK;
	case 'v':
		tester->verbose = true;
		return EX_OK;
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"testkey", usage, "c:d:s:k:vh", options, take_option};

int ctl_testkey(int argc, char **argv)
{
	struct ctl ctl;
	ctl_init(&ctl);
	struct tester tester = {.ctl = &ctl};
	int status = ctl_options(&ctl, &command, argc, argv, &tester);
	if (status != CTL_GO_ON)
		return ctl_close(&ctl, status);
	bool named = tester.domain.n > 0 && tester.selector.n > 0;
	if (optind != argc || (!named && (tester.key_file != NULL || ctl.n_config_paths == 0)))
		return ctl_close(&ctl, ctl_usage_error("testkey", "-c FILE is needed, or -d DOMAIN and -s SELECTOR"));
	status = prepare(&tester);
	return ctl_close(&ctl, status == EX_OK ? run(&tester) : status);
}
