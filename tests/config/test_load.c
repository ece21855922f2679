/*
 * From files to a runtime: defaults in two places agree, tables and keys are opened, and nothing is borrowed.
 */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/addresses.h"
#include "auth/signers.h"
#include "base/buf.h"
#include "config/config.h"
#include "tables/hosts.h"

/* Two structs of one type, neither of which is needed afterwards. What stands in their holes is the compiler's affair.
 */
#if __has_builtin(__builtin_clear_padding)
#define ASSERT_SAME(a, b)                                                                                              \
	(__builtin_clear_padding(a), __builtin_clear_padding(b), assert_memory_equal(a, b, sizeof(*(a))))
#else
#define ASSERT_SAME(a, b) ((void)(a), (void)(b))
#endif

struct fixture {
	char directory[64];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->directory, "/tmp/trimilter-load-XXXXXX");
	*state = fixture;
	return mkdtemp(fixture->directory) == NULL || chdir(fixture->directory) != 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = chdir("/") + system(command);
	free(fixture);
	return status;
}

static void write_file(const char *name, struct str text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static enum err load(const char *text, struct diag *diag, struct runtime **ret_runtime)
{
	static const char *const path = "test.conf";
	struct arena *arena = arena_new(0);
	const struct config *config;
	*ret_runtime = NULL;
	write_file(path, str_of(text));
	enum err err = config_read(arena, &path, 1, diag, &config);
	if (err == ERR_OK)
		err = config_load(config, diag, ret_runtime);
	arena_free(arena); /* the runtime must not mind */
	return err;
}

static bool contains(const struct hosts *hosts, const char *address)
{
	struct ip ip = {.family = IP_NONE};
	if (address != NULL)
		assert_true(ip_parse(str_of(address), &ip));
	return hosts_contain(hosts, &ip, STR(""));
}

static void reports_agree(struct report_options a, struct report_options *b)
{
	check_str("spool", a.spool, b->spool.p);
	check_str("store", a.store, b->store.p);
	check_str("organization", a.organization, b->organization.p);
	check_str("address", a.address, b->address.p);
	check_str("failure_from", a.failure_from, b->failure_from.p);
	check_str("smtp_host", a.smtp_host, b->smtp_host.p);
	assert_int_equal(a.n_failure_to, b->n_failure_to);
	check_str("failure_to", a.failure_to[0], b->failure_to[0].p);
	/* What is left is plain. */
	a.spool = b->spool;
	a.store = b->store;
	a.organization = b->organization;
	a.address = b->address;
	a.failure_from = b->failure_from;
	a.smtp_host = b->smtp_host;
	a.failure_to = b->failure_to;
	a.extra_contact = b->extra_contact;
	ASSERT_SAME(&a, b);
}

/* runtime_new() serves callers without a configuration; options.def serves all others. They must agree. */
static void defaults_agree(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct runtime *loaded, *fresh = runtime_new();
	assert_int_equal(load("", &diag, &loaded), ERR_OK);
	assert_int_equal(diag.n, 0);
	struct auth_options a = loaded->auth, b = fresh->auth;
	assert_true(str_eq(a.authserv_id, b.authserv_id));
	assert_int_equal(a.n_own_ids, b.n_own_ids);
	assert_true(str_eq(a.own_ids[0], b.own_ids[0]));
	static const char *const clients[] = {"127.0.0.1", "::1", NULL, "192.0.2.1", "127.0.0.2"};
	for (size_t i = 0; i < COUNT(clients); i++)
		assert_int_equal(contains(a.internal_hosts, clients[i]), contains(b.internal_hosts, clients[i]));
	assert_true(contains(a.internal_hosts, NULL));
	/* What is left is plain. */
	a.authserv_id = b.authserv_id;
	a.own_ids = b.own_ids;
	a.internal_hosts = b.internal_hosts;
	assert_true(str_eq(a.reject_string, b.reject_string));
	a.reject_string = b.reject_string;
	a.copy_failures_to = b.copy_failures_to; /* empty */
	ASSERT_SAME(&a, &b);
	ASSERT_SAME(&loaded->dkim_verify, &fresh->dkim_verify);
	struct dkim_sign_options sign = loaded->dkim_sign;
	assert_int_equal(sign.n_oversign_headers, fresh->dkim_sign.n_oversign_headers);
	assert_true(str_eq(sign.oversign_headers[0], fresh->dkim_sign.oversign_headers[0]));
	sign.oversign_headers = fresh->dkim_sign.oversign_headers;
	ASSERT_SAME(&sign, &fresh->dkim_sign);
	assert_true(str_eq(loaded->spf.receiver, fresh->spf.receiver));
	loaded->spf.receiver = fresh->spf.receiver;
	ASSERT_SAME(&loaded->spf, &fresh->spf);
	ASSERT_SAME(&loaded->dmarc, &fresh->dmarc);
	assert_int_equal(loaded->dns.timeout_ms, fresh->dns.timeout_ms);
	reports_agree(loaded->report, &fresh->report);
	runtime_unref(loaded);
	runtime_unref(fresh);
	arena_free(arena);
}

static void check_reports(struct arena *arena, const char *text, const char *command, const char *failure_to)
{
	struct diag diag = diag_in(arena);
	struct runtime *runtime;
	struct buf words = buf_in(arena), addresses = buf_in(arena);
	assert_int_equal(load(text, &diag, &runtime), ERR_OK);
	for (size_t i = 0; i < runtime->report.n_command; i++)
		buf_printf(&words, "[%.*s]", STR_ARG(runtime->report.command[i]));
	for (size_t i = 0; i < runtime->report.n_failure_to; i++)
		buf_printf(&addresses, "%s%.*s", i > 0 ? " " : "", STR_ARG(runtime->report.failure_to[i]));
	check_str(text, buf_str(&words), command);
	if (failure_to != NULL)
		check_str(text, buf_str(&addresses), failure_to);
	runtime_unref(runtime);
}

static void options_of_reports(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	static const struct {
		const char *text, *command, *failure_to;
	} rows[] = {
		{"ReportAddress p@a.example", "", "p@a.example"},
		{"FailureReportsBcc x@a.example, y@a.example", "", "x@a.example y@a.example"},
		{"FailureReportsTo x@a.example\nFailureReportsBcc y@a.example", "", "x@a.example y@a.example"},
		{"ReportCommand /bin/cat", "[/bin/cat]", NULL},
		{"ReportCommand /bin/cat   -n\t'a  b'\"|c\" \"\" -", "[/bin/cat][-n][a  b|c][][-]", NULL},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		check_reports(arena, rows[i].text, rows[i].command, rows[i].failure_to);
	struct diag diag = diag_in(arena);
	struct runtime *runtime;
	assert_int_equal(load("ReportCommand /nonexistent/sendmail -t", &diag, &runtime), ERR_OK);
	assert_int_equal(diag.n, 1);
	check_str("warning", diag.entries[0].text,
		"test.conf:1: ReportCommand: cannot run /nonexistent/sendmail: No such file or directory");
	runtime_unref(runtime);
	diag = diag_in(arena);
	assert_int_equal(
		load("IgnoreMailTo a@b.example\nNoReportsList .c.example\nReportOnlyTo d.example", &diag, &runtime),
		ERR_OK);
	const struct address ignored = {STR("a"), STR("b.example")}, below = {STR("x"), STR("y.c.example")},
			     only = {STR("x"), STR("d.example")};
	assert_true(address_set_has(runtime->report.ignore_mail_to, arena, &ignored));
	assert_true(address_set_has(runtime->report.no_reports, arena, &below));
	assert_true(address_set_has(runtime->report.only_reports, arena, &only));
	runtime_unref(runtime);
	arena_free(arena);
}

static void make_key(const char *name)
{
	struct arena *arena = arena_new(0);
	struct dkim_private_key *key = dkim_private_key_generate(DKIM_KEY_ED25519, 0);
	write_file(name, dkim_private_key_pem(arena, key));
	dkim_private_key_unref(key);
	arena_free(arena);
}

static void tables_and_keys_are_opened(void **state)
{
	const struct fixture *fixture = *state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct runtime *runtime;
	make_key("mail.private");
	write_file("KeyTable", STR("mail example.com:mail:./mail.private\n"));
	write_file("SigningTable", STR("*@example.com mail\n"));
	write_file("TrustedHosts", STR("127.0.0.1\n192.0.2.0/24 # office\n"));
	write_file("headers", STR("From\nSubject\n"));
	const char *text = arena_printf(arena,
		"BaseDirectory %s\nKeyTable file:KeyTable\nSigningTable refile:SigningTable\nInternalHosts "
		"file:TrustedHosts\nExternalIgnoreList file:TrustedHosts\n"
		"SignHeaders %s/headers\nMTA one, two\nSignDaemons three\nAuthservID a.example\n",
		fixture->directory, fixture->directory)
				   .p;
	enum err err = load(text, &diag, &runtime);
	if (diag.n > 0)
		print_error("%s\n", diag.entries[0].text.p);
	assert_int_equal(err, ERR_OK);
	assert_int_equal(diag.n, 0);
	assert_true(contains(runtime->auth.internal_hosts, "192.0.2.9"));
	assert_true(contains(runtime->auth.external_ignore, "192.0.2.9"));
	assert_false(contains(runtime->auth.internal_hosts, NULL));
	assert_int_equal(runtime->dkim_sign.n_sign_headers, 2);
	check_str("headers", runtime->dkim_sign.sign_headers[1], "subject");
	assert_int_equal(runtime->auth.n_mta_daemons, 2);
	check_str("daemons", runtime->auth.mta_daemons[1], "two");
	assert_int_equal(runtime->auth.n_sign_daemons, 1);
	check_str("id", runtime->auth.authserv_id, "a.example");
	const struct dkim_signer *found;
	size_t n;
	struct str why;
	const struct address author = {STR("joe"), STR("example.com")};
	assert_int_equal(signers_select(runtime->auth.signers, arena, &author, &found, &n, &why), SIGNERS_FOUND);
	check_str("selector", found[0].selector, "mail");
	runtime_unref(runtime);
	arena_free(arena);
}

static const struct {
	const char *text;
	const char *message;
} mistakes[] = {
	{"InternalHosts file:nope", "test.conf:1: cannot read the table nope: No such file or directory"},
	{"\nIgnoreHosts 10.0.0.0/33", "test.conf:2: \"10.0.0.0/33\" is not a network"},
	{"SignHeaders /nonexistent/x", "test.conf:1: cannot read the table /nonexistent/x"},
	{"MacroList cert_subject", "test.conf:1: MacroList: \"cert_subject\" cannot be used"},
	{"MacroList daemon_name", "test.conf:1: MacroList: \"daemon_name\" cannot be used"},
	{"PeerList 10.0.0.0/33", "test.conf:1: \"10.0.0.0/33\" is not a network"},
	{"DontSignMailTo file:nope", "test.conf:1: cannot read the table nope"},
	{"Domain example.com\nSelector s\nKeyFile nope", "test.conf:3: key file nope does not exist"},
	{"Discovery psl\nPublicSuffixList /nonexistent/x",
		"test.conf:2: cannot read the public suffix list /nonexistent/x"},
};

static void mistakes_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct arena *arena = arena_new(0);
		struct diag diag = diag_in(arena);
		struct runtime *runtime;
		check_int(mistakes[i].text, load(mistakes[i].text, &diag, &runtime), ERR_CONFIG);
		assert_null(runtime);
		if (!str_starts(diag.entries[0].text, str_of(mistakes[i].message)))
			check_str(mistakes[i].text, diag.entries[0].text, mistakes[i].message);
		arena_free(arena);
	}
}

