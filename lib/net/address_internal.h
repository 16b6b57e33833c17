/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: addresses as the kernel wants them, and the pieces of "host:port". */
#ifndef NETBASICS_ADDRESS_INTERNAL_H
#define NETBASICS_ADDRESS_INTERNAL_H

#include <netbasics/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Every address from the kernel enters here: IPv4-mapped ones become IPv4, unknown families nothing. */
nb_address nb__address_from(const struct sockaddr *from, socklen_t length);

/* The address as bind and connect take it; good as long as the address. */
const struct sockaddr *nb__address_sockaddr(const nb_address *address, socklen_t *length);

nb_address nb__address_any(nb_family family, uint16_t port);
nb_address nb__address_loopback(nb_family family, uint16_t port);
nb_address nb__address_with_port(const nb_address *address, uint16_t port);

/* The path of a Unix socket; NULL when the address is no path. */
const char *nb__address_path(const nb_address *address);

/* AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC. */
int nb__address_domain(const nb_address *address);

/* Whether it is a link-local address that does not say of which link (RFC 4007 section 6): no socket
   can be connected or bound to it. */
bool nb__address_lacks_zone(const nb_address *address);

/* Whether two peers count as one: the same IPv4 address, the same /64 of IPv6 on the same link. */
bool nb__address_same_peer(const nb_address *a, const nb_address *b);

/* "host:port" taken apart, the host still unread. */
struct nb__host_port {
    const char *host;
    size_t host_length;
    bool bracketed;
    uint16_t port;
};

/* Takes "host:port" or "[host]:port" apart, with a port from `least` (0 or 1) on. NULL, or what is wrong
   with it. */
const char *nb__host_port_split(struct nb__host_port *out, const char *text, uint16_t least);

/* Reads the numeric host of a pair. NULL, or what is wrong with it. */
const char *nb__host_port_literal(const struct nb__host_port *pair, nb_address *out);

/* Reads the name of a Unix socket, "/path" or "@name". NULL, or what is wrong with it. */
const char *nb__unix_name_read(const char *name, nb_address *out);

#endif
