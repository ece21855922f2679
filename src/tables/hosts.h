/*
 * Sets of clients: InternalHosts, ExternalIgnoreList, IgnoreHosts, PeerList.
 *
 * An entry is an address, a network in CIDR notation, a host name, ".domain"
 * (any host below it), a name with '*' (refile: sets), or one of these after
 * '!', which excludes. The most specific network decides; a name decides where
 * no network matches. Immutable, any thread.
 */
#ifndef TRIMILTER_TABLES_HOSTS_H
#define TRIMILTER_TABLES_HOSTS_H

#include "base/ip.h"
#include "tables/dataset.h"

struct hosts;

/** Entries that are none of the above are errors in @diag (file, line, word, what would be right). */
enum err hosts_build(struct arena *arena, const struct dataset *dataset, struct diag *diag, struct hosts **ret_hosts);

/**
 * @client_name  the name that the MTA has verified for the client ({client_name} after a forward-confirmed
 *               look-up); empty or "unknown" or "[address]": none
 * An IP_NONE client (local submission) is in the set only by the entry "local". NULL @hosts: an empty set.
 */
bool hosts_contain(const struct hosts *hosts, const struct ip *client, struct str client_name);

/** Does an entry say that every IPv4 or every IPv6 client is in it? NULL @hosts: no. */
bool hosts_have_everybody(const struct hosts *hosts);

#endif
