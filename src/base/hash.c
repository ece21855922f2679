#include "base/hash.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

void hash_key_init(struct hash_key *key)
{
	if (getrandom(key->words, sizeof(key->words), GRND_NONBLOCK) == (ssize_t)sizeof(key->words))
		return;
	/* Early at boot there may be no entropy yet; addresses and the time are better than a fixed key. */
	struct timespec now = {0};
	clock_gettime(CLOCK_REALTIME, &now);
	key->words[0] = (uint64_t)(uintptr_t)key ^ (uint64_t)now.tv_nsec << 32;
	key->words[1] = (uint64_t)(uintptr_t)&now ^ (uint64_t)now.tv_sec;
}

static pthread_once_t made = PTHREAD_ONCE_INIT;
static struct hash_key of_process; /* constant once it is made */

static void make_key_of_process(void)
{
	hash_key_init(&of_process);
}

const struct hash_key *hash_key_of_process(void)
{
	pthread_once(&made, make_key_of_process);
	return &of_process;
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t hash_bytes(const struct hash_key *key, uint64_t salt, struct str bytes)
{
	struct sip s = {key->words[0] ^ 0x736f6d6570736575u, key->words[1] ^ 0x646f72616e646f6du,
		key->words[0] ^ 0x6c7967656e657261u, key->words[1] ^ 0x7465646279746573u};
	sip_word(&s, salt);
	struct str rest = bytes;
	for (uint64_t word; rest.n >= sizeof(word); rest = str_skip(rest, sizeof(word))) {
		memcpy(&word, rest.p, sizeof(word));
		sip_word(&s, word);
	}
	uint64_t last = (uint64_t)bytes.n << 56;
	for (size_t i = 0; i < rest.n; i++)
		last |= (uint64_t)(unsigned char)rest.p[i] << 8 * i;
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
