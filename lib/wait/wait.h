/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the one place where the library waits: for descriptors, or on a waitable. */
#ifndef NETBASICS_WAIT_H
#define NETBASICS_WAIT_H

#include <netbasics/conn.h>
#include <netbasics/deadline.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* Waits for events of descriptors until a deadline: how many have some, 0 when the deadline has passed (or
   after 68 years), or -errno. An expired deadline asks once. Descriptors below 0 are passed over. */
int nb__wait(struct pollfd *fds, nfds_t count, nb_deadline by);

struct nb__waiters;

/* What is waited for again and again: a connection has one. */
struct nb__waitable {
    int fd;
    _Atomic(struct nb__waiters *)
        waiters; /* who wait for something else for its sake, see waiters.h;
                                              NULL: nobody ever did */
};

/* How long one wait may last, and what else ends it. */
struct nb__wait_bounds {
    int64_t now_ns;    /* the clock, when they were set */
    nb_deadline until; /* no longer than this, */
    int fd;            /* nor when this is readable; -1: none. Then it is time to set them again */
    bool fd_ready;     /* it was, when the last wait ended */
    bool soon;         /* a timer of the socket would end the wait too late */
    bool idle;         /* the wait is one between two requests */
};

/* Waits until there is something to receive, or room to send, within bounds. Above 0 when there is; 0 when
   the bounds have ended the wait, or -errno. */
int nb__wait_on(const struct nb__waitable *waitable, nb_direction direction,
                struct nb__wait_bounds *bounds);

#endif
