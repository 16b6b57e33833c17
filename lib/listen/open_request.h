/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: an endpoint while its listening sockets are being opened. */
#ifndef NETBASICS_OPENING_H
#define NETBASICS_OPENING_H

#include "base/error_internal.h"
#include "net/socket_options.h"
#include "sys/sys.h"

#include <netbasics/listener.h>
#include <stdbool.h>
#include <stddef.h>

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

struct nb__open_request {
    const char *endpoint; /* as the caller wrote it, for messages */
    const struct nb__listen_params *params;
    nb_error *err;                     /* may be NULL */
    struct nb__listen_socket *sockets; /* where they go */
    size_t room;                       /* how many may */
    size_t count;                      /* how many did */
};

/* Reads the options that a caller gave. NB_OK, or NB_INVALID and the message. */
nb_status nb__listen_params_read(struct nb__listen_params *out, const nb_listen_options *given,
                                 nb_error *err);

/* NB_OK when so many sockets have room, else NB_TOO_LONG and the message. */
nb_status nb__open_request_has_room(const struct nb__open_request *request, size_t count);

/* Refuses an option that was asked for and that an endpoint of this kind does not have. */
nb_status nb__open_request_refuse(const struct nb__open_request *request, const char *option);

/* Begins the message of a failure: "listen on ENDPOINT: ". */
struct nb__text nb__open_request_message(const struct nb__open_request *request,
                                         const struct nb__result *result);

/* The whole message of a failure: "listen on ENDPOINT: result". Returns its status. */
nb_status nb__open_request_failed(const struct nb__open_request *request, struct nb__result result);

/* Makes a socket with all that was asked for, not bound yet. On failure *fd is -1. */
struct nb__result nb__open_request_socket(const struct nb__open_request *request,
                                          const nb_address *address, int *fd);

#endif
