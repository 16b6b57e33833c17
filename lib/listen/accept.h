/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: the steps of accepting. */
#ifndef NETBASICS_ACCEPT_H
#define NETBASICS_ACCEPT_H

#include "listen/listener_internal.h"

#include <netbasics/conn.h>
#include <poll.h>

/* The state of accepting between two tries; all zeroes to begin with. */
struct nb__accepting {
    int error;               /* the errno of the last try that failed */
    int64_t backoff_ms;      /* how long to wait before the next try; 0: no wait */
    int shortage;            /* the errno because of which it backs off */
    unsigned lost_in_row;    /* lost connections since the last success */
    unsigned unclear_in_row; /* errors since then that may be the listening socket's own */
};

enum nb__accept_result {
    NB__ACCEPT_DONE,        /* a connection was accepted */
    NB__ACCEPT_LOST,        /* one was waiting, but is gone */
    NB__ACCEPT_INTERRUPTED, /* by a signal */
    NB__ACCEPT_NOTHING,     /* none is waiting */
    NB__ACCEPT_SHORTAGE,    /* descriptors or memory ran out */
    NB__ACCEPT_BROKEN       /* listening itself does not work */
};

/* Room for what nb__accept_watch() lists. */
#define NB__ACCEPT_WATCHED_MAX (1 + NB_LISTENER_SOCKETS_MAX)

/* Lists what to poll: the stop, then the sockets. Returns how many entries. */
size_t nb__accept_watch(const nb_listener *listener, struct pollfd *fds);

/* How many connections are in the accept queues; where the system does not tell, a socket counts 1
   if there are any. */
uint64_t nb__accept_waiting(const nb_listener *listener);

/* Tries, without waiting, to accept from the sockets that poll(2) found ready (NULL: from all). On
   NB__ACCEPT_DONE `conn` is open. */
enum nb__accept_result nb__accept_try(nb_listener *listener, struct nb__accepting *accepting,
                                      const struct pollfd *ready, nb_conn *conn);

/* What an errno of accept(2) means for accepting. After a shortage, and after too many losses in a
   row, backoff_ms is the time to wait before the next try. */
enum nb__accept_result nb__accept_failed(nb_listener *listener, struct nb__accepting *accepting,
                                         int error);

/* The same for an errno of poll(2). During a shortage there is no other way to wait: then it is
   fatal. */
enum nb__accept_result nb__accept_poll_failed(nb_listener *listener,
                                              struct nb__accepting *accepting, int error);

/* The status that nb_accept() and nb_serve() return for the errno of a shortage or a fatal
   error. */
nb_status nb__accept_status(int error);

/* When to try again while backing off; otherwise nb_forever(). */
nb_deadline nb__accept_retry(const struct nb__accepting *accepting);

#endif
