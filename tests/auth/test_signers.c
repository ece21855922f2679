/*
 * Whose mail is signed with which key: the order of look-up of opendkim.conf(5), key files and what may be wrong
 * with them.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/keyring.h"
#include "auth/signers.h"
#include "base/buf.h"

/* A directory with keys, made once. */
struct fixture {
	struct arena *arena;
	char directory[64];
	struct str rsa, ed; /* PEM */
};

static const char *path_of(struct fixture *fixture, const char *name)
{
	return arena_printf(fixture->arena, "%s/%s", fixture->directory, name).p;
}

static void write_file(struct fixture *fixture, const char *name, struct str text, mode_t mode)
{
	const char *path = path_of(fixture, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct str new_key(struct fixture *fixture, enum dkim_key_type type, unsigned bits)
{
	struct dkim_private_key *key = dkim_private_key_generate(type, bits);
	assert_non_null(key);
	struct str pem = dkim_private_key_pem(fixture->arena, key);
	dkim_private_key_unref(key);
	return pem;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->arena = arena_new(0);
	strcpy(fixture->directory, "/tmp/trimilter-signers-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	fixture->rsa = new_key(fixture, DKIM_KEY_RSA, 2048);
	fixture->ed = new_key(fixture, DKIM_KEY_ED25519, 0);
	write_file(fixture, "rsa", fixture->rsa, 0600);
	write_file(fixture, "ed", fixture->ed, 0600);
	write_file(fixture, "example.net.key", fixture->ed, 0600);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->directory);
	int status = system(command);
	arena_free(fixture->arena);
	free(fixture);
	return status;
}

/* '$' in @text becomes the fixture's directory. */
static struct dataset table(struct fixture *fixture, const char *text, enum dataset_kind kind, const char *file)
{
	struct dataset dataset = {.kind = kind};
	struct buf filled = buf_in(fixture->arena);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '$')
			buf_add_cstr(&filled, fixture->directory);
		else
			buf_add_char(&filled, *p);
	}
	dataset_parse_lines(fixture->arena, buf_str(&filled), file, &dataset);
	return dataset;
}

static struct signers *build(struct fixture *fixture, struct arena *arena, const char *keys, const char *authors,
	enum dataset_kind kind, bool multiple, struct diag *diag)
{
	struct dataset key_table = table(fixture, keys, DATASET_FILE, "KeyTable");
	struct dataset signing_table = table(fixture, authors, kind, "SigningTable");
	const struct signers_source source = {
		.key_table = &key_table,
		.signing_table = &signing_table,
		.minimum_key_bits = 1024,
		.require_safe_keys = true,
		.multiple_signatures = multiple,
	};
	struct signers *signers = NULL;
	signers_build(arena, &source, diag, &signers);
	return signers;
}

/* "domain/selector/identity ..." of those who sign; "none"; "broken". */
static struct str select_text(const struct signers *signers, struct arena *arena, const char *author)
{
	const struct dkim_signer *found;
	size_t n;
	struct str why, rest = str_of(author), user, text = STR("");
	str_cut(&rest, '@', &user);
	const struct address address = {user, rest};
	switch (signers_select(signers, arena, &address, &found, &n, &why)) {
	case SIGNERS_NO_MATCH:
		return STR("none");
	case SIGNERS_KEY_BROKEN:
		assert_true(why.n > 0);
		return STR("broken");
	case SIGNERS_FOUND:
		break;
	}
	for (size_t i = 0; i < n; i++) {
		assert_non_null(found[i].key);
		text = arena_printf(arena, "%.*s%s%.*s/%.*s/%.*s", STR_ARG(text), i > 0 ? " " : "",
			STR_ARG(found[i].domain), STR_ARG(found[i].selector), STR_ARG(found[i].identity));
	}
	return text;
}

