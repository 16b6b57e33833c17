/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the socket options that callers can ask for. */
#ifndef NETBASICS_SOCKET_OPTIONS_H
#define NETBASICS_SOCKET_OPTIONS_H

#include "base/error_internal.h"

#include <netbasics/address.h>
#include <stdint.h>

enum nb__socket_option {
    NB__NAGLE,
    NB__KEEPALIVE_IDLE,
    NB__KEEPALIVE_INTERVAL,
    NB__KEEPALIVE_COUNT,
    NB__USER_TIMEOUT,
    NB__SEND_BUFFER,
    NB__RECEIVE_BUFFER,
    NB__REUSE_PORT,
    NB__SOCKET_OPTIONS
};

/* The values that the caller asked for; 0: the default. */
struct nb__socket_options {
    int64_t values[NB__SOCKET_OPTIONS];
};

/* NB_OK, or NB_INVALID: `err` names the first value that is out of range, and what was expected. */
nb_status nb__socket_options_check(const struct nb__socket_options *options, const char *operation,
                                   nb_error *err);

/* Sets the options that were asked for, and TCP_NODELAY unless asked not to, on a socket that is
   not yet connected or bound. On failure the result names the first of them that was refused, as
   those of TCP and IP are on a Unix socket (EOPNOTSUPP). If setting TCP_NODELAY by default fails,
   that is ignored. */
struct nb__result nb__socket_options_set(int fd, nb_family family,
                                         const struct nb__socket_options *options);

#endif
