/*
 * The table of who is signed and who is judged.
 */
#include "test.h"

#include "auth/origin.h"
#include "tables/hosts.h"

static struct hosts *hosts_of(struct arena *arena, const char *list)
{
	struct diag diag = diag_in(arena);
	struct dataset dataset;
	struct hosts *hosts = NULL;
	assert_int_equal(dataset_read(arena, str_of(list), (struct diag_place){0}, &diag, &dataset), ERR_OK);
	assert_int_equal(hosts_build(arena, &dataset, &diag, &hosts), ERR_OK);
	return hosts;
}

enum { SIGN = 1, VERIFY = 2, JUDGE = 4 };

static const struct {
	const char *what;
	const char *mode;
	const char *client; /* NULL: local submission */
	const char *user;
	const char *daemon;
	bool judge_authenticated;
	int wanted;
} rows[] = {
	{"outside", "sv", "203.0.113.1", "", "", false, VERIFY | JUDGE},
	{"outside is never signed, not even by a signer alone", "s", "203.0.113.1", "", "", false, 0},
	{"authenticated", "sv", "203.0.113.1", "alice", "", false, SIGN},
	{"authenticated, judged by option", "sv", "203.0.113.1", "alice", "", true, SIGN | VERIFY | JUDGE},
	{"authenticated, nothing to sign with", "v", "203.0.113.1", "alice", "", false, 0},
	{"internal", "sv", "192.0.2.7", "", "", false, SIGN | VERIFY},
	{"internal, verifier alone", "v", "192.0.2.7", "", "", false, VERIFY},
	{"local submission", "sv", NULL, "", "", false, SIGN | VERIFY},
	{"ignored host: verified, never judged", "sv", "198.51.100.4", "", "", false, VERIFY},
	{"a daemon that signs", "sv", "192.0.2.7", "", "MSA", false, SIGN | VERIFY},
	{"a daemon that does not", "sv", "192.0.2.7", "", "REINJECT", false, VERIFY},
	{"a daemon whose mail is ours (MTA)", "sv", "203.0.113.1", "", "MSA", false, SIGN | VERIFY},
	{"other mail is signed as without MTA", "sv", "203.0.113.1", "alice", "", false, SIGN},
	{"a daemon that marks mail as ours (MacroList)", "sv", "203.0.113.1", "", "ORIGINATING", false, VERIFY},
	{"MTA and SignDaemons: both have to name it", "sv", "203.0.113.1", "", "UNSIGNED", false, VERIFY},
	{"a peer: nothing is done", "sv", "192.0.2.99", "", "", false, 0},
	{"an authenticated client that is a peer", "sv", "192.0.2.99", "alice", "", true, 0},
	{"authenticated at a daemon that does not sign", "sv", "203.0.113.1", "alice", "REINJECT", false, 0},
};

static void origins_have_their_rights(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	static const struct str daemons[] = {STR_INIT("MSA"), STR_INIT("")};
	static const struct str mta[] = {STR_INIT("MSA"), STR_INIT("UNSIGNED")};
	static const struct str local[] = {STR_INIT("ORIGINATING")};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct auth_options options = {
			.mode_sign = strchr(rows[i].mode, 's') != NULL,
			.mode_verify = strchr(rows[i].mode, 'v') != NULL,
			.ignore_authenticated_clients = !rows[i].judge_authenticated,
			.internal_hosts = hosts_of(arena, "csl:192.0.2.0/24,local"),
			.ignore_hosts = hosts_of(arena, "csl:198.51.100.4"),
			.sign_daemons = daemons,
			.n_sign_daemons = COUNT(daemons),
			.mta_daemons = mta,
			.n_mta_daemons = COUNT(mta),
			.local_daemons = local,
			.n_local_daemons = COUNT(local),
			.peers = hosts_of(arena, "192.0.2.99"),
		};
		struct auth_envelope envelope = {
			.auth_user = str_of(rows[i].user), .daemon_name = str_of(rows[i].daemon)};
		if (rows[i].client != NULL)
			assert_true(ip_parse(str_of(rows[i].client), &envelope.client));
		struct origin origin = origin_of(&options, &envelope);
		int got = (origin.may_sign ? SIGN : 0) | (origin.may_verify ? VERIFY : 0) | (origin.judge ? JUDGE : 0);
		check_int(rows[i].what, got, rows[i].wanted);
		check_int(rows[i].what, origin.kind == AUTH_PEER, strstr(rows[i].what, "a peer") != NULL);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(origins_have_their_rights)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
