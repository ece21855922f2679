#include "dkim/rsa_der.h"

enum { DER_INTEGER = 0x02, DER_BIT_STRING = 0x03, DER_NULL = 0x05, DER_OBJECT = 0x06, DER_SEQUENCE = 0x30 };

/* Take one element of type @tag off the front. Lengths: DER only, that is the shortest form, at most two bytes. */
static bool take(struct str *der, unsigned char tag, struct str *ret_content)
{
	const unsigned char *p = (const unsigned char *)der->p;
	if (der->n < 2 || p[0] != tag)
		return false;
	size_t header = 2, n = p[1];
	if (n >= 0x80) {
		size_t n_bytes = n - 0x80;
		if (n_bytes < 1 || n_bytes > 2 || der->n < 2 + n_bytes)
			return false;
		n = n_bytes == 1 ? p[2] : (size_t)p[2] << 8 | p[3];
		if (n < (n_bytes == 1 ? 0x80u : 0x100u))
			return false;
		header += n_bytes;
	}
	if (n > der->n - header)
		return false;
	*ret_content = str_head(str_skip(*der, header), n);
	*der = str_skip(*der, header + n);
	return true;
}

/* A positive INTEGER in its shortest form. */
static bool take_number(struct str *der, struct str *ret_number)
{
	struct str number;
	if (!take(der, DER_INTEGER, &number) || number.n == 0 || (number.p[0] & 0x80) != 0)
		return false;
	if (number.p[0] == 0) {
		if (number.n == 1 || (number.p[1] & 0x80) == 0)
			return false;
		number = str_skip(number, 1);
	}
	*ret_number = number;
	return true;
}

static bool read_rsa_public_key(struct str der, struct str *ret_modulus, struct str *ret_exponent)
{
	struct str numbers;
	return take(&der, DER_SEQUENCE, &numbers) && der.n == 0 && take_number(&numbers, ret_modulus) &&
	       take_number(&numbers, ret_exponent) && numbers.n == 0;
}

/* 1.2.840.113549.1.1.1, rsaEncryption, with the NULL that belongs to it and that some leave out */
static bool is_rsa_algorithm(struct str algorithm)
{
	struct str object, null;
	if (!take(&algorithm, DER_OBJECT, &object) || !str_eq(object, STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")))
		return false;
	return algorithm.n == 0 || (take(&algorithm, DER_NULL, &null) && null.n == 0 && algorithm.n == 0);
}

bool rsa_der_read(struct str der, struct str *ret_modulus, struct str *ret_exponent)
{
	struct str rest = der, info, algorithm, bits;
	if (!take(&rest, DER_SEQUENCE, &info) || rest.n > 0)
		return false;
	if (!take(&info, DER_SEQUENCE, &algorithm))
		return read_rsa_public_key(der, ret_modulus, ret_exponent);
	if (!is_rsa_algorithm(algorithm) || !take(&info, DER_BIT_STRING, &bits) || info.n > 0)
		return false;
	/* The first byte counts unused bits: none. */
	if (bits.n < 1 || bits.p[0] != 0)
		return false;
	return read_rsa_public_key(str_skip(bits, 1), ret_modulus, ret_exponent);
}

unsigned rsa_der_bits(struct str number)
{
	if (number.n == 0)
		return 0;
	unsigned bits = 8 * (unsigned)(number.n - 1);
	for (unsigned char first = (unsigned char)number.p[0]; first != 0; first >>= 1)
		bits++;
	return bits;
}