#define KEYS                                                                                                           \
	"k1 d1.example:s1:$/rsa\n"                                                                                     \
	"k2 d2.example:s2:$/rsa\n"                                                                                     \
	"k3 d3.example:s3:$/ed\n"                                                                                      \
	"any %:s:$/rsa\n"                                                                                              \
	"dir %:s:$/%.key\n"                                                                                            \
	"example.com example.com:own:$/rsa\n"

static const struct {
	const char *what;
	const char *authors;
	enum dataset_kind kind;
	bool multiple;
	const char *author;
	const char *wanted;
} rows[] = {
	{"user@host comes before host", "example.com k1\njoe@example.com k2\n", DATASET_FILE, false, "joe@example.com",
		"d2.example/s2/"},
	{"host", "example.com k1\njoe@example.com k2\n", DATASET_FILE, false, "ann@example.com", "d1.example/s1/"},
	{"host is not for what is below", "example.com k1\n", DATASET_FILE, false, "joe@sub.example.com", "none"},
	{".domain is for what is below", ".example.com k1\n", DATASET_FILE, false, "joe@a.sub.example.com",
		"d1.example/s1/"},
	{".domain is not for the domain", ".example.com k1\n", DATASET_FILE, false, "joe@example.com", "none"},
	{"user@.domain before .domain", ".example.com k1\njoe@.example.com k2\n", DATASET_FILE, false,
		"joe@sub.example.com", "d2.example/s2/"},
	{"the nearer .domain", ".com k1\n.example.com k2\n", DATASET_FILE, false, "joe@sub.example.com",
		"d2.example/s2/"},
	{".domain before user@*", "joe@* k1\n.example.com k2\n", DATASET_FILE, false, "joe@sub.example.com",
		"d2.example/s2/"},
	{"user@* before *", "* k1\njoe@* k2\n", DATASET_FILE, false, "joe@example.com", "d2.example/s2/"},
	{"* is for all", "* k1\n", DATASET_FILE, false, "joe@example.com", "d1.example/s1/"},
	{"nobody", "example.org k1\n", DATASET_FILE, false, "joe@example.com", "none"},
	{"case does not count", "JOE@Example.COM K1\n", DATASET_FILE, false, "Joe@example.com", "d1.example/s1/"},
	{"the first row of a key", "example.com k1\nexample.com k2\n", DATASET_FILE, false, "joe@example.com",
		"d1.example/s1/"},
	{"MultipleSignatures: all of them, in order", "* k3\nexample.com k1\nexample.com k2\n", DATASET_FILE, true,
		"joe@example.com", "d1.example/s1/ d2.example/s2/ d3.example/s3/"},
	{"MultipleSignatures: no key twice", "* k1\nexample.com k1\n", DATASET_FILE, true, "joe@example.com",
		"d1.example/s1/"},
	{"% in the key table is the author's domain", "* any\n", DATASET_FILE, false, "joe@example.org",
		"example.org/s/"},
	{"% in the path", "* dir\n", DATASET_FILE, false, "joe@example.net", "example.net/s/"},
	{"% in the path, and no such key: never unsigned", "* dir\n", DATASET_FILE, false, "joe@example.org", "broken"},
	{"% in the path, from one who would climb", "* dir\n", DATASET_FILE, false, "joe@../rsa", "none"},
	{"% in the path, from one with a slash", "* dir\n", DATASET_FILE, false, "joe@a/../example.net", "none"},
	{"% in the path, from one with a NUL's name", "* dir\n", DATASET_FILE, false, "joe@example.net%00", "none"},
	{"% in the signing table", "* %\n", DATASET_FILE, false, "joe@example.com", "example.com/own/"},
	{"% in the signing table, and no such key", "* %\n", DATASET_FILE, false, "joe@example.org", "broken"},
	{"a signer", "* any:list@%\n", DATASET_FILE, false, "joe@example.com", "example.com/s/list@example.com"},
	{"a signer that is a domain", "* any:%\n", DATASET_FILE, false, "joe@example.com",
		"example.com/s/@example.com"},
	{"a signer below the signing domain", "* any:x@sub.%\n", DATASET_FILE, false, "joe@example.com",
		"example.com/s/x@sub.example.com"},
	{"a signer outside the signing domain is left out", "* k1:%\n", DATASET_FILE, false, "joe@example.com",
		"d1.example/s1/"},

	{"refile: the first row in the file", "*@example.com k1\njoe@example.com k2\n", DATASET_REFILE, false,
		"joe@example.com", "d1.example/s1/"},
	{"refile: the first row in the file, the other way", "joe@example.com k2\n*@example.com k1\n", DATASET_REFILE,
		false, "joe@example.com", "d2.example/s2/"},
	{"refile: * first shuts off the rest", "* k1\n*@example.com k2\n", DATASET_REFILE, false, "joe@example.com",
		"d1.example/s1/"},
	{"refile: *@domain is not for what is below", "*@example.com k1\n", DATASET_REFILE, false,
		"joe@sub.example.com", "none"},
	{"refile: *@*.domain is", "*@*.example.com k1\n", DATASET_REFILE, false, "joe@a.b.example.com",
		"d1.example/s1/"},
	{"refile: *@*.domain is not for the domain", "*@*.example.com k1\n", DATASET_REFILE, false, "joe@example.com",
		"none"},
	{"refile: *.domain", "*.example.com k1\n", DATASET_REFILE, false, "joe@a.example.com", "d1.example/s1/"},
	{"refile: an odd pattern", "j*@ex*.com k1\n", DATASET_REFILE, false, "joe@example.com", "d1.example/s1/"},
	{"refile: an odd pattern before an exact one", "j*@* k1\njoe@example.com k2\n", DATASET_REFILE, false,
		"joe@example.com", "d1.example/s1/"},
	{"refile: an exact one before an odd pattern", "joe@example.com k2\nj*@* k1\n", DATASET_REFILE, false,
		"joe@example.com", "d2.example/s2/"},
	{"refile: *example.com also takes other domains that end so", "*example.com k1\n", DATASET_REFILE, false,
		"joe@badexample.com", "d1.example/s1/"},
	{"refile: all of them in file order", "* k3\nj*@* k2\n*@example.com k1\n", DATASET_REFILE, true,
		"joe@example.com", "d3.example/s3/ d2.example/s2/ d1.example/s1/"},
	{"refile: nobody", "*@example.org k1\n", DATASET_REFILE, false, "joe@example.com", "none"},
};

