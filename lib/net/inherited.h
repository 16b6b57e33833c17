/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: descriptors from outside, inspected and cleared of harmful options before use. */
#ifndef NETBASICS_INHERITED_H
#define NETBASICS_INHERITED_H

#include "base/error_internal.h"

#include <netbasics/address.h>
#include <stdbool.h>

struct nb__inherited {
    bool listens;
    nb_address address; /* the local one */
};

/* Inspects a descriptor and changes nothing. NB_OK when it is a stream socket of a known family;
   otherwise NB_INVALID, and the result says what it is instead. */
struct nb__result nb__inherited_look(int fd, struct nb__inherited *out);

/* Resets the socket options that break what this library promises for connections; accepted sockets
   inherit them from the listening one. *changed says whether there were any; on failure the result
   names the option. */
struct nb__result nb__inherited_settle(int fd, bool *changed);

#endif
