#include "tables/nearest.h"

/* Longer words are not compared: nobody mistypes a word that long, and the rows below stay on the stack. */
#define WORD_MAX 80

/* Slips of the hand and the eye: up to a third of the word, at least one; so many that it is another word never. */
#define SLIPS_MAX 5

static unsigned tolerance(size_t n)
{
	return n <= 4 ? 1 : n < 3 * SLIPS_MAX ? (unsigned)(n / 3) : SLIPS_MAX;
}

/* A bit to each letter that is there; upper and lower case, and some signs, share one. */
static uint32_t letters_of(struct str s)
{
	uint32_t letters = 0;
	for (size_t i = 0; i < s.n; i++)
		letters |= (uint32_t)1 << (s.p[i] & 31);
	return letters;
}

struct nearest nearest_to(struct str word)
{
	return (struct nearest){
		.word = word, .best = STR(""), .distance = tolerance(word.n) + 1, .letters = letters_of(word)};
}

static unsigned n_bits(uint32_t bits)
{
	return (unsigned)__builtin_popcount(bits);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

/* Edits (insert, delete, replace, swap neighbours) that make @b of @a, or @limit: optimal string alignment. */
static unsigned edits(struct str a, struct str b, unsigned limit)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	unsigned fewest_last = 0;
	for (size_t j = 0; j <= b.n; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned fewest = now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			char x = str_lower_char(a.p[i - 1]), y = str_lower_char(b.p[j - 1]);
			now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == str_lower_char(b.p[j - 2]) && y == str_lower_char(a.p[i - 2]) &&
				before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
			fewest = now[j] < fewest ? now[j] : fewest;
		}
		/* What follows is made of these two rows, and no cell is less than those that it is made of. */
		if (fewest >= limit && fewest_last >= limit)
			return limit;
		fewest_last = fewest;
		unsigned *oldest = before;
		before = last;
		last = now;
		now = oldest;
	}
	return last[b.n];
}

void nearest_consider(struct nearest *nearest, struct str candidate)
{
	struct str word = nearest->word;
	size_t apart = word.n > candidate.n ? word.n - candidate.n : candidate.n - word.n;
	if (word.n > WORD_MAX || candidate.n > WORD_MAX || apart >= nearest->distance)
		return;
	/* No edit brings in, or takes away, more than one letter: most candidates need no closer look. */
	uint32_t theirs = letters_of(candidate);
	if (n_bits(nearest->letters & ~theirs) >= nearest->distance ||
		n_bits(theirs & ~nearest->letters) >= nearest->distance)
		return;
	unsigned distance = edits(word, candidate, nearest->distance);
	if (distance >= nearest->distance)
		return;
	nearest->distance = distance;
	nearest->best = candidate;
}
