/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: waiting for descriptors until the deadline or a cancellation. */
#ifndef NETBASICS_CANCELLABLE_H
#define NETBASICS_CANCELLABLE_H

#include "wait/wait.h"

/* How many more entries nb__wait_cancellable() needs in its array. */
#define NB__WAIT_ROOM 3

/* What can end a wait besides its deadline. */
struct nb__cancels {
    int fds[2]; /* the wait is cancelled when one is readable; -1: none */
    /* Called before each wait where no other thread watches the clock: it may make one of `fds`
       readable, and tighten the bounds. NULL: another thread does. */
    void (*before_wait)(void *context, struct nb__wait_bounds *bounds);
    void *context;
    bool fd_ready; /* the descriptor in the bounds was readable when the last wait ended */
};

/* Waits as nb__wait() does, but may end early: 0 does not mean that the deadline has passed.
   -ECANCELED when it was cancelled. The array must have room for NB__WAIT_ROOM more entries. */
int nb__wait_cancellable(struct pollfd *fds, nfds_t count, nb_deadline by,
                         struct nb__cancels *cancels);

#endif