static void exceptions_are_loaded(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct runtime *runtime;
	write_file("macros", STR("{daemon_name} ONE|TWO\nauth_authen\n"));
	assert_int_equal(load("MacroList file:macros\nPeerList 192.0.2.1\nExemptDomains a.example\n"
			      "DontSignMailTo b.example\nIgnoreMailFrom c.example\n",
				 &diag, &runtime),
		ERR_OK);
	assert_int_equal(runtime->auth.n_local_daemons, 2);
	check_str("daemon", runtime->auth.local_daemons[1], "TWO");
	assert_true(contains(runtime->auth.peers, "192.0.2.1"));
	const struct address_set *sets[] = {
		runtime->auth.exempt_domains, runtime->auth.dont_sign_mail_to, runtime->auth.ignore_mail_from};
	for (size_t i = 0; i < COUNT(sets); i++)
		for (size_t k = 0; k < COUNT(sets); k++) {
			struct address address = {STR("x"), arena_printf(arena, "%c.example", (int)('a' + k))};
			assert_int_equal(address_set_has(sets[i], arena, &address), i == k);
		}
	runtime_unref(runtime);
	assert_int_equal(load("MacroList daemon_name|ORIGINATING", &diag, &runtime), ERR_OK);
	check_str("daemon", runtime->auth.local_daemons[0], "ORIGINATING");
	runtime_unref(runtime);
	arena_free(arena);
}

/* Keys are not looked at where nothing is signed; the list not where the tree is walked. */
static void what_is_not_used_is_not_opened(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct runtime *runtime;
	assert_int_equal(load("Mode v\nDomain example.com\nSelector s\nKeyFile nope\nPublicSuffixList /nonexistent/x\n",
				 &diag, &runtime),
		ERR_OK);
	assert_null(runtime->auth.signers);
	assert_null(runtime->dmarc.suffixes);
	runtime_unref(runtime);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_agree),
		cmocka_unit_test(options_of_reports),
		cmocka_unit_test(tables_and_keys_are_opened),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(exceptions_are_loaded),
		cmocka_unit_test(what_is_not_used_is_not_opened),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
