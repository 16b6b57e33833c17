/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what a listener is, and the steps of accepting. */
#ifndef NETBASICS_LISTENER_INTERNAL_H
#define NETBASICS_LISTENER_INTERNAL_H

#include <netbasics/listener.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb__socket {
    int fd;
    nb_address address;
};

/* What the accept loop counts; see nb_serve_stats. */
struct nb__counters {
    _Atomic uint64_t accepted;
    _Atomic uint64_t active;
    _Atomic uint64_t peak;
    _Atomic uint64_t refused;
    _Atomic uint64_t lost_accepts;
    _Atomic uint64_t lingering;
    _Atomic uint64_t forced;
    _Atomic uint64_t unserved;
};

struct nb_listener {
    int wake[2];                   /* rung by the stop, for good */
    _Atomic int64_t stopped_at_ns; /* when the first stop came; 0: not yet */
    atomic_bool served;            /* an accept loop has it, or had it */
    atomic_uint turn;              /* which socket is asked first */
    size_t count;
    struct nb__socket sockets[NB_LISTENER_SOCKETS_MAX];
    struct nb__counters counters;
};

/* What accepting remembers from one try to the next; all zeroes to begin with. */
struct nb__accepting {
    int64_t backoff_ms;   /* how long to wait before the next try; 0: no shortage */
    unsigned lost_in_row; /* a lost connection costs nothing, unless it never ends */
    unsigned unsupported_in_row;
};

enum nb__tried {
    NB__TRIED_ACCEPTED,    /* there is a connection */
    NB__TRIED_LOST,        /* one was there and is gone */
    NB__TRIED_INTERRUPTED, /* a signal came */
    NB__TRIED_NOTHING,     /* none is waiting */
    NB__TRIED_SHORTAGE,    /* descriptors or memory ran out */
    NB__TRIED_BROKEN       /* listening itself does not work */
};

/* Room for what nb__listener_watch() lists. */
#define NB__LISTENER_WATCHED_MAX (1 + NB_LISTENER_SOCKETS_MAX)

/* Lists what to poll: the stop, and behind it the sockets. Returns how many. */
size_t nb__listener_watch(const nb_listener *listener, struct pollfd *fds);

/* Tries to accept from the sockets that poll(2) found ready (NULL: from all), without waiting. On
   NB__TRIED_ACCEPTED `conn` is open; *system_error is the errno of a shortage or of what broke. */
enum nb__tried nb__listener_try(nb_listener *listener, struct nb__accepting *accepting,
                                const struct pollfd *ready, nb_conn *conn, int *system_error);

/* What an errno of accept(2) means for accepting. After a shortage, and after too many losses in a row,
   backoff_ms is the time to wait before the next try. */
enum nb__tried nb__listener_failed(nb_listener *listener, struct nb__accepting *accepting,
                                   int number);

/* The same for poll(2), which is the way to wait for the end of a shortage, too: then it must work. */
enum nb__tried nb__listener_poll_failed(nb_listener *listener, struct nb__accepting *accepting,
                                        int number);

/* What the errno of a shortage, or of what broke, is to those who wait for a connection. */
nb_status nb__listener_status(int number);

/* When to try again during a shortage; without one, nb_forever(). */
nb_deadline nb__listener_retry(const struct nb__accepting *accepting);

bool nb__listener_stopped(const nb_listener *listener);

/* Closes the sockets; their addresses stay known. */
void nb__listener_shut(nb_listener *listener);

#endif
