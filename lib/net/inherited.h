/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: descriptors that come from outside, looked at and made harmless before they are used. */
#ifndef NETBASICS_INHERITED_H
#define NETBASICS_INHERITED_H

#include "base/error_internal.h"

#include <netbasics/address.h>
#include <stdbool.h>

struct nb__inherited {
    bool listens;
    nb_address address; /* its own */
};

/* Looks at a descriptor and changes nothing. NB_OK when it is a stream socket of a family that is known;
   otherwise NB_INVALID, and the result names what it is instead. */
struct nb__result nb__inherited_look(int fd, struct nb__inherited *out);

/* Takes from a socket the options that break what this library promises of connections; accepted sockets
   inherit them from the one that listens. *changed says whether there were some; on failure the result
   names the one. */
struct nb__result nb__inherited_settle(int fd, bool *changed);

#endif
