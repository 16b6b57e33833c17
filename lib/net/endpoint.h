/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the one string that says where to connect to or listen on. */
#ifndef NETBASICS_ENDPOINT_H
#define NETBASICS_ENDPOINT_H

#include <netbasics/address.h>
#include <netbasics/error.h>
#include <stdint.h>

/* The longest host name (RFC 1035 section 2.3.4), without the dot that may end it. */
#define NB__HOST_NAME_MAX 253

enum nb__endpoint_kind {
    NB__ENDPOINT_LITERAL,   /* one address */
    NB__ENDPOINT_LOCALHOST, /* the loopback addresses of both families (RFC 6761 section 6.3) */
    NB__ENDPOINT_ANY,       /* all interfaces, both families */
    NB__ENDPOINT_NAME,      /* a name to look up */
    NB__ENDPOINT_UNIX,      /* a Unix socket */
    NB__ENDPOINT_FD,        /* a descriptor, of a socket that listens */
    NB__ENDPOINT_SYSTEMD    /* the sockets that the service manager passed */
};

struct nb__endpoint {
    enum nb__endpoint_kind kind;
    uint16_t port;
    int fd;
    nb_address address;               /* of a literal, or of a Unix socket */
    char host[NB__HOST_NAME_MAX + 2]; /* of a name */
};

/* Reads an endpoint, with a port from `least_port` (0 or 1) on where it has one. On failure err says
   "OPERATION TEXT: what is wrong". */
nb_status nb__endpoint_parse(struct nb__endpoint *out, const char *operation, const char *text,
                             uint16_t least_port, nb_error *err);

/* Sets the error for an endpoint that is well-formed but not one for this purpose. */
nb_status nb__endpoint_refuse(nb_error *err, const char *operation, const char *text,
                              const char *why);

#endif
