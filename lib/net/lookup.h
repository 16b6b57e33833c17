/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the system's resolver, under a deadline that it does not know. */
#ifndef NETBASICS_LOOKUP_H
#define NETBASICS_LOOKUP_H

#include "base/error_internal.h"
#include "wait/cancellable.h"

#include <netbasics/deadline.h>

struct addrinfo;

/* While so many lookups go on that nobody waits for any more, others wait for one of them to end. */
#define NB__LOOKUPS_ABANDONED_MAX 16

/* Looks up the addresses of a host, until the deadline or until something cancels that. On
   NB_OK *found is a list for nb__sys_freeaddrinfo(). Otherwise the lookup, if it goes on, does so without
   us. NB_NAME_TEMPORARY without a system error: too many went on until the deadline for this one to
   begin. */
struct nb__result nb__lookup(struct addrinfo **found, const char *host, struct nb__cancels *cancels,
                             nb_deadline by);

#endif