static void authors_get_their_keys(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *arena = arena_new(0), *message = arena_new(0);
		struct diag diag = diag_in(arena);
		struct signers *signers =
			build(fixture, arena, KEYS, rows[i].authors, rows[i].kind, rows[i].multiple, &diag);
		if (diag.n > 0)
			print_error("%s: %s\n", rows[i].what, diag.entries[0].text.p);
		check_int(rows[i].what, (long long)diag.n, 0);
		check_str(rows[i].what, select_text(signers, message, rows[i].author), rows[i].wanted);
		arena_free(message);
		arena_free(arena);
	}
	struct arena *arena = arena_new(0);
	check_str("no signers at all", select_text(NULL, arena, "joe@example.com"), "none");
	arena_free(arena);
}

/* A key stays usable for the message that has it, also when the configuration goes. */
static void a_message_keeps_its_key(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = arena_new(0), *message = arena_new(0);
	struct diag diag = diag_in(arena);
	const struct dkim_signer *found;
	size_t n;
	struct str why;
	const struct address author = {STR("joe"), STR("example.com")};
	struct signers *signers = build(fixture, arena, KEYS, "* k1\n", DATASET_FILE, false, &diag);
	assert_int_equal(signers_select(signers, message, &author, &found, &n, &why), SIGNERS_FOUND);
	const struct dkim_private_key *key = found[0].key;
	arena_free(arena);
	assert_int_equal(dkim_private_key_bits(key), 2048);
	arena_free(message);
}

