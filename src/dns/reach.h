/*
 * Whether the nameservers can be reached at all.
 *
 * libunbound does not look at what the kernel says of its UDP packets: where
 * nobody listens it waits as if the answer were slow. So a question that is
 * overdue is sent once more from sockets of our own that are connected and so
 * are told of "port unreachable". What comes back is not read.
 */
#ifndef TRIMILTER_DNS_REACH_H
#define TRIMILTER_DNS_REACH_H

#include "base/answer.h"
#include "dns/nameservers.h"

struct reach;

/** NULL when malloc fails: then nothing is known, which does no harm. */
struct reach *reach_new(const struct nameservers *servers);
void reach_free(struct reach *reach); /* accepts NULL, as the two below */

void reach_send(struct reach *reach, const struct dns_question *question);

/** Every nameserver has refused what was sent to it last. */
bool reach_is_refused(struct reach *reach);

#endif
