#include "base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct ip from_v4(const void *bytes)
{
	struct ip ip = {.family = IP_V4};
	memcpy(ip.bytes, bytes, 4);
	return ip;
}

static struct ip from_v6(const void *bytes)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
		return from_v4((const char *)bytes + sizeof(mapped));
	struct ip ip = {.family = IP_V6};
	memcpy(ip.bytes, bytes, 16);
	return ip;
}

bool ip_parse(struct str text, struct ip *ret_ip)
{
	char cstr[IP_TEXT_SIZE];
	uint8_t bytes[16];
	if (text.n == 0 || text.n >= sizeof(cstr) || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(cstr, text.p, text.n);
	cstr[text.n] = '\0';
	if (inet_pton(AF_INET, cstr, bytes) == 1) {
		*ret_ip = from_v4(bytes);
		return true;
	}
	if (inet_pton(AF_INET6, cstr, bytes) == 1) {
		*ret_ip = from_v6(bytes);
		return true;
	}
	return false;
}

bool ip_network_parse(struct str text, struct ip_network *ret_network)
{
	struct str rest = text, address = {NULL, 0};
	str_cut(&rest, '/', &address);
	if (address.n >= 2 && address.p[0] == '[' && address.p[address.n - 1] == ']')
		address = str_from(address.p + 1, address.n - 2);
	struct ip ip;
	if (!ip_parse(address, &ip))
		return false;
	/* ::ffff:192.0.2.0/120 was folded to IPv4: its prefix counts from the mapped address. */
	bool mapped = ip.family == IP_V4 && str_index(address, ':') >= 0;
	uint64_t width = ip.family == IP_V4 && !mapped ? 32 : 128, bits = width;
	if ((rest.p != NULL && !str_to_u64(rest, width, &bits)) || (mapped && bits < 96))
		return false;
	*ret_network = (struct ip_network){ip, (unsigned)(mapped ? bits - 96 : bits)};
	return true;
}

struct ip ip_from_sockaddr(const struct sockaddr *address)
{
	if (address != NULL && address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof(in));
		return from_v4(&in.sin_addr);
	}
	if (address != NULL && address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, address, sizeof(in6));
		return from_v6(&in6.sin6_addr);
	}
	return (struct ip){.family = IP_NONE};
}

struct ip ip_from_bytes(struct str bytes)
{
	if (bytes.n == 4)
		return from_v4(bytes.p);
	if (bytes.n == 16)
		return from_v6(bytes.p);
	return (struct ip){.family = IP_NONE};
}

const char *ip_text(const struct ip *ip, char text[IP_TEXT_SIZE])
{
	if (ip->family == IP_NONE)
		memcpy(text, "local", sizeof("local"));
	else if (inet_ntop(ip->family == IP_V4 ? AF_INET : AF_INET6, ip->bytes, text, IP_TEXT_SIZE) == NULL)
		text[0] = '\0';
	return text;
}

bool ip_prefix_eq(const struct ip *a, const struct ip *b, unsigned bits)
{
	if (a->family != b->family || a->family == IP_NONE)
		return false;
	unsigned width = a->family == IP_V4 ? 32 : 128;
	if (bits > width)
		bits = width;
	if (memcmp(a->bytes, b->bytes, bits / 8) != 0)
		return false;
	if (bits % 8 == 0)
		return true;
	unsigned mask = 0xffu << (8 - bits % 8) & 0xffu;
	return ((a->bytes[bits / 8] ^ b->bytes[bits / 8]) & mask) == 0;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
	return ip_prefix_eq(a, b, 128);
}

bool ip_in_network(const struct ip *ip, const struct ip_network *network)
{
	return ip_prefix_eq(ip, &network->address, network->bits);
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};
	if (ip->family == IP_V4)
		return ip->bytes[0] == 127;
	return ip->family == IP_V6 && memcmp(ip->bytes, v6_loopback, sizeof(v6_loopback)) == 0;
}
