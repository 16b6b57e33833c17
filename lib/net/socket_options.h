/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the socket options that callers can ask for. */
#ifndef NETBASICS_SOCKET_OPTIONS_H
#define NETBASICS_SOCKET_OPTIONS_H

#include "base/text.h"

#include <netbasics/address.h>
#include <netbasics/error.h>
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

/* What was asked for; 0: nothing. */
struct nb__socket_options {
    int64_t values[NB__SOCKET_OPTIONS];
    const char *refused; /* the option that setting up a socket failed with last, or NULL */
};

/* NB_OK, or NB_INVALID: `err` names the first value that is none, and what was expected. */
nb_status nb__socket_options_check(const struct nb__socket_options *options, const char *operation,
                                   nb_error *err);

/* Sets what was asked for, and TCP_NODELAY unless asked not to, on a socket that is not yet connected
   or bound. 0, or -errno of the first option asked for that was refused; those of TCP and IP are, on
   a Unix socket (-EOPNOTSUPP). What was not asked for may fail. */
int nb__socket_options_set(int fd, nb_family family, struct nb__socket_options *options);

/* Gives an accepted socket what it has not inherited from the one that listens. It worked there; one that
   fails here ends no connection. */
void nb__socket_options_pass_on(int fd, nb_family family, const struct nb__socket_options *options);

/* Adds "OPTION: " to a message when it was an option that was refused. */
void nb__socket_options_describe(struct nb__text *text, const struct nb__socket_options *options);

#endif
