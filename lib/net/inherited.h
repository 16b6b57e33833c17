/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: descriptors that come from outside, looked at and made harmless before they are used. */
#ifndef NETBASICS_FOREIGN_H
#define NETBASICS_FOREIGN_H

#include <netbasics/address.h>
#include <stdbool.h>

struct nb__inherited {
    bool listens;
    nb_address address; /* its own */
};

/* Looks at a descriptor and changes nothing. NULL when it is a stream socket of a family that is known,
   or what it is instead; *rc is 0, or the -errno that told. */
const char *nb__inherited_look(int fd, struct nb__inherited *out, int *rc);

/* Takes from a socket the options that break what this library promises of connections; accepted sockets
   inherit them from the one that listens. 1 when there were some, 0 when there were none, or -errno of the
   one that *refused names. */
int nb__inherited_settle(int fd, const char **refused);

#endif
