/*
 * Every option that names a data set, with a data set of every kind: the same rows must come to the same.
 *
 *	TEST_PGSQL="HOST-DIRECTORY PORT USER PASSWORD" test_datasets KEY-FILE
 *
 * Without TEST_PGSQL (datasets.py sets it) the kinds that are PostgreSQL's are left out.
 */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <lmdb.h>
#include <sqlite3.h>

#include "auth/addresses.h"
#include "auth/signers.h"
#include "auth/users.h"
#include "base/buf.h"
#include "config/config.h"
#include "tables/dataset.h"
#include "tables/hosts.h"

static const char *key_file;
static struct {
	char host[128], port[16], user[64], password[64];
} pgsql; /* host "": none */

struct fixture {
	char directory[64];
	struct arena *arena;
	unsigned n; /* sets made */
};

/* ---- a set of each kind ---- */

static void write_file(const char *name, struct str text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static struct dataset rows_of(struct arena *arena, const char *text)
{
	struct dataset dataset = {.kind = DATASET_FILE};
	dataset_parse_lines(arena, str_of(text), "rows", &dataset);
	return dataset;
}

static const char *make_file(struct fixture *fixture, const char *prefix, const char *text)
{
	const char *path = arena_printf(fixture->arena, "%s/set%u", fixture->directory, fixture->n++).p;
	write_file(path, str_of(text));
	return arena_printf(fixture->arena, "%s%s", prefix, path).p;
}

static const char *make_csl(struct fixture *fixture, const char *prefix, const char *text)
{
	struct dataset rows = rows_of(fixture->arena, text);
	struct buf out = buf_in(fixture->arena);
	buf_add_cstr(&out, prefix);
	for (size_t i = 0; i < rows.n; i++)
		buf_printf(&out, "%s%.*s%s%.*s", i > 0 ? ", " : "", STR_ARG(rows.rows[i].key),
			rows.rows[i].value.n > 0 ? "=" : "", STR_ARG(rows.rows[i].value));
	return buf_cstr(&out);
}

static const char *make_lmdb(struct fixture *fixture, const char *prefix, const char *text)
{
	struct dataset rows = rows_of(fixture->arena, text);
	const char *path = arena_printf(fixture->arena, "%s/set%u", fixture->directory, fixture->n++).p;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	for (size_t i = 0; i < rows.n; i++) {
		struct str k = arena_dup(fixture->arena, rows.rows[i].key),
			   v = arena_dup(fixture->arena, rows.rows[i].value);
		MDB_val key = {k.n, (void *)(uintptr_t)k.p}, value = {v.n, (void *)(uintptr_t)v.p};
		assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	return arena_printf(fixture->arena, "%s%s", prefix, path).p;
}

static struct str sql_of(struct arena *arena, const char *table, const char *text)
{
	struct dataset rows = rows_of(arena, text);
	struct buf sql = buf_in(arena);
	buf_printf(&sql, "CREATE TABLE %s (k TEXT, v TEXT);", table);
	for (size_t i = 0; i < rows.n; i++)
		buf_printf(&sql, "INSERT INTO %s VALUES ('%.*s', '%.*s');", table, STR_ARG(rows.rows[i].key),
			STR_ARG(rows.rows[i].value));
	return arena_dup(arena, buf_str(&sql));
}

static const char *make_sqlite(struct fixture *fixture, const char *prefix, const char *text)
{
	const char *path = arena_printf(fixture->arena, "%s/set%u", fixture->directory, fixture->n++).p;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql_of(fixture->arena, "t", text).p, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	return str_eq(str_of(prefix), STR("sqlite:"))
		       ? arena_printf(fixture->arena, "sqlite:%s?table=t&keycol=k&datacol=v", path).p
		       : arena_printf(fixture->arena, "%s//%s/table=t?keycol=k?datacol=v", prefix, path).p;
}

static const char *make_pgsql(struct fixture *fixture, const char *prefix, const char *text)
{
	const char *table = arena_printf(fixture->arena, "t%u_%u", (unsigned)getpid(), fixture->n++).p;
	const char *names[] = {"host", "port", "user", "dbname", NULL};
	const char *values[] = {pgsql.host, pgsql.port, pgsql.user, "mail", NULL};
	PGconn *connection = PQconnectdbParams(names, values, 0);
	PGresult *result = PQexec(connection, sql_of(fixture->arena, table, text).p);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		check_str("PostgreSQL", str_of(PQerrorMessage(connection)), "");
	PQclear(result);
	PQfinish(connection);
	if (str_eq(str_of(prefix), STR("pgsql:")))
		return arena_printf(fixture->arena, "pgsql:///mail?host=%s&port=%s&user=%s&table=%s&keycol=k&datacol=v",
			pgsql.host, pgsql.port, pgsql.user, table)
			.p;
	return arena_printf(fixture->arena, "%s//%s:%s@%s+127.0.0.1/mail/table=%s?keycol=k?datacol=v", prefix,
		pgsql.user, pgsql.password, pgsql.port, table)
		.p;
}

static const struct {
	const char *prefix;
	const char *(*make)(struct fixture *fixture, const char *prefix, const char *text);
} kinds[] = {
	{"file:", make_file},
	{"", make_file},
	{"refile:", make_file},
	{"csl:", make_csl},
	{"", make_csl},
	{"lmdb:", make_lmdb},
	{"mdb:", make_lmdb},
	{"sqlite:", make_sqlite},
	{"dsn:sqlite3:", make_sqlite},
	{"pgsql:", make_pgsql},
	{"dsn:pgsql:", make_pgsql},
};

/* ---- what an option comes to ---- */

static struct str clients_text(struct arena *arena, const struct hosts *hosts)
{
	static const struct {
		const char *address, *name;
	} clients[] = {
		{"192.0.2.1", ""},
		{"192.0.2.2", ""},
		{"198.51.100.9", "mail.example.net"},
		{"198.51.100.9", "a.b.example.org"},
		{"198.51.100.9", "example.org"},
		{"2001:db8::7", ""},
	};
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < COUNT(clients); i++) {
		struct ip ip;
		assert_true(ip_parse(str_of(clients[i].address), &ip));
		buf_add_char(&out, hosts_contain(hosts, &ip, str_of(clients[i].name)) ? 'y' : '-');
	}
	return buf_str(&out);
}

static const struct address addresses[] = {
	{STR_INIT("joe"), STR_INIT("example.com")},
	{STR_INIT("ann"), STR_INIT("example.com")},
	{STR_INIT("joe"), STR_INIT("example.net")},
	{STR_INIT("joe"), STR_INIT("sub.example.org")},
	{STR_INIT("joe"), STR_INIT("example.org")},
	{STR_INIT("list"), STR_INIT("any.example")},
	{STR_INIT("joe"), STR_INIT("any.example")},
};

static struct str addresses_text(struct arena *arena, const struct address_set *set)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < COUNT(addresses); i++)
		buf_add_char(&out, address_set_has(set, arena, &addresses[i]) ? 'y' : '-');
	return buf_str(&out);
}