static const struct {
	const char *what;
	const char *keys, *authors;
	enum dataset_kind kind;
	size_t errors;
	const char *message; /* the first entry contains it */
} mistakes[] = {
	{"unknown key", "mail example.com:s:$/rsa\n", "* mial\n", DATASET_FILE, 1,
		"SigningTable:1: \"*\" names the key \"mial\", which KeyTable has not: did you mean \"mail\"?"},
	{"no selector", "k example.com:$/rsa\n", "* k\n", DATASET_FILE, 2,
		"KeyTable:1: key \"k\": the selector is missing"},
	{"a path alone", "k $/rsa\n", "* k\n", DATASET_FILE, 2, "domain and selector are missing"},
	{"no path", "k example.com:s\n", "* k\n", DATASET_FILE, 2, "the path is missing"},
	{"no value", "k\n", "* k\n", DATASET_FILE, 2, "the value is missing"},
	{"not a domain", "k exa mple.com:s:$/rsa\n", "* k\n", DATASET_FILE, 2, "is not a domain"},
	{"no key name", "k example.com:s:$/rsa\n", "*\n", DATASET_FILE, 1, "SigningTable:1: \"*\" names no key"},
	{"refile: forgotten", "k example.com:s:$/rsa\n", "*@example.com k\n", DATASET_FILE, 0,
		"SigningTable:1: \"*@example.com\" matches no address, because '*' is a pattern in refile: tables "
		"only"},
	{"refile: a domain alone", "k example.com:s:$/rsa\n", "example.com k\n", DATASET_REFILE, 0,
		"write \"*@example.com\""},
	{"refile: .domain", "k example.com:s:$/rsa\n", ".example.com k\n", DATASET_REFILE, 0,
		"write \"*@*.example.com\""},
	{"refile: nothing before the @", "k example.com:s:$/rsa\n", "@example.com k\n", DATASET_REFILE, 0,
		"matches no address, because none begins with '@', so this mail would leave unsigned: write "
		"\"*@example.com\""},
	{"nothing before the @", "k example.com:s:$/rsa\n", "@example.com k\n", DATASET_FILE, 0,
		"write \"example.com\""},
	{"a key of that name twice", "k example.com:s:$/rsa\nk example.com:t:$/ed\n", "* k\n", DATASET_FILE, 0,
		"KeyTable:2: key \"k\" stands further up already"},
	{"no such file", "k example.com:s:$/nope\n", "* k\n", DATASET_FILE, 1, "nope does not exist"},
	{"a directory", "k example.com:s:$/.\n", "* k\n", DATASET_FILE, 1, "is not a regular file"},
	{"readable by all", "k example.com:s:$/world\n", "* k\n", DATASET_FILE, 1,
		"everybody may read it (mode 0604): chmod 600 "},
	{"readable by the group", "k example.com:s:$/group\n", "* k\n", DATASET_FILE, 1,
		"its group may read it (mode 0640): chmod 600 "},
	{"writable by the group", "k example.com:s:$/writable\n", "* k\n", DATASET_FILE, 1, "its group may write it"},
	{"in an open directory", "k example.com:s:$/open/key\n", "* k\n", DATASET_FILE, 1,
		"others may write to the directory "},
	{"below an open directory", "k example.com:s:$/open/safe/key\n", "* k\n", DATASET_FILE, 1,
		"/open (mode 0777) and put another key"},
	{"a link into an open directory", "k example.com:s:$/link\n", "* k\n", DATASET_FILE, 1,
		"others may write to the directory "},
	{"a link to a file that all may read", "k example.com:s:$/link2\n", "* k\n", DATASET_FILE, 1,
		"everybody may read it (mode 0604)"},
	{"too small", "k example.com:s:$/small\n", "* k\n", DATASET_FILE, 1,
		"has 1024 bits, but at least 2000 are required"},
	{"not a key", "k example.com:s:$/junk\n", "* k\n", DATASET_FILE, 1, "junk cannot be used: "},
	{"an empty file", "k example.com:s:$/empty\n", "* k\n", DATASET_FILE, 1, "empty cannot be used: "},
	{"a path without its slash", "k example.com:s:keys/mail.private\n", "* k\n", DATASET_FILE, 1,
		"begin it with / or ./"},
};

