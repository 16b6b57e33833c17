/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the string that says where to connect to or listen on. */
#ifndef NETBASICS_ENDPOINT_H
#define NETBASICS_ENDPOINT_H

#include <netbasics/address.h>
#include <netbasics/error.h>
#include <stdint.h>

/* The longest host name (RFC 1035 section 2.3.4), without a trailing dot. */
#define NB__HOST_NAME_MAX 253

enum nb__endpoint_kind {
    NB__ENDPOINT_LITERAL,   /* one address */
    NB__ENDPOINT_LOCALHOST, /* the loopback addresses of both families (RFC 6761 section 6.3) */
    NB__ENDPOINT_ANY,       /* all interfaces, both families */
    NB__ENDPOINT_NAME,      /* a name to look up */
    NB__ENDPOINT_UNIX,      /* a Unix socket */
    NB__ENDPOINT_FD,        /* the descriptor of a listening socket */
    NB__ENDPOINT_SYSTEMD    /* the sockets that the service manager passed */
};

struct nb__endpoint {
    enum nb__endpoint_kind kind;
    uint16_t port;
    int fd;
    nb_address address;               /* for a literal or a Unix socket */
    char host[NB__HOST_NAME_MAX + 2]; /* for a name */
};

/* Reads an endpoint; its port, if it has one, is at least `least_port` (0 or 1). On failure err
   says "OPERATION TEXT: what is wrong". */
nb_status nb__endpoint_parse(struct nb__endpoint *out, const char *operation, const char *text,
                             uint16_t least_port, nb_error *err);

/* Sets the error for an endpoint that is well-formed but cannot be used for this operation. */
nb_status nb__endpoint_refuse(nb_error *err, const char *operation, const char *text,
                              const char *why);

#endif
