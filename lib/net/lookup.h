/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: name lookup by the system's resolver, bounded by a deadline. */
#ifndef NETBASICS_LOOKUP_H
#define NETBASICS_LOOKUP_H

#include "base/error_internal.h"
#include "wait/cancellable.h"

#include <netbasics/deadline.h>

struct addrinfo;

/* At most this many abandoned lookups may be outstanding: until one ends, no new lookup begins. */
#define NB__LOOKUPS_ABANDONED_MAX 16

/* Looks up the addresses of a host, until the deadline or a cancellation. On NB_OK *found is a list
   for nb__sys_freeaddrinfo(). Otherwise a lookup that is still running is abandoned.
   NB_NAME_TEMPORARY without a system error: too many abandoned lookups were outstanding until the
   deadline. */
struct nb__result nb__lookup(struct addrinfo **found, const char *host, struct nb__cancels *cancels,
                             nb_deadline by);

#endif
