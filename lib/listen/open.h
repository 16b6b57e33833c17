/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the ways to open listening sockets. Each opens all or none; then the error is set. */
#ifndef NETBASICS_OPEN_H
#define NETBASICS_OPEN_H

#include "listen/open_request.h"

/* On one address, or on two, one of each family, with the same port. */
nb_status nb__open_tcp(struct nb__open_request *request, const nb_address *addresses, size_t count);

nb_status nb__open_unix(struct nb__open_request *request, const nb_address *address);

/* A listening socket that another program opened. On failure its flags are restored. */
nb_status nb__open_fd(struct nb__open_request *request, int fd);

/* All sockets that the service manager passed. */
nb_status nb__open_inherited(struct nb__open_request *request);

#endif
