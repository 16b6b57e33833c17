/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: waiting for descriptors, and for what makes the wait pointless. */
#ifndef NETBASICS_CANCELLABLE_H
#define NETBASICS_CANCELLABLE_H

#include "wait/wait.h"

/* How many entries more nb__wait_cancellable() needs. */
#define NB__WAIT_ROOM 3

/* What can end a wait besides its deadline. */
struct nb__cancels {
    int fds[2]; /* readable: give up; -1: none */
    /* Called before each wait, where nobody else watches the clock: it may make one of these readable, and
       narrows the bounds. NULL: somebody does. */
    void (*before_wait)(void *context, struct nb__wait_bounds *bounds);
    void *context;
    bool fd_ready; /* the descriptor of those bounds was */
};

/* Waits as nb__wait() does, perhaps not as long: 0 is no proof that the deadline has passed.
   -ECANCELED: give up. The array has room for NB__WAIT_ROOM entries more. */
int nb__wait_cancellable(struct pollfd *fds, nfds_t count, nb_deadline by,
                         struct nb__cancels *cancels);

#endif
