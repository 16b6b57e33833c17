/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the system calls on sockets that take or return addresses. Each returns a value
 *         >= 0, or -errno. */
#ifndef NETBASICS_SOCKET_H
#define NETBASICS_SOCKET_H

#include <netbasics/address.h>

/* A stream socket of the family of an address. */
int nb__socket_open(const nb_address *address);
int nb__socket_bind(int fd, const nb_address *address);
int nb__socket_connect(int fd, const nb_address *address);

/* Returns the accepted socket; its peer is NB_FAMILY_NONE if the system does not tell. */
int nb__socket_accept(int fd, nb_address *peer);

/* The addresses of a socket; NB_FAMILY_NONE on failure. */
int nb__socket_local(int fd, nb_address *out);
int nb__socket_peer(int fd, nb_address *out);

#endif
