/* Public keys that are kept ready: the same one for the same record, not more than were asked for, whoever asks. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dkim/private_key.h"
#include "dkim/public_key.h"

#define POINT "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define ED25519 "v=DKIM1; k=ed25519; p=" POINT
#define MAXIMUM 3

/* The key again, with a note that makes it another record. */
static struct str record_of(struct arena *arena, unsigned number)
{
	return arena_printf(arena, "v=DKIM1; k=ed25519; n=%u; p=" POINT, number);
}

static void test_kept(void **state)
{
	(void)state;
	static const struct {
		const char *what, *record, *again;
		bool same;
	} rows[] = {
		{"the same record", ED25519, ED25519, true},
		{"another text of the same key", ED25519, ED25519 ";", false},
		{"the beginning of another", ED25519 ";", ED25519, false},
		{"refused", "v=DKIM1; p=", "v=DKIM1; p=", false},
		{"empty", "", "", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new(0);
		struct dkim_keys *keys = dkim_keys_new(MAXIMUM);
		const struct dkim_public_key *key = dkim_public_key_get(keys, arena, str_of(rows[i].record));
		if ((dkim_public_key_get(keys, arena, str_of(rows[i].again)) == key) != rows[i].same)
			fail_msg("%s", rows[i].what);
		if ((key->crypto == NULL) != (key->record.problem != NULL))
			fail_msg("%s: ready or not", rows[i].what);
		arena_free(arena);
		dkim_keys_free(keys);
	}
}

/* One may fill a record of 64 KiB with notes; such are not kept. */
static void test_long_records_are_not_kept(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_keys *keys = dkim_keys_new(MAXIMUM);
	struct str record = arena_printf(arena, "v=DKIM1; k=ed25519; n=%0*d; p=" POINT, 1024, 0);
	const struct dkim_public_key *key = dkim_public_key_get(keys, arena, record);
	assert_non_null(key->crypto);
	assert_ptr_not_equal(dkim_public_key_get(keys, arena, record), key);
	arena_free(arena);
	dkim_keys_free(keys);
}

/* The one unused for longest goes; who has it in hand keeps it. */
static void test_bounded(void **state)
{
	(void)state;
	struct arena *arena = arena_new(0);
	struct dkim_keys *keys = dkim_keys_new(MAXIMUM);
	const struct dkim_public_key *first[MAXIMUM + 1];
	for (unsigned i = 0; i < MAXIMUM; i++)
		first[i] = dkim_public_key_get(keys, arena, record_of(arena, i));
	assert_ptr_equal(dkim_public_key_get(keys, arena, record_of(arena, 0)), first[0]);
	first[MAXIMUM] = dkim_public_key_get(keys, arena, record_of(arena, MAXIMUM));
	assert_ptr_equal(dkim_public_key_get(keys, arena, record_of(arena, 0)), first[0]);
	assert_ptr_equal(dkim_public_key_get(keys, arena, record_of(arena, 2)), first[2]);
	assert_ptr_equal(dkim_public_key_get(keys, arena, record_of(arena, MAXIMUM)), first[MAXIMUM]);
	assert_ptr_not_equal(dkim_public_key_get(keys, arena, record_of(arena, 1)), first[1]);
	assert_int_equal(first[1]->record.bits, 256);
	dkim_keys_free(keys);
	arena_free(arena);
}

/* ---- threads ---- */

struct user {
	struct dkim_keys *keys;
	const struct dkim_private_key *private_key;
	struct str public_text;
	unsigned n_wrong;
};

static void *use(void *context)
{
	struct user *user = context;
	uint8_t hash[SHA256_SIZE] = {1}, made[SIGNATURE_MAX];
	size_t n;
	crypto_key_sign(dkim_private_key_crypto(user->private_key), hash, made, &n);
	for (unsigned i = 0; i < 300; i++) {
		struct arena *arena = arena_new(0);
		struct str record =
			arena_printf(arena, "k=rsa; n=%u; p=%.*s", i % (2 * MAXIMUM), STR_ARG(user->public_text));
		const struct dkim_public_key *key = dkim_public_key_get(user->keys, arena, record);
		struct str signature = str_from((const char *)made, n);
		user->n_wrong += crypto_key_verify(key->crypto, hash, signature) != CRYPTO_GOOD;
		made[0] ^= 1;
		user->n_wrong += crypto_key_verify(key->crypto, hash, signature) != CRYPTO_BAD;
		made[0] ^= 1;
		arena_free(arena);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	enum { N = 4 };
	struct arena *arena = arena_new(0);
	struct dkim_private_key *private_key = dkim_private_key_generate(DKIM_KEY_RSA, 1024);
	struct user users[N];
	pthread_t threads[N];
	struct dkim_keys *keys = dkim_keys_new(MAXIMUM);
	for (size_t i = 0; i < N; i++) {
		users[i] = (struct user){keys, private_key, dkim_private_key_public(arena, private_key), 0};
		assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
	}
	for (size_t i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(users[i].n_wrong, 0);
	}
	dkim_keys_free(keys);
	dkim_private_key_unref(private_key);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_long_records_are_not_kept),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
