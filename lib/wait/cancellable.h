/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: waiting for descriptors, and for what makes the wait pointless. */
#ifndef NETBASICS_CANCELLABLE_H
#define NETBASICS_CANCELLABLE_H

#include <netbasics/deadline.h>
#include <poll.h>
#include <stdbool.h>

/* How many entries more nb__wait_cancellable() needs. */
#define NB__WAIT_ROOM 3

/* What can end a wait besides its deadline. */
struct nb__cancels {
    int fds[2]; /* readable: give up; -1: none */
    /* Where nobody else watches the clock: called before each wait. It may make one of these readable, and
       says until when to wait, and for which descriptor (-1: none), before it is called again. NULL:
       somebody does. */
    nb_deadline (*look)(void *context, bool rung, nb_deadline by, int *fd);
    void *context;
    bool rung; /* that descriptor was readable */
};

/* Waits as nb__wait() does, perhaps not as long: 0 is no proof that the deadline has passed.
   -ECANCELED: give up. The array has room for NB__WAIT_ROOM entries more. */
int nb__wait_cancellable(struct pollfd *fds, nfds_t count, nb_deadline by,
                         struct nb__cancels *cancels);

#endif
