/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: a listening socket, and its parameters. */
#ifndef NETBASICS_LISTEN_SOCKET_H
#define NETBASICS_LISTEN_SOCKET_H

#include "base/error_internal.h"
#include "net/socket_options.h"
#include "sys/sys.h"

#include <netbasics/listener.h>
#include <stdbool.h>

struct nb__listen_socket {
    int fd;        /* -1: closed */
    bool shared;   /* inherited: other processes may have it, too */
    bool settle;   /* call nb__inherited_settle() for each accepted socket */
    bool has_file; /* we made the file of a Unix socket, and have not removed it yet */
    struct nb__file file;
    nb_address address;
    struct nb__socket_options options; /* as asked for */
};

/* The parameters of an endpoint's sockets, with the defaults filled in. */
struct nb__listen_params {
    int backlog;
    unsigned unix_mode; /* of the file of a Unix socket */
    bool has_unix_mode; /* the caller asked for it */
    struct nb__socket_options options;
};

/* Reads a caller's options. NB_OK, or NB_INVALID with the error set. */
nb_status nb__listen_params_read(struct nb__listen_params *out, const nb_listen_options *given,
                                 nb_error *err);

/* Makes a socket with the options that were asked for, not bound yet. On failure *fd is -1. */
struct nb__result nb__listen_socket_open(const struct nb__listen_params *params,
                                         const nb_address *address, int *fd);

#endif
