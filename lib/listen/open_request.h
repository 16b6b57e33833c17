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
    struct nb__listen_socket *sockets; /* where to put the sockets */
    size_t room;                       /* how many fit there */
    size_t count;                      /* how many were opened */
};

/* NB_OK when so many sockets fit; otherwise NB_TOO_LONG, with the error set. */
nb_status nb__open_request_has_room(const struct nb__open_request *request, size_t count);

/* Refuses an option that does not exist for this kind of endpoint. */
nb_status nb__open_request_refuse(const struct nb__open_request *request, const char *option);

/* Begins the message of a failure: "listen on ENDPOINT: ". */
struct nb__text nb__open_request_message(const struct nb__open_request *request,
                                         const struct nb__result *result);

/* Sets the complete error: "listen on ENDPOINT: result". Returns its status. */
nb_status nb__open_request_failed(const struct nb__open_request *request, struct nb__result result);

#endif
