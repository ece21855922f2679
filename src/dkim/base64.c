#include "dkim/base64.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (str_is_digit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

bool base64_decode(struct str text, uint8_t *out, size_t capacity, size_t *ret_n)
{
	uint32_t bits = 0;
	size_t n = 0, n_digits = 0, n_padding = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (str_is_space(text.p[i]))
			continue;
		if (text.p[i] == '=') {
			n_padding++;
			continue;
		}
		int value = value_of(text.p[i]);
		if (value < 0 || n_padding > 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
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