/* Of each address "d/s/i "; "- " where it is not signed for. */
static struct str signers_text(struct arena *arena, const struct signers *signers)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < COUNT(addresses); i++) {
		const struct dkim_signer *found;
		size_t n;
		struct str why;
		enum signers_outcome outcome = signers_select(signers, arena, &addresses[i], &found, &n, &why);
		if (outcome == SIGNERS_FOUND)
			buf_printf(&out, "%.*s/%.*s/%.*s ", STR_ARG(found[0].domain), STR_ARG(found[0].selector),
				STR_ARG(found[0].identity));
		else
			buf_printf(&out, "%s ", outcome == SIGNERS_NO_MATCH ? "-" : "broken");
	}
	return buf_str(&out);
}

static struct str internal_hosts(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.internal_hosts);
}

static struct str external_ignore(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.external_ignore);
}

static struct str ignore_hosts(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.ignore_hosts);
}

static struct str peers(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.peers);
}

static struct str spf_ignore_hosts(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.spf_ignore_hosts);
}

static struct str secondary_mx(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.secondary_mx);
}

static struct str trusted_forwarders(struct arena *arena, const struct runtime *runtime)
{
	return clients_text(arena, runtime->auth.trusted_forwarders);
}

static struct str domain_whitelist(struct arena *arena, const struct runtime *runtime)
{
	return addresses_text(arena, runtime->auth.domain_whitelist);
}

static struct str exempt_domains(struct arena *arena, const struct runtime *runtime)
{
	return addresses_text(arena, runtime->auth.exempt_domains);
}

static struct str dont_sign_mail_to(struct arena *arena, const struct runtime *runtime)
{
	return addresses_text(arena, runtime->auth.dont_sign_mail_to);
}

static struct str ignore_mail_from(struct arena *arena, const struct runtime *runtime)
{
	return addresses_text(arena, runtime->auth.ignore_mail_from);
}

static struct str signing(struct arena *arena, const struct runtime *runtime)
{
	return signers_text(arena, runtime->auth.signers);
}

