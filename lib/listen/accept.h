/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the steps of accepting. */
#ifndef NETBASICS_ACCEPT_H
#define NETBASICS_ACCEPT_H

#include "listen/listener_internal.h"

#include <netbasics/conn.h>
#include <poll.h>

/* What accepting remembers from one try to the next; all zeroes to begin with. */
struct nb__accepting {
    int error;               /* the errno of the last try that failed */
    int64_t backoff_ms;      /* how long to wait before the next try; 0: at once */
    int shortage;            /* the errno of what made it wait */
    unsigned lost_in_row;    /* a lost connection costs nothing, unless it never ends */
    unsigned unclear_in_row; /* errors that may be the listening socket's own */
};

enum nb__accept_result {
    NB__ACCEPT_DONE,        /* there is a connection */
    NB__ACCEPT_LOST,        /* one was there and is gone */
    NB__ACCEPT_INTERRUPTED, /* a signal came */
    NB__ACCEPT_NOTHING,     /* none is waiting */
    NB__ACCEPT_SHORTAGE,    /* descriptors or memory ran out */
    NB__ACCEPT_BROKEN       /* listening itself does not work */
};

/* Room for what nb__accept_watch() lists. */
#define NB__ACCEPT_WATCHED_MAX (1 + NB_LISTENER_SOCKETS_MAX)

/* Lists what to poll: the stop, and behind it the sockets. Returns how many. */
size_t nb__accept_watch(const nb_listener *listener, struct pollfd *fds);

/* How many connections wait to be accepted; a socket of which the system does not tell counts 1 when
   there are any. */
uint64_t nb__accept_waiting(const nb_listener *listener);

/* Tries to accept from the sockets that poll(2) found ready (NULL: from all), without waiting. On
   NB__ACCEPT_DONE `conn` is open. */
enum nb__accept_result nb__accept_try(nb_listener *listener, struct nb__accepting *accepting,
                                      const struct pollfd *ready, nb_conn *conn);

/* What an errno of accept(2) means for accepting. After a shortage, and after too many losses in a row,
   backoff_ms is the time to wait before the next try. */
enum nb__accept_result nb__accept_failed(nb_listener *listener, struct nb__accepting *accepting,
                                         int error);

/* The same for poll(2), which is the way to wait for the end of a shortage, too: then it must work. */
enum nb__accept_result nb__accept_poll_failed(nb_listener *listener,
                                              struct nb__accepting *accepting, int error);

/* What the errno of a shortage, or of what broke, is to those who wait for a connection. */
nb_status nb__accept_status(int error);

/* When to try again during a shortage; without one, nb_forever(). */
nb_deadline nb__accept_retry(const struct nb__accepting *accepting);

#endif
