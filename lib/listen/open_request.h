/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: an endpoint while its listening sockets are being opened. */
#ifndef NETBASICS_OPEN_REQUEST_H
#define NETBASICS_OPEN_REQUEST_H

#include "base/error_internal.h"
#include "listen/listen_socket.h"

#include <netbasics/error.h>
#include <stddef.h>

struct nb__open_request {
    const char *endpoint; /* as the caller wrote it, for messages */
    const struct nb__listen_params *params;
    nb_error *err;                     /* may be NULL */
    struct nb__listen_socket *sockets; /* where they go */
    size_t room;                       /* how many may */
    size_t count;                      /* how many did */
};

/* NB_OK when so many sockets have room, else NB_TOO_LONG and the message. */
nb_status nb__open_request_has_room(const struct nb__open_request *request, size_t count);

/* Refuses an option that was asked for and that an endpoint of this kind does not have. */
nb_status nb__open_request_refuse(const struct nb__open_request *request, const char *option);

/* Begins the message of a failure: "listen on ENDPOINT: ". */
struct nb__text nb__open_request_message(const struct nb__open_request *request,
                                         const struct nb__result *result);

/* The whole message of a failure: "listen on ENDPOINT: result". Returns its status. */
nb_status nb__open_request_failed(const struct nb__open_request *request, struct nb__result result);

#endif