static struct str users(struct arena *arena, const struct runtime *runtime)
{
	static const char *const names[] = {"joe", "ann@example.com", "other"};
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < COUNT(names); i++)
		for (size_t k = 0; k < COUNT(addresses); k++)
			buf_add_char(&out,
				users_may(runtime->auth.users, arena, str_of(names[i]), &addresses[k], 1) ? 'y' : '-');
	return buf_str(&out);
}

static struct str daemons(struct arena *arena, const struct runtime *runtime)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < runtime->auth.n_local_daemons; i++)
		buf_printf(&out, "%.*s ", STR_ARG(runtime->auth.local_daemons[i]));
	return buf_str(&out);
}

#define HOSTS "192.0.2.0/24\n!192.0.2.2\nmail.example.net\n.example.org\n2001:db8::/32\n"
#define HOSTS_FOUND "y-yy-y"
#define ADDRESSES "joe@example.com\nexample.net\n.example.org\nlist@*\n"
#define ADDRESS_PATTERNS "joe@example.com\n*@example.net\n*@*.example.org\nlist@*\n"
#define ADDRESSES_FOUND "y-yy-y-"
#define KEYS "KeyTable file:@/keys\n"
#define AUTHORS "SigningTable file:@/authors\n"

/* "@": the directory; "$KEY", "$BASE64", "$PEM": the key's file, its base64, its PEM on one line. */
static const struct {
	const char *option;
	const char *more; /* other lines */
	const char *rows;
	const char
		*patterns; /* refile:, where they are written otherwise; NULL: the same, "": it has no meaning there */
	const char *wanted;
	struct str (*text)(struct arena *arena, const struct runtime *runtime);
} options[] = {
	{"InternalHosts", "", HOSTS, NULL, HOSTS_FOUND, internal_hosts},
	{"ExternalIgnoreList", "", HOSTS, NULL, HOSTS_FOUND, external_ignore},
	{"IgnoreHosts", "", HOSTS, NULL, HOSTS_FOUND, ignore_hosts},
	{"PeerList", "", HOSTS, NULL, HOSTS_FOUND, peers},
	{"SPFIgnoreHosts", "", HOSTS, NULL, HOSTS_FOUND, spf_ignore_hosts},
	{"SecondaryMX", "", HOSTS, NULL, HOSTS_FOUND, secondary_mx},
	{"TrustedForwarders", "", HOSTS, NULL, HOSTS_FOUND, trusted_forwarders},
	{"DomainWhitelist", "", ADDRESSES, ADDRESS_PATTERNS, ADDRESSES_FOUND, domain_whitelist},
	{"ExemptDomains", "", ADDRESSES, ADDRESS_PATTERNS, ADDRESSES_FOUND, exempt_domains},
	{"DontSignMailTo", "", ADDRESSES, ADDRESS_PATTERNS, ADDRESSES_FOUND, dont_sign_mail_to},
	{"IgnoreMailFrom", "", ADDRESSES, ADDRESS_PATTERNS, ADDRESSES_FOUND, ignore_mail_from},
	{"Domain", "Selector s\nKeyFile $KEY\n", "example.com\nexample.net\n", NULL,
		"example.com/s/ example.com/s/ example.net/s/ - - - - ", signing},
	{"SigningTable", KEYS, "joe@example.com one\nexample.net two\n.example.org one:list@%\nlist@* any:%\n",
		"joe@example.com one\n*@example.net two\n*@*.example.org one:list@%\nlist@* any:%\n",
		"example.com/s1/ - example.net/s2/ example.com/s1/ - any.example/s/@any.example - ", signing},
	{"SigningTable", KEYS, "joe@example.com one\n* any\n", NULL,
		"example.com/s1/ example.com/s/ example.net/s/ sub.example.org/s/ example.org/s/ any.example/s/ "
		"any.example/s/ ",
		signing},
	{"KeyTable", AUTHORS, "one example.com:s1:$KEY\ntwo %:s2:@/%.pem\n", NULL,
		"example.com/s1/ example.com/s1/ example.net/s2/ - - broken broken ", signing},
	{"KeyTable", AUTHORS, "one example.com:s1:$BASE64\ntwo %:s2:$BASE64\n", NULL,
		"example.com/s1/ example.com/s1/ example.net/s2/ - - any.example/s2/ any.example/s2/ ", signing},
	{"KeyTable", AUTHORS, "one example.com:s1:$PEM\ntwo example.net:s2:$PEM\n", NULL,
		"example.com/s1/ example.com/s1/ example.net/s2/ - - example.net/s2/ example.net/s2/ ", signing},
	{"UserDomains", "", "joe example.com\nann@example.com %\n* *\n", "", "yy-----yy-----yyyyyyy", users},
	{"MacroList", "", "daemon_name|ORIGINATING|OTHER\n{daemon_name}|THIRD\n", NULL, "ORIGINATING OTHER THIRD ",
		daemons},
};

