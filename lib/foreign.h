/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: descriptors that come from outside, looked at and made harmless before they are used. */
#ifndef NETBASICS_FOREIGN_H
#define NETBASICS_FOREIGN_H

#include <netbasics/address.h>
#include <stdbool.h>

struct nb__foreign {
    bool listens;
    nb_address address; /* its own */
};

/* Looks at a descriptor and changes nothing. NULL when it is a stream socket of a family that is known,
   or what it is instead; *failed is 0, or the -errno that told. */
const char *nb__foreign_look(int fd, struct nb__foreign *out, int *failed);

/* Lets close(2) return at once, for the socket and for those that are accepted from it: SO_LINGER would
   hold up whoever closes them, whatever the deadline. 0, or -errno. */
int nb__foreign_close_at_once(int fd);

#endif
