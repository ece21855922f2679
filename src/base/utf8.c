#include "base/utf8.h"

static size_t length_by_first(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

size_t utf8_length(struct str s)
{
	if (s.n == 0)
		return 0;
	unsigned char first = (unsigned char)s.p[0];
	size_t n = length_by_first(first);
	if (n == 0 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	unsigned char second = n > 1 ? (unsigned char)s.p[1] : 0;
	bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
	bool surrogate = first == 0xed && second > 0x9f;
	bool beyond = first == 0xf4 && second > 0x8f;
	return overlong || surrogate || beyond ? 0 : n;
}

bool utf8_is_valid(struct str s)
{
	while (s.n > 0) {
		size_t n = utf8_length(s);
		if (n == 0)
			return false;
		s = str_skip(s, n);
	}
	return true;
}
