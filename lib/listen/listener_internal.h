/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Private: what a listener is. */
#ifndef NETBASICS_LISTENER_INTERNAL_H
#define NETBASICS_LISTENER_INTERNAL_H

#include "listen/listen_socket.h"

#include <netbasics/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the accept loop counts; see nb_serve_counters. */
struct nb__counters {
    _Atomic uint64_t accepted;
    _Atomic uint64_t active;
    _Atomic uint64_t peak;
    _Atomic uint64_t refused;
    _Atomic uint64_t lost_accepts;
    _Atomic uint64_t lingering;
    _Atomic uint64_t forced;
    _Atomic uint64_t unserved;
    _Atomic uint64_t limit_reached;
};

struct nb_listener {
    int wake[2];                   /* rung by each stop, for who accepts and for who drains */
    int stop[2];                   /* rung by the stop, for good */
    _Atomic int64_t stopped_at_ns; /* when the first stop came; 0: not yet */
    atomic_bool hurried;           /* the drain is to end at once */
    atomic_bool served;            /* an accept loop has it, or had it */
    atomic_uint turn;              /* which socket is asked first */
    pthread_mutex_t lock;          /* for `accepting`; never held during a wait */
    pthread_cond_t vacant;         /* nobody accepts any more */
    bool accepting;                /* a thread is inside of nb_accept(): others wait for it */
    atomic_int shortage;           /* the errno of what it waits for the end of; 0: none */
    size_t count;
    struct nb__listen_socket sockets[NB_LISTENER_SOCKETS_MAX];
    struct nb__counters counters;
};

static inline bool nb__listener_stopped(const nb_listener *listener)
{
    return atomic_load_explicit(&listener->stopped_at_ns, memory_order_acquire) != 0;
}

/* For who finds one of its wakeups readable: silences it if nobody has stopped the listener, as when a
   child of fork(2) has rung. */
void nb__listener_wake_clear(const nb_listener *listener, const int wake[2]);

/* Removes the files of its own Unix sockets, so that nobody new finds them. */
void nb__listener_hide(nb_listener *listener);

/* Closes the sockets; their addresses stay known. */
void nb__listener_shut(nb_listener *listener);

#endif
