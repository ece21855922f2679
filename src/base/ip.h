/*
 * IP addresses and networks. Pure.
 * An IPv4-mapped IPv6 address is an IPv4 address (RFC 7208 section 5).
 */
#ifndef TRIMILTER_BASE_IP_H
#define TRIMILTER_BASE_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sockaddr;

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip {
	enum ip_family family; /* IP_NONE: not an Internet client (local socket, pickup) */
	uint8_t bytes[16];     /* network order; the first 4 for IP_V4 */
};

struct ip_network {
	struct ip address;
	unsigned bits; /* of the prefix, 0..32 or 0..128 */
};

/** Room for any address as text, NUL included. */
#define IP_TEXT_SIZE 46

/** Dotted quad or RFC 4291 text, nothing around it. False: not an address. */
bool ip_parse(struct str text, struct ip *ret_ip);
/** "192.0.2.0/24", "2001:db8::/32", or an address alone, with or without brackets round it. */
bool ip_network_parse(struct str text, struct ip_network *ret_network);
/** AF_INET or AF_INET6; anything else, and NULL, gives IP_NONE. */
struct ip ip_from_sockaddr(const struct sockaddr *address);
/** 4 or 16 bytes in network order, as in A and AAAA records. IP_NONE for any other length. */
struct ip ip_from_bytes(struct str bytes);

/** The text form (RFC 5952), or "local" for IP_NONE. Returns @text. */
const char *ip_text(const struct ip *ip, char text[IP_TEXT_SIZE]);

bool ip_eq(const struct ip *a, const struct ip *b);
/** The first @bits bits are equal; never across families. */
bool ip_prefix_eq(const struct ip *a, const struct ip *b, unsigned bits);
bool ip_in_network(const struct ip *ip, const struct ip_network *network);
bool ip_is_loopback(const struct ip *ip);

#endif
