#include "dkim/base64.h"

/*
 * By character from '+' to 'z', one more than what the digit stands for, 0 for what is none. A table, because this is
 * the longest loop of a verification but for the hashes.
 */
static const uint8_t values['z' - '+' + 1] = {63, 0, 0, 0, 64, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 0,
	0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52};

static uint32_t value_of(char c)
{
	return c >= '+' && c <= 'z' ? values[c - '+'] : 0;
}

bool base64_decode(struct str text, uint8_t *out, size_t capacity, size_t *ret_n)
{
	uint32_t bits = 0;
	size_t n = 0, n_digits = 0, n_padding = 0;
	for (size_t i = 0; i < text.n; i++) {
		uint32_t value = value_of(text.p[i]);
		if (value == 0) {
			if (text.p[i] == '=')
				n_padding++;
			else if (!str_is_space(text.p[i]))
				return false;
			continue;
		}
		if (n_padding > 0)
			return false;
		bits = bits << 6 | (value - 1);
		if (n_digits++ % 4 == 0)
			continue;
		if (n == capacity)
			return false;
		out[n++] = (uint8_t)(bits >> (6 - 2 * ((n_digits - 1) % 4)));
	}
	if (n_digits % 4 == 1)
		return false;
	if (n_padding > 0 && (n_padding > 2 || (n_digits + n_padding) % 4 != 0))
		return false;
	*ret_n = n;
	return true;
}

void base64_write(struct buf *out, const uint8_t *data, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t bits = (uint32_t)data[i] << 16;
		if (have > 1)
			bits |= (uint32_t)data[i + 1] << 8;
		if (have > 2)
			bits |= data[i + 2];
		char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63], '=', '='};
		if (have > 1)
			group[2] = digits[bits >> 6 & 63];
		if (have > 2)
			group[3] = digits[bits & 63];
		buf_add(out, str_from(group, sizeof(group)));
	}
}
