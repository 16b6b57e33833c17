/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: descriptors that come from outside, looked at before they are used. */
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

#endif