static void mistakes_are_named(void **state)
{
	struct fixture *fixture = *state;
	write_file(fixture, "world", fixture->rsa, 0604);
	write_file(fixture, "group", fixture->rsa, 0640);
	write_file(fixture, "writable", fixture->rsa, 0620);
	write_file(fixture, "small", new_key(fixture, DKIM_KEY_RSA, 1024), 0600);
	write_file(fixture, "junk", STR("-----BEGIN PRIVATE KEY-----\njunk\n"), 0600);
	write_file(fixture, "empty", STR(""), 0600);
	assert_int_equal(mkdir(path_of(fixture, "open"), 0700), 0);
	assert_int_equal(mkdir(path_of(fixture, "open/safe"), 0700), 0);
	write_file(fixture, "open/key", fixture->rsa, 0600);
	write_file(fixture, "open/safe/key", fixture->rsa, 0600);
	assert_int_equal(chmod(path_of(fixture, "open"), 0777), 0);
	assert_int_equal(symlink("open/key", path_of(fixture, "link")), 0);
	assert_int_equal(symlink("world", path_of(fixture, "link2")), 0);
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		struct arena *arena = arena_new(0);
		struct diag diag = diag_in(arena);
		struct dataset keys = table(fixture, mistakes[i].keys, DATASET_FILE, "KeyTable");
		struct dataset authors = table(fixture, mistakes[i].authors, mistakes[i].kind, "SigningTable");
		const struct signers_source source = {
			.key_table = &keys,
			.signing_table = &authors,
			.minimum_key_bits = 2000,
			.require_safe_keys = true,
		};
		struct signers *signers = NULL;
		enum err err = signers_build(arena, &source, &diag, &signers);
		check_int(mistakes[i].what, err, mistakes[i].errors > 0 ? ERR_CONFIG : ERR_OK);
		check_int(mistakes[i].what, (long long)diag.n_errors, (long long)mistakes[i].errors);
		if (diag.n == 0 || strstr(diag.entries[0].text.p, mistakes[i].message) == NULL)
			check_str(mistakes[i].what, diag.n > 0 ? diag.entries[0].text : STR(""), mistakes[i].message);
		arena_free(arena);
	}
}

/* What only root can prepare. */
static void directories_of_others(void **state)
{
	static const struct {
		const char *what;
		uid_t owner;
		gid_t group;
		mode_t mode;
		const char *message; /* NULL: nothing is wrong */
	} directories[] = {
		{"root's", 0, 0, 0755, NULL},
		{"a stranger's", 65534, 0, 0755, "place: chown root "},
		{"a stranger's, with the sticky bit", 65534, 0, 01755, "place: chown root "},
		{"a strange group's", 0, 65534, 0770, "chmod go-w "},
		{"a strange group's, that may not write", 0, 65534, 0750, NULL},
	};
	struct fixture *fixture = *state;
	if (geteuid() != 0)
		skip();
	const char *path = path_of(fixture, "theirs");
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(fixture, "theirs/key", fixture->rsa, 0600);
	for (size_t i = 0; i < COUNT(directories); i++) {
		struct arena *arena = arena_new(0);
		struct diag diag = diag_in(arena);
		assert_int_equal(chown(path, directories[i].owner, directories[i].group), 0);
		assert_int_equal(chmod(path, directories[i].mode), 0);
		build(fixture, arena, "k example.com:s:$/theirs/key\n", "* k\n", DATASET_FILE, false, &diag);
		if (directories[i].message == NULL)
			check_str(directories[i].what, diag.n > 0 ? diag.entries[0].text : STR(""), "");
		else if (diag.n == 0 || strstr(diag.entries[0].text.p, directories[i].message) == NULL)
			check_str(directories[i].what, diag.n > 0 ? diag.entries[0].text : STR(""),
				directories[i].message);
		arena_free(arena);
	}
}

