/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the ways to open listening sockets. Each opens all or none, and tells why not. */
#ifndef NETBASICS_OPEN_H
#define NETBASICS_OPEN_H

#include "listen/open_request.h"

/* One address, or two, one of each family, at the same port. */
nb_status nb__open_tcp(struct nb__open_request *request, const nb_address *addresses, size_t count);

nb_status nb__open_unix(struct nb__open_request *request, const nb_address *address);

/* A listening socket that others have opened. On failure its flags are as they were. */
nb_status nb__open_fd(struct nb__open_request *request, int fd);

/* All that the service manager has passed. */
nb_status nb__open_inherited(struct nb__open_request *request);

#endif
