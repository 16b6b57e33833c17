/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: a socket that listens, and how it is wanted. */
#ifndef NETBASICS_LISTEN_SOCKET_H
#define NETBASICS_LISTEN_SOCKET_H

#include "base/error_internal.h"
#include "net/socket_options.h"
#include "sys/sys.h"

#include <netbasics/listener.h>
#include <stdbool.h>

struct nb__listen_socket {
    int fd;        /* -1: none any more */
    bool shared;   /* inherited: others may have it, too */
    bool settle;   /* what it accepts is to be settled: see nb__inherited_settle() */
    bool has_file; /* of a Unix socket at a path, made by us and not removed yet */
    struct nb__file file;
    nb_address address;
    struct nb__socket_options options; /* what was asked for */
};

/* How the sockets of an endpoint are wanted, with the defaults filled in. */
struct nb__listen_params {
    int backlog;
    unsigned unix_mode; /* of the file of a Unix socket */
    bool has_unix_mode; /* it was asked for */
    struct nb__socket_options options;
};

/* Reads the options that a caller gave. NB_OK, or NB_INVALID and the message. */
nb_status nb__listen_params_read(struct nb__listen_params *out, const nb_listen_options *given,
                                 nb_error *err);

/* Makes a socket with all that was asked for, not bound yet. On failure *fd is -1. */
struct nb__result nb__listen_socket_open(const struct nb__listen_params *params,
                                         const nb_address *address, int *fd);

#endif
