/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: addresses in the kernel's form, and the parts of "host:port". */
#ifndef NETBASICS_ADDRESS_INTERNAL_H
#define NETBASICS_ADDRESS_INTERNAL_H

#include <netbasics/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Converts an address from the kernel: IPv4-mapped ones become IPv4, unknown families
   NB_FAMILY_NONE. */
nb_address nb__address_from(const struct sockaddr *from, socklen_t length);

/* The address in the form that bind and connect take; valid as long as `address` is. */
const struct sockaddr *nb__address_sockaddr(const nb_address *address, socklen_t *length);

nb_address nb__address_any(nb_family family, uint16_t port);
nb_address nb__address_loopback(nb_family family, uint16_t port);
nb_address nb__address_with_port(const nb_address *address, uint16_t port);

/* The path of a Unix socket; NULL for any other address. */
const char *nb__address_path(const nb_address *address);

/* AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC. */
int nb__address_domain(const nb_address *address);

/* Whether it is a link-local address without a zone (RFC 4007 section 6): no socket can be
   connected or bound to it. */
bool nb__address_lacks_zone(const nb_address *address);

/* Whether two peers count as one: the same IPv4 address, the same /64 of IPv6 on the same link. */
bool nb__address_same_peer(const nb_address *a, const nb_address *b);

/* "host:port" split in two; the host is not parsed yet. */
struct nb__host_port {
    const char *host;
    size_t host_length;
    bool bracketed;
    uint16_t port;
};

/* Splits "host:port" or "[host]:port"; the port is at least `least` (0 or 1). Returns NULL, or what
   is wrong with it. */
const char *nb__host_port_split(struct nb__host_port *out, const char *text, uint16_t least);

/* Reads a numeric host. Returns NULL, or what is wrong with it. */
const char *nb__host_port_literal(const struct nb__host_port *pair, nb_address *out);

/* Reads the name of a Unix socket, "/path" or "@name". Returns NULL, or what is wrong with it. */
const char *nb__unix_name_read(const char *name, nb_address *out);

#endif
