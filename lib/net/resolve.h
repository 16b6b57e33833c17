/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: from an endpoint to the addresses to try. */
#ifndef NETBASICS_RESOLVE_H
#define NETBASICS_RESOLVE_H

#include "base/error_internal.h"
#include "net/endpoint.h"
#include "wait/cancellable.h"

#include <netbasics/address.h>
#include <netbasics/deadline.h>
#include <stddef.h>

/* At most this many addresses of one host are tried. */
#define NB__ADDRESSES_MAX 16

struct nb__addresses {
    size_t count;
    nb_address list[NB__ADDRESSES_MAX];
};

/* The addresses of an endpoint, at least one, best first; until the deadline or a cancellation.
   Only a name needs the system's resolver, and waits. */
struct nb__result nb__resolve(struct nb__addresses *out, const struct nb__endpoint *endpoint,
                              struct nb__cancels *cancels, nb_deadline by);

/* The two addresses of an endpoint that stands for both families, IPv4 first; otherwise its only
   one. Returns how many. */
size_t nb__resolve_local(nb_address out[2], const struct nb__endpoint *endpoint);

#endif