static void unsafe_keys_may_be_tolerated(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	write_file(fixture, "world", fixture->rsa, 0604);
	const struct str domain = STR("example.com");
	const struct signers_source source = {
		.domains = &domain,
		.n_domains = 1,
		.selector = STR("s"),
		.key_file = str_of(path_of(fixture, "world")),
		.subdomains = true,
		.place = {"conf", 3},
	};
	struct signers *signers;
	assert_int_equal(signers_build(arena, &source, &diag, &signers), ERR_OK);
	assert_int_equal(diag.n, 1);
	assert_true(str_starts(diag.entries[0].text, STR("conf:3: key file ")));
	check_str("Domain", select_text(signers, arena, "joe@example.com"), "example.com/s/");
	check_str("SubDomains", select_text(signers, arena, "joe@a.b.example.com"), "example.com/s/");
	check_str("another domain", select_text(signers, arena, "joe@example.org"), "none");
	arena_free(arena);
}

static void keys_may_stand_in_the_table(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct str body = STR("");
	/* Base64 of the DER is the PEM without its first and last line and its line ends. */
	for (struct str rest = fixture->ed, line; str_cut(&rest, '\n', &line);)
		if (!str_starts(line, STR("-----")))
			body = arena_printf(arena, "%.*s%.*s", STR_ARG(body), STR_ARG(line));
	const char *keys = arena_printf(arena, "k example.com:s:%.*s\n", STR_ARG(body)).p;
	struct signers *signers = build(fixture, arena, keys, "* k\n", DATASET_FILE, false, &diag);
	assert_int_equal(diag.n, 0);
	check_str("key in the table", select_text(signers, arena, "joe@example.org"), "example.com/s/");
	arena_free(arena);
}

enum { MANY = 1010, THREADS = 4, SOME = 25 };

static void select_one(const struct signers *signers, int i)
{
	struct arena *message = arena_new(0);
	struct str author = arena_printf(message, "joe@d%d.example", i);
	struct str wanted = i == 3 ? STR("broken") : arena_printf(message, "d%d.example/s/", i);
	check_str("many", select_text(signers, message, author.p), arena_dup(message, wanted).p);
	arena_free(message);
}

static void *select_some(void *signers)
{
	for (int i = 0; i < SOME; i++)
		select_one(signers, i);
	return NULL;
}

/* Beyond 1,000 keys a file is parsed at first use; a broken one is then no reason to send unsigned. */
static void many_keys_are_read_at_use(void **state)
{
	struct fixture *fixture = *state;
	struct arena *arena = arena_new(0);
	struct diag diag = diag_in(arena);
	struct buf keys = buf_in(arena), authors = buf_in(arena);
	for (int i = 0; i < MANY; i++) {
		const char *name = arena_printf(arena, "many%d", i).p;
		write_file(fixture, name, i == 3 ? STR("junk") : fixture->ed, 0600);
		buf_printf(&keys, "k%d d%d.example:s:$/%s\n", i, i, name);
		buf_printf(&authors, "*@d%d.example k%d\n", i, i);
	}
	struct signers *signers =
		build(fixture, arena, buf_cstr(&keys), buf_cstr(&authors), DATASET_REFILE, false, &diag);
	assert_int_equal(diag.n, 0);
	for (int i = 0; i < MANY; i++)
		select_one(signers, i);
	/* The first ones have been dropped for the last ones meanwhile. */
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, select_some, signers), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authors_get_their_keys),
		cmocka_unit_test(a_message_keeps_its_key),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(directories_of_others),
		cmocka_unit_test(unsafe_keys_may_be_tolerated),
		cmocka_unit_test(keys_may_stand_in_the_table),
		cmocka_unit_test(many_keys_are_read_at_use),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