static const char *fill_in(struct fixture *fixture, const char *text)
{
	static const struct {
		const char *word, *file;
	} files[] = {{"$BASE64", "base64"}, {"$PEM", "flat"}};
	struct buf out = buf_in(fixture->arena);
	for (const char *p = text; *p != '\0'; p++) {
		struct str file, rest = str_of(p);
		size_t i = 0;
		while (i < COUNT(files) && !str_starts(rest, str_of(files[i].word)))
			i++;
		if (i < COUNT(files)) {
			assert_int_equal(dataset_read_file(fixture->arena, files[i].file, &file), ERR_OK);
			buf_add(&out, file);
			p += strlen(files[i].word) - 1;
		} else if (str_starts(rest, STR("$KEY"))) {
			buf_add_cstr(&out, key_file);
			p += 3;
		} else if (str_starts(rest, STR("@/"))) {
			buf_add_cstr(&out, fixture->directory);
		} else {
			buf_add_char(&out, *p);
		}
	}
	return arena_dup(fixture->arena, buf_str(&out)).p;
}

static void check_option(struct fixture *fixture, size_t i, size_t k)
{
	static const char *const path = "test.conf";
	bool is_refile = str_eq(str_of(kinds[k].prefix), STR("refile:"));
	const char *rows = is_refile && options[i].patterns != NULL ? options[i].patterns : options[i].rows;
	struct diag diag = diag_in(fixture->arena);
	const struct config *config;
	struct runtime *runtime = NULL;
	if (rows[0] == '\0' || (kinds[k].make == make_pgsql && pgsql.host[0] == '\0'))
		return;
	const char *spec = kinds[k].make(fixture, kinds[k].prefix, fill_in(fixture, rows));
	struct str text = arena_printf(fixture->arena, "RequireSafeKeys no\n%s %s\n%s", options[i].option, spec,
		fill_in(fixture, options[i].more));
	write_file(path, text);
	enum err err = config_read(fixture->arena, &path, 1, &diag, &config);
	if (err == ERR_OK)
		err = config_load(config, &diag, &runtime);
	for (size_t n = 0; n < diag.n && err != ERR_OK; n++)
		print_error("%.*s\n", STR_ARG(diag.entries[n].text));
	check_int(spec, err, ERR_OK);
	const char *what = arena_printf(fixture->arena, "%s %s", options[i].option, spec).p;
	check_str(what, options[i].text(fixture->arena, runtime), options[i].wanted);
	bool is_database = kinds[k].make != make_file && kinds[k].make != make_csl;
	check_int(what, runtime->databases != 0, is_database);
	runtime_unref(runtime);
}

static void options_take_sets_of_every_kind(void **state)
{
	for (size_t i = 0; i < COUNT(options); i++)
		for (size_t k = 0; k < COUNT(kinds); k++)
			check_option(*state, i, k);
}

/* ---- what they need ---- */

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->directory, "/tmp/trimilter-datasets-XXXXXX");
	fixture->arena = arena_new(0);
	*state = fixture;
	if (mkdtemp(fixture->directory) == NULL || chdir(fixture->directory) != 0)
		return -1;
	struct str pem;
	struct buf base64 = buf_in(fixture->arena), flat = buf_in(fixture->arena);
	if (dataset_read_file(fixture->arena, key_file, &pem) != ERR_OK)
		return -1;
	for (struct str rest = pem, line; str_cut(&rest, '\n', &line);) {
		if (!str_starts(line, STR("-----")))
			buf_add(&base64, line);
		buf_add(&flat, line);
	}
	write_file("base64", buf_str(&base64));
	write_file("flat", buf_str(&flat));
	write_file("example.net.pem", pem);
	write_file(
		"keys", str_of(fill_in(fixture, "one example.com:s1:$KEY\ntwo example.net:s2:$KEY\nany %:s:$KEY\n")));
	write_file("authors", STR("example.com one\nexample.net two\nany.example two\n"));
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = chdir("/") + system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(options_take_sets_of_every_kind, set_up, tear_down),
	};
	const char *server = getenv("TEST_PGSQL");
	if (argc != 2)
		return 64;
	key_file = argv[1];
	if (server != NULL &&
		sscanf(server, "%127s %15s %63s %63s", pgsql.host, pgsql.port, pgsql.user, pgsql.password) != 4)
		return 64;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
