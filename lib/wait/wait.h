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

/* Waits for events of descriptors until a deadline. Returns how many have some, 0 when the deadline
   has passed (or after 68 years), or -errno. An expired deadline asks once. Negative descriptors
   are ignored. */
int nb__wait(struct pollfd *fds, nfds_t count, nb_deadline by);

struct nb__waiters;

/* What is waited for repeatedly: each connection has one. */
struct nb__waitable {
    int fd;
    /* Other waits that end with this one's connection, see waiters.h; NULL: there never was one. */
    _Atomic(struct nb__waiters *) waiters;
};

/* How long one wait may last, and what else ends it. */
struct nb__wait_bounds {
    int64_t now_ns;    /* the time when these bounds were set */
    nb_deadline until; /* the wait ends at this time, */
    int fd;            /* or when this is readable (-1: none): then the bounds are set anew */
    bool fd_ready;     /* fd was readable when the last wait ended */
    bool soon;         /* the socket's own timer would end the wait too late */
    bool idle;         /* the connection is between two requests */
};

/* Waits within bounds until there is something to receive, or room to send. Returns a value above 0
   when there is, 0 when the bounds ended the wait, or -errno. */
int nb__wait_on(const struct nb__waitable *waitable, nb_direction direction,
                struct nb__wait_bounds *bounds);

#endif
