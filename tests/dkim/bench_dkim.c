/*
 * What DKIM costs, beside the SHA-256 that it cannot do without: bodies of 5 MiB, keys, signatures, a whole message.
 * CPU time, the best of several runs; `meson test --benchmark dkim -v` on an idle machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dkim/body.h"
#include "dkim/private_key.h"
#include "dkim/public_key.h"
#include "lab.h"
#include "rfc_examples.h"

#define SIZE ((size_t)5 << 20)
#define CHUNK 65535 /* as milter hands bodies over */

static double cpu_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- bodies ---- */

static void hash_plainly(struct arena *arena, struct str text)
{
	uint8_t digest[SHA256_SIZE];
	struct sha256 *sha256 = sha256_new(arena);
	for (; text.n > 0; text = str_skip(text, CHUNK))
		sha256_add(sha256, str_head(text, CHUNK));
	sha256_end(sha256, digest);
}

static void hash_body(struct arena *arena, struct str text, enum dkim_canonicalization how)
{
	struct dkim_body *body = dkim_body_new(arena);
	dkim_body_want(body, how, BODY_WHOLE);
	for (; text.n > 0; text = str_skip(text, CHUNK))
		dkim_body_add(body, str_head(text, CHUNK));
	dkim_body_end(body);
}

static double best_of(struct str text, int what)
{
	double best = 1e9;
	for (int i = 0; i < 10; i++) {
		struct arena *arena = arena_new(0);
		double start = cpu_ms();
		if (what == 2)
			hash_plainly(arena, text);
		else
			hash_body(arena, text, what == 1 ? DKIM_RELAXED : DKIM_SIMPLE);
		double took = cpu_ms() - start;
		best = took < best ? took : best;
		arena_free(arena);
	}
	return best;
}

static void bench_bodies(void)
{
	static const struct {
		const char *what, *line;
	} bodies[] = {
		{"base64", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"},
		{"prose", "It was the best of times, it was the worst of times, it was the age of\r\n"},
		{"prose, two blanks", "It was the best of times.  It was the worst of times.  It was the age\r\n"},
		{"HTML", "      <td class=\"x\">a b</td> \t\r\n\r\n"},
		{"blanks", "                "},
		{"empty lines", "\r\n\r\n\r\n\r\n"},
		{"CRs", "\r\r\r\r"},
		{"LFs", "\n \n \n \n "},
		{"control bytes", "\1\1\1\1"},
	};
	char *text = malloc(SIZE);
	if (text == NULL)
		return;
	printf("%-20s %8s %8s %8s   ms for 5 MiB\n", "body", "SHA-256", "simple", "relaxed");
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		size_t n = strlen(bodies[i].line);
		for (size_t at = 0; at < SIZE; at++)
			text[at] = bodies[i].line[at % n];
		struct str body = str_from(text, SIZE);
		printf("%-20s %8.2f %8.2f %8.2f\n", bodies[i].what, best_of(body, 2), best_of(body, 0),
			best_of(body, 1));
	}
	free(text);
}

/* ---- keys ---- */

static void bench_key(enum dkim_key_type type, unsigned bits)
{
	enum { ROUNDS = 300 };
	struct arena *arena = arena_new(0);
	struct dkim_private_key *private_key = dkim_private_key_generate(type, bits);
	struct str record = dkim_key_record(arena, private_key, STR(""));
	uint8_t hash[SHA256_SIZE] = {1}, signature[SIGNATURE_MAX];
	const struct dkim_public_key *public = NULL;
	size_t n = 0, n_good = 0;
	double start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++)
		crypto_key_sign(dkim_private_key_crypto(private_key), hash, signature, &n);
	double signing = cpu_ms() - start;
	start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++)
	public = dkim_public_key_get(NULL, arena, record);
	double parsing = cpu_ms() - start;
	start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++) {
		struct str text = str_from((const char *)signature, n);
		n_good += crypto_key_verify(public->crypto, hash, text) == CRYPTO_GOOD;
	}
	double verifying = cpu_ms() - start;
	printf("%-20s %8.1f %8.1f %8.1f   us to sign, make the record's key ready, verify%s\n",
		arena_printf(arena, "%s %u", type == DKIM_KEY_RSA ? "RSA" : "Ed25519", bits).p, signing * 1e3 / ROUNDS,
		parsing * 1e3 / ROUNDS, verifying * 1e3 / ROUNDS, n_good == ROUNDS ? "" : " (FAILED)");
	dkim_private_key_unref(private_key);
	arena_free(arena);
}

/* Two signatures on a small message, from the bytes to the results. */
static void bench_message(void)
{
	enum { ROUNDS = 1000 };
	static const struct lab_record zone[] = {
		{RFC8463_ED25519_KEY_NAME, RFC8463_ED25519_KEY}, {RFC8463_RSA_KEY_NAME, RFC8463_RSA_KEY}};
	struct arena *outer = arena_new(0), *arena = arena_new(0);
	struct str message = lab_crlf(outer, RFC8463_MESSAGE);
	double start = cpu_ms();
	for (int i = 0; i < ROUNDS; i++) {
		struct lab lab;
		lab_init(&lab, arena);
		lab.zone = zone;
		lab.n_zone = 2;
		lab_verify(&lab, message);
		arena_reset(arena);
	}
	printf("%-20s %8.1f us for RFC 8463's example, RSA-1024 and Ed25519\n", "message",
		(cpu_ms() - start) * 1e3 / ROUNDS);
	arena_free(arena);
	arena_free(outer);
}

int main(void)
{
	bench_bodies();
	bench_key(DKIM_KEY_RSA, 1024);
	bench_key(DKIM_KEY_RSA, 2048);
	bench_key(DKIM_KEY_RSA, 4096);
	bench_key(DKIM_KEY_ED25519, 256);
	bench_message();
	return 0;
}
